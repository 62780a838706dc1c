"""What an answer says: a result, or the error that the caller reacts to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bybit_adapter.basics.clock import Clock
from bybit_adapter.basics.errors import (
    AmbiguousResult,
    BybitError,
    ExchangeUnavailable,
    MalformedFrame,
    error_for_code,
    error_for_status,
)
from bybit_adapter.basics.keys import Keys
from bybit_adapter.basics.row import Row, time_of_ms
from bybit_adapter.http.connections import OK, ConnectionFailed, NoAnswerInTime, NotSent
from bybit_adapter.http.endpoints import Endpoint
from bybit_adapter.http.rate_limiter import LimitHeaders

_LATEST_MS = 4_000_000_000_000  # the year 2096
_CODE_NAMES, _MESSAGE_NAMES = ("retCode", "ret_code"), ("retMsg", "ret_msg")


@dataclass(frozen=True, slots=True)
class Reply:
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


class AnswerReader:
    """Reads the answers of one account's calls. Thread-safe; no text that it returns has a key."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def read(self, endpoint: Endpoint, params: Mapping[str, Any], response: Any) -> Reply | Failure:
        """Return what a response says; it has status_code, headers and json()."""
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
            return Failure(_no_answer(endpoint, params, "the answer is no JSON"), limits)
        if not isinstance(body, dict):
            return Failure(_no_answer(endpoint, params, "the answer is no object"), limits)
        code, message = (
            body.get(name, body.get(older)) for name, older in (_CODE_NAMES, _MESSAGE_NAMES)
        )
        told = self._keys.hide_in(str(message))
        if type(code) is not int or (code != 0 and not isinstance(message, str)):
            problem = f"the answer has retCode {code!r}: {told}"
            return Failure(_no_answer(endpoint, params, problem), limits)
        if code != 0:
            found = error_for_code(
                code, told, endpoint=str(endpoint), request=params, is_write=endpoint.is_write
            )
            return Failure(found, limits)
        return self._answer(endpoint, params, body, limits)

    def no_answer(
        self, endpoint: Endpoint, params: Mapping[str, Any], error: ConnectionFailed | OSError
    ) -> BybitError:
        """Return what it means that there is no answer."""
        match error:
            case NotSent():
                return ExchangeUnavailable(
                    "no connection; the call was not sent", endpoint=str(endpoint), request=params
                )
            case NoAnswerInTime():
                problem = "no answer in time"
            case _:  # OSError: certificates that cannot be read, for example
                problem = self._keys.hide_in(f"no answer: {error}")
        return _no_answer(endpoint, params, problem)

    def _answer(
        self, endpoint: Endpoint, params: Mapping[str, Any], body: Any, limits: LimitHeaders
    ) -> Reply | Failure:
        try:
            result = Row(str(endpoint), body.get("result") or {}, "result.")
            extra = Row(str(endpoint), body.get("retExtInfo") or {}, "retExtInfo.")
        except MalformedFrame as error:
            return Failure(_no_answer(endpoint, params, str(error)), limits)
        sent = body.get("time")
        usable = type(sent) is int and 0 < sent < _LATEST_MS
        time = time_of_ms(sent) if usable else self._clock.now()
        return Reply(result, extra, time, limits)


def _no_answer(endpoint: Endpoint, params: Mapping[str, Any], problem: str) -> BybitError:
    kind: type[BybitError] = ExchangeUnavailable
    if endpoint.is_write:
        kind, problem = AmbiguousResult, f"{problem}; it may have happened all the same"
    return kind(problem, endpoint=str(endpoint), request=params)
