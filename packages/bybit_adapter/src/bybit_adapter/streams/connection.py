"""One life of a stream: a pybit connection with its reconnects, from start to being retired."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from bybit_adapter.basics.clock import Clock
from bybit_adapter.basics.keys import Keys
from bybit_adapter.records.normalizer import BybitNormalizer
from bybit_adapter.records.tags import Tags
from bybit_adapter.streams.subscriptions import Subscriptions

if TYPE_CHECKING:
    from bybit_adapter.streams.pybit_socket import PybitSocket

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTiming:
    """Seconds of everything that a stream waits for. ping_timeout_s is below ping_interval_s."""

    ping_interval_s: float = 20.0
    ping_timeout_s: float = 10.0
    socket_check_s: float = 10.0  # how often the watchdogs look
    silence_s: float = 30.0  # a public stream without data for that long is dead
    attempt_s: float = 20.0  # an attempt to connect or subscribe that takes longer is dead
    steady_s: float = 10.0  # a connection that lasted that long reconnects without a pause
    first_pause_s: float = 0.25
    longest_pause_s: float = 30.0

    @property
    def dead_after_s(self) -> float:
        """Seconds without any traffic, heartbeats included, after which a socket is dead."""
        return self.ping_interval_s + 2 * self.ping_timeout_s


class SessionListener(Protocol):
    """Who hears of a session; calls come from the session's threads, in order."""

    def session_ready(self, session: StreamConnection) -> None:
        """Every subscription was answered."""
        ...

    def session_lost(self, session: StreamConnection, reason: str) -> None:
        """The connection broke; the session tries again by itself."""
        ...

    def session_frame(self, session: StreamConnection, text: str | bytes, frame: Any) -> None:
        """A data frame arrived. frame is None where the text is no JSON. Does not raise."""
        ...


class StreamConnection:
    """Keeps one pybit connection; told by it what happens, on its threads.

    A retired one reconnects no more and its frames are ignored.
    """

    def __init__(
        self,
        url: str,
        keys: Keys | None,
        topics: Sequence[str],
        tags: Tags | None,
        listener: SessionListener,
        timing: StreamTiming,
        clock: Clock,
        random: Random,
    ) -> None:
        self.stopping = threading.Event()
        self.auth_error: str | None = None
        self.subscriptions = Subscriptions(topics)
        self.normalizer = BybitNormalizer(tags)  # a new one for every connection
        self.is_ready = False
        self.is_busy = False  # a callback runs: no traffic is read meanwhile
        self.last_traffic: float | None = None  # monotonic seconds, heartbeats included
        self.last_data: float | None = None  # monotonic seconds
        self.last_progress = clock.monotonic()
        self.failures = 0
        self._url = url
        self._keys = keys
        self._tags = tags
        self._listener = listener
        self._timing = timing
        self._clock = clock
        self._random = random
        self._socket: PybitSocket | None = None
        self._is_authenticated = keys is None
        self._opened: float | None = None
        self._reader_threads: set[int] = set()

    def start(self) -> None:
        """Begin to connect, on a thread of its own: pybit blocks until it has."""
        threading.Thread(target=self._build, name="bybit-stream-connect", daemon=True).start()

    def retire(self) -> threading.Thread:
        """Reconnect no more and close what is open; return the thread that closes it.

        It may hang with pybit: wait for it no longer than is acceptable, then `cut`.
        """
        self.stopping.set()
        closer = threading.Thread(target=self._close, name="bybit-stream-close", daemon=True)
        closer.start()
        return closer

    def cut(self) -> None:
        """Break the connection without a word."""
        if self._socket is not None:
            self._socket.cut()

    def is_own_thread(self) -> bool:
        """Tell whether the caller is one of this session's threads, inside a callback."""
        return threading.get_ident() in self._reader_threads

    def is_socket_open(self) -> bool:
        """Tell whether the socket is open, as far as pybit knows."""
        return self._socket is not None and self._socket.is_connected()

    def add_topic(self, topic: str) -> None:
        """Subscribe to one more topic, now if connected and at every reconnect."""
        if self.subscriptions.add(topic):
            self.ask_for(topic)

    def ask_for(self, topic: str) -> None:
        """Send the subscription to a topic, if connected; else the connection begins with it."""
        if self._socket is not None and self.is_ready and topic in self.subscriptions.topics:
            self._send(self.subscriptions.ask(topic), topic)

    def drop_topics(self, topics: Collection[str]) -> None:
        """Subscribe to the topics no more, now if connected and at every reconnect."""
        for topic, message in self.subscriptions.drop(topics).items():
            if self._socket is not None and self.is_ready:
                self._send(message, topic)

    def _send(self, message: str, topic: str) -> None:
        assert self._socket is not None  # noqa: S101 -- looked at by whoever calls
        try:
            self._socket.ws.send(message)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the reconnect subscribes anew
            log.info("what is wanted of %s holds from the next connection on: %s", topic, error)

    # What PybitSocket tells, on pybit's threads.

    def connecting(self, pybit_socket: PybitSocket) -> dict[str, str]:
        self._socket = pybit_socket
        self.is_ready = False
        self._opened = None
        self._is_authenticated = self._keys is None
        self.last_progress = self._clock.monotonic()
        # What was merged from the old connection is void.
        self.normalizer = BybitNormalizer(self._tags)
        return self.subscriptions.begin()

    def opened(self) -> None:
        now = self._clock.monotonic()
        self._opened = self.last_progress = self.last_traffic = self.last_data = now

    def ponged(self) -> None:
        self.last_traffic = self._clock.monotonic()

    def received(self, text: str | bytes) -> None:
        self.last_traffic = self._clock.monotonic()
        if self.stopping.is_set():
            return
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        if isinstance(frame, dict) and "topic" not in frame and "op" in frame:
            self._answered(frame)
            return
        self.last_data = self.last_traffic
        self._in_callback(lambda: self._listener.session_frame(self, text, frame))

    def failed(self, error: BaseException, *, was_open: bool) -> None:
        now = self._clock.monotonic()
        lasted = 0.0 if self._opened is None else now - self._opened
        self._opened = None
        self.is_ready = False
        self.last_progress = now
        if lasted >= self._timing.steady_s:
            self.failures = 0
        log.info("%s: %s", self._url, str(error) or type(error).__name__)
        if was_open and not self.stopping.is_set():
            self._in_callback(lambda: self._listener.session_lost(self, str(error)))
        if self.failures or lasted < self._timing.steady_s:
            doublings = min(self.failures, 20)
            longest = min(self._timing.longest_pause_s, self._timing.first_pause_s * 2**doublings)
            pause = longest * (0.5 + self._random.random() / 2)
            self.failures += 1
            self.last_progress = now + pause  # a pause is no standstill
            self.stopping.wait(pause)

    def _build(self) -> None:
        # pybit is slow to load, and who connects to nothing needs none of it
        from bybit_adapter.streams.pybit_socket import (  # noqa: PLC0415
            PybitSocket,
            StreamStopped,
        )

        try:
            PybitSocket(
                self._url,
                self,
                self._keys,
                ping_interval_s=self._timing.ping_interval_s,
                ping_timeout_s=self._timing.ping_timeout_s,
            )
        except StreamStopped:
            return
        except Exception:  # the watchdog builds another
            log.exception("%s: pybit failed to connect", self._url)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.end()

    def _in_callback(self, call: Any) -> None:
        thread = threading.get_ident()
        self._reader_threads.add(thread)
        self.is_busy = True
        try:
            call()
        finally:
            self.is_busy = False
            self._reader_threads.discard(thread)

    def _answered(self, frame: dict[str, Any]) -> None:
        """Take the answer to a command: authentication, subscription or heartbeat."""
        words = str(frame.get("ret_msg") or frame.get("retMsg") or "")
        is_fine = frame.get("success") is True or frame.get("retCode") == 0
        match frame.get("op"):
            case "auth" if is_fine:
                self._is_authenticated = True
                self.auth_error = None
            case "auth":
                self.auth_error = words or "refused"
                log.error("%s: authentication refused: %s", self._url, self.auth_error)
            case "subscribe":
                self.subscriptions.answered(frame.get("req_id"), words, is_fine=is_fine)
            case _:
                return
        self._check_ready()

    def _check_ready(self) -> None:
        if not self.is_ready and self._is_authenticated and self.subscriptions.are_settled:
            self.is_ready = True
            self._in_callback(lambda: self._listener.session_ready(self))
