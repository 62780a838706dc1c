"""Orders as the exchange reports them, and the book of tracked ones."""

import json
from decimal import Decimal

import pytest

from gridcore import (
    DirectionType,
    InvalidEventError,
    LimitOrder,
    OffTickError,
    OrderBook,
    OrderStatus,
    RestingSide,
    SideType,
    TrackedOrder,
)
from gridcore.moments import to_us
from gridcore.orders import REMEMBERED_ENDED_ORDERS, EndedOrder
from testkit.builders import at

TICK = Decimal("0.1")
ROW = {
    "orderId": "abc",
    "orderLinkId": "0123456789abcdef-x1",
    "side": "Sell",
    "price": "60000.5",
    "qty": "0.010",
    "reduceOnly": True,
}


def test_an_order_in_the_exchanges_form() -> None:
    order = LimitOrder.from_bybit(ROW, TICK)
    assert order.direction is DirectionType.LONG
    assert order.price_ticks == 600_005
    assert order.reduce_only
    assert order.client_order_id == "0123456789abcdef"
    assert not order.is_partially_filled


@pytest.mark.parametrize(
    ("changes", "direction"),
    [
        ({"side": "Buy", "reduceOnly": False}, "long"),
        ({"side": "Buy", "reduceOnly": True}, "short"),
        ({"side": "Sell", "reduceOnly": False}, "short"),
        # the exchange tags closing orders itself, so positionIdx has the last word
        ({"side": "Sell", "reduceOnly": False, "positionIdx": 1}, "long"),
    ],
)
def test_the_leg_of_an_order(changes: dict[str, object], direction: str) -> None:
    assert LimitOrder.from_bybit(ROW | changes, TICK).direction == direction


def test_partial_fills_and_age() -> None:
    order = LimitOrder.from_bybit(ROW | {"leavesQty": "0.004", "createdTime": "17"}, TICK)
    assert (order.leaves_qty, order.age_rank) == (Decimal("0.004"), 17)
    assert order.is_partially_filled


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"price": "60000.55"}, OffTickError),
        ({"price": ""}, InvalidEventError),
        ({"side": "None"}, InvalidEventError),
        ({"qty": "many"}, InvalidEventError),
    ],
)
def test_orders_that_cannot_be(changes: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error, match="abc"):
        LimitOrder.from_bybit(ROW | changes, TICK)


def test_a_second_order_at_a_price_is_an_extra_until_the_first_goes() -> None:
    first = LimitOrder.from_bybit(ROW, TICK)
    second = LimitOrder.from_bybit(ROW | {"orderId": "def"}, TICK)
    side = RestingSide([first, second])
    assert (len(side), side.extras) == (2, [second])
    side.remove(first)
    assert (side.by_ticks[600_005], side.extras) == (second, [])
    side.add(first)
    side.remove(first)
    assert list(side) == [second]


def pending(book: OrderBook, ticks: int, *, closing: bool = False) -> TrackedOrder:
    return book.add_pending(
        client_order_id=f"{ticks:016x}",
        direction=DirectionType.LONG,
        side=SideType.SELL if closing else SideType.BUY,
        price_ticks=ticks,
        price=TICK * ticks,
        qty=Decimal(4),
        reduce_only=closing,
        created_ts=at(0),
    )


def test_sums_follow_every_change() -> None:
    book = OrderBook()
    buy, sell = pending(book, 100), pending(book, 200, closing=True)
    assert book.opening_notional == 40
    assert book.closing_qty[DirectionType.LONG] == 4
    for order, order_id in ((buy, "b"), (sell, "s")):
        book.acknowledge(order, order_id, at(1))
        book.reduce(order, Decimal(1))
        book.reduce(order, Decimal(3))  # news of before: nothing grows
    assert (book.opening_notional, book.closing_qty[DirectionType.LONG]) == (10, 1)
    book.reprice(buy, 110, Decimal(11))
    assert book.opening_notional == 11
    assert book.is_occupied(DirectionType.LONG, 110)
    assert not book.is_occupied(DirectionType.LONG, 100)
    for order in (buy, sell):
        book.end(order, OrderStatus.CANCELLED, at(2))
    assert (book.opening_notional, book.closing_qty[DirectionType.LONG], len(book)) == (0, 0, 0)
    assert book.past.ended("b") == EndedOrder(at(2), at(1), is_final=True)


def test_ended_orders_are_remembered_in_bounds_and_restored() -> None:
    book = OrderBook()
    book.past.restore(
        {
            # an older version kept the time alone
            f"o{n}": at(n).isoformat()
            if n % 2
            else [at(n).isoformat(), at(n - 1).isoformat(), False]
            for n in range(REMEMBERED_ENDED_ORDERS + 1)
        }
    )
    assert book.past.ended("o0") is None
    last = REMEMBERED_ENDED_ORDERS
    assert book.past.ended(f"o{last}") == EndedOrder(at(last), at(last - 1), is_final=False)
    assert book.past.ended(f"o{last - 1}") == EndedOrder(at(last - 1), None, is_final=True)
    again = OrderBook()
    again.past.restore(book.past.newest(2))
    assert again.past.newest(5) == book.past.newest(2)
    assert len(again.past.newest(5)) == 2
    assert book.knows("o1")


def test_a_placement_ends_before_it_has_an_id() -> None:
    book = OrderBook()
    order = pending(book, 100)
    book.end(order, OrderStatus.FAILED, at(1))
    assert order.status is OrderStatus.FAILED
    assert book.unacknowledged(order.client_order_id) is None
    assert not book.is_occupied(DirectionType.LONG, 100)


def test_a_book_outlives_its_process_whole() -> None:
    book = OrderBook()
    for number, closing in ((1, True), (2, False), (3, True)):
        order = book.add_pending(
            client_order_id=f"{number:016x}",
            direction=DirectionType.LONG,
            side=SideType.SELL if closing else SideType.BUY,
            price_ticks=600_000 + number,
            price=Decimal(60_000) + number * TICK,
            qty=Decimal("0.010"),
            reduce_only=closing,
            created_ts=at(number),
        )
        if number < 3:
            book.acknowledge(order, f"o{number}", at(10 + number))
    filled = book.get("o1")
    assert filled is not None
    book.reduce(filled, Decimal("0.004"))
    again = OrderBook()
    again.restore(json.loads(json.dumps(book.snapshot())), TICK)
    assert again.snapshot() == book.snapshot()
    assert (again.closing_qty, again.opening_notional) == (book.closing_qty, book.opening_notional)
    assert all(one.is_orphan for one in again)
    found = again.get("o1")
    assert found is not None
    assert (found.is_partially_filled, found.price_ticks) == (True, 600_001)
    assert found.started_ts == at(11)


def test_what_has_rested_for_long_is_kept_by_its_time_alone() -> None:
    book = OrderBook()
    for number, created in ((1, 0), (2, 600_000)):
        order = book.add_pending(
            client_order_id=f"{number:016x}",
            direction=DirectionType.LONG,
            side=SideType.BUY,
            price_ticks=number,
            price=number * TICK,
            qty=Decimal(1),
            reduce_only=False,
            created_ts=at(created),
        )
        book.acknowledge(order, f"o{number}", at(created + 5))
    resting = json.loads(json.dumps(book.snapshot()))["resting"]
    assert resting["o1"] == to_us(at(5))
    assert resting["o2"]["client_order_id"] == f"{2:016x}"
    again = OrderBook()
    again.restore(book.snapshot(), TICK)
    assert [one.order_id for one in again] == ["o2"]
    assert again.past.started_ts("o1") == at(5)
