"""The quiet band: inside nothing changes but the last price, at its edges something does."""

import random
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    CancelIntent,
    DirectionType,
    GridConfig,
    GridEngine,
    GridError,
    Intent,
    LimitOrder,
    PlaceLimitIntent,
    SideType,
)
from testkit.builders import execution, ticker

pytestmark = pytest.mark.untraced

LAWS = settings(max_examples=400, deadline=None, derandomize=True)
PATHS = settings(max_examples=30, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10**9)
INFINITY = Decimal("Infinity")
KINDS = ("none", "near", "near", "missing", "mismatched", "outside", "doubled", "many", "leg")
LONG, SHORT = DirectionType.LONG, DirectionType.SHORT


@dataclass
class Market:
    """An engine with the orders that rest for it."""

    engine: GridEngine
    rng: random.Random
    orders: dict[str, LimitOrder] = field(default_factory=dict)
    number: int = 0

    @property
    def tick(self) -> Decimal:
        return self.engine.tick_size

    @property
    def given(self) -> dict[str, list[LimitOrder]]:
        return {
            leg.value: [o for o in self.orders.values() if o.direction is leg]
            for leg in DirectionType
        }

    def add(self, leg: DirectionType, side: SideType, ticks: int, left: str = "1") -> None:
        self.number += 1
        name = f"o{self.number}"
        self.orders[name] = LimitOrder(
            order_id=name, order_link_id="", direction=leg, side=side, price_ticks=max(1, ticks),
            qty=Decimal(1), leaves_qty=Decimal(left), age_rank=self.number,
        )  # fmt: skip

    def take(self, price: Decimal) -> list[Intent]:
        return self.engine.on_event(ticker(price), self.given)

    def fill(self, price: Decimal) -> None:
        self.engine.on_event(execution(price=price))

    def carry_out(self, intents: list[Intent]) -> None:
        for intent in intents:
            if isinstance(intent, CancelIntent):
                del self.orders[intent.order_id]
            else:
                self.add(intent.direction, intent.side, int(intent.price / self.tick))

    def settle(self) -> None:
        """Carry out what is wanted at the present price until nothing more is."""
        price = self.engine.last_close
        assert price is not None
        for _ in range(30):
            version = self.engine.grid.version
            intents = self.take(price)
            self.carry_out(intents)
            if not intents and self.engine.grid.version == version:
                return


def random_market(seed: int) -> Market:
    """Return an engine in a state that ticks, fills and orders can bring about."""
    rng = random.Random(seed)
    config = GridConfig(
        rng.randint(10, 60), Decimal(rng.choice(("0.1", "0.2", "0.37", "0.5", "1")))
    )
    tick = Decimal(rng.choice(("0.1", "0.01", "0.5", "1E-7")))
    market = Market(GridEngine("BTCUSDT", tick, config, "s"), rng)
    ticks = rng.randint(20_000, 200_000)
    market.take(tick * ticks)
    for _ in range(rng.randint(0, 4)):
        levels = market.engine.grid.ticks
        if rng.random() < 0.8:
            market.fill(tick * rng.choice(levels))
        if rng.random() < 0.6:
            market.settle()
        low, high = market.engine.grid.ticks[0], market.engine.grid.ticks[-1]
        market.take(tick * rng.randint(low + 1, high - 1))
    if rng.random() < 0.85:
        market.settle()
    disturb(market)
    return market


def disturb(market: Market) -> None:
    """Change the resting orders a little, or a lot, or not at all."""
    rng, grid = market.rng, market.engine.grid
    kind = rng.choice(KINDS)
    names = list(market.orders)
    if kind == "missing":
        for name in rng.sample(names, min(len(names), rng.randint(1, 8))):
            del market.orders[name]
    elif kind == "near":
        drop_near(market)
    elif kind == "mismatched" and names:
        wrong = market.orders[rng.choice(names)]
        del market.orders[wrong.order_id]
        market.add(wrong.direction, wrong.side.opposite, wrong.price_ticks)
    elif kind == "outside":
        market.add(LONG, SideType.BUY, grid.ticks[0] + rng.randint(-9, 9))
    elif kind == "doubled" and names:
        twin = market.orders[rng.choice(names)]
        market.add(twin.direction, rng.choice(list(SideType)), twin.price_ticks, "0.5")
    elif kind == "many":
        for ticks in range(len(grid) + 11):
            market.add(SHORT, SideType.SELL, grid.ticks[-1] + 5 + ticks)
    elif kind == "leg":
        for name in [n for n in names if market.orders[n].direction is LONG]:
            del market.orders[name]


def drop_near(market: Market) -> None:
    """Drop the orders that are too near to be wanted again at this market."""
    engine = market.engine
    close, half_step = engine.last_close, engine.config.step_fraction / 2
    assert close is not None
    ticks = int(close / market.tick)
    for name, order in list(market.orders.items()):
        if abs(order.price_ticks - ticks) <= half_step * ticks:
            del market.orders[name]


def lasting(engine: GridEngine) -> tuple[object, ...]:
    """Return everything that users can see but the last price."""
    grid = engine.grid
    return (
        grid.snapshot(), list(grid.ticks), list(grid.sides), grid.version, grid.anchor_price,
        engine.last_filled_price, dict(engine.pending_orders),
    )  # fmt: skip


def content(engine: GridEngine) -> tuple[object, ...]:
    return engine.grid.snapshot(), engine.grid.anchor_price


def assert_quiet(market: Market, price: Decimal) -> None:
    twin = deepcopy(market.engine)
    before = lasting(twin)
    assert twin.on_event(ticker(price), market.given) == []
    assert lasting(twin) == before
    assert twin.last_close == price


def assert_loud(market: Market, price: Decimal) -> None:
    twin = deepcopy(market.engine)
    before = content(twin)
    try:
        intents = twin.on_event(ticker(price), market.given)
    except GridError:
        return  # no grid fits there: that is something
    assert intents or content(twin) != before


@LAWS
@given(SEEDS)
def test_one_tick_inside_nothing_changes_and_at_the_edge_something_does(seed: int) -> None:
    market = random_market(seed)
    engine, tick, rng = market.engine, market.tick, market.rng
    before = lasting(engine), engine.last_close
    low, high = engine.quiet_band(market.given)
    assert (lasting(engine), engine.last_close) == before  # asking changes nothing
    close = engine.last_close
    assert close is not None
    if low == high:
        assert low == close
        assert_loud(market, close)
        return
    assert low < close < high
    assert_quiet(market, close)
    if low > 0:
        assert_quiet(market, low + tick)
        assert_loud(market, low)
    else:
        assert_quiet(market, tick)
    if high < INFINITY:
        assert_quiet(market, high - tick)
        assert_loud(market, high)
    else:
        assert_quiet(market, close * 1000)
    first = int(low / tick) + 1
    last = int(high / tick) - 1 if high < INFINITY else first + 10**6
    for _ in range(5):
        assert_quiet(market, tick * rng.randint(first, last))


def test_the_drawn_states_are_of_every_kind() -> None:
    kinds = {"empty": 0, "bounded": 0, "open": 0}
    for seed in range(150):
        market = random_market(seed)
        low, high = market.engine.quiet_band(market.given)
        open_ended = low == 0 or high == INFINITY
        kinds["empty" if low == high else "open" if open_ended else "bounded"] += 1
    assert kinds["empty"] > 20
    assert kinds["bounded"] > 20
    assert kinds["open"] > 10


@LAWS
@given(SEEDS)
def test_a_fresh_engine_in_the_same_state_has_the_same_band(seed: int) -> None:
    market = random_market(seed)
    engine = market.engine
    fresh = GridEngine(
        "BTCUSDT", engine.tick_size, engine.config, "s", engine.grid.anchor_price,
        engine.grid.snapshot(),
    )  # fmt: skip
    fresh.last_close, fresh.last_filled_price = engine.last_close, engine.last_filled_price
    assert fresh.quiet_band(market.given) == engine.quiet_band(market.given)


# paths


def walk(seed: int, *, skip: bool) -> tuple[list[tuple[int, list[Intent]]], int, object]:
    """Trade a random path; return the intents by tick, the ticks looked at, the last state."""
    rng = random.Random(seed)
    config = GridConfig(rng.randint(10, 60), Decimal(rng.choice(("0.2", "0.5", "1"))))
    tick = Decimal("0.1")
    market = Market(GridEngine("BTCUSDT", tick, config, "s"), rng)
    price = rng.randint(50_000, 100_000)
    reach = rng.choice((20, 80, 300, 900))
    path = random.Random(seed + 1)
    found: list[tuple[int, list[Intent]]] = []
    band: tuple[Decimal, Decimal] | None = None
    looked_at = 0
    for number in range(250):
        price = max(20_000, price + path.randint(-reach, reach))
        if path.random() < 0.01:
            price += path.choice((-1, 1)) * 6_000
        market_price = tick * price
        reached = [
            o
            for o in market.orders.values()
            if (o.price_ticks >= price if o.side is SideType.BUY else o.price_ticks <= price)
        ]
        for order in reached:
            del market.orders[order.order_id]
            market.fill(tick * order.price_ticks)
            band = None
        if skip and band is not None and band[0] < market_price < band[1]:
            market.engine.last_close = market_price
            continue
        looked_at += 1
        intents = market.take(market_price)
        if intents:
            found.append((number, intents))
            market.carry_out(intents)
        band = market.engine.quiet_band(market.given) if skip else None
    return found, looked_at, (lasting(market.engine)[:3], market.engine.last_close)


@PATHS
@given(SEEDS)
def test_skipping_quiet_ticks_changes_no_decision(seed: int) -> None:
    every, all_ticks, end = walk(seed, skip=False)
    some, looked_at, same_end = walk(seed, skip=True)
    assert every == some
    assert end == same_end
    assert looked_at <= all_ticks


def test_skipping_skips() -> None:
    assert sum(walk(seed, skip=True)[1] for seed in range(5)) < 0.7 * 5 * 250


# examples


def started(*names: str, count: int = 4) -> Market:
    """Return a settled market at 1000 with levels ... 980.1, 990, 1000, 1010, 1020.1 ..."""
    config = GridConfig(count, 1)
    market = Market(GridEngine("BTCUSDT", Decimal("0.1"), config, "s"), random.Random(1))
    market.carry_out(market.take(Decimal(1000)))
    for name in names:
        del market.orders[name]
    return market


def test_before_the_first_ticker_there_is_no_band() -> None:
    with pytest.raises(GridError, match="no ticker yet"):
        GridEngine("BTCUSDT", Decimal("0.1"), GridConfig(), "s").quiet_band()


def test_a_full_grid_that_is_not_updated_is_quiet_everywhere() -> None:
    market = started()
    assert market.engine.quiet_band(market.given) == (0, INFINITY)


def test_a_missing_order_is_quiet_until_the_market_is_far_enough() -> None:
    market = started("o1")  # the long Buy at 990
    assert market.engine.quiet_band(market.given) == (1000, 1000)  # it is wanted now
    market.engine.last_close = Decimal(993)
    low, high = market.engine.quiet_band(market.given)
    # wanted where (market - 990) / market > 0.5 %: from 994.9749 on
    assert (low, high) == (0, Decimal("995.0"))


def test_an_updated_grid_is_quiet_between_its_levels() -> None:
    market = started(count=10)
    for name in list(market.orders):
        if market.orders[name].price_ticks == 9_900:
            del market.orders[name]
    market.fill(Decimal(990))
    assert market.engine.grid.sides[4:7] == ["Wait", "Wait", "Sell"]
    # nine levels of ten have their order: the grid follows the market. The level at 1000 waits
    # though no fill explains it, so only exactly there it stays as it is.
    assert market.engine.quiet_band(market.given) == (Decimal("999.9"), Decimal("1000.1"))
    market.take(Decimal("1000.1"))
    market.settle()
    # until the market reaches the order-less Buy level at 1000 from below or the Sell at 1010
    assert market.engine.grid.sides[4:7] == ["Wait", "Buy", "Sell"]
    low, high = market.engine.quiet_band(market.given)
    assert (low, high) == (Decimal("999.9"), Decimal("1005.1"))


def test_a_last_price_between_two_ticks_has_no_band() -> None:
    market = started()
    market.engine.last_close = Decimal("1000.05")
    assert market.engine.quiet_band(market.given) == (Decimal("1000.05"), Decimal("1000.05"))


def test_places_and_cancels_alike_end_the_quiet() -> None:
    for disturbance in ("outside", "mismatch"):
        market = started()
        if disturbance == "outside":
            market.add(LONG, SideType.BUY, 9_850)
        else:
            order = market.orders.pop("o1")
            market.add(LONG, SideType.SELL, order.price_ticks)
        assert market.engine.quiet_band(market.given) == (1000, 1000)
        assert any(not isinstance(i, PlaceLimitIntent) for i in market.take(Decimal(1000)))
