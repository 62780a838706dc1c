"""One request through pybit, and pybit's exceptions turned into ours.

pybit's own retrying is off. It would sleep with the caller's thread, repeat orders, and lose the
code of what it retried (it reports 10002 and 10006 as status 400 when its attempts run out).
"""

from __future__ import annotations

import http.cookiejar
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests
from pybit.exceptions import (  # type: ignore[import-untyped]  # pybit comes without types
    FailedRequestError,
    InvalidRequestError,
)
from pybit.unified_trading import HTTP  # type: ignore[import-untyped]  # as above

from bybit_adapter.clock import Clock
from bybit_adapter.direct_session import DirectSession, NotSentError
from bybit_adapter.endpoints import Endpoint
from bybit_adapter.environment import Environment
from bybit_adapter.errors import (
    AmbiguousResult,
    AuthError,
    BybitError,
    ExchangeUnavailable,
    MalformedFrame,
    error_for_code,
    error_for_status,
)
from bybit_adapter.rate_limiter import LimitHeaders
from bybit_adapter.row import Row, time_of_ms

# pybit falls back to its own list of codes to retry when it is given none.
_NO_CODE = -987_654_321
_LATEST_MS = 4_000_000_000_000  # the year 2096
# pybit's status for an answer that is no JSON.
_NO_JSON = 409
# requests names these reasons of a connection that was never made.
_NEVER_SENT = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
# Everything that requests would not rewrite, and "%": cursors come escaped and go back verbatim.
_SAFE = "%,:-_.~!*'()"


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair of one account; its repr shows neither half."""

    api_key: str
    api_secret: str

    def __post_init__(self) -> None:
        for name in ("api_key", "api_secret"):
            text = getattr(self, name)
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


class Transport:
    """A pair of pybit sessions, for queries and for writes with their own timeouts. Thread-safe.

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
        self._http = {
            is_write: _session(keys, environment, timeout_s, recv_window_ms, connections)
            for is_write, timeout_s in ((False, query_timeout_s), (True, write_timeout_s))
        }

    def close(self) -> None:
        """Close all connections."""
        for http_session in self._http.values():
            http_session.client.close()

    def send(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Answer | Failure:
        """Make one call. Never raises for what the exchange or the network does."""
        if endpoint.is_signed and not (self._keys.api_key and self._keys.api_secret):
            error = AuthError("this call needs keys", endpoint=str(endpoint), request=params)
            return Failure(error, LimitHeaders())
        call = getattr(self._http[endpoint.is_write], endpoint.pybit_name)
        wire = dict(params) if endpoint.is_write else {k: _quoted(v) for k, v in params.items()}
        try:
            body, _, headers = call(**wire)
        except InvalidRequestError as error:
            return self._refused(endpoint, params, error)
        except FailedRequestError as error:
            return self._failed(endpoint, params, error)
        except requests.RequestException as error:
            return Failure(self._network_error(endpoint, params, error), LimitHeaders())
        except OSError as error:  # certificates that cannot be read, for example
            problem = self._keys.hide_in(f"no answer: {error}")
            return Failure(self._no_answer(endpoint, params, problem), LimitHeaders())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # pybit reads the answer without checking that it is an object with the usual names.
            problem = f"the answer is not in Bybit's form ({type(error).__name__})"
            return Failure(self._no_answer(endpoint, params, problem), LimitHeaders())
        return self._answer(endpoint, params, body, headers)

    def _answer(
        self, endpoint: Endpoint, params: Mapping[str, Any], body: Any, headers: Mapping[str, str]
    ) -> Answer | Failure:
        limits = LimitHeaders.parse(headers)
        code = body.get("retCode") if isinstance(body, dict) else None
        if type(code) is not int or code != 0:
            problem = f"the answer has retCode {code!r}"
            return Failure(self._no_answer(endpoint, params, problem), limits)
        try:
            result = Row(str(endpoint), body.get("result") or {}, "result.")
            extra = Row(str(endpoint), body.get("retExtInfo") or {}, "retExtInfo.")
        except MalformedFrame as error:
            return Failure(self._no_answer(endpoint, params, str(error)), limits)
        sent = body.get("time")
        usable = type(sent) is int and 0 < sent < _LATEST_MS
        time = time_of_ms(sent) if usable else self._clock.now()
        return Answer(result, extra, time, limits)

    def _refused(self, endpoint: Endpoint, params: Mapping[str, Any], error: Any) -> Failure:
        code, message = error.status_code, self._keys.hide_in(str(error.message))
        headers = LimitHeaders.parse(error.resp_headers or {})
        if type(code) is not int:
            problem = f"the answer has retCode {code!r}: {message}"
            return Failure(self._no_answer(endpoint, params, problem), headers)
        found = error_for_code(
            code, message, endpoint=str(endpoint), request=params, is_write=endpoint.is_write
        )
        return Failure(found, headers)

    def _failed(self, endpoint: Endpoint, params: Mapping[str, Any], error: Any) -> Failure:
        headers = LimitHeaders.parse(error.resp_headers or {})
        if error.status_code == _NO_JSON and error.resp_headers is None:
            return Failure(self._no_answer(endpoint, params, "the answer is no JSON"), headers)
        found = error_for_status(
            error.status_code,
            f"HTTP status {error.status_code}",
            endpoint=str(endpoint),
            request=params,
            is_write=endpoint.is_write,
        )
        return Failure(found, headers)

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


def _session(
    keys: Keys, environment: Environment, timeout_s: float, recv_window_ms: int, connections: int
) -> Any:
    logger = logging.getLogger("pybit._http_manager")
    handlers = list(logger.handlers)
    session = HTTP(
        testnet=False,
        api_key=keys.api_key or None,
        api_secret=keys.api_secret or None,
        timeout=timeout_s,
        recv_window=recv_window_ms,
        max_retries=1,
        force_retry=False,
        retry_codes={_NO_CODE},
        return_response_headers=True,
    )
    # pybit adds a handler of its own for every session while the root logger has none.
    for handler in logger.handlers[:]:
        if handler not in handlers:
            logger.removeHandler(handler)
    session.endpoint = environment.rest_url
    client = session.client
    proxies, verify = {}, True
    if not environment.is_loopback:
        found = client.merge_environment_settings(environment.rest_url, {}, None, None, None)
        proxies, verify = dict(found["proxies"]), found["verify"]
        proxies.pop("no", None)  # whom not to reach through a proxy that there is not
    if not proxies and verify is True:
        client.close()
        session.client = DirectSession(environment.rest_url, dict(client.headers), connections)
        return session
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
    return session
