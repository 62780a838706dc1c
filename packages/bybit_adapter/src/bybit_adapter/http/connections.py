"""Connections to one exchange, without what an exchange never needs.

requests asks for hooks, cookies, redirects, authentication and the address once more with every
call, which takes three quarters of the time of an order, with the interpreter's lock held. Here
signed requests go to urllib3, on which requests itself is built, as they are, and in one piece:
with every call to the system another thread may take the lock and keep it for milliseconds.
"""

from __future__ import annotations

import json
import queue
from dataclasses import dataclass, field
from http.client import HTTPException
from time import monotonic
from typing import Any, Protocol

import urllib3
import urllib3.connection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from bybit_adapter.basics.orders_first import ORDERS_FIRST
from bybit_adapter.http.signer import SignedRequest

OK = 200
PROMPT_S = 0.5  # who must not wait has handed a request to the system long before
FRESH_S = 1.0  # a connection that answered so lately is not asked whether it still lives

_CONNECTION_ERRORS = (HTTPException, HTTPError, OSError)


class ConnectionFailed(Exception):  # noqa: N818 -- as the except clauses of callers read
    """There is no answer, and the request may have arrived."""


class NotSent(ConnectionFailed):
    """No connection was made, so nothing was sent."""


class NoAnswerInTime(ConnectionFailed):
    """The request went out, and no answer came."""


class HttpAnswer:
    """What is read of an answer."""

    __slots__ = ("_body", "headers", "status_code")

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self.status_code = answer.status
        self.headers = answer.headers
        self._body = answer.data

    def json(self) -> Any:
        """Return the body as data. Raises json.JSONDecodeError."""
        return json.loads(self._body.decode("utf-8", "replace"))


class Connections(Protocol):
    """Who sends requests; see DirectConnections."""

    def exchange(self, request: SignedRequest) -> Any: ...
    def free_line(self) -> Line | None: ...
    def close(self) -> None: ...


class _InOnePiece:
    """A connection of urllib3 that sends head and body together."""

    _held: list[bytes] | None = None
    _answered = float("-inf")

    def request(self, *args: Any, **options: Any) -> None:
        self._held = []
        try:
            super().request(*args, **options)  # type: ignore[misc]  # of the class beside
            whole = b"".join(self._held)
        finally:
            self._held = None
        self.send(whole)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]  # of the class beside
        else:
            self._held.append(data)

    def getresponse(self) -> Any:
        answer = super().getresponse()  # type: ignore[misc]  # of the class beside
        if answer.status == OK:
            self._answered = monotonic()
        else:
            # what follows another status may be the rest of it, such as 200 after 103, and would
            # be taken for the answer to the next call
            self.close()  # type: ignore[attr-defined]  # as above
        return answer

    @property
    def is_connected(self) -> bool:
        if self.sock is not None and monotonic() - self._answered < FRESH_S:  # type: ignore[attr-defined]  # of the class beside
            return True
        return bool(super().is_connected)  # type: ignore[misc]  # of the class beside


class _Plain(_InOnePiece, urllib3.connection.HTTPConnection):
    pass


class _Secure(_InOnePiece, urllib3.connection.HTTPSConnection):
    pass


class Line:
    """An open connection that one request has to itself: written by one thread, read by another.

    With `release`, `close` or the end of `read` it is given back, and others may have it.
    """

    __slots__ = ("_is_ours", "_line", "_owner")

    def __init__(self, owner: DirectConnections, line: Any) -> None:
        self._owner = owner
        self._line = line
        self._is_ours = True

    def write(self, request: SignedRequest) -> None:
        """Write the request, once; waits for half a second at most.

        Raises ConnectionFailed; then part of it may have been sent, and the line is closed.
        """
        line = self._line
        line.timeout = PROMPT_S
        is_written = False
        try:
            line.request(request.method, request.target, request.body, request.headers)
            is_written = True
        except _CONNECTION_ERRORS as error:
            raise ConnectionFailed(type(error).__name__) from error
        finally:
            if not is_written:
                self.close()

    def read(self) -> HttpAnswer:
        """Wait for the answer, once, and let others have the line.

        Raises ConnectionFailed; then the line is closed. Raises RuntimeError where it was given
        back: the answer would be that of another call.
        """
        if not self._is_ours:
            raise RuntimeError("the answer was read or given up before; it is read once")
        line = self._line
        line.timeout = self._owner.timeout_s
        is_read = False
        try:
            urllib3.util.wait_for_read(line.sock, line.timeout)
            ORDERS_FIRST.stand_back()
            answer = HttpAnswer(line.getresponse())
            is_read = True
        except (TimeoutError, ReadTimeoutError) as error:
            raise NoAnswerInTime(type(error).__name__) from error
        except _CONNECTION_ERRORS as error:
            raise ConnectionFailed(type(error).__name__) from error
        finally:
            if is_read:
                self.release()
            else:
                self.close()
        return answer

    def close(self) -> None:
        """Close the connection: an answer must not be taken for that of another call."""
        if self._is_ours:
            self._line.close()
            self.release()

    def release(self) -> None:
        """Let others use the connection."""
        if self._is_ours:
            self._is_ours = False
            self._owner.put_back(self._line)


@dataclass(slots=True)
class DirectConnections:
    """Connections of urllib3. Thread-safe.

    rest_url has no path; timeout_s is to connect and between two bytes of an answer; so many
    `connections` are kept open.
    """

    rest_url: str
    timeout_s: float
    connections: int
    _pool: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # requests is slow to load, and who makes no calls needs none of it
        from requests.certs import where  # type: ignore[attr-defined]  # noqa: PLC0415

        manager = urllib3.PoolManager(
            maxsize=self.connections, cert_reqs="CERT_REQUIRED", ca_certs=where()
        )
        self._pool = manager.connection_from_url(self.rest_url)
        self._pool.ConnectionCls = _Secure if self._pool.scheme == "https" else _Plain

    def exchange(self, request: SignedRequest) -> HttpAnswer:
        """Send a request, once, and wait for its answer. Raises ConnectionFailed."""
        try:
            answer = self._pool.urlopen(
                request.method,
                request.target,
                request.body,
                request.headers,
                timeout=self.timeout_s,
                retries=False,
                redirect=False,  # it would carry key and signature to another host
                assert_same_host=False,
            )
        except (NewConnectionError, ConnectTimeoutError, ClosedPoolError) as error:
            raise NotSent(type(error).__name__) from error
        except ReadTimeoutError as error:
            raise NoAnswerInTime(type(error).__name__) from error
        except _CONNECTION_ERRORS as error:
            raise ConnectionFailed(type(error).__name__) from error
        return HttpAnswer(answer)

    def free_line(self) -> Line | None:
        """Take a connection that is open and free; None without one. Waits for nothing."""
        try:
            line = self._pool.pool.get(block=False)
        except (queue.Empty, AttributeError):  # all are in use, or the pool is closed
            return None
        if line is None or not line.is_connected:
            self.put_back(line)
            return None
        return Line(self, line)

    def put_back(self, line: Any) -> None:
        """Let others use a connection that was taken."""
        try:
            self._pool.pool.put(line, block=False)
        except (queue.Full, AttributeError):  # there are enough, or the pool is closed
            if line is not None:
                line.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
