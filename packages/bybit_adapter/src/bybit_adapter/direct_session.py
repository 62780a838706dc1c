"""The way to the wire without what an exchange never needs.

requests asks for hooks, cookies, redirects, authentication and the address once more with every
call, which takes three quarters of the time of an order, with the interpreter's lock held. Here
pybit's requests go to urllib3, on which requests itself is built, as they are, and in one piece:
with every call to the system another thread may take the lock and keep it for milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, perf_counter
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

OK = 200
FRESH_S = 1.0  # a connection that answered so lately is not asked whether it still lives


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
    """What pybit reads of an answer."""

    __slots__ = ("_body", "elapsed", "headers", "status_code", "url")

    def __init__(self, url: str, answer: urllib3.BaseHTTPResponse, elapsed: timedelta) -> None:
        self.url = url
        self.status_code = answer.status
        self.headers = answer.headers
        self.elapsed = elapsed
        self._body = answer.data

    @property
    def text(self) -> str:
        """The body."""
        return self._body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as data. Raises json.JSONDecodeError."""
        return json.loads(self.text)


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
        # what follows another status may be the rest of it
        self._answered = monotonic() if answer.status == OK else float("-inf")
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


@dataclass(slots=True)
class DirectSession:
    """What pybit asks of a requests.Session, for one exchange. Thread-safe.

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

    def send(self, request: DirectRequest, timeout: float) -> DirectResponse:
        """Make the call, once. timeout is seconds, to connect and between two bytes.

        Raises what requests raises, NotSentError where nothing was sent.
        """
        begun = perf_counter()
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
        elapsed = timedelta(seconds=perf_counter() - begun)
        return DirectResponse(self.endpoint + request.target, answer, elapsed)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
