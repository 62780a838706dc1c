"""Stores alerts on a thread of its own: a database that hangs keeps nobody from being told."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from datetime import datetime
from typing import Protocol

from gridbot.alerts.alert_throttle import Alert

log = logging.getLogger(__name__)

MOST_WAITING = 1_000


class AlertJournal(Protocol):
    """Keeps alerts. Called on the keeper's thread; what it raises is logged."""

    def add(self, alert: Alert) -> int | None:
        """Keep an alert; return its number there, if it has one."""

    def mark_delivered(self, number: int, at: datetime) -> None:
        """Note that somebody was told."""


class JournalKeeper:
    """Hands alerts to a journal in their order. What waits is bounded; the oldest goes."""

    def __init__(self, journal: AlertJournal) -> None:
        self._journal = journal
        self._jobs: deque[tuple[Alert, datetime | None]] = deque(maxlen=MOST_WAITING)
        self._numbers: OrderedDict[Alert, int] = OrderedDict()  # of what nobody was told yet
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="alert journal", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def keep(self, alert: Alert, delivered_at: datetime | None = None) -> None:
        """Store an alert, or, with a time, that somebody was told of it. Returns at once."""
        with self._changed:
            self._jobs.append((alert, delivered_at))
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Store what waits, for at most so long, and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._jobs:
            log.warning("%d alerts could not be stored before the end", len(self._jobs))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs:
                    if self._is_closing:
                        return
                    self._changed.wait()
                alert, delivered_at = self._jobs.popleft()
            try:
                self._store(alert, delivered_at)
            except Exception:
                # the log has it; the next one must still be stored
                log.warning("an alert could not be stored", exc_info=True)

    def _store(self, alert: Alert, delivered_at: datetime | None) -> None:
        if delivered_at is None:
            number = self._journal.add(alert)
            if number is not None:
                self._numbers[alert] = number
                if len(self._numbers) > MOST_WAITING:
                    self._numbers.popitem(last=False)
            return
        number = self._numbers.pop(alert, None)
        if number is not None:
            self._journal.mark_delivered(number, delivered_at)
