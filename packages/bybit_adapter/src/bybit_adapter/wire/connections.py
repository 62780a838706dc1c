"""The way to the wire without what an exchange never needs.

requests asks for hooks, cookies, redirects, authentication and the address once more with every
call, which takes three quarters of the time of an order, with the interpreter's lock held. Here
the requests that pybit makes and signs go to urllib3, on which requests itself is built, as they
are, and in one piece: with every call to the system another thread may take the lock and keep it
for milliseconds.
"""

from __future__ import annotations

import json
import queue
from dataclasses import dataclass, field
from http.client import HTTPException
from time import monotonic
from typing import Any

import requests
import urllib3
import urllib3.connection
from requests.certs import where  # type: ignore[attr-defined]  # the types do not know it
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from bybit_adapter.basics.orders_first import RIGHT_OF_WAY

OK = 200
PROMPT_S = 0.5  # who must not wait has handed a request to the system long before
FRESH_S = 1.0  # a connection that answered so lately is not asked whether it still lives

_TROUBLE = (HTTPException, HTTPError, OSError)


class NotSentError(requests.exceptions.ConnectionError):
    """No connection was made, so nothing was sent."""


@dataclass(slots=True)
class DirectRequest:
    """What goes out; `target` is path and query."""

    method: str
    target: str
    body: bytes | None
    headers: dict[str, str]


class DirectResponse:
    """What is read of an answer."""

    __slots__ = ("_body", "headers", "status_code")

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self.status_code = answer.status
        self.headers = answer.headers
        self._body = answer.data

    def json(self) -> Any:
        """Return the body as data. Raises json.JSONDecodeError."""
        return json.loads(self._body.decode("utf-8", "replace"))


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


class WrittenRequest:
    """A request on the wire whose answer is to be read, by one thread."""

    __slots__ = ("_line", "_session")

    def __init__(self, session: DirectSession, line: Any) -> None:
        self._session = session
        self._line = line

    def read(self) -> DirectResponse:
        """Wait for the answer. Raises what requests raises."""
        line = self._line
        try:
            urllib3.util.wait_for_read(line.sock, line.timeout)
            RIGHT_OF_WAY.give_way()
            return DirectResponse(line.getresponse())
        except BaseException as error:
            line.close()
            if isinstance(error, (TimeoutError, ReadTimeoutError)):
                raise requests.exceptions.ReadTimeout(error) from error
            if isinstance(error, _TROUBLE):
                raise requests.exceptions.ConnectionError(error) from error
            raise
        finally:
            self._session.put_back(line)

    def close(self) -> None:
        """Close the connection: the answer must not be taken for that of another call."""
        self._line.close()
        self._session.put_back(self._line)


@dataclass(slots=True)
class DirectSession:
    """Connections to one exchange. Thread-safe.

    `endpoint` is its address without a path; `connections` are kept open.
    """

    endpoint: str
    headers: dict[str, str]
    connections: int
    _pool: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        manager = urllib3.PoolManager(
            maxsize=self.connections, cert_reqs="CERT_REQUIRED", ca_certs=where()
        )
        self._pool = manager.connection_from_url(self.endpoint)
        self._pool.ConnectionCls = _Secure if self._pool.scheme == "https" else _Plain

    def prepare_request(self, request: requests.Request) -> DirectRequest:
        """Take a request of pybit: its address and body are as they were signed."""
        if not request.url.startswith(f"{self.endpoint}/"):
            raise requests.exceptions.InvalidURL(f"a request for another host: {request.url}")
        body = request.data.encode() if request.data else None
        target = request.url[len(self.endpoint) :]
        return DirectRequest(request.method, target, body, self.headers | request.headers)

    def exchange(self, request: DirectRequest, timeout: float) -> DirectResponse:
        """Make the call, once. timeout is seconds, to connect and between two bytes.

        Raises what requests raises, NotSentError where nothing was sent.
        """
        try:
            answer = self._pool.urlopen(
                request.method,
                request.target,
                request.body,
                request.headers,
                timeout=timeout,
                retries=False,
                redirect=False,  # it would carry key and signature to another host
                assert_same_host=False,
            )
        except (NewConnectionError, ConnectTimeoutError, ClosedPoolError) as error:
            raise NotSentError(error) from error
        except ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout(error) from error
        except SSLError as error:
            raise requests.exceptions.SSLError(error) from error
        except (HTTPError, OSError) as error:
            raise requests.exceptions.ConnectionError(error) from error
        return DirectResponse(answer)

    def write(self, request: DirectRequest, timeout: float) -> WrittenRequest | None:
        """Write the request, once, to a connection that is open and free; None without one.

        timeout is that of the answer, in seconds between two bytes. Raises what requests raises;
        then part of the request may have been sent.
        """
        try:
            line = self._pool.pool.get(block=False)
        except (queue.Empty, AttributeError):  # all are in use, or the pool is closed
            return None
        if line is None or not line.is_connected:
            self.put_back(line)
            return None
        line.timeout = PROMPT_S
        try:
            line.request(request.method, request.target, request.body, request.headers)
        except BaseException as error:
            line.close()
            self.put_back(line)
            if isinstance(error, _TROUBLE):
                raise requests.exceptions.ConnectionError(error) from error
            raise
        line.timeout = timeout
        return WrittenRequest(self, line)

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


@dataclass(slots=True)
class UsualSession:
    """The same by requests itself, which knows proxies; it cannot write without waiting."""

    client: requests.Session

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Take a request of pybit."""
        return self.client.prepare_request(request)

    def exchange(self, request: requests.PreparedRequest, timeout: float) -> requests.Response:
        """Make the call, once; see DirectSession."""
        return self.client.send(request, timeout=timeout)

    def write(self, request: requests.PreparedRequest, timeout: float) -> None:
        """Return None: not now."""

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
