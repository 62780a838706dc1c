"""What both streams share: callbacks, state, watchdogs, and an end that always comes.

on_event runs on pybit's threads, in order of arrival: hand its argument to an EventQueue and
return. on_disconnect may also come from the watchdog's thread. A callback that raises is logged
and does no harm to the stream.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any

from bybit_adapter.basics.clock import Clock
from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.basics.keys import Keys
from bybit_adapter.records.tags import Tags
from bybit_adapter.streams.connection import StreamConnection, StreamTiming
from bybit_adapter.streams.faults import Faults
from bybit_adapter.streams.listeners import (
    Listeners,
    OnDisconnect,
    OnEvent,
    OnMalformed,
    OnReconnect,
)

log = logging.getLogger(__name__)

_CLOSE_S = 2.5  # for a polite goodbye
_CUT_S = 1.0  # for the threads to notice that the line is cut


class StreamState(StrEnum):
    """Where a stream is."""

    DISCONNECTED = "disconnected"  # not asked to connect
    CONNECTING = "connecting"  # for the first time
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionState:
    """A stream as it is now. Ages are seconds, None before the first message."""

    state: StreamState
    is_alive: bool
    traffic_age_s: float | None  # since anything arrived, heartbeats included
    data_age_s: float | None  # since a data frame arrived
    disconnected_at: datetime | None
    reconnects: int
    rebuilds: int  # of them, those that took a new pybit object
    received: int  # updates handed on
    malformed: int  # frames
    callback_errors: int
    rejected_topics: dict[str, str]  # topic -> the exchange's words
    auth_error: str | None
    unanswered_topics: tuple[str, ...] = ()  # their subscription has had no answer yet


class StreamClient:
    """What both streams share. Use PublicWebSocketClient or PrivateWebSocketClient."""

    _watches_silence = False

    def __init__(
        self,
        url: str,
        topics: Iterable[str],
        on_event: OnEvent,
        on_disconnect: OnDisconnect | None,
        on_reconnect: OnReconnect | None,
        on_malformed: OnMalformed | None,
        *,
        keys: Keys | None,
        tags: Tags | None,
        timing: StreamTiming,
        clock: Clock,
        random: Random | None,
    ) -> None:
        self._url = url
        self._topics = list(dict.fromkeys(topics))
        self._listeners = Listeners(url, on_event, on_disconnect, on_reconnect, on_malformed)
        self._keys = keys
        self._tags = tags
        self._timing = timing
        self._clock = clock
        self._faults = Faults(timing, clock, watches_silence=self._watches_silence)
        self._random = random or Random()  # noqa: S311 -- jitter, no secret
        self._lock = threading.Lock()  # never held while a callback runs or a thread is waited for
        self._session: StreamConnection | None = None
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._watchdog: threading.Thread | None = None
        self._has_been_ready = False
        self._lost_at: datetime | None = None
        self._reconnects = 0
        self._rebuilds = 0

    def connect(self, timeout_s: float = 10.0) -> bool:
        """Begin, and wait for the subscriptions to be answered; True when they are in time.

        After False it goes on trying in the background, for ever. A second call only waits.
        """
        with self._lock:
            if self._session is None:
                self._stop = threading.Event()
                self._ready.clear()
                self._has_been_ready = False
                self._lost_at = None
                self._begin_session()
                self._watchdog = threading.Thread(
                    target=self._watch, args=(self._stop,), name="bybit-stream-watch", daemon=True
                )
                self._watchdog.start()
        return self.wait_ready(timeout_s)

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait for the subscriptions to be answered; begins nothing, other than `connect`."""
        return self._ready.wait(timeout_s)

    def disconnect(self) -> None:
        """End the stream; returns within 5 s even when pybit hangs. Calls no callback.

        May be called from a callback: then nothing is waited for. `connect` begins anew.
        """
        with self._lock:
            session, self._session = self._session, None
            watchdog, self._watchdog = self._watchdog, None
            self._stop.set()
            self._ready.clear()
        if session is None:
            return
        closer = session.retire()
        current = threading.current_thread()
        if session.is_own_thread() or current is watchdog:
            return
        closer.join(_CLOSE_S)
        if closer.is_alive():
            session.cut()
            closer.join(_CUT_S)
        if watchdog is not None:
            watchdog.join(_CUT_S)

    def reset(self) -> None:
        """Replace the connection by a new one; on_disconnect and on_reconnect tell of it."""
        self._rebuild(self._session, "reset was asked for")

    def is_connected(self) -> bool:
        """Tell whether the stream is really alive: subscribed, socket open, recent traffic."""
        session = self._session
        if session is None or not session.is_ready or not session.is_socket_open():
            return False
        if session.is_busy:
            return True
        age = self._faults.age(session.last_traffic)
        return age is not None and age <= self._timing.dead_after_s

    def get_connection_state(self) -> ConnectionState:
        """Return everything that is known of the connection."""
        session = self._session
        if session is None:
            state = StreamState.DISCONNECTED
        elif session.is_ready:
            state = StreamState.CONNECTED
        else:
            state = StreamState.RECONNECTING if self._has_been_ready else StreamState.CONNECTING
        return ConnectionState(
            state=state,
            is_alive=self.is_connected(),
            traffic_age_s=None if session is None else self._faults.age(session.last_traffic),
            data_age_s=None if session is None else self._faults.age(session.last_data),
            disconnected_at=self._lost_at,
            reconnects=self._reconnects,
            rebuilds=self._rebuilds,
            received=self._listeners.received,
            malformed=self._listeners.malformed,
            callback_errors=self._listeners.callback_errors,
            rejected_topics={} if session is None else dict(session.subscriptions.rejected),
            unanswered_topics=() if session is None else tuple(session.subscriptions.unanswered),
            auth_error=None if session is None else session.auth_error,
        )

    @property
    def topics(self) -> tuple[str, ...]:
        """What is subscribed to, also across reconnects."""
        return tuple(self._topics)

    def _subscribe(self, topics: Iterable[str]) -> None:
        with self._lock:
            fresh = [topic for topic in topics if topic not in self._topics]
            self._topics += fresh
            session = self._session
        if session is not None:
            for topic in fresh:
                session.add_topic(topic)

    def _unsubscribe(self, topics: Iterable[str]) -> None:
        gone = set(topics)
        with self._lock:
            self._topics = [topic for topic in self._topics if topic not in gone]
            session = self._session
        if session is not None:
            session.drop_topics(gone)

    def retry_rejected(self) -> None:
        """Ask again for the topics that were refused; `rejected_topics` tells what came of it."""
        session = self._session
        if session is not None:
            for topic in tuple(session.subscriptions.rejected):
                session.ask_for(topic)

    def _begin_session(self) -> None:
        self._session = StreamConnection(
            self._url,
            self._keys,
            self._topics,
            self._tags,
            self,
            self._timing,
            self._clock,
            self._random,
        )
        self._session.start()

    # What the session tells, on pybit's threads.

    def session_ready(self, session: StreamConnection) -> None:
        with self._lock:
            if session is not self._session:
                return
            lost_at, self._lost_at = self._lost_at, None
            self._has_been_ready = True
            self._reconnects += lost_at is not None
        now = self._clock.now()
        if lost_at is not None:
            self._listeners.back(lost_at, now)
        self._ready.set()

    def session_lost(self, session: StreamConnection, reason: str) -> None:
        if session is self._session:
            self._note_loss(session, reason)

    def session_frame(self, session: StreamConnection, text: str | bytes, frame: Any) -> None:
        if session is not self._session:
            return
        try:
            updates = session.normalizer.normalize(frame, self._clock.now())
        except MalformedFrame as error:
            self._listeners.does_not_fit(error, text)
            updates = list(error.fitting)
        for update in updates:
            self._listeners.event(update)

    def _note_loss(self, session: StreamConnection, reason: str) -> None:
        """Call on_disconnect, once per outage, with the time of the last sign of life."""
        with self._lock:
            if not self._has_been_ready or self._lost_at is not None:
                return
            age = self._faults.age(session.last_traffic) or 0.0
            lost_at = self._lost_at = self._clock.now() - timedelta(seconds=age)
            self._ready.clear()
        log.warning("%s: connection lost: %s", self._url, reason)
        self._listeners.lost(lost_at)

    # The watchdogs.

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(self._timing.socket_check_s):
            session = self._session
            if session is None or stop.is_set():
                return
            reason = self._faults.of(session, stop)
            if reason is not None:
                self._rebuild(session, reason)

    def _rebuild(self, session: StreamConnection | None, reason: str) -> None:
        with self._lock:
            if session is None or session is not self._session:
                return
        self._note_loss(session, reason)
        with self._lock:
            if session is not self._session:
                return
            self._rebuilds += 1
            failures = session.failures
            self._begin_session()
            self._session.failures = failures
        closer = session.retire()
        if not session.is_own_thread():
            closer.join(_CLOSE_S)
        if closer.is_alive():
            session.cut()
