"""What each fill model fills, and when."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.fills.chance import ChanceFillSimulator
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
        self, ticks: int, side: int = TAKER_SELL, qty: str = "1", number: int = 0
    ) -> list[tuple[str, Decimal]]:
        filled = []
        trade = MarketTrade(ticks, side, Decimal(qty), number)
        for order, size in self.model.fills(self.orders, trade):
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


def by_chance(chance: str, seed: int = 1) -> Book:
    return Book(ChanceFillSimulator(Decimal(chance), seed))


def test_a_chance_is_met_in_the_long_run() -> None:
    filled = 0
    for number in range(4_000):
        book = by_chance("0.25")
        book.rest(SideType.BUY, 1000)
        filled += len(book.trade(1000, number=number))
    assert 900 < filled < 1_100


def test_a_draw_is_of_one_order_and_one_trade() -> None:
    def outcome(numbers: list[int]) -> list[int]:
        book = by_chance("0.3")
        for name in ("a", "b"):
            book.rest(SideType.SELL, 1000, order_id=name)
        return [number for number in numbers for _ in book.trade(1000, number=number)]

    every, few = outcome(list(range(40))), outcome([n for n in range(40) if n % 3])
    # what was not looked at changes nothing of what is drawn afterwards
    assert [n for n in every if n % 3][:1] == few[:1]
    assert len(every) == 2
    seeds = [by_chance("0.5", seed) for seed in range(30)]
    for book in seeds:
        book.rest(SideType.BUY, 1000)
    assert 5 < sum(len(book.trade(1000)) for book in seeds) < 25


def test_beyond_the_limit_no_chance_is_asked() -> None:
    book = by_chance("0")
    book.rest(SideType.BUY, 1000)
    assert book.trade(1000) == []
    assert book.trade(999) == [("o1", Decimal(1))]


@pytest.mark.parametrize("chance", ["-0.1", "1.01"])
def test_a_chance_lies_within_0_and_1(chance: str) -> None:
    with pytest.raises(ValueError, match="within 0 and 1"):
        ChanceFillSimulator(Decimal(chance), 1)
