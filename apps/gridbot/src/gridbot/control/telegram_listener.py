"""Listens to the configured chat on a thread of its own, through outages of any length."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from concurrent.futures import Future

from gridbot.alerts.notifier import TelegramChat
from gridbot.alerts.telegram_api import (
    POLL_S,
    Incoming,
    TelegramBusyError,
    TelegramError,
    TelegramRefusedError,
)
from gridbot.control.chat_commands import ChatCommand
from gridbot.control.telegram_commands import CommandDesk, CommandRunner

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
REFUSED_WAIT_S = 300.0
REMEMBERED_STRANGERS = 100
LOOP_TIMEOUT_S = 10.0


class CommandsOnLoop:
    """Runs every command on the event loop that owns the bot, and waits for it.

    Raises TimeoutError when the loop has not answered after `timeout_s`.
    """

    def __init__(
        self,
        runner: CommandRunner,
        loop: asyncio.AbstractEventLoop,
        timeout_s: float = LOOP_TIMEOUT_S,
    ) -> None:
        self._runner = runner
        self._loop = loop
        self._timeout_s = timeout_s

    def run(self, command: ChatCommand, strat_id: str | None) -> str:
        """Run one and return its answer."""
        done: Future[str] = Future()

        def call() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(self._runner.run(command, strat_id))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                done.set_exception(error)

        self._loop.call_soon_threadsafe(call)
        try:
            return done.result(self._timeout_s)
        except TimeoutError:
            # a command that nobody waits for any more must not happen later
            if done.cancel():
                raise TimeoutError("the bot is too busy to answer; nothing was done") from None
            raise


class TelegramListener:
    """Answers commands of the chat; what others write is logged once and ignored."""

    def __init__(self, chat: TelegramChat, desk: CommandDesk, *, poll_s: int = POLL_S) -> None:
        self._chat = chat
        self._desk = desk
        self._poll_s = poll_s
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._strangers: OrderedDict[int, None] = OrderedDict()
        self._problem = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="telegram", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 1.0) -> None:
        """Answer nothing more. A request that hangs at Telegram does not hold the process up."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        offset: int | None = None
        backoff_s = FIRST_BACKOFF_S
        while not self._is_stopping.is_set():
            try:
                if offset is None:
                    offset = self._begin()
                messages, offset = self._chat.api.updates(offset, self._poll_s)
            except TelegramBusyError as error:
                self._wait(error, error.retry_after_s)
            except TelegramRefusedError as error:
                self._wait(error, REFUSED_WAIT_S)
            except TelegramError as error:
                self._wait(error, backoff_s)
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            except Exception:
                log.exception("Telegram: an update that nobody expected")
                self._is_stopping.wait(LONGEST_BACKOFF_S)
            else:
                if self._problem:
                    log.info("Telegram: commands are heard again")
                self._problem, backoff_s = "", FIRST_BACKOFF_S
                for message in messages:
                    self._take(message)

    def _begin(self) -> int:
        """Pass over what was written while nobody listened: a /stop of yesterday is not meant."""
        self._desk.user_name = self._chat.api.user_name()
        _, offset = self._chat.api.updates(-1, 0)
        return offset

    def _wait(self, error: TelegramError, wait_s: float) -> None:
        if str(error) != self._problem:
            self._problem = str(error)
            log.warning("Telegram: commands are not heard: %s", error)
        self._is_stopping.wait(wait_s)

    def _take(self, message: Incoming) -> None:
        if self._is_stopping.is_set():
            return
        if message.chat_id != self._chat.chat_id:
            if message.chat_id not in self._strangers:
                log.warning("Telegram: chat %d is not the configured one", message.chat_id)
                self._strangers[message.chat_id] = None
                if len(self._strangers) > REMEMBERED_STRANGERS:
                    self._strangers.popitem(last=False)
            return
        answer = self._desk.answer(message.text)
        if answer is not None:
            self._reply(answer)

    def _reply(self, text: str) -> None:
        for _ in range(2):
            try:
                self._chat.send(text)
            except TelegramBusyError as error:
                self._is_stopping.wait(error.retry_after_s)
            except TelegramError as error:
                log.warning("Telegram: an answer could not be sent: %s", error)
                return
            else:
                return
