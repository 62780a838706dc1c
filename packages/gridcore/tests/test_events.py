"""Facts: complete, in UTC, ordered, and refused when they cannot have happened."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, InitVar, dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    AccountEvent,
    CancelOutcome,
    CancelResultEvent,
    DirectionType,
    Event,
    EventType,
    ExchangeOrderStatus,
    ExecutionEvent,
    InvalidEventError,
    LegSnapshot,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    RejectReason,
    SideType,
    TickerEvent,
    WalletSnapshot,
)
from gridcore.events import tags_of
from gridcore.quick_init import with_quick_init

LAWS = settings(max_examples=100, deadline=None, derandomize=True)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BASE: dict[str, Any] = {"symbol": "BTCUSDT", "exchange_ts": NOON, "local_ts": NOON}
NOT_A_PRICE = [Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity"), 1.5, 1, "1", None]
NOT_A_NUMBER = [Decimal("NaN"), Decimal("-Infinity"), 1.5, 1, "1"]
NOT_AN_AMOUNT = [*NOT_A_NUMBER, Decimal(-1), None]

KINDS: dict[EventType, tuple[type[Event], dict[str, Any]]] = {
    EventType.TICKER: (TickerEvent, {"last_price": Decimal(60_000)}),
    EventType.PUBLIC_TRADE: (
        PublicTradeEvent,
        {"trade_id": "t", "side": SideType.BUY, "price": Decimal(1), "size": Decimal(1)},
    ),
    EventType.EXECUTION: (
        ExecutionEvent,
        {
            "exec_id": "e",
            "order_id": "o",
            "order_link_id": "",
            "side": SideType.BUY,
            "price": Decimal(60_000),
            "qty": Decimal(1),
            "fee": Decimal("0.1"),
            "closed_pnl": None,
            "closed_size": Decimal(0),
            "leaves_qty": Decimal(0),
        },
    ),
    EventType.ORDER_UPDATE: (
        OrderUpdateEvent,
        {
            "order_id": "o",
            "order_link_id": "",
            "status": ExchangeOrderStatus.NEW,
            "side": SideType.BUY,
            "price": Decimal(60_000),
            "qty": Decimal(1),
            "leaves_qty": Decimal(1),
            "reduce_only": False,
        },
    ),
    EventType.PLACE_RESULT: (
        PlaceResultEvent,
        {"client_order_id": "c", "outcome": PlaceOutcome.ACCEPTED, "order_id": "o"},
    ),
    EventType.CANCEL_RESULT: (
        CancelResultEvent,
        {"order_id": "o", "outcome": CancelOutcome.ACCEPTED},
    ),
    EventType.ACCOUNT: (
        AccountEvent,
        {"wallet": WalletSnapshot(wallet_balance=Decimal(1), available_balance=None)},
    ),
    EventType.OPEN_ORDERS: (OpenOrdersEvent, {"orders": ()}),
}


def make(kind: EventType, **changes: Any) -> Any:
    cls, fields = KINDS[kind]
    return cls(**(BASE | fields | changes))


every_kind = pytest.mark.parametrize("kind", list(EventType))


@every_kind
def test_the_type_is_an_attribute_of_the_kind(kind: EventType) -> None:
    event = make(kind)
    assert event.event_type is kind
    assert type(event).event_type is kind


@every_kind
def test_a_matching_type_may_be_given_and_a_wrong_one_not(kind: EventType) -> None:
    assert make(kind, event_type=kind) == make(kind)
    assert make(kind, event_type=str(kind)) == make(kind)
    other = EventType.TICKER if kind is not EventType.TICKER else EventType.ACCOUNT
    with pytest.raises(InvalidEventError, match=f"this kind is always '{kind}'"):
        make(kind, event_type=other)


@every_kind
@pytest.mark.parametrize("name", ["exchange_ts", "local_ts"])
@pytest.mark.parametrize("value", [datetime(2026, 1, 1), None, "2026-01-01", 1767225600])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused(kind: EventType, name: str, value: Any) -> None:
    with pytest.raises(InvalidEventError, match=f"{name} is .*it needs a time zone"):
        make(kind, **{name: value})


@every_kind
def test_another_zone_is_converted(kind: EventType) -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    event = make(kind, exchange_ts=east, local_ts=east)
    assert event.exchange_ts.tzinfo is UTC
    assert event.local_ts.tzinfo is UTC
    assert event == make(kind)
    assert event.exchange_ts.hour == 12


@every_kind
@pytest.mark.parametrize("symbol", ["", None, 5])
def test_an_event_has_a_symbol(kind: EventType, symbol: Any) -> None:
    with pytest.raises(InvalidEventError, match="symbol"):
        make(kind, symbol=symbol)


@every_kind
def test_events_are_frozen_complete_and_given_by_name(kind: EventType) -> None:
    event = make(kind)
    with pytest.raises(AttributeError):
        event.symbol = "ETHUSDT"
    with pytest.raises(TypeError):
        type(event)("BTCUSDT", NOON, NOON)
    with pytest.raises(TypeError, match="missing"):
        type(event)(symbol="BTCUSDT", exchange_ts=NOON)
    assert not hasattr(event, "__dict__")


@every_kind
def test_tags_are_optional_and_passed_on(kind: EventType) -> None:
    tags = {name: UUID(int=i) for i, name in enumerate(("user_id", "account_id", "run_id"))}
    assert tags_of(make(kind, **tags)) == tags
    assert set(tags_of(make(kind)).values()) == {None}


@every_kind
def test_a_changed_copy_is_checked_too(kind: EventType) -> None:
    assert replace(make(kind), symbol="ETHUSDT").symbol == "ETHUSDT"
    with pytest.raises(InvalidEventError):
        replace(make(kind), symbol="")


MOMENTS = st.integers(0, 3).map(lambda s: NOON + timedelta(seconds=s))


@LAWS
@given(st.tuples(MOMENTS, MOMENTS), st.tuples(MOMENTS, MOMENTS))
def test_events_are_ordered_by_exchange_time_then_local_time(
    one: tuple[datetime, datetime], two: tuple[datetime, datetime]
) -> None:
    a = make(EventType.TICKER, exchange_ts=one[0], local_ts=one[1])
    b = make(EventType.EXECUTION, exchange_ts=two[0], local_ts=two[1])
    assert (a < b, a <= b, a > b, a >= b) == (one < two, one <= two, one > two, one >= two)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (EventType.TICKER, "last_price", NOT_A_PRICE),
        (EventType.TICKER, "mark_price", NOT_A_PRICE[:-1]),
        (EventType.TICKER, "bid1_price", NOT_A_PRICE[:-1]),
        (EventType.TICKER, "ask1_price", NOT_A_PRICE[:-1]),
        (EventType.TICKER, "funding_rate", NOT_A_NUMBER),
        (EventType.PUBLIC_TRADE, "trade_id", ["", None]),
        (EventType.PUBLIC_TRADE, "side", ["buy", "", None]),
        (EventType.PUBLIC_TRADE, "price", NOT_A_PRICE),
        (EventType.PUBLIC_TRADE, "size", NOT_A_PRICE),
        (EventType.EXECUTION, "exec_id", ["", None]),
        (EventType.EXECUTION, "order_id", ["", None]),
        (EventType.EXECUTION, "side", ["BUY", None]),
        (EventType.EXECUTION, "price", NOT_A_PRICE),
        (EventType.EXECUTION, "qty", NOT_A_PRICE),
        (EventType.EXECUTION, "fee", NOT_A_NUMBER),
        (EventType.EXECUTION, "fee_currency", ["", None]),
        (EventType.EXECUTION, "fee_amount", NOT_A_NUMBER),
        (EventType.EXECUTION, "closed_pnl", NOT_A_NUMBER),
        (EventType.EXECUTION, "closed_size", NOT_AN_AMOUNT),
        (EventType.EXECUTION, "leaves_qty", NOT_AN_AMOUNT),
        (EventType.ORDER_UPDATE, "order_id", ["", None]),
        (EventType.ORDER_UPDATE, "status", ["Active", "Created", "new", "", None]),
        (EventType.ORDER_UPDATE, "side", ["sell", None]),
        (EventType.ORDER_UPDATE, "price", NOT_AN_AMOUNT),
        (EventType.ORDER_UPDATE, "qty", NOT_A_PRICE),
        (EventType.ORDER_UPDATE, "leaves_qty", NOT_AN_AMOUNT),
        (EventType.PLACE_RESULT, "client_order_id", ["", None]),
        (EventType.PLACE_RESULT, "outcome", ["ok", None]),
        (EventType.PLACE_RESULT, "order_id", ["", None]),
        (EventType.CANCEL_RESULT, "order_id", ["", None]),
        (EventType.CANCEL_RESULT, "outcome", ["done", None]),
    ],
)
def test_a_wrong_value_is_refused_by_name(kind: EventType, name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidEventError, match=f"{name} is"):
            make(kind, **{name: value})


def test_active_is_no_status_and_the_refusal_names_those_that_are() -> None:
    with pytest.raises(InvalidEventError, match="'Active'; it is one of New, PartiallyFilled"):
        make(EventType.ORDER_UPDATE, status="Active")


@pytest.mark.parametrize(
    ("status", "live"),
    [("New", True), ("PartiallyFilled", True), ("Untriggered", True), ("Triggered", True),
     ("Filled", False), ("Cancelled", False), ("PartiallyFilledCanceled", False),
     ("Rejected", False), ("Deactivated", False)],
)  # fmt: skip
def test_wire_text_becomes_a_status_that_is_live_or_final(status: str, live: bool) -> None:
    event = make(EventType.ORDER_UPDATE, status=status)
    assert event.status is ExchangeOrderStatus(status)
    assert event.status.is_live is live
    assert len(ExchangeOrderStatus) == 9


def test_values_that_are_facts_are_taken() -> None:
    assert make(EventType.EXECUTION, fee=Decimal("-0.1")).fee < 0  # a rebate
    assert make(EventType.EXECUTION, fee=None, fee_currency="MNT").fee is None  # paid in that coin
    assert make(EventType.ORDER_UPDATE, price=Decimal(0)).price == 0  # a market order
    assert make(EventType.TICKER, funding_rate=Decimal("-0.0001")).funding_rate < 0
    assert make(EventType.PUBLIC_TRADE, side="Sell").side is SideType.SELL
    wallet = WalletSnapshot(wallet_balance=Decimal(-1), available_balance=Decimal(0))
    assert make(EventType.ACCOUNT, wallet=wallet).wallet == wallet


@pytest.mark.parametrize(
    ("side", "closed", "leg"),
    [("Buy", "0", "long"), ("Sell", "0", "short"), ("Sell", "1", "long"), ("Buy", "1", "short")],
)
def test_an_execution_tells_its_leg_by_closed_size(side: str, closed: str, leg: str) -> None:
    event = make(EventType.EXECUTION, side=side, closed_size=Decimal(closed))
    assert event.direction is DirectionType(leg)


@pytest.mark.parametrize(
    ("side", "reduce_only", "leg"),
    [("Buy", False, "long"), ("Sell", False, "short"), ("Sell", True, "long"),
     ("Buy", True, "short")],
)  # fmt: skip
def test_an_order_tells_its_leg_by_reduce_only(side: str, reduce_only: bool, leg: str) -> None:
    event = make(EventType.ORDER_UPDATE, side=side, reduce_only=reduce_only)
    assert event.direction is DirectionType(leg)


def test_answers_to_commands_need_what_their_outcome_tells() -> None:
    failed = make(EventType.PLACE_RESULT, outcome=PlaceOutcome.FAILED, order_id=None)
    assert failed.order_id is None
    rejected = {"outcome": "rejected", "order_id": None}
    with pytest.raises(InvalidEventError, match="reject_reason"):
        make(EventType.PLACE_RESULT, **rejected)
    event = make(EventType.PLACE_RESULT, **rejected, reject_reason="reduce_only")
    assert event.reject_reason is RejectReason.REDUCE_ONLY


def test_an_account_event_tells_something() -> None:
    with pytest.raises(InvalidEventError, match="none of long, short and wallet"):
        make(EventType.ACCOUNT, wallet=None)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: LegSnapshot(size=Decimal(-1), entry_price=None), "size"),
        (lambda: LegSnapshot(size=Decimal(1), entry_price=None), "entry_price"),
        (lambda: LegSnapshot(size=Decimal(1), entry_price=Decimal(0)), "entry_price"),
        (
            lambda: LegSnapshot(size=Decimal(0), entry_price=None, liquidation_price=Decimal(0)),
            "liquidation_price",
        ),
        (lambda: LegSnapshot(size=Decimal(0), entry_price=None, leverage=Decimal(0)), "leverage"),
        (
            lambda: LegSnapshot(size=Decimal(0), entry_price=None, unrealized_pnl=Decimal("NaN")),
            "unrealized_pnl",
        ),
        (
            lambda: WalletSnapshot(wallet_balance=Decimal("NaN"), available_balance=None),
            "wallet_balance",
        ),
        (
            lambda: WalletSnapshot(
                wallet_balance=Decimal(1), available_balance=Decimal("Infinity")
            ),
            "available_balance",
        ),
    ],
)
def test_wrong_parts_of_an_account_are_refused(build: Callable[[], object], name: str) -> None:
    with pytest.raises(InvalidEventError, match=f"{name} is"):
        build()


def test_an_empty_leg_needs_no_entry() -> None:
    assert LegSnapshot(size=Decimal(0), entry_price=None).entry_price is None


def test_quick_constructor_takes_what_the_written_one_took() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        name: str
        note: str | None = None

    checked = []

    @with_quick_init
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Made(Base):
        kind: InitVar[str] = "usual"
        size: Decimal

        def __post_init__(self, kind: str) -> None:
            checked.append(kind)

    made = Made(name="one", size=Decimal(2))
    assert made == Made(name="one", size=Decimal(2), note=None, kind="other")
    assert checked == ["usual", "other"]
    assert replace(made, size=Decimal(3), kind="new").size == 3
    with pytest.raises(FrozenInstanceError):
        made.size = Decimal(4)  # type: ignore[misc]
    for wrong in ({"name": "one"}, {"name": "one", "size": Decimal(2), "more": 1}):
        with pytest.raises(TypeError, match="argument"):
            Made(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="positional"):
        Made("one", size=Decimal(2))  # type: ignore[misc]


def test_quick_constructor_refuses_a_field_that_is_no_parameter() -> None:
    @dataclass(frozen=True, slots=True)
    class Counted:
        count: int = field(init=False, default=0)

    with pytest.raises(TypeError, match="Counted: a field is no parameter"):
        with_quick_init(Counted)
