"""Every named deviation from the older bot, shown on purpose."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from bbu_reference.positions import LastCheck
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
    Position,
    PositionState,
    SideType,
    order_qty,
)
from testkit.builders import execution, risk, ticker
from testkit.parity_cases import NOISY_PRICE, Contract, built_in_contracts, noisy_contracts
from testkit.parity_exact import ExactGrid, Recentre, in_ticks, is_noise
from testkit.parity_grids import GridPair
from testkit.parity_positions import LimitsPair, compare_check, compare_multipliers
from testkit.parity_quantities import QtyCase, compare_quantity
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


def position(
    leg: DirectionType, size: str, liq: str | None = None, entry: str = "100"
) -> PositionState:
    value = Decimal(size) * Decimal(entry)
    return PositionState(
        leg, Decimal(size), Decimal(entry), Decimal(0), value / WALLET,
        None if liq is None else Decimal(liq), Decimal(10), value,
    )  # fmt: skip


def qty_case(amount: str, price: str, side: SideType = BUY, **rules: Decimal) -> QtyCase:
    info = replace(BTC.info, **rules)
    return QtyCase(
        AmountSpec.parse(amount), Decimal(price), info, LONG, side, 1.0, Decimal(1), WALLET
    )


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


def test_floats_miss_a_quotient_of_legs() -> None:
    # 30.9 / 154.5 is 0.2 exactly, not below; in floats it is 0.19999999999999998
    verdict = compare_multipliers(
        position(LONG, "30.9", entry="99"), position(SHORT, "154.5", entry="99"),
        Decimal(100), WALLET, LIMITS,
    )  # fmt: skip
    assert verdict == (Deviation.FLOAT_THRESHOLD,)
    assert 30.9 / 154.5 < 0.2


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


# quantities


def test_a_plain_amount_is_usdt() -> None:
    case = qty_case("100", "50000")
    assert compare_quantity(case) == (Deviation.PLAIN_USDT,)
    assert case.core() == Decimal("0.002")  # the older bot's 100 would be 100 BTC, its b100 is this


def test_b_stands_for_base_coin() -> None:
    case = qty_case("b0.5", "50000")
    assert compare_quantity(case) == (Deviation.BASE_COIN,)
    assert case.core() == Decimal("0.5")  # the older bot's b0.5 would be half a dollar


def test_a_quantity_is_rounded_once_and_after_all_factors() -> None:
    coarse = {"qty_step": Decimal("0.1"), "min_qty": Decimal("0.1")}
    case = replace(qty_case("b0.0007", "50000", **coarse), multiplier=2.0)
    assert compare_quantity(case) == (Deviation.BASE_COIN, Deviation.ROUNDED_ONCE)
    assert (case.core(), case.oracle()) == (Decimal("0.1"), 0.2)


def test_the_minimum_is_not_halved() -> None:
    case = replace(
        qty_case("x0.001", "1000", min_qty=Decimal("0.010"), min_notional=Decimal(5)),
        multiplier=0.5,
    )
    assert compare_quantity(case) == (Deviation.ROUNDED_ONCE,)
    assert (case.core(), case.oracle()) == (Decimal("0.010"), 0.005)


def test_a_share_of_the_wallet_is_one_of_its_usdt() -> None:
    case = replace(qty_case("x0.01", "50000"), other_coins=Decimal(10_000))
    assert compare_quantity(case) == (Deviation.OTHER_COINS,)
    assert (case.core(), case.oracle()) == (Decimal("0.002"), 0.004)


@pytest.mark.parametrize(
    ("leg", "ratio", "core", "oracle"), [(LONG, 1.0, "0.003", 0.002), (SHORT, 2.0, "0.002", 0.003)]
)
def test_long_koef_is_the_long_legs_always(
    leg: DirectionType, ratio: float, core: str, oracle: float
) -> None:
    case = replace(
        qty_case("x0.01", "50000", SELL if leg is SHORT else BUY),
        direction=leg,
        long_koef=Decimal("1.5"),
        position_ratio=ratio,
    )
    assert compare_quantity(case) == (Deviation.LONG_KOEF,)
    assert (case.core(), case.oracle()) == (Decimal(core), oracle)


def test_closing_orders_have_no_minimum_notional() -> None:
    case = qty_case("x0.0001", "1000", SELL)  # 1 USDT
    assert compare_quantity(case) == (Deviation.CLOSING_MIN_NOTIONAL,)
    assert (case.core(), case.oracle()) == (Decimal("0.001"), 0.005)
    assert qty_case("b0.001", "1000", BUY).core() == Decimal("0.005")


def test_the_contracts_own_minimum_notional_counts() -> None:
    case = qty_case("x0.0001", "1000", min_notional=Decimal(20))
    assert compare_quantity(case) == (Deviation.OWN_MIN_NOTIONAL,)
    assert case.core() == Decimal("0.020")


def test_a_quantity_is_cut_to_the_contracts_maximum() -> None:
    case = replace(qty_case("x0.5", "1"), wallet=Decimal(10**9))
    assert compare_quantity(case) == (Deviation.MAX_QTY,)
    assert case.core() == BTC.info.max_qty


def test_an_empty_wallet_orders_nothing() -> None:
    case = replace(qty_case("x0.01", "1000"), wallet=Decimal(0))
    assert compare_quantity(case) == (Deviation.NO_WALLET,)
    assert case.oracle() > 0  # the older bot orders the minimum


def test_floats_take_a_hair_over_a_step_for_the_step() -> None:
    # 70.000000000000001 steps: exactly one more is needed; 14 digits do not show it
    case = qty_case("b0.07000000000000001", "50000")
    assert compare_quantity(case) == (Deviation.FLOAT_TIE,)
    assert case.core() == Decimal("0.071")


# position checks


def test_a_short_in_danger_is_reduced_and_a_safe_one_left_alone() -> None:
    long = position(LONG, "50")
    for liq, expected in (("105", 1.5), ("130", 1.0)):
        short = position(SHORT, "50", liq)
        assert compare_multipliers(long, short, Decimal(100), WALLET, LIMITS) == (
            Deviation.SHORT_LIQUIDATION,
        )
        legs = Position.create_linked_pair(risk())
        legs[0].calculate_amount_multiplier(long, short, Decimal(100))
        legs[1].calculate_amount_multiplier(short, long, Decimal(100))
        assert legs[1].get_amount_multiplier()[BUY] == expected


def test_a_check_judges_the_legs_that_are() -> None:
    # 0.048 / 0.050 are equal legs, and 0.052 is equal to 0.050; 0.052 / 0.048 are not equal
    limits = LimitsPair(risk(min_total_margin=3.0))
    last, found = LastCheck(), []
    for sizes in (("48", "50"), ("52", "48"), ("52", "48")):
        long, short = (position(leg, size) for leg, size in zip((LONG, SHORT), sizes, strict=True))
        verdict, last = compare_check(long, short, Decimal(100), WALLET, limits, last)
        found.append(verdict)
    # at first the older bot goes by a short margin of 1, at last it has caught up
    assert found == [(Deviation.PRESENT_CHECK,), (Deviation.PRESENT_CHECK,), None]


def test_a_lone_long_keeps_its_liquidation_rules_in_both() -> None:
    long, none = position(LONG, "50", "90"), PositionState.empty(SHORT)
    assert compare_multipliers(long, none, Decimal(100), WALLET, LIMITS) is None
    legs = Position.create_linked_pair(risk())
    legs[0].calculate_amount_multiplier(long, none, Decimal(100))
    legs[1].calculate_amount_multiplier(none, long, Decimal(100))
    assert legs[0].get_amount_multiplier() == {BUY: 1.0, SELL: 1.5}


def test_beside_a_lone_short_nothing_is_doubled_in_either() -> None:
    none, short = PositionState.empty(LONG), position(SHORT, "50")
    assert compare_multipliers(none, short, Decimal(100), WALLET, LIMITS) is None
    legs = Position.create_linked_pair(risk())
    legs[0].calculate_amount_multiplier(none, short, Decimal(100))
    assert legs[0].get_amount_multiplier() == {BUY: 1.0, SELL: 1.0}


def test_beside_an_empty_long_leg_the_short_one_is_checked() -> None:
    none, short = PositionState.empty(LONG), position(SHORT, "50", "105")
    last = LastCheck(position_ratio=0.0, short_margin=0.5)
    for entry, expected in ((0.0, (Deviation.EMPTY_LONG,)), (None, (Deviation.SHORT_LIQUIDATION,))):
        verdict, _ = compare_check(
            none, short, Decimal(100), WALLET, LIMITS, last, empty_entry=entry
        )
        assert verdict == expected


@pytest.mark.parametrize("leg", list(DirectionType))
def test_both_agree_on_legs_without_any_deviation(leg: DirectionType) -> None:
    sizes = {LONG: "50", SHORT: "50"} | {leg: "300"}
    verdict = compare_multipliers(
        position(LONG, sizes[LONG]), position(SHORT, sizes[SHORT]), Decimal(100), WALLET, LIMITS
    )
    assert verdict is None


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
