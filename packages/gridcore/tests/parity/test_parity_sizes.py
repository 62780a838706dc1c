"""Named deviations of quantities and position checks, shown on purpose."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bbu_reference.positions import LastCheck
from gridcore import AmountSpec, DirectionType, Position, PositionState, SideType
from testkit.builders import risk
from testkit.parity_cases import built_in_contracts
from testkit.parity_positions import LimitsPair, compare_check, compare_multipliers
from testkit.parity_quantities import QtyCase, compare_quantity
from testkit.parity_report import Deviation

BTC = built_in_contracts()[0]
LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
LIMITS = LimitsPair(risk())
WALLET = Decimal(10_000)


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


def test_floats_miss_a_quotient_of_legs() -> None:
    # 30.9 / 154.5 is 0.2 exactly, not below; in floats it is 0.19999999999999998
    verdict = compare_multipliers(
        position(LONG, "30.9", entry="99"), position(SHORT, "154.5", entry="99"),
        Decimal(100), WALLET, LIMITS,
    )  # fmt: skip
    assert verdict == (Deviation.FLOAT_THRESHOLD,)
    assert 30.9 / 154.5 < 0.2
