"""The engine, rule by rule: what one ticker, fill or order update leads to."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    CancelIntent,
    CancelReason,
    ConfigError,
    DirectionType,
    GridConfig,
    GridEngine,
    GridError,
    GridSideType,
    Intent,
    InvalidEventError,
    LimitOrder,
    OffTickError,
    PlaceLimitIntent,
    PublicTradeEvent,
    RestingSide,
    SideType,
    client_order_id_for,
)
from gridcore.engine import orders_by_direction
from testkit.builders import at, execution, order_update, ticker

LAWS = settings(max_examples=60, deadline=None, derandomize=True)
TICK = Decimal("0.1")
LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
Orders = dict[str, list[LimitOrder]]


def engine(count: int = 4, step: str = "1", **parts: Any) -> GridEngine:
    """Return an engine; around 1000 its levels are 980.1, 990, 1000, 1010 and 1020.1."""
    return GridEngine("BTCUSDT", TICK, GridConfig(count, Decimal(step)), "s", **parts)


def started(count: int = 4, price: str = "1000", **parts: Any) -> GridEngine:
    made = engine(count, **parts)
    made.on_event(ticker(price))
    return made


def order(
    name: str, leg: DirectionType, side: SideType, price: str, *, left: str = "1", rank: int = 0
) -> LimitOrder:
    return LimitOrder(
        order_id=name,
        order_link_id="",
        direction=leg,
        side=side,
        price_ticks=int(Decimal(price) / TICK),
        qty=Decimal(1),
        leaves_qty=Decimal(left),
        age_rank=rank,
    )


def orders(*given: LimitOrder) -> Orders:
    return orders_by_direction(given)


def full(made: GridEngine, *legs: DirectionType) -> list[LimitOrder]:
    """Return an order at every level that is not waiting."""
    return [
        order(f"{leg}{place}", leg, SideType(level["side"]), str(level["price"]))
        for leg in legs or DirectionType
        for place, level in enumerate(made.grid.grid)
        if level["side"] is not GridSideType.WAIT
    ]


def brief(intents: Sequence[Intent]) -> list[str]:
    """Return intents as words: 'long Buy 990.0', 'cancel o1 side_mismatch'."""
    return [
        f"cancel {intent.order_id} {intent.reason}"
        if isinstance(intent, CancelIntent)
        else f"{intent.direction} {intent.side} {intent.price}"
        for intent in intents
    ]


# the first ticker


def test_the_first_ticker_builds_around_the_market_and_places_long_then_short() -> None:
    made = engine()
    assert brief(made.on_event(ticker("1000"))) == [
        "long Buy 990.0", "long Sell 1010.0", "long Buy 980.1", "long Sell 1020.1",
        "short Buy 990.0", "short Sell 1010.0", "short Buy 980.1", "short Sell 1020.1",
    ]  # fmt: skip
    assert made.last_close == 1000
    assert made.last_filled_price is None
    assert made.get_anchor_price() == 1000


def test_intents_carry_identity_level_leg_and_no_quantity() -> None:
    intents = engine().on_event(ticker("1000"))
    for intent in intents:
        assert isinstance(intent, PlaceLimitIntent)
        assert intent.qty == 0
        assert intent.symbol == "BTCUSDT"
        assert not intent.post_only
        assert intent.reduce_only == (
            (intent.direction, intent.side) in {(LONG, SELL), (SHORT, BUY)}
        )
        assert intent.client_order_id == client_order_id_for(
            "BTCUSDT", intent.side, intent.price, intent.direction, "s"
        )
        created = PlaceLimitIntent.create(
            "BTCUSDT", intent.side, intent.price, Decimal(0), intent.grid_level,
            intent.direction, intent.reduce_only, "s",
        )  # fmt: skip
        assert intent == created
    levels = [i.grid_level for i in intents if isinstance(i, PlaceLimitIntent)]
    assert levels == [1, 3, 0, 4] * 2


def test_strategies_do_not_share_identities() -> None:
    ids = [
        {
            i.client_order_id
            for i in GridEngine("BTCUSDT", TICK, GridConfig(4, 1), name).on_event(ticker("1000"))
        }
        for name in ("a", "b", None)
    ]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]


# the anchor, stored levels


def test_an_anchor_is_the_centre_while_the_market_is_inside() -> None:
    made = started(price="1005", anchor_price=Decimal(1000))
    assert made.get_anchor_price() == 1000
    assert made.grid.bounds == (Decimal("980.1"), Decimal("1020.1"))


@pytest.mark.parametrize("price", ["1020.1", "1500", "980.1", "900"])
def test_an_anchor_that_the_market_has_left_is_dropped(price: str) -> None:
    assert started(price=price, anchor_price=Decimal(1000)).get_anchor_price() == Decimal(price)


def test_where_no_grid_fits_the_market_nothing_is_placed_from_the_anchor() -> None:
    made = GridEngine("BTCUSDT", Decimal(1), GridConfig(10, 1), "s", anchor_price=Decimal(1000))
    for _ in range(2):  # a grid of 1 % needs a price of at least 100 at this tick size
        with pytest.raises(GridError, match="too small for tick size"):
            made.on_event(ticker("20"))


def test_an_anchor_that_no_grid_fits_is_dropped() -> None:
    assert started(price="1000", anchor_price=Decimal(1)).get_anchor_price() == 1000


def test_stored_levels_are_taken_exactly() -> None:
    first = started()
    first.on_event(execution(price="1010"))
    again = engine(levels=first.grid.snapshot(), anchor_price=first.get_anchor_price())
    assert again.grid.grid == first.grid.grid
    assert again.get_anchor_price() == 1000
    again.on_event(ticker("1001"))
    assert again.grid.grid == first.grid.grid


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(GridError):
        engine(levels=[{"price": "2", "side": "Buy"}, {"price": "1", "side": "Sell"}])


def test_an_engine_has_a_symbol() -> None:
    with pytest.raises(ConfigError, match="symbol"):
        GridEngine("", TICK, GridConfig(), "s")


def test_a_market_that_no_grid_fits_is_refused() -> None:
    with pytest.raises(GridError, match="too small for tick size"):
        engine().on_event(ticker("1"))


# which levels are placed


def test_waiting_levels_are_not_placed() -> None:
    made = started()
    made.on_event(execution(price="990"))
    prices = {i.price for i in made.on_event(ticker("1000"))}
    assert Decimal("990.0") not in prices


@pytest.mark.parametrize(
    ("market", "side", "placed"),
    [
        # half a step below 1000 is 995.0: there it is too near, one tick on it is not
        ("1000.0", "B995.0", False),
        ("1000.0", "B994.9", True),
        ("1000.0", "S1005.0", False),
        ("1000.0", "S1005.1", True),
        ("1000.0", "B1000.0", False),
        ("1000.0", "B1010.0", False),  # a Buy above the market
        ("1000.0", "S990.0", False),  # a Sell below it
        ("1000.05", "B995.0", True),  # (1000.05 - 995) / 1000.05 = 0.50497 %
        ("1000.05", "S1005.1", True),
    ],
)
def test_only_levels_more_than_half_a_step_from_the_market(
    market: str, side: str, placed: bool
) -> None:
    price = side[1:]
    levels = [
        {"price": "900", "side": "Buy"},
        {"price": price, "side": "Buy" if side[0] == "B" else "Sell"},
        {"price": "1100", "side": "Sell"},
    ]
    made = engine(levels=levels)
    assert (Decimal(price) in {i.price for i in made.on_event(ticker(market))}) is placed


def test_levels_are_visited_from_the_middle_of_the_waiting_ones_the_lower_first() -> None:
    made = engine(
        levels=[
            {"price": str(900 + 20 * i), "side": side}
            for i, side in enumerate(["Buy", "Wait", "Wait", "Sell", "Sell", "Sell"])
        ]
    )
    # waiting are the indices 1 and 2, so the centre is 1; then come 0 and 2, then 3, 4, 5
    prices = [i.price for i in made.on_event(ticker("910"))][:4]
    assert prices == [900, 960, 980, 1000]


def test_without_a_waiting_level_the_middle_of_the_list_is_the_centre() -> None:
    made = engine(
        levels=[{"price": str(900 + 20 * i), "side": "Buy" if i < 3 else "Sell"} for i in range(5)]
    )
    prices = [i.price for i in made.on_event(ticker("950"))][:5]
    assert prices == [940, 920, 960, 900, 980]


# orders that rest


def test_a_level_with_its_order_needs_nothing() -> None:
    made = started()
    assert made.on_event(ticker("1000"), orders(*full(made))) == []


def test_a_missing_order_is_placed() -> None:
    made = started()
    resting = [o for o in full(made) if o.order_id != "long1"]
    assert brief(made.on_event(ticker("1000"), orders(*resting))) == ["long Buy 990.0"]


def test_an_order_of_the_other_side_is_cancelled_and_the_level_placed() -> None:
    made = started()
    resting = [o for o in full(made) if o.order_id != "long1"]
    wrong = order("w", LONG, SELL, "990")
    intents = made.on_event(ticker("1000"), orders(*resting, wrong))
    assert brief(intents) == ["cancel w side_mismatch", "long Buy 990.0"]
    cancel = intents[0]
    assert isinstance(cancel, CancelIntent)
    assert (cancel.symbol, cancel.side, cancel.price) == ("BTCUSDT", SELL, 990)


def test_too_near_the_market_it_is_only_cancelled() -> None:
    made = started()
    resting = [o for o in full(made) if o.order_id not in ("long1", "short1")]
    wrong = order("w", LONG, SELL, "990")
    intents = made.on_event(ticker("994"), orders(*resting, wrong))
    assert brief(intents) == ["cancel w side_mismatch"]


def test_an_order_on_a_waiting_level_stays() -> None:
    made = started()
    resting = [*full(made), order("w", LONG, BUY, "1000")]
    assert made.on_event(ticker("1000"), orders(*resting)) == []


def test_orders_on_no_level_are_cancelled_last_in_each_leg() -> None:
    made = started()
    resting = [
        order("out1", LONG, BUY, "985"),
        order("out2", SHORT, SELL, "2000"),
        *(o for o in full(made) if o.order_id not in ("long0", "short4")),
    ]
    assert brief(made.on_event(ticker("1000"), orders(*resting))) == [
        "long Buy 980.1", "cancel out1 outside_grid",
        "short Sell 1020.1", "cancel out2 outside_grid",
    ]  # fmt: skip


def test_a_leg_does_not_mind_the_other_legs_orders() -> None:
    made = started()
    intents = made.on_event(ticker("1000"), orders(*full(made, LONG)))
    assert {i.direction for i in intents if isinstance(i, PlaceLimitIntent)} == {SHORT}
    assert len(intents) == 4


# updating


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


# too many orders


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


# duplicates


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


# fills, order updates, other events


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


# mappings in the exchange's form


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


# identity


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


# a book that lives on counts like one given anew at every tick


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
