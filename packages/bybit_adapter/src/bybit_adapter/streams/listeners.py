"""Who is told what happens on a stream. A callback that raises does no harm to the stream."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.records.normalizer import StreamUpdate

log = logging.getLogger(__name__)

OnEvent = Callable[[StreamUpdate], None]
OnDisconnect = Callable[[datetime], None]
OnReconnect = Callable[[datetime, datetime], None]
OnMalformed = Callable[[MalformedFrame, str], None]


@dataclass(slots=True)
class Listeners:
    """The callbacks of one stream, each guarded, and what went wrong on the way to them."""

    url: str
    on_event: OnEvent
    on_disconnect: OnDisconnect | None
    on_reconnect: OnReconnect | None
    on_malformed: OnMalformed | None
    received: int = 0  # updates handed on
    callback_errors: int = 0
    _malformed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by topic and field

    @property
    def malformed(self) -> int:
        """How many frames did not fit."""
        return self._malformed.total()

    def event(self, update: StreamUpdate) -> None:
        """Hand an update on."""
        self.received += 1
        self._guarded(self.on_event, update)

    def lost(self, ts: datetime) -> None:
        """Tell of an outage; ts is the last sign of life."""
        if self.on_disconnect is not None:
            self._guarded(self.on_disconnect, ts)

    def back(self, lost_at: datetime, now: datetime) -> None:
        """Tell that the outage is over."""
        if self.on_reconnect is not None:
            self._guarded(self.on_reconnect, lost_at, now)

    def does_not_fit(self, error: MalformedFrame, text: str | bytes) -> None:
        """Count a frame that does not fit, log it once per kind, and tell of it."""
        kind = (error.topic, error.field)
        self._malformed[kind] += 1
        shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
        if self._malformed[kind] == 1:
            log.error("malformed frame, the stream goes on: %s; frame %.500s", error, shown)
        if self.on_malformed is not None:
            self._guarded(self.on_malformed, error, shown)

    def _guarded(self, call: Callable[..., None], *told: object) -> None:
        try:
            call(*told)
        except Exception:
            self.callback_errors += 1
            log.exception("%s: a callback failed", self.url)
