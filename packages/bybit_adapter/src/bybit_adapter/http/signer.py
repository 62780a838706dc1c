"""Requests that pybit makes and signs, and does not send.

pybit knows the paths, the bodies and the signature. It would also sleep with the caller's thread,
repeat orders, and lose the code of what it repeated (it reports 10002 and 10006 as status 400 when
its attempts run out). So it is given a client whose answer to every request is that request.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bybit_adapter.basics.errors import AuthError
from bybit_adapter.basics.keys import Keys
from bybit_adapter.http.endpoints import Endpoint

# Everything that requests would not rewrite, and "%": cursors come escaped and go back verbatim.
_SAFE = "%,:-_.~!*'()"


@dataclass(slots=True)
class SignedRequest:
    """What goes out. target is path and query; headers hold the key and the signature."""

    method: str
    target: str
    body: bytes | None
    headers: dict[str, str] = field(repr=False)


@dataclass(slots=True)
class _Unsent:
    """What pybit takes for the answer to a request: the request, as it would have gone out."""

    request: Any
    status_code: int = 200

    def json(self) -> dict[str, Any]:
        return {"retCode": 0, "request": self.request}


class _Client:
    """What pybit takes for its session of requests."""

    def prepare_request(self, request: Any) -> Any:
        return request

    def send(self, request: Any, timeout: float) -> _Unsent:
        return _Unsent(request)


class Signer:
    """Makes requests to one exchange, signed with one key pair. Thread-safe.

    rest_url has no path; recv_window_ms is how long a request is valid.
    """

    def __init__(self, keys: Keys, rest_url: str, recv_window_ms: int) -> None:
        self._rest_url = rest_url
        self._has_keys = bool(keys.api_key and keys.api_secret)
        self._pybit = _pybit(keys, rest_url, recv_window_ms)
        self._headers = dict(self._pybit.client.headers)  # those of every call
        self._pybit.client.close()
        self._pybit.client = _Client()

    def __repr__(self) -> str:
        return f"Signer({self._rest_url})"  # pybit shows whatever it was given

    def sign(self, endpoint: Endpoint, params: Mapping[str, Any]) -> SignedRequest:
        """Return the request of a call, signed for now. Raises AuthError without keys for it."""
        if not self._has_keys and endpoint.is_signed:
            raise AuthError("this call needs keys", endpoint=str(endpoint), request=params)
        told = dict(params) if endpoint.method == "POST" else _quoted(params)
        request = getattr(self._pybit, endpoint.pybit_name)(**told)["request"]
        return as_signed(request, self._rest_url, self._headers)


def as_signed(request: Any, rest_url: str, headers: Mapping[str, str]) -> SignedRequest:
    """Return a request of pybit's, address and body as they were signed; headers are further ones.

    Raises ValueError where it goes to another host.
    """
    if not request.url.startswith(f"{rest_url}/"):
        raise ValueError(f"a request for another host: {request.url}")
    return SignedRequest(
        request.method,
        request.url[len(rest_url) :],
        request.data.encode() if request.data else None,
        {**headers, **request.headers},
    )


def _quoted(params: Mapping[str, Any]) -> dict[str, Any]:
    """Escape what requests would escape after pybit has signed the text as it was."""
    return {
        name: quote(value, safe=_SAFE) if isinstance(value, str) else value
        for name, value in params.items()
    }


def _pybit(keys: Keys, rest_url: str, recv_window_ms: int) -> Any:
    # it takes a third of a second to load, and who makes no calls needs none of it
    from pybit.unified_trading import HTTP  # type: ignore[import-untyped]  # noqa: PLC0415

    logger = logging.getLogger("pybit._http_manager")
    handlers = list(logger.handlers)
    pybit = HTTP(
        testnet=False,
        api_key=keys.api_key or None,
        api_secret=keys.api_secret or None,
        recv_window=recv_window_ms,
    )
    # pybit adds a handler of its own for every session while the root logger has none.
    for handler in logger.handlers[:]:
        if handler not in handlers:
            logger.removeHandler(handler)
    pybit.endpoint = rest_url
    return pybit
