"""Commands of the configured chat: what the bot answers, and what it does after a confirmation."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from grid_service.redaction import Redactor

log = logging.getLogger(__name__)

CONFIRM_WITHIN_S = 60.0
HELP = """/status – accounts and strategies, how they are
/positions – both legs of every strategy
/orders – open orders
/pnl – profit since the start
/pause [strategy] – place nothing, cancels go on
/resume [strategy] – trade again
/reset_same_order [strategy] – end the same-order error
/reset_loss_breaker [strategy] – begin a new loss session
/reset_reduce_only [strategy] – send closing orders again
/stop – stop the bot
Without a strategy a command means all of them. What changes something asks for a confirmation."""


class BotControl(Protocol):
    """What the bot offers. Called on Telegram's thread; answers are for people.

    A `strat_id` of None means all strategies. KeyError says that there is no such strategy.
    """

    def status_text(self) -> str:
        """Return accounts and strategies."""

    def positions_text(self) -> str:
        """Return the legs."""

    def orders_text(self) -> str:
        """Return the open orders."""

    def pnl_text(self) -> str:
        """Return the profit."""

    def pause(self, strat_id: str | None) -> str:
        """Place nothing more until resumed; cancels go on."""

    def resume(self, strat_id: str | None) -> str:
        """Trade again."""

    def stop(self) -> str:
        """Begin to stop the bot; return at once."""

    def reset_same_order(self, strat_id: str | None) -> str:
        """End the same-order error by hand."""

    def reset_loss_breaker(self, strat_id: str | None) -> str:
        """Begin a new loss session by hand."""

    def reset_reduce_only(self, strat_id: str | None) -> str:
        """Let closing orders through again after repeated refusals."""


@dataclass(frozen=True, slots=True)
class _Pending:
    code: str
    what: str
    action: Callable[[], str]
    until: float


class CommandDesk:
    """Turns a text of the configured chat into an answer. Used by one thread."""

    def __init__(
        self,
        control: BotControl,
        *,
        user_name: str = "",
        clock: Callable[[], float] = time.monotonic,
        redactor: Redactor | None = None,
    ) -> None:
        """`user_name` is the bot's own, as groups write it behind a command."""
        self.user_name = user_name
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._control = control
        self._pending: _Pending | None = None
        self._reads: dict[str, Callable[[], str]] = {
            "status": control.status_text,
            "positions": control.positions_text,
            "orders": control.orders_text,
            "pnl": control.pnl_text,
        }
        self._changes: dict[str, Callable[[str | None], str]] = {
            "pause": control.pause,
            "resume": control.resume,
            "reset_same_order": control.reset_same_order,
            "reset_loss_breaker": control.reset_loss_breaker,
            "reset_reduce_only": control.reset_reduce_only,
            "stop": lambda _: control.stop(),
        }

    def answer(self, text: str) -> str | None:
        """Return the answer, None for what is no command or is another bot's."""
        words = text.split()
        if not words or not words[0].startswith("/"):
            return None
        name, _, addressee = words[0][1:].partition("@")
        if addressee and self.user_name and addressee.lower() != self.user_name.lower():
            return None
        name, arguments = name.lower(), words[1:]
        if name == "confirm":
            return self._confirm(arguments)
        self._pending = None  # a confirmation belongs to the command just before it
        if name in self._reads:
            return self._run(self._reads[name])
        if name in self._changes:
            return self._ask(name, arguments)
        return HELP if name in ("start", "help") else f"/{name[:40]} is no command\n\n{HELP}"

    def _ask(self, name: str, arguments: list[str]) -> str:
        if len(arguments) > (0 if name == "stop" else 1):
            usage = "/stop" if name == "stop" else f"/{name} or /{name} STRATEGY"
            return f"too many words; write {usage}"
        strat_id = arguments[0] if arguments else None
        change = self._changes[name]
        what = f"{name} {strat_id or ('the bot' if name == 'stop' else 'all strategies')}"
        code = f"{secrets.randbelow(10_000):04d}"
        self._pending = _Pending(
            code, what, lambda: change(strat_id), self._clock() + CONFIRM_WITHIN_S
        )
        return f"{what}? Answer /confirm {code} within {CONFIRM_WITHIN_S:.0f} s"

    def _confirm(self, arguments: list[str]) -> str:
        pending, self._pending = self._pending, None
        if pending is None:
            return "there is nothing to confirm"
        if self._clock() > pending.until:
            return f"too late, nothing was done; send /{pending.what.split()[0]} again"
        if arguments != [pending.code]:
            return f"that is not the code, nothing was done; send /{pending.what.split()[0]} again"
        log.warning("command by Telegram: %s", pending.what)
        return self._run(pending.action)

    def _run(self, action: Callable[[], str]) -> str:
        try:
            text = action()
        except KeyError as error:
            text = f"there is no strategy {error.args[0] if error.args else ''}"
        except Exception as error:
            log.exception("a command failed")
            text = f"that failed: {type(error).__name__}: {error}"
        return self._redactor.clean(text) or "done"
