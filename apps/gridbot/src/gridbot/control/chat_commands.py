"""The commands of the chat: one row each, with its name, its help and what it does to the bot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from gridbot.actor.runner import StrategyRunner
from gridbot.actor.strategy_health import PAUSED
from gridbot.words.snapshot import BotSnapshot
from gridbot.words.texts import orders_text, pnl_text, positions_text, status_text
from gridcore import ResetLossBreaker, ResetReduceOnly, ResetSameOrder


class Bot(Protocol):
    """The bot, as far as commands need it. Used on the event loop's thread."""

    @property
    def runners(self) -> list[StrategyRunner]: ...
    def snapshot(self) -> BotSnapshot: ...
    def request_stop(self) -> None: ...


Chosen = Sequence[StrategyRunner]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCommand:
    """One command. What `changes` something asks for a confirmation before it is done.

    `act` gets the bot and, of a command `of_strategies`, those that are meant: the one that was
    named, or all. It returns the answer for people.
    """

    name: str
    help: str
    act: Callable[[Bot, Chosen], str]
    changes: bool = False
    of_strategies: bool = False

    @property
    def usage(self) -> str:
        """How it is written."""
        return f"/{self.name}" + (f" or /{self.name} STRATEGY" if self.of_strategies else "")

    def run(self, bot: Bot, strat_id: str | None) -> str:
        """Do it and return the answer. Raises KeyError for a strategy that is not there."""
        chosen = [one for one in bot.runners if strat_id in (None, one.strat_id)]
        if self.of_strategies and not chosen:
            raise KeyError(strat_id)
        return self.act(bot, chosen)


def _names(chosen: Chosen) -> str:
    return ", ".join(one.strat_id for one in chosen)


def _pause(_: Bot, chosen: Chosen) -> str:
    for runner in chosen:
        runner.hold(PAUSED, keep=True)
    return f"paused, also through a restart: {_names(chosen)}; what rests on the exchange stays"


def _resume(_: Bot, chosen: Chosen) -> str:
    for runner in chosen:
        runner.release(PAUSED)
    return f"trading again: {_names(chosen)}"


def _reset_same_order(_: Bot, chosen: Chosen) -> str:
    for runner in chosen:
        runner.tell(ResetSameOrder())
    return f"same-order error ended: {_names(chosen)}"


def _reset_loss_breaker(_: Bot, chosen: Chosen) -> str:
    for runner in chosen:
        runner.tell(ResetLossBreaker())
    return f"a new loss session begins: {_names(chosen)}"


def _reset_reduce_only(_: Bot, chosen: Chosen) -> str:
    for runner in chosen:
        runner.tell(ResetReduceOnly())
    return f"closing orders go out again: {_names(chosen)}"


def _stop(bot: Bot, _: Chosen) -> str:
    bot.request_stop()
    return "the bot is stopping"


COMMANDS = (
    ChatCommand(
        name="status",
        help="accounts and strategies, how they are",
        act=lambda bot, _: status_text(bot.snapshot(), datetime.now(UTC)),
    ),
    ChatCommand(
        name="positions",
        help="both legs of every strategy",
        act=lambda bot, _: positions_text(bot.snapshot()),
    ),
    ChatCommand(name="orders", help="open orders", act=lambda bot, _: orders_text(bot.snapshot())),
    ChatCommand(
        name="pnl", help="profit since the start", act=lambda bot, _: pnl_text(bot.snapshot())
    ),
    ChatCommand(
        name="pause",
        help="place nothing, cancels go on",
        act=_pause,
        changes=True,
        of_strategies=True,
    ),
    ChatCommand(name="resume", help="trade again", act=_resume, changes=True, of_strategies=True),
    ChatCommand(
        name="reset_same_order",
        help="end the same-order error",
        act=_reset_same_order,
        changes=True,
        of_strategies=True,
    ),
    ChatCommand(
        name="reset_loss_breaker",
        help="begin a new loss session",
        act=_reset_loss_breaker,
        changes=True,
        of_strategies=True,
    ),
    ChatCommand(
        name="reset_reduce_only",
        help="send closing orders again",
        act=_reset_reduce_only,
        changes=True,
        of_strategies=True,
    ),
    ChatCommand(name="stop", help="stop the bot", act=_stop, changes=True),
)


def help_text(commands: Sequence[ChatCommand]) -> str:
    """Return what /help answers."""
    lines = [
        f"/{one.name}{' [strategy]' if one.of_strategies else ''} – {one.help}" for one in commands
    ]
    lines.append(
        "Without a strategy a command means all of them. What changes something asks for a"
        " confirmation."
    )
    return "\n".join(lines)


class BotCommands:
    """Runs commands on a bot. Used on the event loop's thread."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot

    def run(self, command: ChatCommand, strat_id: str | None) -> str:
        """Run one and return its answer. Raises KeyError for a strategy that is not there."""
        return command.run(self._bot, strat_id)
