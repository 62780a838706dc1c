"""Margin of a hedged pair, checked against recorded figures of the exchange."""

from decimal import Decimal

from gridcore import (
    DirectionType,
    MMTier,
    MMTiers,
    PositionState,
    calc_order_margin,
    calc_pair_margins,
)

LTC_TIERS = MMTiers((MMTier(Decimal(200_000), Decimal("0.01"), Decimal("0.02"), Decimal(0)),))
MARK = Decimal("53.70")


def held(direction: DirectionType, size: str, entry: str) -> PositionState:
    value = Decimal(size) * Decimal(entry)
    zero = Decimal(0)
    return PositionState(
        direction, Decimal(size), Decimal(entry), zero, zero, None, Decimal(10), value
    )


def test_a_long_heavy_pair_as_the_exchange_reported_it() -> None:
    long = held(DirectionType.LONG, "6.2", "55.91368848")
    short = held(DirectionType.SHORT, "2.2", "55.53059536")
    long_margin, short_margin = calc_pair_margins(long, short, MARK, LTC_TIERS)
    tolerance = Decimal("1e-8")
    assert abs(long_margin.initial - Decimal("33.52648911")) < tolerance
    assert abs(long_margin.maintenance - Decimal("2.38048911")) < tolerance
    assert abs(short_margin.initial - Decimal("0.14782244")) < tolerance
    assert short_margin.initial == short_margin.maintenance


def test_a_lone_leg_reserves_its_fee_once() -> None:
    long = held(DirectionType.LONG, "2", "50")
    margin, none = calc_pair_margins(
        long, PositionState.empty(DirectionType.SHORT), Decimal(50), LTC_TIERS
    )
    fee = Decimal(2) * 50 * Decimal("0.9") * Decimal("0.00055")
    assert margin.initial == 10 + fee
    assert margin.maintenance == 1 + fee
    assert (none.initial, none.maintenance) == (0, 0)


def test_a_short_heavy_pair_carries_its_margin_on_the_short_leg() -> None:
    long = held(DirectionType.LONG, "1", "50")
    short = held(DirectionType.SHORT, "3", "50")
    long_margin, short_margin = calc_pair_margins(long, short, Decimal(50), LTC_TIERS)
    fee = Decimal(4) * 50 * Decimal("1.1") * Decimal("0.00055")
    assert short_margin.initial == 15 + fee
    assert short_margin.maintenance == 1 + fee
    assert long_margin.initial == Decimal(2) * 50 * Decimal("0.9") * Decimal("0.00055")


def test_order_margin_includes_both_fees() -> None:
    one = (Decimal(1), Decimal(100), Decimal(10))
    rate = Decimal("0.00055")
    assert calc_order_margin(DirectionType.LONG, *one) == 10 + 100 * rate * Decimal("1.9")
    assert calc_order_margin(DirectionType.SHORT, *one) == 10 + 100 * rate * Decimal("2.1")
