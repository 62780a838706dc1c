"""What is wrong with a stream's connection and will not heal by itself."""

from __future__ import annotations

import threading

from bybit_adapter.basics.clock import Clock
from bybit_adapter.streams.connection import StreamConnection, StreamTiming

_GRACE_S = 1.0  # between a closed socket and the news of it


class Faults:
    """Looks at connections: at their sockets, and on a public stream at its silence too."""

    def __init__(self, timing: StreamTiming, clock: Clock, *, watches_silence: bool) -> None:
        self._timing = timing
        self._clock = clock
        self._watches_silence = watches_silence

    def age(self, moment: float | None) -> float | None:
        """Return the seconds since a monotonic moment."""
        return None if moment is None else max(0.0, self._clock.monotonic() - moment)

    def of(self, session: StreamConnection, stop: threading.Event) -> str | None:
        """Return what is wrong with a connection that will not heal by itself, None if nothing."""
        timing = self._timing
        if session.is_busy:
            return None
        if not session.is_ready:
            stuck = self.age(session.last_progress) or 0.0
            if stuck <= timing.attempt_s:
                return None
            unanswered = ", ".join(session.subscriptions.unanswered[:3])
            return f"no connection for {stuck:.0f} s (auth {session.auth_error}, {unanswered})"
        if not session.is_socket_open() and not self._heals(session, stop):
            return "the socket is closed and nobody reconnects"
        age = self.age(session.last_traffic) or 0.0
        if age > timing.dead_after_s:
            return f"no heartbeat for {age:.0f} s"
        silence = self.age(session.last_data) or 0.0
        if self._watches_silence and silence > timing.silence_s:
            return f"no data for {silence:.0f} s"
        return None

    @staticmethod
    def _heals(session: StreamConnection, stop: threading.Event) -> bool:
        """Give pybit's thread a moment: it closes a socket before it tells that it did."""
        stop.wait(_GRACE_S)
        return not session.is_ready or session.is_socket_open()
