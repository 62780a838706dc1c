"""How the bot came to where it is: who asked for its end, and which strategies have nobody."""

from __future__ import annotations

from collections.abc import Iterable

from gridbot.actor.runner import StrategyRunner
from gridbot.settings.config import StrategySettings
from gridbot.words.snapshot import RunState, Unattended


class Life:
    """The bot from its start to its end. An end that nobody asked for is never an orderly one."""

    def __init__(self, strategies: Iterable[StrategySettings]) -> None:
        # a strategy in shadow mode has no orders that anybody could leave
        self._strategies = {one.strat_id: one for one in strategies if not one.shadow_mode}
        self._reasons: dict[str, str] = {}
        self._is_asked = False
        self.state = RunState.RUNNING
        self.reason = ""  # why it failed
        self.has_begun = False

    def not_started(self, account: str, reason: str) -> None:
        """Take note that no strategy of an account could be started."""
        for one in self._strategies.values():
            if one.account == account:
                self._reasons[one.strat_id] = f"not started: {reason}"

    def strategy_not_started(self, strat_id: str, reason: str) -> None:
        """Take note that one strategy could not be started."""
        if strat_id in self._strategies:
            self._reasons[strat_id] = f"not started: {reason}"

    def strategy_started(self, strat_id: str) -> None:
        """Take note that a strategy that could not be started at first runs now."""
        self._reasons.pop(strat_id, None)

    def begin(self) -> None:
        """Take note that from now on there may be orders of this life."""
        self.has_begun = True

    def fail(self, reason: str) -> None:
        """Take note of an end that nobody asked for; one that was asked for before stays one."""
        if not self._is_asked:
            self.reason = reason

    def ask_for_the_end(self) -> None:
        """Take note that somebody asked for the end."""
        if not self.reason:
            self._is_asked = True

    def stopping(self) -> None:
        """Take note that the end has begun."""
        self.state = RunState.STOPPING

    def cancelled(self, runners: Iterable[StrategyRunner]) -> None:
        """Take note of orders that were to be cancelled and may still rest."""
        for runner in runners:
            left = len(runner.strategy.view.orders)
            if left and not runner.is_shadow:
                self._reasons.setdefault(
                    runner.strat_id,
                    f"{left} orders may rest that cancel_on_shutdown should have cancelled",
                )

    def ended(self) -> None:
        """Take note of the end."""
        if not self._is_asked:
            self.reason = self.reason or "it ended without having been asked to"
        self.state = RunState.STOPPED if self._is_asked else RunState.FAILED

    def unattended(self, runners: Iterable[StrategyRunner]) -> tuple[Unattended, ...]:
        """Return the strategies that nobody looks after."""
        reasons = {
            one.strat_id: one.stopped_because
            for one in runners
            if one.stopped_because is not None and not one.is_shadow
        } | self._reasons
        return tuple(
            Unattended(strat_id=name, account=one.account, symbol=one.symbol, reason=reasons[name])
            for name, one in self._strategies.items()
            if name in reasons
        )
