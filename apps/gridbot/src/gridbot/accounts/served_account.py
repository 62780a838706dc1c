"""One account of the bot with everything that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bybit_adapter import Environment as Place
from gridbot.actor.runner import StrategyRunner
from gridbot.session.account_session import AccountSession
from gridbot.settings.account_config import AccountConfig


@dataclass(slots=True)
class ServedAccount:
    """One account: `live` strategies trade, `shadows` only decide, `waiting` ones have not started.

    `waiting` says why, and `run_ids` which run is a strategy's, both by strat_id.
    """

    config: AccountConfig
    place: Place
    session: AccountSession
    run_ids: dict[str, str]
    live: list[StrategyRunner] = field(default_factory=list)
    shadows: list[StrategyRunner] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)

    @property
    def runners(self) -> tuple[StrategyRunner, ...]:
        """All strategies that were started."""
        return (*self.live, *self.shadows)

    def failures(self) -> dict[str, str]:
        """Return why runs of it failed, by run id."""
        found = {
            self.run_ids[runner.strat_id]: runner.stopped_because
            for runner in self.runners
            if runner.stopped_because is not None
        }
        for strat_id, reason in self.waiting.items():
            found[self.run_ids[strat_id]] = f"not started: {reason}"
        return found
