from __future__ import annotations

import pytest

from bybit_adapter.basics import errors
from bybit_adapter.basics.errors import (
    CODES_OF_KIND,
    KIND_OF_CODE,
    AmbiguousResult,
    AuthError,
    BybitError,
    DuplicateOrderLinkId,
    ExchangeUnavailable,
    InsufficientBalance,
    OpeningBlocked,
    OrderNotFound,
    OrderRejected,
    RateLimited,
    ReduceOnlyRejected,
    SettingRefused,
    TooManyOrders,
    error_for_code,
    error_for_status,
)


def make(code: int, message: str = "no", is_write: bool = False) -> BybitError:
    return error_for_code(
        code, message, endpoint="POST /v5/order/create", request={"symbol": "X"}, is_write=is_write
    )


@pytest.mark.parametrize(("code", "kind"), KIND_OF_CODE.items())
def test_every_known_code_has_its_reaction(code: int, kind: type[BybitError]) -> None:
    error = make(code)
    assert type(error) is kind
    assert error.code == code
    assert "not in the table" not in str(error)


def test_no_code_has_two_reactions() -> None:
    codes = [code for codes in CODES_OF_KIND.values() for code in codes]
    assert len(codes) == len(KIND_OF_CODE)


UNANSWERED = [code for code, kind in KIND_OF_CODE.items() if kind is ExchangeUnavailable]


@pytest.mark.parametrize("code", UNANSWERED)
def test_a_write_without_an_answer_is_ambiguous(code: int) -> None:
    error = make(code, is_write=True)
    assert type(error) is AmbiguousResult
    assert "look it up" in str(error)


@pytest.mark.parametrize("code", [10006, 110007, 110017, 110072, 10002])
def test_a_write_that_was_refused_is_not_ambiguous(code: int) -> None:
    assert type(make(code, is_write=True)) is type(make(code))


def test_an_unknown_code_is_a_rejection_that_names_it() -> None:
    error = make(987654, "whatever")
    assert type(error) is OrderRejected
    assert error.code == 987654
    assert "987654" in error.message
    assert "whatever" in str(error)


@pytest.mark.parametrize(
    ("status", "query", "write"),
    [
        (400, SettingRefused, SettingRefused),
        (401, AuthError, AuthError),
        (403, RateLimited, RateLimited),
        (404, SettingRefused, SettingRefused),
        (429, RateLimited, AmbiguousResult),
        (500, ExchangeUnavailable, AmbiguousResult),
        (502, ExchangeUnavailable, AmbiguousResult),
        (503, ExchangeUnavailable, AmbiguousResult),
        (302, ExchangeUnavailable, AmbiguousResult),
    ],
)
def test_http_statuses(status: int, query: type[BybitError], write: type[BybitError]) -> None:
    for is_write, kind in ((False, query), (True, write)):
        error = error_for_status(status, "x", endpoint="e", request={}, is_write=is_write)
        assert type(error) is kind
        assert error.code == status


def test_refusals_of_an_order_have_one_base() -> None:
    for kind in (InsufficientBalance, ReduceOnlyRejected, OpeningBlocked, TooManyOrders):
        assert issubclass(kind, OrderRejected)
    for kind in (AmbiguousResult, RateLimited, OrderNotFound, DuplicateOrderLinkId):
        assert not issubclass(kind, OrderRejected)


def test_no_secret_is_shown() -> None:
    error = error_for_code(
        10004,
        "error sign! origin_string[1690000000000KEY1235000symbol=X]",
        endpoint="GET /v5/position/list",
        request={
            "symbol": "X",
            "api_key": "KEY123",
            "headers": [{"X-BAPI-SIGN": "SIG123", "apiSecret": "SEC123"}],
        },
        is_write=False,
    )
    shown = f"{error} {error!r} {error.args} {error.message} {dict(error.request)}"
    for secret in ("KEY123", "SIG123", "SEC123"):
        assert secret not in shown
    assert "GET /v5/position/list" in shown
    assert "'symbol': 'X'" in shown


def test_an_error_says_endpoint_message_code_and_request() -> None:
    text = str(make(110007, "ab not enough for new order"))
    assert text == (
        "POST /v5/order/create: ab not enough for new order (code 110007); request {'symbol': 'X'}"
    )
    assert str(errors.AmbiguousResult("timeout")) == "bybit: timeout"
