"""What Telegram's commands do to the bot. Runs on the event loop's thread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from gridbot.actor.runner import StrategyRunner
from gridbot.views.snapshots import PAUSED
from gridbot.words.snapshot import BotSnapshot
from gridbot.words.texts import orders_text, pnl_text, positions_text, status_text
from gridcore import ResetLossBreaker, ResetReduceOnly, ResetSameOrder


class Bot(Protocol):
    """The bot, as far as commands need it."""

    @property
    def runners(self) -> list[StrategyRunner]: ...
    def snapshot(self) -> BotSnapshot: ...
    def request_stop(self) -> None: ...


class TextControl:
    """Answers commands with texts."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot

    def status_text(self) -> str:
        """Return accounts and strategies."""
        return status_text(self._bot.snapshot(), datetime.now(UTC))

    def positions_text(self) -> str:
        """Return the legs."""
        return positions_text(self._bot.snapshot())

    def orders_text(self) -> str:
        """Return the open orders."""
        return orders_text(self._bot.snapshot())

    def pnl_text(self) -> str:
        """Return the profit."""
        return pnl_text(self._bot.snapshot())

    def pause(self, strat_id: str | None) -> str:
        """Place nothing more until resumed; cancels go on. Raises KeyError."""
        names = self._each(strat_id, lambda runner: runner.hold(PAUSED, keep=True))
        return f"paused, also through a restart: {names}; what rests on the exchange stays"

    def resume(self, strat_id: str | None) -> str:
        """Trade again. Raises KeyError."""
        return f"trading again: {self._each(strat_id, lambda runner: runner.release(PAUSED))}"

    def stop(self) -> str:
        """Begin to stop the bot."""
        self._bot.request_stop()
        return "the bot is stopping"

    def reset_same_order(self, strat_id: str | None) -> str:
        """End the same-order error by hand. Raises KeyError."""
        names = self._each(strat_id, lambda one: one.tell(ResetSameOrder()))
        return f"same-order error ended: {names}"

    def reset_loss_breaker(self, strat_id: str | None) -> str:
        """Begin a new loss session by hand. Raises KeyError."""
        names = self._each(strat_id, lambda one: one.tell(ResetLossBreaker()))
        return f"a new loss session begins: {names}"

    def reset_reduce_only(self, strat_id: str | None) -> str:
        """Let closing orders through again after repeated refusals. Raises KeyError."""
        names = self._each(strat_id, lambda one: one.tell(ResetReduceOnly()))
        return f"closing orders go out again: {names}"

    def _each(self, strat_id: str | None, action: Callable[[StrategyRunner], None]) -> str:
        chosen = [one for one in self._bot.runners if strat_id in (None, one.strat_id)]
        if not chosen:
            raise KeyError(strat_id)
        for runner in chosen:
            action(runner)
        return ", ".join(one.strat_id for one in chosen)
