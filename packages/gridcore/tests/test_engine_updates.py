"""GridEngine: updates of the grid, duplicates, events, orders in the exchange's form."""

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    CancelIntent,
    CancelReason,
    DirectionType,
    GridSideType,
    InvalidEventError,
    LimitOrder,
    OffTickError,
    PlaceLimitIntent,
    PublicTradeEvent,
    RestingSide,
)
from gridcore.engine import orders_by_direction
from gridcore.sides import BUY, LONG, SELL, SHORT
from testkit.builders import at, execution, order_update, ticker
from testkit.engine_scene import TICK, brief, engine, full, order, orders, started

LAWS = settings(max_examples=60, deadline=None, derandomize=True)


def test_the_grid_is_updated_while_some_but_not_all_orders_rest() -> None:
    made = started(10)
    made.on_event(execution(price="1000"))
    made.on_event(ticker("1015"), orders(order("a", LONG, BUY, "990")))
    assert made.grid.sides[5:8] == ["Wait", "Buy", "Sell"]  # 1010 lies below the market now


def test_without_any_order_the_levels_stay() -> None:
    made = started()
    made.on_event(execution(price="1000"))
    version = made.grid.version
    made.on_event(ticker("1015"))
    made.on_event(ticker("3000"))
    assert made.grid.version == version


def test_with_as_many_orders_as_grid_count_the_levels_stay() -> None:
    made = started()
    made.on_event(execution(price="1000"))
    version = made.grid.version
    made.on_event(ticker("1015"), orders(*full(made)))  # four of four, in both legs
    assert made.grid.version == version
    made.on_event(ticker("1015"), orders(*full(made)[1:]))  # three in the long leg
    assert made.grid.version > version


def test_outside_the_grid_it_is_rebuilt_and_old_orders_are_cancelled() -> None:
    made = started()
    resting = full(made)[1:]
    made.on_event(execution(price="1000"))
    intents = made.on_event(ticker("2000"), orders(*resting))
    assert made.get_anchor_price() == 2000
    cancelled = [i for i in intents if isinstance(i, CancelIntent)]
    assert {i.reason for i in cancelled} == {CancelReason.OUTSIDE_GRID}
    assert len(cancelled) == len(resting)


@pytest.mark.parametrize("leg", list(DirectionType))
def test_too_many_orders_of_one_leg_cancel_both_and_place_nothing(leg: DirectionType) -> None:
    made = started()
    many = [order(f"m{i}", leg, BUY, str(500 + i)) for i in range(16)]
    other = order("x", SHORT if leg is LONG else LONG, BUY, "990")
    intents = made.on_event(ticker("1500"), orders(*many, other))
    assert len(intents) == 17
    assert {i.reason for i in intents if isinstance(i, CancelIntent)} == {CancelReason.REBUILD}
    assert {i.order_id for i in intents if isinstance(i, CancelIntent)} == {
        *(o.order_id for o in many), "x",
    }  # fmt: skip
    assert made.get_anchor_price() == 1500


def test_ten_orders_more_than_levels_are_not_too_many() -> None:
    made = started()
    many = [order(f"m{i}", LONG, BUY, str(500 + i)) for i in range(15)]
    intents = made.on_event(ticker("1000"), orders(*many))
    reasons = {i.reason for i in intents if isinstance(i, CancelIntent)}
    assert reasons == {CancelReason.OUTSIDE_GRID}
    assert made.get_anchor_price() == 1000


def test_too_many_counts_doubled_orders_too() -> None:
    made = started()
    many = [order(f"m{i}", LONG, BUY, "990") for i in range(16)]
    reasons = {i.reason for i in made.on_event(ticker("1000"), orders(*many))}  # type: ignore[union-attr]
    assert reasons == {CancelReason.REBUILD}


def cancelled_duplicates(*doubled: LimitOrder) -> set[str]:
    made = started()
    places = {(o.direction, o.price_ticks) for o in doubled}
    resting = [o for o in full(made) if (o.direction, o.price_ticks) not in places]
    intents = made.on_event(ticker("1000"), orders(*resting, *doubled))
    reasons = {i.reason for i in intents if isinstance(i, CancelIntent)}
    assert reasons == {CancelReason.DUPLICATE}
    assert len(intents) == len([i for i in intents if isinstance(i, CancelIntent)])
    return {i.order_id for i in intents if isinstance(i, CancelIntent)}


def test_of_two_orders_at_a_price_the_older_stays() -> None:
    young, old = order("a", LONG, BUY, "990", rank=2), order("b", LONG, BUY, "990", rank=1)
    assert cancelled_duplicates(young, old) == {"a"}
    assert cancelled_duplicates(old, young) == {"a"}


def test_a_partly_filled_one_stays_before_an_older_one() -> None:
    old = order("a", LONG, BUY, "990", rank=1)
    part = order("b", LONG, BUY, "990", rank=2, left="0.5")
    assert cancelled_duplicates(old, part) == {"a"}


def test_the_side_of_the_grid_counts_before_both() -> None:
    wrong = order("a", LONG, SELL, "990", rank=1, left="0.5")
    right = order("b", LONG, BUY, "990", rank=2)
    assert cancelled_duplicates(wrong, right) == {"a"}
    assert cancelled_duplicates(right, wrong) == {"a"}


def test_all_but_one_of_three_go() -> None:
    three = [order(name, SHORT, SELL, "1010", rank=rank) for rank, name in enumerate("abc")]
    assert cancelled_duplicates(*reversed(three)) == {"b", "c"}


def test_duplicates_of_the_wrong_side_leave_none() -> None:
    made = started()
    wrong = [order(name, LONG, SELL, "990", rank=rank) for rank, name in enumerate("ab")]
    resting = [o for o in full(made) if o.order_id != "long1"]
    assert brief(made.on_event(ticker("1000"), orders(*resting, *wrong))) == [
        "cancel a side_mismatch", "long Buy 990.0", "cancel b duplicate",
    ]  # fmt: skip


def test_duplicates_on_no_level_all_go() -> None:
    made = started()
    out = [order(name, LONG, BUY, "985", rank=rank) for rank, name in enumerate("ab")]
    intents = made.on_event(ticker("1000"), orders(*full(made), *out))
    assert sorted(brief(intents)) == ["cancel a outside_grid", "cancel b duplicate"]


def test_the_same_price_in_both_legs_is_no_duplicate() -> None:
    made = started()
    assert made.on_event(ticker("1000"), orders(*full(made))) == []


def test_a_fill_is_noted_and_updates_the_grid() -> None:
    made = started(10)
    assert made.on_event(execution(price="1010")) == []
    assert made.last_filled_price == 1010
    assert made.grid.sides[6] is GridSideType.WAIT


def test_a_fill_before_the_first_ticker_is_only_noted() -> None:
    made = engine()
    assert made.on_event(execution(price="1010")) == []
    assert (made.last_filled_price, len(made.grid)) == (1010, 0)


def test_order_updates_keep_the_pending_orders() -> None:
    made = started()
    link = "0123456789abcdef-1"
    for status in ("New", "PartiallyFilled", "Untriggered", "Triggered"):
        assert made.on_event(order_update(status, order_id="o1", link=link)) == []
        assert made.pending_orders == {"0123456789abcdef": "o1"}
    # the end of an earlier order with this identity does not end this one
    made.on_event(order_update("Cancelled", order_id="o0", link=link))
    assert made.pending_orders == {"0123456789abcdef": "o1"}
    made.on_event(order_update("New", order_id="o2", link="manual"))
    assert len(made.pending_orders) == 1


@pytest.mark.parametrize(
    "status", ["Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected", "Deactivated"]
)
def test_a_final_status_ends_a_pending_order(status: str) -> None:
    made = started()
    link = "0123456789abcdef"
    made.on_event(order_update("New", order_id="o1", link=link))
    made.on_event(order_update(status, order_id="o1", link=link))
    assert made.pending_orders == {}


def test_a_public_trade_is_nothing_to_it() -> None:
    made = started()
    trade = PublicTradeEvent(
        symbol="BTCUSDT", exchange_ts=at(0), local_ts=at(0), trade_id="t", side=BUY,
        price=Decimal(5000), size=Decimal(1),
    )  # fmt: skip
    assert made.on_event(trade) == []
    assert made.last_close == 1000


@pytest.mark.parametrize(
    "event",
    [
        ticker("1000", symbol="ETHUSDT"),
        execution(symbol="ETHUSDT"),
        order_update("New", symbol="ETHUSDT"),
    ],
)
def test_an_event_of_another_symbol_is_refused(event: Any) -> None:
    made = started()
    before = made.grid.snapshot(), made.last_close, made.last_filled_price
    with pytest.raises(InvalidEventError, match="BTCUSDT: given an event of ETHUSDT"):
        made.on_event(event)
    assert (made.grid.snapshot(), made.last_close, made.last_filled_price) == before


def row(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "orderId": "o1",
        "orderLinkId": "0123456789abcdef-7",
        "price": "990.0",
        "qty": "1",
        "side": "Buy",
        "reduceOnly": False,
    }
    return fields | changes


def test_mappings_count_like_orders() -> None:
    one, two = started(), started()
    rows: dict[str, list[Any]] = {
        leg: [
            row(
                orderId=o.order_id, orderLinkId="", side=str(o.side), reduceOnly=o.reduce_only,
                price=str(TICK * o.price_ticks),
            )
            for o in resting
        ]
        for leg, resting in orders(*full(one)).items()
    }  # fmt: skip
    assert two.on_event(ticker("1000"), rows) == []
    rows["long"][0] = row(orderId="w", side="Sell", reduceOnly=True, price=rows["long"][0]["price"])
    intents = two.on_event(ticker("1000"), rows)
    assert brief(intents) == ["cancel w side_mismatch", "long Buy 980.1"]
    assert isinstance(intents[0], CancelIntent)
    assert intents[0].client_order_id == "0123456789abcdef"


def test_what_a_mapping_says() -> None:
    parsed = LimitOrder.from_bybit(row(), TICK, 5)
    assert parsed == LimitOrder(
        order_id="o1", order_link_id="0123456789abcdef-7", direction=LONG, side=BUY,
        price_ticks=9900, qty=Decimal(1), leaves_qty=Decimal(1), age_rank=5,
    )  # fmt: skip
    assert not parsed.is_partially_filled
    assert LimitOrder.from_bybit(row(reduceOnly=True), TICK).direction is SHORT
    assert LimitOrder.from_bybit(row(side="Sell", reduceOnly=True), TICK).direction is LONG
    assert LimitOrder.from_bybit(row(positionIdx=2), TICK).direction is SHORT
    assert LimitOrder.from_bybit(row(leavesQty="0.4"), TICK).is_partially_filled
    assert LimitOrder.from_bybit(row(createdTime="1700000000000"), TICK).age_rank == 1700000000000
    assert LimitOrder.from_bybit(row(orderLinkId="mine"), TICK).client_order_id == ""


@pytest.mark.parametrize(
    "change",
    [{"side": "buy"}, {"price": "a"}, {"price": ""}, {"qty": None}, {"createdTime": "now"},
     {"leavesQty": "some"}],
)  # fmt: skip
def test_a_mapping_with_a_wrong_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEventError, match="order 'o1'"):
        started().on_event(ticker("1000"), {"long": [row(**change)]})


@pytest.mark.parametrize("name", ["orderId", "price", "qty", "side"])
def test_a_mapping_without_a_field_is_refused(name: str) -> None:
    fields = row()
    del fields[name]
    with pytest.raises(InvalidEventError, match=name):
        started().on_event(ticker("1000"), {"long": [fields]})


def test_a_price_between_two_ticks_is_refused() -> None:
    with pytest.raises(OffTickError, match=r"order o1: the price 990\.05"):
        started().on_event(ticker("1000"), {"long": [row(price="990.05")]})


@pytest.mark.parametrize(
    "change",
    [{"price": "Infinity"}, {"price": "-990"}, {"price": "0"}, {"qty": "NaN"}, {"qty": "-1"}],
)
def test_a_mapping_with_an_impossible_number_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEventError, match="order 'o1'"):
        LimitOrder.from_bybit(row(**change), TICK)


def test_orders_sort_into_their_legs() -> None:
    a, b = order("a", LONG, BUY, "990"), order("b", SHORT, BUY, "990")
    assert orders_by_direction([b, a]) == {"long": [a], "short": [b]}


def test_own_orders_are_told_from_others() -> None:
    made = started()
    place = made.on_event(ticker("1000"))[0]
    assert isinstance(place, PlaceLimitIntent)
    own = replace(
        order("a", LONG, BUY, str(place.price)), order_link_id=f"{place.client_order_id}-1"
    )
    assert made.names.is_own(own)
    assert made.names.is_own(replace(own, price_ticks=own.price_ticks + 3))  # moved by the exchange
    assert not made.names.is_own(replace(own, order_link_id=""))
    assert not made.names.is_own(replace(own, order_link_id="0123456789abcdef"))
    assert not made.names.is_own(replace(own, direction=SHORT))


@pytest.mark.untraced
@LAWS
@given(st.integers(0, 10**6))
def test_a_kept_book_decides_like_a_fresh_one(seed: int) -> None:
    rng = random.Random(seed)
    kept_engine, fresh_engine = engine(20), engine(20)
    kept = {leg: RestingSide() for leg in DirectionType}
    price = 10_000
    for number in range(40):
        price = max(3000, price + rng.randint(-150, 150))
        market = TICK * price
        given = {leg: RestingSide(list(kept[leg])) for leg in DirectionType}
        wants = kept_engine.step(market, kept)
        assert wants == fresh_engine.step(market, given)
        assert kept_engine.grid.snapshot() == fresh_engine.grid.snapshot()
        assert kept_engine.stable_range(kept) == fresh_engine.stable_range(given)
        assert kept_engine.wants_unchanged(kept) == fresh_engine.wants_unchanged(given)
        for leg, side in kept.items():
            for resting in list(side):
                if rng.random() < 0.1:
                    side.remove(resting)
            for _ in range(rng.randint(0, 4)):
                level = rng.choice(kept_engine.grid.ticks)
                where = level if rng.random() < 0.8 else level + 1
                side.add(
                    order(
                        f"o{number}", leg, rng.choice([BUY, SELL]), str(TICK * where), rank=number
                    )
                )
        if rng.random() < 0.5:
            filled = TICK * rng.choice(kept_engine.grid.ticks)
            kept_engine.apply_fill(filled)
            fresh_engine.apply_fill(filled)
