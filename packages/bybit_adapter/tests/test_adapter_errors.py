from __future__ import annotations

import pytest

from bybit_adapter.basics import errors
from bybit_adapter.basics.errors import (
    KIND_OF_CODE,
    AmbiguousResult,
    AuthError,
    BybitError,
    ClockSkew,
    DuplicateOrderLinkId,
    ExchangeUnavailable,
    InsufficientBalance,
    NotModified,
    OpeningBlocked,
    OrderNotFound,
    OrderRejected,
    RateLimited,
    ReduceOnlyRejected,
    SettingRefused,
    StateChanged,
    TooManyOrders,
    TradingPaused,
    error_for_code,
    error_for_status,
)

# Every code of the fact sheet's section on error codes, as written there.
SHEET: dict[type[BybitError], list[int]] = {
    ClockSkew: [-1, 10002],
    ExchangeUnavailable: [429, 10000, 10014, 10016, 10019, 10429],
    OrderRejected: [10001, 110003, 110092, 110093, 110094, 110118, 110120, 110121, 110030, 110110],
    AuthError: [
        *[10003, 33004, 10004, 10005, 10010, 10007, 10008, 10009, 10024, 10027, 10028, 10029],
        *[110123, 110124, 110125, 110132],
    ],
    RateLimited: [10006, 10018],
    SettingRefused: [10017, 110024, 110028, 110029, 110031, 110036, 110038],
    StateChanged: [40004, 110005, 110079, 110064, 110085],
    OrderNotFound: [110001, 110008, 110010, 170213],
    InsufficientBalance: [
        *[110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053]
    ],
    TooManyOrders: [110009, 110020, 110061],
    OpeningBlocked: [
        *[110011, 110039, 110040, 110013, 110086, 110089, 110090, 110021, 110022, 110023, 3400139]
    ],
    ReduceOnlyRejected: [110017],
    NotModified: [110025, 110026, 110027, 110043, 34040],
    TradingPaused: [110063, 110066, 110074],
    DuplicateOrderLinkId: [110072],
}
ROWS = [(code, kind) for kind, codes in SHEET.items() for code in codes]


def make(code: int, message: str = "no", is_write: bool = False) -> BybitError:
    return error_for_code(
        code, message, endpoint="POST /v5/order/create", request={"symbol": "X"}, is_write=is_write
    )


@pytest.mark.parametrize(("code", "kind"), ROWS)
def test_every_known_code_has_its_reaction(code: int, kind: type[BybitError]) -> None:
    assert type(make(code)) is kind


def test_the_table_holds_the_sheet_and_nothing_else() -> None:
    assert dict(ROWS) == dict(KIND_OF_CODE)
    assert len(ROWS) == len(KIND_OF_CODE)  # no code has two reactions


@pytest.mark.parametrize("code", SHEET[ExchangeUnavailable])
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
