"""What each fill model fills, and when."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.fills.fill_simulator import (
    FillModel,
    MarketTrade,
    QueueFillSimulator,
    TouchFillSimulator,
    TradeThroughFillSimulator,
)
from exchange_model.orders.order_manager import BacktestOrderManager, SimulatedOrder
from gridcore import DirectionType, SideType
from gridcore.sides import TAKER_BUY, TAKER_SELL, TAKER_UNKNOWN
from testkit.backtests import QTY_STEP, TIERS

ZERO = Decimal(0)


class Book:
    """Orders of one pair, filled by trades of the market."""

    def __init__(self, model: FillModel) -> None:
        account = SimulatedAccount(Decimal(10_000))
        self.model = model
        self.orders = BacktestOrderManager(account.add_pair("a", "BTCUSDT", Decimal(10), TIERS))

    def rest(self, side: SideType, ticks: int, qty: str = "1", **parts: object) -> SimulatedOrder:
        size = Decimal(qty)
        values: dict[str, object] = {
            "order_id": f"o{len(self.orders) + 1}",
            "client_order_id": "c",
            "direction": DirectionType.LONG if side is SideType.BUY else DirectionType.SHORT,
            "reduce_only": False,
            "margin": ZERO,
        }
        order = SimulatedOrder(
            side=side,
            price_ticks=ticks,
            price=Decimal(ticks) / 10,
            qty=size,
            leaves_qty=size,
            **(values | parts),  # type: ignore[arg-type]
        )
        self.model.rest(order)
        self.orders.add(order)
        return order

    def trade(
        self, ticks: int, side: int = TAKER_SELL, qty: str = "1"
    ) -> list[tuple[str, Decimal]]:
        filled = []
        for order, size in self.model.fills(self.orders, MarketTrade(ticks, side, Decimal(qty))):
            self.orders.reduce(order, size)
            filled.append((order.order_id, size))
        return filled


@pytest.mark.parametrize(
    ("model", "at_limit"), [(TradeThroughFillSimulator(), False), (TouchFillSimulator(), True)]
)
@pytest.mark.parametrize(("side", "beyond"), [(SideType.BUY, 999), (SideType.SELL, 1001)])
def test_at_the_limit_and_beyond(
    model: FillModel, at_limit: bool, side: SideType, beyond: int
) -> None:
    book = Book(model)
    book.rest(side, 1000)
    low, high = model.quiet_range(book.orders)
    assert (low <= 1000 <= high) is not at_limit
    assert not low <= beyond <= high
    assert bool(book.trade(1000)) is at_limit
    if not at_limit:
        assert book.trade(beyond) == [("o1", Decimal(1))]


@pytest.mark.parametrize("model", [TradeThroughFillSimulator(), TouchFillSimulator()])
def test_best_price_first_then_oldest_first(model: FillModel) -> None:
    book = Book(model)
    for ticks in (990, 1000, 1000, 980):
        book.rest(SideType.BUY, ticks)
    assert [order_id for order_id, _ in book.trade(985)] == ["o2", "o3", "o1"]
    for ticks in (1030, 1010, 1020):
        book.rest(SideType.SELL, ticks)
    assert [order_id for order_id, _ in book.trade(1025)] == ["o3", "o4"]


def queue(ahead_usdt: int = 100) -> Book:
    return Book(QueueFillSimulator(Decimal(ahead_usdt), QTY_STEP))


def test_a_queue_is_used_up_before_the_order_fills_in_parts() -> None:
    book = queue(200)  # 2 base coins at 100 USDT
    order = book.rest(SideType.BUY, 1000, "3")
    assert book.trade(1000, qty="1.5") == []
    assert book.trade(1000, qty="1.5") == [("o1", Decimal(1))]
    assert order.leaves_qty == 2
    assert book.trade(1000, qty="5") == [("o1", Decimal(2))]
    assert not len(book.orders)


def test_only_takers_of_the_other_side_use_up_a_queue() -> None:
    book = queue(0)
    book.rest(SideType.BUY, 1000, "3")
    assert book.trade(1000, TAKER_BUY, "1") == []
    assert book.trade(1000, TAKER_SELL, "1") == [("o1", Decimal(1))]
    assert book.trade(1000, TAKER_UNKNOWN, "1") == [("o1", Decimal(1))]


def test_a_trade_beyond_the_limit_fills_whatever_waits_before_it() -> None:
    book = queue(1_000_000)
    book.rest(SideType.SELL, 1000, "3")
    assert book.trade(1001, TAKER_BUY, "0.001") == [("o1", Decimal(3))]


def test_two_orders_at_one_price_share_the_volume() -> None:
    book = queue(0)
    book.rest(SideType.BUY, 1000, "1")
    book.rest(SideType.BUY, 1000, "1")
    assert book.trade(1000, qty="1.5") == [("o1", Decimal(1)), ("o2", Decimal("0.5"))]


def test_parts_of_a_step_wait_until_they_make_a_step() -> None:
    book = queue(0)
    book.rest(SideType.BUY, 1000, "1")
    assert book.trade(1000, qty="0.0006") == []
    assert book.trade(1000, qty="0.0006") == [("o1", Decimal("0.001"))]
    assert book.trade(1000, qty="0.0008") == [("o1", Decimal("0.001"))]


@given(
    ahead=st.integers(0, 500),
    volumes=st.lists(st.decimals("0.001", "2", places=3), min_size=1, max_size=40),
)
def test_a_queue_never_fills_more_than_has_traded_beyond_it(
    ahead: int, volumes: list[Decimal]
) -> None:
    book = queue(ahead)
    book.rest(SideType.BUY, 1000, "5")
    filled = sum((qty for v in volumes for _, qty in book.trade(1000, qty=str(v))), ZERO)
    passed = sum(volumes) - Decimal(ahead) / 100
    assert filled == max(ZERO, min(Decimal(5), passed // QTY_STEP * QTY_STEP))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60), st.booleans()), max_size=60))
def test_the_next_order_to_fill_is_always_at_hand(steps: list[tuple[bool, int, bool]]) -> None:
    book = Book(TouchFillSimulator())
    for number, (is_buy, ticks, removes) in enumerate(steps):
        side = SideType.BUY if is_buy else SideType.SELL
        if removes and len(book.orders):
            book.orders.remove(list(book.orders.orders)[ticks % len(book.orders)])
        else:
            book.rest(side, ticks, order_id=f"n{number}")
        resting = book.orders.orders.values()
        buys = [o.price_ticks for o in resting if o.side is SideType.BUY]
        sells = [o.price_ticks for o in resting if o.side is SideType.SELL]
        assert book.orders.highest_buy == max(buys, default=0)
        assert book.orders.lowest_sell == min(sells, default=1 << 62)
        margin = sum((o.margin for o in resting if not o.reduce_only), ZERO)
        assert book.orders.pair.order_margin == margin
