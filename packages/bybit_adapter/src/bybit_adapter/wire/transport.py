"""One request of pybit's making, sent once, and its answer or failure.

pybit makes and signs every request. It does not send them: it would sleep with the caller's
thread, repeat orders, and lose the code of what it repeated (it reports 10002 and 10006 as status
400 when its attempts run out).
"""

from __future__ import annotations

import http.cookiejar
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import requests
from pybit.unified_trading import HTTP  # type: ignore[import-untyped]  # pybit has no types

from bybit_adapter.basics.clock import Clock
from bybit_adapter.basics.environment import Environment
from bybit_adapter.basics.errors import (
    AmbiguousResult,
    AuthError,
    BybitError,
    ExchangeUnavailable,
    MalformedFrame,
    error_for_code,
    error_for_status,
)
from bybit_adapter.basics.hidden import Hidden
from bybit_adapter.basics.row import Row, time_of_ms
from bybit_adapter.wire.connections import (
    OK,
    DirectSession,
    NotSentError,
    UsualSession,
    WrittenRequest,
)
from bybit_adapter.wire.endpoints import Endpoint
from bybit_adapter.wire.passage import NotNow, Written, current_passage
from bybit_adapter.wire.rate_limiter import LimitHeaders

_LATEST_MS = 4_000_000_000_000  # the year 2096
_CODE_NAMES, _MESSAGE_NAMES = ("retCode", "ret_code"), ("retMsg", "ret_msg")
# requests names these reasons of a connection that was never made.
_NEVER_SENT = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
# Everything that requests would not rewrite, and "%": cursors come escaped and go back verbatim.
_SAFE = "%,:-_.~!*'()"


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair of one account; neither half shows itself anywhere."""

    api_key: str
    api_secret: str

    def __post_init__(self) -> None:
        for name in ("api_key", "api_secret"):
            text = Hidden(getattr(self, name))
            object.__setattr__(self, name, text)
            if not (text.isascii() and text.isprintable()) or " " in text:
                raise ValueError(f"{name} holds a space or a character that no key has")

    def __repr__(self) -> str:
        return "Keys(***)" if self.api_key else "Keys()"

    def hide_in(self, text: str) -> str:
        """Return `text` without either half."""
        for secret in (self.api_key, self.api_secret):
            if secret:
                text = text.replace(secret, "***")
        return text


@dataclass(frozen=True, slots=True)
class Answer:
    """What Bybit answered with retCode 0; `time` is the exchange's."""

    result: Row
    extra: Row
    time: datetime
    headers: LimitHeaders


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed, with what the answer said about limits."""

    error: BybitError
    headers: LimitHeaders


class Wire(Protocol):
    """What sends requests; see DirectSession."""

    def prepare_request(self, request: requests.Request) -> Any: ...
    def exchange(self, request: Any, timeout: float) -> Any: ...
    def write(self, request: Any, timeout: float) -> WrittenRequest | None: ...
    def close(self) -> None: ...


class Transport:
    """A pair of sessions, for queries and for writes with their own timeouts. Thread-safe.

    timeouts are seconds to connect and between two bytes of the answer.
    """

    def __init__(
        self,
        keys: Keys,
        environment: Environment,
        clock: Clock,
        *,
        query_timeout_s: float,
        write_timeout_s: float,
        recv_window_ms: int,
        connections: int,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._sessions = {
            is_write: _session(keys, environment, timeout_s, recv_window_ms, connections)
            for is_write, timeout_s in ((False, query_timeout_s), (True, write_timeout_s))
        }

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            session.wire.close()

    def send(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Answer | Failure:
        """Make one call. Never raises for what the exchange or the network does.

        In a Passage that begins it raises Written or NotNow instead of waiting.
        """
        if endpoint.is_signed and not (self._keys.api_key and self._keys.api_secret):
            error = AuthError("this call needs keys", endpoint=str(endpoint), request=params)
            return Failure(error, LimitHeaders())
        try:
            response = self._response(endpoint, params)
        except requests.RequestException as error:
            return Failure(self._network_error(endpoint, params, error), LimitHeaders())
        except OSError as error:  # certificates that cannot be read, for example
            problem = self._keys.hide_in(f"no answer: {error}")
            return Failure(self._no_answer(endpoint, params, problem), LimitHeaders())
        return self._read(endpoint, params, response)

    def _response(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Any:
        passage = current_passage()
        written = None if passage is None else passage.take_written()
        if written is not None:
            return written.read()
        session = self._sessions[endpoint.is_write]
        request = session.prepared(endpoint, params)
        if passage is None or passage.may_wait:
            return session.wire.exchange(request, session.timeout_s)
        written = session.wire.write(request, session.timeout_s)
        if written is None:
            raise NotNow
        passage.wrote(written)
        raise Written

    def _read(
        self, endpoint: Endpoint, params: Mapping[str, Any], response: Any
    ) -> Answer | Failure:
        limits = LimitHeaders.parse(response.headers)
        if response.status_code != OK:
            return Failure(
                error_for_status(
                    response.status_code,
                    f"HTTP status {response.status_code}",
                    endpoint=str(endpoint),
                    request=params,
                    is_write=endpoint.is_write,
                ),
                limits,
            )
        try:
            body = response.json()
        except (ValueError, RecursionError):
            return Failure(self._no_answer(endpoint, params, "the answer is no JSON"), limits)
        if not isinstance(body, dict):
            return Failure(self._no_answer(endpoint, params, "the answer is no object"), limits)
        code, message = (
            body.get(name, body.get(older)) for name, older in (_CODE_NAMES, _MESSAGE_NAMES)
        )
        told = self._keys.hide_in(str(message))
        if type(code) is not int or (code != 0 and not isinstance(message, str)):
            problem = f"the answer has retCode {code!r}: {told}"
            return Failure(self._no_answer(endpoint, params, problem), limits)
        if code != 0:
            found = error_for_code(
                code, told, endpoint=str(endpoint), request=params, is_write=endpoint.is_write
            )
            return Failure(found, limits)
        return self._answer(endpoint, params, body, limits)

    def _answer(
        self, endpoint: Endpoint, params: Mapping[str, Any], body: Any, limits: LimitHeaders
    ) -> Answer | Failure:
        try:
            result = Row(str(endpoint), body.get("result") or {}, "result.")
            extra = Row(str(endpoint), body.get("retExtInfo") or {}, "retExtInfo.")
        except MalformedFrame as error:
            return Failure(self._no_answer(endpoint, params, str(error)), limits)
        sent = body.get("time")
        usable = type(sent) is int and 0 < sent < _LATEST_MS
        time = time_of_ms(sent) if usable else self._clock.now()
        return Answer(result, extra, time, limits)

    def _network_error(
        self, endpoint: Endpoint, params: Mapping[str, Any], error: requests.RequestException
    ) -> BybitError:
        if _was_never_sent(error):
            return ExchangeUnavailable(
                "no connection; the call was not sent", endpoint=str(endpoint), request=params
            )
        if isinstance(error, requests.Timeout):
            return self._no_answer(endpoint, params, "no answer in time")
        return self._no_answer(endpoint, params, f"no answer: {type(error).__name__}")

    def _no_answer(self, endpoint: Endpoint, params: Mapping[str, Any], problem: str) -> BybitError:
        kind: type[BybitError] = ExchangeUnavailable
        if endpoint.is_write:
            kind, problem = AmbiguousResult, f"{problem}; it may have happened all the same"
        return kind(problem, endpoint=str(endpoint), request=params)


def _was_never_sent(error: requests.RequestException) -> bool:
    never = (NotSentError, requests.exceptions.ProxyError, requests.exceptions.InvalidURL)
    if isinstance(error, never):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in _NEVER_SENT


def _quoted(value: Any) -> Any:
    """Escape what requests would escape after pybit has signed the text as it was."""
    return quote(value, safe=_SAFE) if isinstance(value, str) else value


class _Prepared(BaseException):
    """The way out of pybit, with the request that it has made and signed."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


class _Desk:
    """What pybit takes for its client: it hands requests out instead of sending them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def prepare_request(self, request: requests.Request) -> Any:
        return self._wire.prepare_request(request)

    def send(self, request: Any, timeout: float) -> Any:
        raise _Prepared(request)


@dataclass(slots=True)
class _Session:
    """What makes requests, and what sends them."""

    pybit: Any = field(repr=False)  # its repr shows whatever it was given
    wire: Wire
    timeout_s: float

    def prepared(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Any:
        """Return the request of a call, signed for now."""
        wire = dict(params) if endpoint.is_write else {k: _quoted(v) for k, v in params.items()}
        try:
            getattr(self.pybit, endpoint.pybit_name)(**wire)
        except _Prepared as done:
            return done.request
        raise AssertionError(f"pybit made no request of {endpoint}")


def _session(
    keys: Keys, environment: Environment, timeout_s: float, recv_window_ms: int, connections: int
) -> _Session:
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
    pybit.endpoint = environment.rest_url
    wire = _wire(pybit.client, environment, connections)
    pybit.client = _Desk(wire)
    return _Session(pybit, wire, timeout_s)


def _wire(client: Any, environment: Environment, connections: int) -> Wire:
    proxies: dict[str, Any] = {}
    verify: Any = True
    if not environment.is_loopback:
        found = client.merge_environment_settings(environment.rest_url, {}, None, None, None)
        proxies.update(found["proxies"])
        verify = found["verify"]
        proxies.pop("no", None)  # whom not to reach through a proxy that there is not
    if not proxies and verify is True:
        client.close()
        return DirectSession(environment.rest_url, dict(client.headers), connections)
    # The environment is asked once: with every call it would take as long as making the call, and
    # a .netrc that knows the host would replace headers.
    client.trust_env = False
    client.proxies.update(proxies)
    client.verify = verify
    client.max_redirects = 0  # a redirect would carry key and signature to another host
    client.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
    client.mount("https://", adapter)
    client.mount("http://", adapter)
    return UsualSession(client)
