"""Tells people what happened, from a thread of its own: whoever raises an alert never waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from grid_db import AlertSeverity
from grid_service.redaction import Redactor
from gridbot.alerts.alert_throttle import LONGEST_MESSAGE, Alert, AlertThrottle
from gridbot.alerts.alerts import AlertKey
from gridbot.alerts.journal_keeper import AlertJournal, JournalKeeper
from gridbot.alerts.telegram_api import (
    LONGEST_TEXT,
    TelegramApi,
    TelegramBusyError,
    TelegramError,
    TelegramRefusedError,
)
from gridbot.settings.sections import TelegramSettings

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
WAITING_ALERTS = 200
KEEPER_CLOSES_S = 2.0
_LEVELS = {
    AlertSeverity.INFO: logging.INFO,
    AlertSeverity.WARNING: logging.WARNING,
    AlertSeverity.CRITICAL: logging.ERROR,
}


class AlertSender(Protocol):
    """Brings a text to people. Blocking; raises TelegramError."""

    def send(self, text: str) -> None:
        """Send one text."""


class TelegramChat:
    """The one configured chat."""

    def __init__(self, api: TelegramApi, chat_id: int) -> None:
        self.api = api
        self.chat_id = chat_id

    def send(self, text: str) -> None:
        """Send one text. Raises TelegramError."""
        self.api.send(self.chat_id, text)


def telegram_chat(settings: TelegramSettings) -> TelegramChat | None:
    """Return the configured chat, None without a token: alerts are only logged then.

    Raises TelegramRefusedError for a token of the wrong form. Nothing is sent.
    """
    token = settings.bot_token
    if token is None or not token.get_secret_value() or settings.chat_id is None:
        return None
    return TelegramChat(TelegramApi(token, settings.api_url), settings.chat_id)


class Notifier:
    """Alerts: logged at once, sent in the background, one of a topic in a minute.

    What waits is bounded: when it is full the oldest goes, and the number that went is told.
    """

    def __init__(
        self,
        sender: AlertSender | None = None,
        *,
        redactor: Redactor | None = None,
        journal: AlertJournal | None = None,
        throttle: AlertThrottle | None = None,
        clock: Callable[[], float] = time.monotonic,
        most_waiting: int = WAITING_ALERTS,
    ) -> None:
        self._sender = sender
        self._keeper = None if journal is None else JournalKeeper(journal)
        self._redactor = redactor or Redactor()
        self._throttle = throttle or AlertThrottle()
        self._clock = clock
        self._waiting: deque[Alert] = deque()
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.sent = self.dropped = self.suppressed = 0
        self._untold_drops = 0

    def start(self) -> None:
        """Start the thread."""
        if self._keeper is not None:
            self._keeper.start()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)
        self._thread.start()

    def alert(
        self,
        key: AlertKey,
        text: str,
        *,
        about: str = "",
        severity: AlertSeverity | None = None,
    ) -> None:
        """Tell of something. Never blocks, never raises; callable from any thread.

        about is a strat_id or the name of an account; it and the key make the throttle's topic.
        """
        alert = Alert(
            key=key,
            message=self._redactor.clean(str(text))[:LONGEST_MESSAGE],
            severity=severity or key.severity,
            raised_at=datetime.now(UTC),
            about=about,
        )
        with self._changed:
            admitted = self._throttle.admit(alert, self._clock())
            if admitted is None:
                self.suppressed += 1
            else:
                self._push(admitted)
            self._changed.notify()
        level = logging.DEBUG if admitted is None else _LEVELS[alert.severity]
        log.log(level, "alert %s", alert.text(), extra={"alert_key": alert.key, "about": about})

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, for at most so long, and end."""
        with self._changed:
            for alert in self._throttle.flush():
                self._push(alert)
            self._is_closing.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None
        if self._waiting:
            log.warning("%d alerts could not be sent before the end", len(self._waiting))
        if self._keeper is not None:
            self._keeper.close(min(timeout_s, KEEPER_CLOSES_S))

    def _push(self, alert: Alert) -> None:
        self._waiting.append(alert)
        if self._keeper is not None:
            self._keeper.keep(alert)
        if len(self._waiting) > self._most_waiting:
            self._waiting.popleft()
            self.dropped += 1
            self._untold_drops += 1

    # on the thread

    def _run(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            batch = self._next_batch()
            if not batch:
                return
            wait_s = self._deliver(batch, backoff_s)
            while wait_s is not None:
                # a closing process does not wait for a server that is away
                if self._is_closing.is_set() or self._is_closing.wait(wait_s):
                    log.warning("%d alerts were not delivered", len(batch))
                    return
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
                wait_s = self._deliver(batch, backoff_s)
            backoff_s = FIRST_BACKOFF_S

    def _next_batch(self) -> list[Alert]:
        """Return alerts that fit into one message, at least one; none at the end."""
        with self._changed:
            while True:
                for alert in self._throttle.due(self._clock()):
                    self._push(alert)
                if self._waiting:
                    break
                if self._is_closing.is_set():
                    return []
                due = self._throttle.next_due
                self._changed.wait(None if due is None else max(0.05, due - self._clock()))
            batch, length = [self._waiting.popleft()], 0
            while self._waiting:
                length += len(batch[-1].text()) + 2
                if length + len(self._waiting[0].text()) > LONGEST_TEXT - 100:
                    break
                batch.append(self._waiting.popleft())
            return batch

    def _deliver(self, batch: list[Alert], backoff_s: float) -> float | None:
        """Send once; return how long to wait before the next try, None when done with it."""
        if self._sender is None:
            return None
        with self._changed:
            drops = self._untold_drops
        text = "\n\n".join(alert.text() for alert in batch)
        if drops:
            text += f"\n\n({drops} older alerts were dropped, the log has them)"
        try:
            self._sender.send(self._redactor.clean(text))
        except TelegramBusyError as error:
            log.info("Telegram asks to wait %.0f s", error.retry_after_s)
            return error.retry_after_s
        except TelegramRefusedError as error:
            log.error("Telegram does not take the alerts, they are only logged: %s", error)
            return None
        except TelegramError as error:
            log.warning("Telegram: %s; next try in %.0f s", error, backoff_s)
            return backoff_s
        except Exception:
            # whatever it is, the alerts after these must still be sent
            log.exception("alerts could not be sent")
            return None
        with self._changed:
            self._untold_drops -= drops
        self.sent += len(batch)
        self._note_delivered(batch)
        return None

    def _note_delivered(self, batch: list[Alert]) -> None:
        now = datetime.now(UTC)
        for alert in batch:
            if self._keeper is not None:
                self._keeper.keep(alert, now)
