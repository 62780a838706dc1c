"""Errors by what the caller does about them, and the table from Bybit's codes to errors.

RateLimited           wait until retry_at, then go on
AuthError             stop this account: keys, permissions, region or bans
ClockSkew             set the clock, then retry
ExchangeUnavailable   nothing happened, or it was a query: wait, then retry
AmbiguousResult       a write that may have happened: look it up before anything else
OrderNotFound         the order is gone: fine when cancelling, reload when amending
DuplicateOrderLinkId  an order with this link id was placed before: look it up, adopt it
NotModified           the setting is already as asked: fine
SettingRefused        stop, a person has to change something
OrderRejected         drop the order; the kinds below it say what else to do

What each code means, and what the bot does: docs/exchange.md, "Codes".
"""

# The names say what happened, as the except clauses of callers read.
# ruff: noqa: N818

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from gridcore import RejectReason
from gridcore.refusal_codes import codes_of

_SECRET_NAME = re.compile(r"api.?key|secret|sign|token|passw", re.IGNORECASE)
# Bybit answers a bad signature with the signed text, which starts with timestamp and key.
_SIGNED_TEXT = re.compile(r"origin_string\[.*?(\]|$)", re.DOTALL)
_HIDDEN = "***"


def redact(value: Any) -> Any:
    """Return a copy of a request in which values with secret names are hidden, at any depth."""
    if isinstance(value, Mapping):
        return {
            str(name): _HIDDEN if _SECRET_NAME.search(str(name)) else redact(inner)
            for name, inner in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [redact(inner) for inner in value]
    return value


class BybitError(Exception):
    """Base of every failed call.

    code is Bybit's retCode, or the HTTP status where there was no answer of Bybit's, or None;
    endpoint is like "POST /v5/order/create"; request holds its parameters, redacted.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        endpoint: str = "",
        request: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.message = _SIGNED_TEXT.sub(f"origin_string[{_HIDDEN}]", message)
        self.endpoint = endpoint
        self.request: Mapping[str, Any] = MappingProxyType(redact(request or {}))
        super().__init__(self.message)

    def __str__(self) -> str:
        code = "" if self.code is None else f" (code {self.code})"
        request = f"; request {dict(self.request)}" if self.request else ""
        return f"{self.endpoint or 'bybit'}: {self.message}{code}{request}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class RateLimited(BybitError):
    """Too many calls; the call was not carried out. Wait until retry_at (UTC, None: unknown)."""

    retry_at: datetime | None = None


class AuthError(BybitError):
    """Keys, signature, permission, address, region or ban: no retry helps, stop the account."""


class ClockSkew(BybitError):
    """The request's time was outside the exchange's window; the call was not carried out."""


class ExchangeUnavailable(BybitError):
    """No usable answer to a query, or a write that certainly did not reach the exchange."""


class AmbiguousResult(BybitError):
    """A write without a usable answer: it may have happened. Look it up by its link id first."""


class OrderNotFound(BybitError):
    """The exchange does not know the order, or it has ended."""


class DuplicateOrderLinkId(BybitError):
    """An order with this link id was placed before. Look it up: adopt it, or take a new id."""


class NotModified(BybitError):
    """The setting already is what was asked for."""


class SettingRefused(BybitError):
    """Account, contract or request need a change by a person; no retry helps."""


class OrderRejected(BybitError):
    """The exchange refused: drop the order, do not send it again unchanged."""


class InsufficientBalance(OrderRejected):
    """Balance or margin do not suffice: pause opening, refresh the wallet; closing is allowed."""


class ReduceOnlyRejected(OrderRejected):
    """The leg has nothing left to close: reload its size, take a new link id next time."""


class OpeningBlocked(OrderRejected):
    """Risk tier, open interest or liquidation forbid more: stop opening."""


class TooManyOrders(OrderRejected):
    """The contract has as many orders as it may: cancel some."""


class StateChanged(OrderRejected):
    """The order or the position is not what the caller believes: reload both."""


class TradingPaused(OrderRejected):
    """The contract does not trade at the moment: wait, then stop."""


class MalformedFrame(ValueError):
    """A message that does not fit. Names the topic (or endpoint) and the offending field.

    fitting holds what the same message told in parts that do fit.
    """

    def __init__(self, topic: str, field: str, problem: str) -> None:
        self.fitting: tuple[Any, ...] = ()
        self.topic = topic
        self.field = field
        self.problem = problem
        super().__init__(f"{topic}: field {field}: {problem}")


CODES_OF_KIND: Mapping[type[BybitError], tuple[int, ...]] = {
    RateLimited: (10006, 10018),
    AuthError: (
        *(10003, 10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 10029, 33004),
        *(110123, 110124, 110125, 110132),
    ),
    ClockSkew: (-1, 10002),
    # No answer from behind the gateway. For a write this becomes AmbiguousResult.
    ExchangeUnavailable: (429, 10000, 10014, 10016, 10019, 10429),
    OrderNotFound: (110001, 110008, 110010, 170213),
    DuplicateOrderLinkId: (110072,),
    NotModified: (34040, 110025, 110026, 110027, 110043),
    SettingRefused: (10017, 110024, 110028, 110029, 110031, 110036, 110038),
    # a strategy reacts to these by itself, in simulation too
    InsufficientBalance: codes_of(RejectReason.INSUFFICIENT_BALANCE),
    ReduceOnlyRejected: codes_of(RejectReason.REDUCE_ONLY),
    OpeningBlocked: (
        *(110011, 110013, 110021, 110022, 110023, 110039, 110040),
        *(110086, 110089, 110090, 3400139),
    ),
    TooManyOrders: (110009, 110020, 110061),
    StateChanged: (40004, 110005, 110064, 110079, 110085),
    TradingPaused: (110063, 110066, 110074),
    # Wrong price, quantity, trigger or parameter; and codes of products that are not traded here.
    OrderRejected: (
        *(10001, 110003, 110092, 110093, 110094, 110118, 110120, 110121),
        *(110030, 110110),
    ),
}


def _rows() -> Iterator[tuple[int, type[BybitError]]]:
    for kind, codes in CODES_OF_KIND.items():
        for code in codes:
            yield code, kind


KIND_OF_CODE: Mapping[int, type[BybitError]] = MappingProxyType(dict(_rows()))

_KIND_OF_STATUS: Mapping[int, type[BybitError]] = {
    400: SettingRefused,
    401: AuthError,
    403: RateLimited,
    404: SettingRefused,
    405: SettingRefused,
}


def error_for_code(
    code: int, message: str, *, endpoint: str, request: Mapping[str, Any], is_write: bool
) -> BybitError:
    """Return the error of a retCode. A code that the table does not know is an OrderRejected."""
    kind = KIND_OF_CODE.get(code, OrderRejected)
    if code not in KIND_OF_CODE:
        message = f"{message} [code {code} is not in the table]"
    return _build(kind, code, message, endpoint, request, is_write)


def error_for_status(
    status: int, message: str, *, endpoint: str, request: Mapping[str, Any], is_write: bool
) -> BybitError:
    """Return the error of an HTTP status other than 200. 5xx of a write is an AmbiguousResult."""
    kind = _KIND_OF_STATUS.get(status, ExchangeUnavailable)
    if status == 429 and not is_write:  # overload: a write may have passed before it was noticed
        kind = RateLimited
    return _build(kind, status, message, endpoint, request, is_write)


def _build(
    kind: type[BybitError],
    code: int,
    message: str,
    endpoint: str,
    request: Mapping[str, Any],
    is_write: bool,
) -> BybitError:
    if kind is ExchangeUnavailable and is_write:
        kind = AmbiguousResult
        message = f"{message}; it may have happened all the same, look it up"
    return kind(message, code=code, endpoint=endpoint, request=request)
