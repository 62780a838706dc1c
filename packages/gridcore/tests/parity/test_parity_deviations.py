"""Every named deviation from the older bot, shown on purpose."""

from decimal import Decimal
from fractions import Fraction

import pytest

from gridcore import (
    AmountSpec,
    CancelIntent,
    CancelReason,
    DirectionType,
    Grid,
    GridConfig,
    GridEngine,
    GridError,
    PlaceLimitIntent,
    SideType,
    order_qty,
)
from testkit.builders import execution, risk, ticker
from testkit.parity_cases import NOISY_PRICE, Contract, built_in_contracts, noisy_contracts
from testkit.parity_exact import ExactGrid, Recentre, in_ticks, is_noise
from testkit.parity_grids import GridPair
from testkit.parity_positions import LimitsPair
from testkit.parity_report import Deviation, Verdict
from testkit.parity_steps import EnginePair
from testkit.parity_world import World

BTC = built_in_contracts()[0]
LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
LIMITS = LimitsPair(risk())
WALLET = Decimal(10_000)


def grid_pair(count: int = 4, step: str = "1", tick: str = "0.1") -> GridPair:
    return GridPair(Decimal(tick), GridConfig(count, Decimal(step)))


def engine_pair(
    count: int = 10, step: str = "1", contract: Contract = BTC, price: Decimal = Decimal(60_000)
) -> EnginePair:
    world = World(contract, GridConfig(count, Decimal(step)), AmountSpec.parse("b0.01"))
    pair = EnginePair(world, afresh=True)
    assert pair.poll(price)[0] is None
    return pair


# float noise


def test_floats_miss_a_rounding_tie() -> None:
    # one step of 0.05 % above 3000 ticks are 3001.5 ticks exactly: the even one is 3002
    pair = grid_pair(4, "0.05", "0.1")
    assert pair.build(Decimal("300.0")) == (Deviation.FLOAT_TIE,)
    assert in_ticks(Decimal("300.0"), Decimal("0.1")) * Fraction(10_005, 10_000) == 3001.5
    assert pair.core.ticks[1:4] == [2998, 3000, 3002]


@pytest.mark.parametrize("fill", ["5600.7", "5599.3"])
def test_floats_miss_the_wait_threshold(fill: str) -> None:
    # |5600 - fill| / 5600 is exactly a quarter of the step, and waiting needs less than that
    assert Fraction("0.7") / 5600 == Fraction("0.05") / 100 / 4
    pair = grid_pair(4, "0.05", "0.1")
    assert pair.build(Decimal(5600)) is None
    assert pair.update(Decimal(fill), Decimal("5600.2")) == (Deviation.FLOAT_THRESHOLD,)
    assert pair.core.sides[2] == "Buy"


def test_the_boundary_of_half_a_step_is_judged_exactly() -> None:
    exact = ExactGrid(GridConfig(4, Decimal(1)))
    assert not exact.is_far_enough("Buy", 9950, Fraction(10_000))
    assert exact.is_far_enough("Buy", 9949, Fraction(10_000))
    assert exact.is_far_enough("Sell", 10_051, Fraction(10_000))
    assert not exact.is_far_enough("Sell", 9_000, Fraction(10_000))
    assert exact.is_half_step_noise(9950, Fraction(10_000))


def test_noise_is_far_smaller_than_any_real_difference() -> None:
    assert is_noise(Fraction(1, 2) + Fraction(1, 10**16), Fraction(1, 2), Fraction(1))
    assert not is_noise(Fraction(1, 2) + Fraction(1, 10**12), Fraction(1, 2), Fraction(1))


def test_floats_have_levels_beside_their_tick() -> None:
    pair = engine_pair(contract=noisy_contracts()[0], price=NOISY_PRICE)
    middle = pair.engine.grid.ticks[5]
    assert pair.grids.oracle.levels[5].price == 717037.2000000001
    pair.fill(pair.world.tick * pair.engine.grid.ticks[4])  # so that the middle takes a side
    pair.poll(NOISY_PRICE * Decimal("1.003"))
    pair.world.rest(LONG, BUY, middle, Decimal("0.01"))
    verdict, deeds = pair.poll(NOISY_PRICE * Decimal("1.012"))
    assert verdict == (Deviation.FLOAT_PRICE,)
    assert not any(deed[0] == "cancel" or deed[3] == str(middle) for deed in deeds[:1])


# grids


@pytest.mark.parametrize(
    ("filled", "close", "levels", "verdict"),
    [
        (980, 985, "B970 W980 S990 S1000 S1010", None),
        (1020, 1015, "B990 B1000 B1010 W1020 S1030", (Deviation.RECENTRE_NO_SELLS,)),
    ],
)
def test_a_grid_that_lost_one_side_moves_on(
    filled: int, close: int, levels: str, verdict: Verdict
) -> None:
    pair = grid_pair(4, "1", "1")
    assert pair.build(Decimal(1000)) is None
    assert pair.update(Decimal(filled), Decimal(close)) == verdict
    assert " ".join(f"{side[0]}{ticks}" for side, ticks in pair.core_levels()) == levels


def test_moving_down_starts_from_a_waiting_level_in_both() -> None:
    pair = grid_pair(10, "1")
    pair.build(Decimal(1000))
    lowest = pair.core.ticks[0]
    assert pair.update(pair.core.bounds[0], Decimal("0.1") * (pair.core.ticks[1] + 1)) is None
    assert pair.core.ticks[:2] == [round(lowest * Fraction(99, 100)), lowest]


def test_moving_up_starts_from_the_outermost_level() -> None:
    pair = grid_pair(10, "1")
    pair.build(Decimal(1000))
    top_ticks, second = pair.core.ticks[-1], pair.core.ticks[-2]
    market = Decimal("0.1") * (second - 1)
    verdict = pair.update(pair.core.bounds[1], market)
    assert verdict == (Deviation.RECENTRE_OUTERMOST,)
    assert pair.core.ticks[-2:] == [top_ticks, round(top_ticks * Fraction(101, 100))]
    # the older bot counts from the highest Sell, and lands on the waiting level
    exact = ExactGrid(pair.config)
    levels = (("Buy", 9900), ("Buy", 10000), ("Sell", 10100), ("Sell", 10201))
    (older,) = exact.updates(levels, Fraction(10_201), Fraction(10_050), Recentre.OLDER)
    (ours,) = exact.updates(levels, Fraction(10_201), Fraction(10_050), Recentre.OURS)
    assert older[-2:] == (("Wait", 10_201), ("Sell", 10_201))
    assert ours[-2:] == (("Wait", 10_201), ("Sell", 10_303))


def test_recentring_never_doubles_a_level() -> None:
    # one step down from tick 3 is 2.49 or less only for steps above 1/6: 3 x 0.9 rounds to 3
    pair = grid_pair(4, "10", "1")
    pair.core.restore(
        [
            {"price": "3", "side": "Buy"},
            {"price": "5", "side": "Sell"},
            {"price": "6", "side": "Sell"},
            {"price": "7", "side": "Sell"},
        ]
    )
    pair.align()
    assert pair.update(Decimal(100), Decimal(4)) == (Deviation.RECENTRE_NO_ROOM,)
    assert pair.core.ticks == [3, 5, 6, 7]


def test_levels_that_coincide_are_refused() -> None:
    pair = grid_pair(10, "0.05", "1")
    assert pair.build(Decimal(100)) == (Deviation.GRID_REFUSED,)
    pair.oracle.build(100.0)
    prices = [level.price for level in pair.oracle.levels]
    assert len(set(prices)) < len(prices)


def test_levels_at_zero_are_refused() -> None:
    assert grid_pair(10, "60", "1").build(Decimal(10)) == (Deviation.GRID_REFUSED,)


def test_a_fill_updates_the_grid_at_once() -> None:
    pair = engine_pair()
    verdict = pair.fill(pair.engine.grid.grid[3]["price"])
    assert verdict == (Deviation.FILL_UPDATES_GRID,)
    assert pair.engine.grid.sides[3] == "Wait"


# steps


def test_too_many_orders_place_nothing_at_that_tick() -> None:
    pair = engine_pair()
    world = pair.world
    for number in range(22):
        world.rest(LONG, BUY, 500_000 + number, Decimal(1))
    world.rest(SHORT, SELL, 700_000, Decimal(1))
    verdict, deeds = pair.poll(Decimal(60_500))
    assert verdict == (Deviation.TOO_MANY_ORDERS,)
    assert len(deeds) == 23
    assert {deed[0] for deed in deeds} == {"cancel"}  # both directions


def test_exactly_ten_orders_beyond_the_levels_are_not_too_many() -> None:
    pair = engine_pair()
    for number in range(21):
        pair.world.rest(LONG, BUY, 500_000 + number, Decimal(1))
    verdict, deeds = pair.poll(Decimal(60_500))
    assert verdict == (Deviation.OUTSIDE_ORDER,)
    assert any(deed[0] == "place" for deed in deeds)


def test_orders_on_no_level_go_oldest_first() -> None:
    pair = engine_pair()
    for number in range(3):
        pair.world.rest(LONG, BUY, 500_000 + number, Decimal(1))
    verdict, deeds = pair.poll(Decimal(60_000))
    assert verdict == (Deviation.OUTSIDE_ORDER,)
    assert [deed[1] for deed in deeds if deed[0] == "cancel"] == ["o1", "o2", "o3"]


def test_a_part_of_an_order_is_a_last_fill_too() -> None:
    pair = engine_pair()
    grid = pair.engine.grid
    pair.world.rest(LONG, BUY, grid.ticks[2], Decimal(1))
    whole, part = grid.grid[4]["price"], grid.grid[3]["price"]
    pair.fill(whole)
    assert pair.poll(Decimal(60_000))[0] is None
    pair.fill(part, whole=False)
    verdict, _ = pair.poll(Decimal(60_000))
    assert verdict == (Deviation.LAST_FILL,)  # the older bot still waits where the whole one was
    assert grid.sides[3] == "Wait"


def test_what_filled_before_the_start_is_no_last_fill() -> None:
    pair = engine_pair()
    grid = pair.engine.grid
    pair.world.rest(LONG, BUY, grid.ticks[4], Decimal(1))
    pair.world.last_completed = grid.grid[3]["price"]  # REST tells the older bot
    verdict, _ = pair.poll(Decimal(60_000))
    assert verdict == (Deviation.LAST_FILL,)
    assert grid.sides[3] == "Buy"


def test_one_of_two_orders_at_a_price_is_kept() -> None:
    pair = engine_pair()
    level = pair.engine.grid.ticks[2]
    pair.world.rest(LONG, BUY, level, Decimal(1))
    pair.world.rest(LONG, BUY, level, Decimal(1))
    verdict, deeds = pair.poll(Decimal(60_000))
    assert verdict == (Deviation.DUPLICATES,)
    assert ("cancel", "o2") in deeds
    assert ("cancel", "o1") not in deeds


def test_a_side_mismatch_is_cancelled_and_placed_by_both() -> None:
    pair = engine_pair()
    level = pair.engine.grid.ticks[2]
    pair.world.rest(LONG, SELL, level, Decimal(1))
    verdict, deeds = pair.poll(Decimal(60_000))
    assert verdict is None
    at = deeds.index(("cancel", "o1"))
    assert deeds[at + 1][:4] == ("place", "long", "Buy", str(level))


# beyond the older bot: rules that it has no input for


def test_an_anchor_keeps_the_centre_while_the_market_is_inside() -> None:
    config = GridConfig(10, 1)
    engine = GridEngine("BTCUSDT", Decimal("0.1"), config, "s", anchor_price=Decimal(60_000))
    engine.on_event(ticker("61000"))
    assert engine.get_anchor_price() == 60_000
    other = GridEngine("BTCUSDT", Decimal("0.1"), config, "s", anchor_price=Decimal(60_000))
    other.on_event(ticker("70000"))
    assert other.get_anchor_price() == 70_000


def test_the_reasons_of_cancels_are_told() -> None:
    pair = engine_pair()
    level, ticks = pair.engine.grid.ticks[2], pair.engine.grid.ticks
    world = pair.world
    world.rest(LONG, SELL, level, Decimal(1))
    world.rest(LONG, BUY, ticks[0] - 7, Decimal(1))
    intents = pair.engine.on_event(
        ticker("60000"), {leg.value: world.of(leg) for leg in DirectionType}
    )
    reasons = [intent.reason for intent in intents if isinstance(intent, CancelIntent)]
    assert reasons == [CancelReason.SIDE_MISMATCH, CancelReason.OUTSIDE_GRID]
    assert any(isinstance(intent, PlaceLimitIntent) for intent in intents)


def test_an_execution_before_the_first_ticker_builds_nothing() -> None:
    engine = GridEngine("BTCUSDT", Decimal("0.1"), GridConfig(10, 1), "s")
    assert engine.on_event(execution()) == []
    assert len(engine.grid) == 0


def test_a_refusal_keeps_the_present_grid() -> None:
    grid = Grid(Decimal(1), 10, 1)
    grid.build_grid(Decimal(1000))
    before = grid.snapshot()
    with pytest.raises(GridError, match="too small for tick size 1 at price 30"):
        grid.build_grid(Decimal(30))
    assert grid.snapshot() == before


def test_order_qty_is_the_same_whatever_the_notation_of_the_price() -> None:
    quantities = {
        order_qty(AmountSpec.parse("100"), Decimal(text), BTC.info, opening=True)
        for text in ("50000", "50000.00", "5E+4")
    }
    assert quantities == {Decimal("0.002")}
