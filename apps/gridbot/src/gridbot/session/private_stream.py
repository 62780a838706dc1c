"""The private stream of one account: its messages in order, and its breaks among them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bybit_adapter import EventQueue, StreamUpdate, ticker_symbol
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.occasions import Occasions
from gridbot.ports import ExchangeClock, OpenPrivate, Stream
from gridbot.settings.session_settings import SessionSettings

log = logging.getLogger(__name__)


class StreamOwner(Protocol):
    """Whom a private stream is for. Called on the event loop's thread, in the stream's order."""

    def take(self, update: StreamUpdate) -> None: ...
    def stream_lost(self) -> None: ...
    def stream_back(self, lost_at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class _StreamChange:
    """The stream went, or came back, in its order among the events."""

    lost_at: datetime
    back_at: datetime | None


class PrivateStream:
    """Hands the updates of an account's stream to its owner, and tells of long breaks."""

    def __init__(
        self,
        account: str,
        open_private: OpenPrivate,
        owner: StreamOwner,
        clock: ExchangeClock,
        alerts: Alerts,
        settings: SessionSettings,
    ) -> None:
        self._account = account
        self._open_private = open_private
        self._owner = owner
        self._clock = clock
        self._alerts = alerts
        self._settings = settings
        self._stream: Stream | None = None
        self._queue: EventQueue[StreamUpdate | _StreamChange] | None = None
        self._lost_at: datetime | None = None
        self._is_loss_told = False
        self._occasions = Occasions(clock.monotonic)

    async def start(self, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Begin to listen; `spawn` begins the task that hands updates on."""
        self._queue = EventQueue(_conflation_key)
        spawn(self._pump(self._queue))
        self._stream = self._open_private(self)
        if not await self._settings.blocking(self._stream.connect):
            self.on_disconnect(self._clock.local())

    async def stop(self) -> None:
        """Disconnect."""
        if self._queue is not None:
            self._queue.close()
        if self._stream is not None:
            await self._settings.blocking(self._stream.disconnect)

    # how it is

    @property
    def is_lost(self) -> bool:
        """Whether it is known to be gone."""
        return self._lost_at is not None

    @property
    def is_alive(self) -> bool:
        """Whether it is connected now."""
        return self._stream is not None and self._stream.get_connection_state().is_alive

    @property
    def reconnects(self) -> int:
        """How often it came back."""
        return 0 if self._stream is None else self._stream.get_connection_state().reconnects

    def look(self) -> None:
        """Notice a first connection that came late, and tell once of a stream that is gone."""
        lost, stream = self._lost_at, self._stream
        if lost is not None and stream is not None:
            # one that did not connect in time at the start tells nobody when it does
            state = stream.get_connection_state()
            if state.is_alive and state.disconnected_at is None:
                self.on_reconnect(lost, self._clock.local())
        if lost is None or self._is_loss_told:
            return
        seconds = (self._clock.local() - lost).total_seconds()
        if seconds > self._settings.stream_alert_s:
            self._is_loss_told = True
            self._alert(
                AlertKey.STREAM_DOWN,
                f"the private stream is gone for {seconds:.0f} s; nothing is decided until it is"
                " back",
            )

    # called on the stream's threads

    def on_event(self, update: StreamUpdate) -> None:
        """Take an update."""
        if self._queue is not None:
            self._queue.put(update)

    def on_disconnect(self, ts: datetime) -> None:
        """Take note that it is gone."""
        if self._queue is not None:
            self._queue.put(_StreamChange(ts, None))

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        """Take note that it is back."""
        if self._queue is not None:
            self._queue.put(_StreamChange(disconnected_at, reconnected_at))

    # on the event loop

    async def _pump(self, queue: EventQueue[StreamUpdate | _StreamChange]) -> None:
        while (item := await queue.get()) is not None:
            try:
                if isinstance(item, _StreamChange):
                    self._changed(item)
                else:
                    self._owner.take(item)
            except Exception:
                # a message that cannot be handled must not end the stream of all the others
                log.exception("account %s: a message of the stream was not handled", self._account)
                if self._occasions.is_new("message"):
                    self._alert(
                        AlertKey.INTERNAL_ERROR,
                        "a message of the stream was not handled; see the log",
                    )

    def _changed(self, change: _StreamChange) -> None:
        if change.back_at is None:
            self._lost_at = change.lost_at
            log.warning("account %s: the private stream is gone since %s", self._account,
                        change.lost_at)  # fmt: skip
            self._owner.stream_lost()
            return
        self._lost_at, self._is_loss_told = None, False
        gap = (change.back_at - change.lost_at).total_seconds()
        log.warning("account %s: the private stream is back after %.1f s", self._account, gap)
        if gap > self._settings.stream_alert_s:
            self._alert(AlertKey.STREAM_DOWN, f"the private stream was gone for {gap:.0f} s")
        self._owner.stream_back(change.lost_at)

    def _alert(self, key: AlertKey, text: str) -> None:
        self._alerts.alert(key, f"account {self._account}: {text}", about=self._account)


def _conflation_key(item: StreamUpdate | _StreamChange) -> str | None:
    return None if isinstance(item, _StreamChange) else ticker_symbol(item)
