"""How urgent an alert is, how it reads, and how often one of its kind is repeated."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime

from grid_db import AlertSeverity
from gridbot.alerts.alerts import AlertKey

PERIOD_S = 60.0
MOST_TOPICS = 1_000
LONGEST_MESSAGE = 1_500  # characters; Telegram takes 4096 of a whole text


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that happened. Of one key and subject there is one message in a minute.

    about is a strat_id, an account, or nothing for the whole bot. suppressed counts alerts of the
    same topic that were not sent since the last one.
    """

    key: AlertKey
    message: str
    severity: AlertSeverity
    raised_at: datetime
    about: str = ""
    suppressed: int = 0

    @property
    def topic(self) -> str:
        """What the throttle counts by."""
        return f"{self.key}:{self.about}" if self.about else self.key.value

    def text(self) -> str:
        """Return it as one message for people."""
        # most messages name their subject themselves
        where = f" {self.about}" if self.about and self.about not in self.message else ""
        more = f"\n(and {self.suppressed} more of these since)" if self.suppressed else ""
        return f"{self.severity.upper()} {self.key}{where}: {self.message}{more}"


@dataclass(slots=True)
class _Window:
    until: float
    waiting: Alert | None = None
    count: int = 0


@dataclass(slots=True)
class AlertThrottle:
    """At most one alert of a topic in `period_s`; the others are counted and told together.

    Times are seconds of any clock that never goes back. Not thread-safe.
    """

    period_s: float = PERIOD_S
    most_topics: int = MOST_TOPICS
    _windows: OrderedDict[str, _Window] = field(default_factory=OrderedDict)

    def admit(self, alert: Alert, now: float) -> Alert | None:
        """Return the alert to send now, with what was suppressed before it; None for not now."""
        window = self._windows.get(alert.topic)
        if window is not None and now < window.until:
            window.waiting = alert
            window.count += 1
            return None
        missed = 0 if window is None else window.count
        self._windows[alert.topic] = _Window(now + self.period_s)
        self._windows.move_to_end(alert.topic)
        while len(self._windows) > self.most_topics:
            self._windows.popitem(last=False)
        return replace(alert, suppressed=missed) if missed else alert

    def due(self, now: float) -> list[Alert]:
        """Return, for every topic whose time is over, the newest alert that was held back."""
        found = []
        for topic, window in list(self._windows.items()):
            if now < window.until:
                continue
            del self._windows[topic]
            if window.waiting is not None:
                # it tells of itself and of those before it
                found.append(replace(window.waiting, suppressed=window.count - 1))
                self._windows[topic] = _Window(now + self.period_s)
        return found

    def flush(self) -> list[Alert]:
        """Return everything held back, at the end."""
        found = [
            replace(window.waiting, suppressed=window.count - 1)
            for window in self._windows.values()
            if window.waiting is not None
        ]
        self._windows.clear()
        return found

    @property
    def next_due(self) -> float | None:
        """When `due` has something to return; None while nothing is held back."""
        return min((w.until for w in self._windows.values() if w.waiting), default=None)
