"""Commands of the configured chat: what the bot answers, and what it does after a confirmation."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from grid_service.redaction import Redactor
from gridbot.control.chat_commands import COMMANDS, ChatCommand, help_text

log = logging.getLogger(__name__)

CONFIRM_WITHIN_S = 60.0


class CommandRunner(Protocol):
    """Who runs commands. Called on Telegram's thread; answers are for people."""

    def run(self, command: ChatCommand, strat_id: str | None) -> str:
        """Run a command; a `strat_id` of None means all strategies.

        KeyError says that there is no such strategy.
        """


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
        runner: CommandRunner,
        commands: Sequence[ChatCommand] = COMMANDS,
        *,
        user_name: str = "",
        clock: Callable[[], float] = time.monotonic,
        redactor: Redactor | None = None,
    ) -> None:
        """`user_name` is the bot's own, as groups write it behind a command."""
        self.user_name = user_name
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._runner = runner
        self._commands = {one.name: one for one in commands}
        self._help = help_text(commands)
        self._pending: _Pending | None = None

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
        command = self._commands.get(name)
        if command is None:
            known = name in ("start", "help")
            return self._help if known else f"/{name[:40]} is no command\n\n{self._help}"
        if len(arguments) > command.of_strategies:
            return f"too many words; write {command.usage}"
        strat_id = arguments[0] if arguments else None
        if command.changes:
            return self._ask(command, strat_id)
        return self._run(lambda: self._runner.run(command, strat_id))

    def _ask(self, command: ChatCommand, strat_id: str | None) -> str:
        whom = "all strategies" if command.of_strategies else "the bot"
        what = f"{command.name} {strat_id or whom}"
        code = f"{secrets.randbelow(10_000):04d}"
        self._pending = _Pending(
            code,
            what,
            lambda: self._runner.run(command, strat_id),
            self._clock() + CONFIRM_WITHIN_S,
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
