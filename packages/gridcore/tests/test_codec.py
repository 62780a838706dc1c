"""Messages as plain values: every one of them survives JSON, and nothing else is read."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcore import (
    AcceptSize,
    AccountEvent,
    AdoptOrders,
    AdoptRules,
    CancelAll,
    CancelOutcome,
    CancelReason,
    CancelResultEvent,
    DirectionType,
    ExchangeOrderStatus,
    ExecutionEvent,
    ExecutionKind,
    Hold,
    IgnoreExecution,
    InvalidEventError,
    LegSnapshot,
    LimitOrder,
    Message,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    Reconfirm,
    RejectReason,
    Release,
    ResetLossBreaker,
    ResetReduceOnly,
    ResetSameOrder,
    Shutdown,
    SideType,
    TickerEvent,
    WalletSnapshot,
    from_dict,
    to_dict,
)
from gridcore.codec import EVENTS
from gridcore.commands import COMMANDS
from testkit.builders import at, btcusdt, ticker

# in microseconds since 2020: a moment of UTC has no fold
MOMENTS = st.integers(0, 3 * 10**14).map(
    lambda us: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
NUMBERS = st.decimals(-10, 10**9, allow_nan=False, places=6)
AMOUNTS = st.decimals(0, 10**9, allow_nan=False, places=3)
PRICES = st.decimals(Decimal("0.001"), 10**9, allow_nan=False, places=4)
TEXTS = st.text(min_size=1, max_size=12)
MAYBE = st.text(max_size=12)


def maybe(drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | drawn


BASE: dict[str, Any] = {
    "symbol": TEXTS, "exchange_ts": MOMENTS, "local_ts": MOMENTS, "user_id": maybe(st.uuids()),
    "account_id": maybe(st.uuids()), "run_id": maybe(st.uuids()),
}  # fmt: skip
LEGS = st.builds(
    LegSnapshot, size=AMOUNTS, entry_price=PRICES, liquidation_price=maybe(PRICES),
    unrealized_pnl=maybe(NUMBERS), leverage=maybe(PRICES), updated_ts=maybe(MOMENTS),
    seq=maybe(st.integers(0, 2**60)),
)  # fmt: skip
WALLETS = st.builds(WalletSnapshot, wallet_balance=NUMBERS, available_balance=maybe(NUMBERS))
ORDERS = st.builds(
    LimitOrder, order_id=TEXTS, order_link_id=MAYBE, direction=st.sampled_from(DirectionType),
    side=st.sampled_from(SideType), price_ticks=st.integers(1, 10**9), qty=AMOUNTS,
    leaves_qty=AMOUNTS, age_rank=st.integers(), created_ts=maybe(MOMENTS),
    updated_ts=maybe(MOMENTS), price=maybe(PRICES),
)  # fmt: skip
LISTS = st.lists(ORDERS, max_size=3).map(tuple)
ABSENT = maybe(st.frozensets(TEXTS, max_size=3))
RULES = st.builds(btcusdt, min_notional=AMOUNTS)
MESSAGES: dict[type, st.SearchStrategy[Message]] = {
    TickerEvent: st.builds(
        TickerEvent, **BASE, last_price=PRICES, mark_price=maybe(PRICES), bid1_price=maybe(PRICES),
        ask1_price=maybe(PRICES), funding_rate=maybe(NUMBERS),
    ),
    PublicTradeEvent: st.builds(
        PublicTradeEvent, **BASE, trade_id=TEXTS, side=st.sampled_from(SideType), price=PRICES,
        size=PRICES,
    ),
    ExecutionEvent: st.builds(
        ExecutionEvent, **BASE, exec_id=TEXTS, order_id=TEXTS, order_link_id=MAYBE,
        side=st.sampled_from(SideType), price=PRICES, qty=PRICES, fee=maybe(NUMBERS),
        closed_pnl=maybe(NUMBERS), closed_size=AMOUNTS, leaves_qty=AMOUNTS,
        kind=st.sampled_from(ExecutionKind), seq=maybe(st.integers()), fee_currency=TEXTS,
        fee_amount=maybe(NUMBERS),
    ),
    OrderUpdateEvent: st.builds(
        OrderUpdateEvent, **BASE, order_id=TEXTS, order_link_id=MAYBE,
        status=st.sampled_from(ExchangeOrderStatus), side=st.sampled_from(SideType), price=AMOUNTS,
        qty=PRICES, leaves_qty=AMOUNTS, reduce_only=st.booleans(),
    ),
    PlaceResultEvent: st.builds(
        PlaceResultEvent, **BASE, client_order_id=TEXTS, outcome=st.sampled_from(PlaceOutcome),
        order_id=TEXTS, order_link_id=maybe(MAYBE), reject_reason=st.sampled_from(RejectReason),
        message=MAYBE,
    ),
    CancelResultEvent: st.builds(
        CancelResultEvent, **BASE, order_id=TEXTS, outcome=st.sampled_from(CancelOutcome),
        client_order_id=MAYBE, message=MAYBE,
    ),
    AccountEvent: st.builds(
        AccountEvent, **BASE, long=maybe(LEGS), short=LEGS, wallet=maybe(WALLETS),
    ),
    OpenOrdersEvent: st.builds(OpenOrdersEvent, **BASE, orders=LISTS, absent=ABSENT),
    Hold: st.builds(Hold, TEXTS, keep=st.booleans()),
    Release: st.builds(Release, TEXTS),
    Reconfirm: st.just(Reconfirm()),
    ResetSameOrder: st.just(ResetSameOrder()),
    ResetLossBreaker: st.just(ResetLossBreaker()),
    ResetReduceOnly: st.just(ResetReduceOnly()),
    AdoptOrders: st.builds(AdoptOrders, orders=LISTS, as_of=MOMENTS, absent=ABSENT),
    AdoptRules: st.builds(AdoptRules, RULES),
    AcceptSize: st.builds(AcceptSize, st.sampled_from(DirectionType)),
    IgnoreExecution: st.builds(IgnoreExecution, TEXTS),
    CancelAll: st.builds(CancelAll, st.sampled_from(CancelReason)),
    Shutdown: st.builds(Shutdown, cancel_orders=st.booleans()),
}  # fmt: skip


def test_no_kind_of_message_is_left_out() -> None:
    missing = sorted(kind.__name__ for kind in {*EVENTS, *COMMANDS} - set(MESSAGES))
    assert not missing, f"MESSAGES of this test builds no {', '.join(missing)}"


@given(st.one_of(*MESSAGES.values()))
def test_every_message_survives_json(message: Message) -> None:
    written = json.dumps(to_dict(message), sort_keys=True)
    read = from_dict(json.loads(written))
    assert read == message
    # also 0 and 0.00 stay what they are
    assert json.dumps(to_dict(read), sort_keys=True) == written


def test_a_message_is_short_and_readable() -> None:
    assert to_dict(ticker("60000.0", 5)) == {
        "type": "TickerEvent",
        "symbol": "BTCUSDT",
        "exchange_ts": "2026-01-01T00:00:00.005000+00:00",
        "local_ts": "2026-01-01T00:00:00.005000+00:00",
        "last_price": "60000.0",
    }
    assert to_dict(Hold("paused", keep=True)) == {
        "type": "Hold",
        "name": "paused",
        "keep": True,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "NoEvent"}, "type is 'NoEvent'; it is one of AcceptSize, AccountEvent"),
        ({"type": None}, "type is None; it is one of"),
        ({"type": ["Hold"]}, "type is .'Hold'.; it is one of"),
        ({"colour": "red"}, "TickerEvent: it has no colour"),
        ({"last_price": 60000.5}, "TickerEvent: 60000.5 is no text"),
        ({"last_price": "much"}, "TickerEvent"),
        ({"last_price": "-1"}, "TickerEvent: last_price is .*; it is a Decimal above zero"),
        ({"exchange_ts": "2026-01-01T00:00:00"}, "it needs a time zone"),
        ({"exchange_ts": 5}, "TickerEvent"),
        ({"symbol": 5}, "TickerEvent: 5 is no str"),
    ],
)
def test_what_is_no_message_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidEventError, match=words):
        from_dict(to_dict(ticker("60000")) | change)


def test_a_missing_field_is_refused() -> None:
    content = to_dict(ticker("60000"))
    del content["last_price"]
    with pytest.raises(InvalidEventError, match=r"TickerEvent: .*last_price"):
        from_dict(content)


def test_another_thing_is_not_written() -> None:
    thing: Any = at(0)
    with pytest.raises(ValueError, match="datetime is no message of a strategy"):
        to_dict(thing)
