"""Profit, margin and liquidation, against worked examples and against their own equations."""

import json
import random
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    DirectionType,
    GridcoreError,
    MMTier,
    MMTiers,
    PositionState,
    SideType,
    TierError,
    calc_fee_to_close,
    calc_imr_pct,
    calc_initial_margin,
    calc_liq_ratio,
    calc_maintenance_margin,
    calc_margin_ratio,
    calc_mmr_pct,
    calc_order_margin,
    calc_position_value,
    calc_unrealised_pnl,
    calc_unrealised_pnl_pct,
    direction_of,
    estimate_liquidation_prices,
    parse_risk_limit_tiers,
)

LAWS = settings(max_examples=300, deadline=None, derandomize=True)
LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
RECORDED = "shared/data/real/rest/risk-limit_linear_BTCUSDT_2026-09-28.json"
FLAT = MMTiers((MMTier(Decimal(10**12), Decimal("0.01"), Decimal("0.02"), Decimal(0)),))
# limit, maintenance, initial, deduction: docs/exchange.md, "Risk tiers"
LADDER = MMTiers(
    (
        MMTier(Decimal(2_000_000), Decimal("0.005"), Decimal("0.01"), Decimal(0)),
        MMTier(Decimal(2_600_000), Decimal("0.0056"), Decimal("0.0111"), Decimal(1200)),
        MMTier(Decimal(3_200_000), Decimal("0.0063"), Decimal("0.0125"), Decimal(3020)),
        MMTier(Decimal(3_800_000), Decimal("0.0067"), Decimal("0.0133"), Decimal(4300)),
        MMTier(Decimal(4_400_000), Decimal("0.0071"), Decimal("0.0143"), Decimal(5820)),
    )
)


def leg(
    direction: DirectionType, size: str | Decimal, entry: str | Decimal, leverage: str = "10"
) -> PositionState:
    value = Decimal(size) * Decimal(entry)
    return PositionState(
        direction, Decimal(size), Decimal(entry), Decimal(0), Decimal(0), None,
        Decimal(leverage), value,
    )  # fmt: skip


def row(
    limit: object, mm: object, im: object, lev: object, deduction: object = ""
) -> dict[str, Any]:
    return {
        "riskLimitValue": limit,
        "maintenanceMargin": mm,
        "initialMargin": im,
        "maxLeverage": lev,
        "mmDeduction": deduction,
    }


def recorded_rows() -> list[dict[str, Any]]:
    for parent in Path(__file__).resolve().parents:
        if (path := parent / RECORDED).exists():
            rows: list[dict[str, Any]] = json.loads(path.read_text())["result"]["list"]
            return rows
    pytest.skip(f"{RECORDED} is not present beside the repository")


# formulas


@pytest.mark.parametrize(
    ("direction", "price", "profit"),
    [(LONG, 110, 20), (LONG, 90, -20), (SHORT, 110, -20), (SHORT, 90, 20), (LONG, 100, 0)],
)
def test_unrealised_profit(direction: DirectionType, price: int, profit: int) -> None:
    assert calc_unrealised_pnl(direction, Decimal(100), Decimal(price), Decimal(2)) == profit


def test_unrealised_percent_is_the_written_formula() -> None:
    # (1/100 - 1/125) x 100 x 100 x 10 = 200
    assert calc_unrealised_pnl_pct(LONG, Decimal(100), Decimal(125), Decimal(10)) == 200
    assert calc_unrealised_pnl_pct(SHORT, Decimal(100), Decimal(125), Decimal(10)) == -200
    assert calc_unrealised_pnl_pct(LONG, Decimal(100), Decimal(80), Decimal(10)) == -250
    assert calc_unrealised_pnl_pct(LONG, Decimal(100), Decimal(100), Decimal(10)) == 0


@LAWS
@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 100))
def test_unrealised_percent_agrees_with_the_formula_in_floats(e: int, p: int, lev: int) -> None:
    got = calc_unrealised_pnl_pct(LONG, Decimal(e), Decimal(p), Decimal(lev))
    assert float(got) == pytest.approx((1 / e - 1 / p) * e * 100 * lev, rel=1e-6, abs=1e-9 * lev)
    assert calc_unrealised_pnl_pct(SHORT, Decimal(e), Decimal(p), Decimal(lev)) == -got


@pytest.mark.parametrize(("entry", "price"), [(0, 1), (1, 0), (-1, 1), (1, -1)])
def test_percent_needs_prices(entry: int, price: int) -> None:
    with pytest.raises(GridcoreError, match="above zero"):
        calc_unrealised_pnl_pct(LONG, Decimal(entry), Decimal(price), Decimal(1))


def test_values_margins_and_ratios() -> None:
    assert calc_position_value(Decimal(2), Decimal(50)) == 100
    assert calc_initial_margin(Decimal(1000), Decimal(8)) == 125
    assert calc_liq_ratio(Decimal(80), Decimal(100)) == Decimal("0.8")
    assert calc_liq_ratio(None, Decimal(100)) == 0
    assert calc_imr_pct(Decimal(50), Decimal(200)) == 25
    assert calc_mmr_pct(Decimal(5), Decimal(200)) == Decimal("2.5")
    assert calc_margin_ratio(Decimal(300), Decimal(200)) == Decimal("1.5")


@pytest.mark.parametrize("bad", [Decimal(0), Decimal(-1)])
def test_rates_of_nothing_have_no_meaning(bad: Decimal) -> None:
    for calculate in (calc_initial_margin, calc_imr_pct, calc_mmr_pct, calc_margin_ratio):
        with pytest.raises(GridcoreError):
            calculate(Decimal(1), bad)
    with pytest.raises(GridcoreError, match="last_price"):
        calc_liq_ratio(Decimal(1), bad)


# both legs, as recorded from the exchange


def test_margins_of_a_hedged_pair_match_the_recorded_ones() -> None:
    long, short = leg(LONG, "6.2", "55.91368848"), leg(SHORT, "2.2", "55.53059536")
    mark, hedged = Decimal("53.70"), Decimal("2.2")
    long_fee, short_fee = calc_fee_to_close(long, hedged), calc_fee_to_close(short, hedged)
    initial = calc_initial_margin(calc_position_value(long.size, mark), Decimal(10)) + long_fee
    unhedged = calc_position_value(long.size - hedged, mark)
    maintenance = calc_maintenance_margin(unhedged, FLAT) + long_fee
    shown = [
        value.quantize(Decimal("0.00000001"), ROUND_DOWN)  # the exchange cuts off
        for value in (initial, maintenance, short_fee)
    ]
    assert [str(value) for value in shown] == ["33.52648911", "2.38048911", "0.14782244"]


def test_the_fee_to_close_counts_the_hedged_part_twice() -> None:
    long, short = leg(LONG, "2", "100"), leg(SHORT, "2", "100")
    rate = Decimal("0.001")
    assert calc_fee_to_close(long, Decimal(0), rate) == Decimal("0.18")  # 200 x 0.9 x 0.001
    assert calc_fee_to_close(long, Decimal(1), rate) == Decimal("0.27")
    assert calc_fee_to_close(short, Decimal(0), rate) == Decimal("0.22")  # 200 x 1.1 x 0.001


# tiers


@pytest.mark.parametrize(
    ("value", "margin"),
    [(0, 0), (2_000_000, 10_000), (2_000_001, "10000.0056"), (2_600_000, 13_360),
     (4_400_000, 25_420), (10_000_000, 65_180)],
)  # fmt: skip
def test_maintenance_margin_climbs_the_ladder(value: int, margin: object) -> None:
    assert calc_maintenance_margin(Decimal(value), LADDER) == Decimal(str(margin))


def test_a_negative_value_has_no_margin() -> None:
    with pytest.raises(GridcoreError, match="0 or more"):
        calc_maintenance_margin(Decimal(-1), LADDER)


def test_recorded_tiers_parse() -> None:
    rows = recorded_rows()
    tiers = parse_risk_limit_tiers(rows).tiers
    assert len(tiers) == len(rows)
    assert (tiers[0].limit, tiers[0].maintenance_rate) == (300_000, Decimal("0.0033"))
    assert (tiers[1].deduction, tiers[2].deduction) == (510, 1710)


def test_recorded_deductions_are_those_of_the_rule() -> None:
    rows = recorded_rows()
    computed = parse_risk_limit_tiers([row | {"mmDeduction": ""} for row in rows])
    assert computed == parse_risk_limit_tiers(rows)


def test_recorded_margin_never_jumps_between_tiers() -> None:
    tiers = parse_risk_limit_tiers(recorded_rows())
    for lower, upper in zip(tiers.tiers, tiers.tiers[1:], strict=False):
        at = lower.limit
        assert at * lower.maintenance_rate - lower.deduction == (
            at * upper.maintenance_rate - upper.deduction
        )


def test_deductions_follow_the_rule_of_the_exchange() -> None:
    rows = [
        row(tier.limit, tier.maintenance_rate, tier.initial_rate, 1 / tier.initial_rate)
        for tier in LADDER.tiers
    ]
    assert parse_risk_limit_tiers(rows) == LADDER


def test_percents_and_fractions_are_told_apart() -> None:
    fraction = [row("1000", "0.005", "0.01", "100"), row("2000", "0.01", "0.02", "50")]
    percent = [row("1000", "0.5", "1", "100"), row("2000", "1", "2", "50")]
    assert parse_risk_limit_tiers(fraction) == parse_risk_limit_tiers(percent)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "empty"),
        ([row("2", "0.01", "0.02", "50"), row("1", "0.02", "0.04", "25")], "lowest tier first"),
        (
            [row("1", "0.02", "0.04", "25"), row("2", "0.01", "0.02", "50", "0")],
            "lies below tier 1",
        ),
        ([row("1", "0.01", "0.02", "50"), row("1", "0.02", "0.04", "25")], "repeats the limit"),
        ([row("0", "0.01", "0.02", "50")], "tier 1: limit 0"),
        ([row("-5", "0.01", "0.02", "50")], "tier 1: limit -5"),
        ([row("1", "0", "0.02", "50")], "maintenance rate 0"),
        ([row("1", "-0.1", "0.02", "50")], "maintenance rate -0.1"),
        ([row("1", "1", "1", "1")], "maintenance rate 1"),
        ([row("1", "0.01", "0", "50")], "initial rate 0"),
        ([row("1", "0.01", "0.02", "50", "-1")], "deduction -1"),
        ([row("1", "one", "0.02", "50")], "maintenanceMargin is 'one', not a number"),
        ([row("", "0.01", "0.02", "50")], "riskLimitValue is '', not a number"),
        ([row("1", "0.01", "0.02", "NaN")], "maxLeverage is NaN"),
        ([row("Infinity", "0.01", "0.02", "50")], "riskLimitValue is Infinity"),
        ([{"riskLimitValue": "1"}], "maintenanceMargin is None"),
    ],
)
def test_wrong_tiers_are_refused(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(TierError, match=message):
        parse_risk_limit_tiers(rows)


def test_a_missing_deduction_is_computed_too() -> None:
    rows = [row("1000", "0.005", "0.01", "100"), row("2000", "0.01", "0.02", "50")]
    for each in rows:
        del each["mmDeduction"]
    assert parse_risk_limit_tiers(rows).tiers[1].deduction == 5


# liquidation


def surplus(
    long: PositionState, short: PositionState, equity: Decimal, tiers: MMTiers, price: Decimal
) -> Decimal:
    """Equity at a price less maintenance margin and fees: zero where liquidation begins."""
    hedged = min(long.size, short.size)
    at_price = equity
    fees = Decimal(0)
    for each in (long, short):
        at_price += calc_unrealised_pnl(each.direction, each.entry_price, price, each.size)
        fees += calc_fee_to_close(each, hedged) if each.size else Decimal(0)
    value = calc_position_value(abs(long.size - short.size), price)
    return at_price - calc_maintenance_margin(value, tiers) - fees


def check_liquidation(
    long: PositionState, short: PositionState, equity: Decimal, tiers: MMTiers
) -> Decimal | None:
    long_price, short_price = estimate_liquidation_prices(long, short, equity, tiers)
    if long.size == short.size:
        assert (long_price, short_price) == (None, None)
        return None
    price = long_price if long.size > short.size else short_price
    assert (short_price if long.size > short.size else long_price) is None  # the smaller leg
    if price is None:
        assert long.size > short.size  # a long that survives even at zero
        assert surplus(long, short, equity, tiers, Decimal(0)) >= 0
        return None
    scale = (long.size + short.size) * max(price, long.entry_price, short.entry_price) + abs(equity)
    left = surplus(long, short, equity, tiers, price)
    if price > Decimal("1E-11"):
        assert abs(left) <= scale * Decimal("1E-20")
    else:
        assert left <= 0  # a short that no price saves
    step = price * Decimal("0.0001")
    worse = price - step if long.size > short.size else price + step
    assert surplus(long, short, equity, tiers, worse) < 0
    return price


SIZES = st.integers(0, 200_000).map(lambda n: Decimal(n).scaleb(-3))
ENTRIES = st.integers(20_000, 100_000).map(Decimal)


@LAWS
@given(SIZES, SIZES, ENTRIES, ENTRIES, st.integers(100, 20_000_000).map(Decimal),
       st.sampled_from(["1", "10", "50"]))  # fmt: skip
def test_at_the_liquidation_price_equity_equals_maintenance_margin(
    long: Decimal, short: Decimal, el: Decimal, es: Decimal, equity: Decimal, lev: str
) -> None:
    check_liquidation(leg(LONG, long, el, lev), leg(SHORT, short, es, lev), equity, LADDER)


def test_liquidation_prices_across_all_recorded_tiers() -> None:
    tiers = parse_risk_limit_tiers(recorded_rows())
    rng = random.Random(1)
    seen = set()
    for _ in range(2000):
        size = Decimal(round(10 ** rng.uniform(-1, 4.3), 3))
        other = size * rng.choice((0, 0, 1)) * Decimal(rng.randint(0, 999)) / 1000
        sizes = rng.choice(((size, other), (other, size)))
        entry = Decimal(rng.randint(30_000, 90_000))
        equity = size * entry * Decimal(rng.randint(5, 800)) / 1000
        price = check_liquidation(
            leg(LONG, sizes[0], entry), leg(SHORT, sizes[1], entry + 100), equity, tiers
        )
        if price is not None:
            value = abs(sizes[0] - sizes[1]) * price
            seen.add(tiers.tiers.index(tiers.for_value(value)))
    assert len(seen) == len(tiers.tiers)


def test_a_lone_long() -> None:
    # 100 x (1 - 0.01) = P' ... 1 @ 100, equity 20, fee 100 x 0.9 x 0.00055 = 0.0495
    price, none = estimate_liquidation_prices(
        leg(LONG, "1", "100"), leg(SHORT, "0", "0"), Decimal(20), FLAT
    )
    assert none is None
    assert price == Decimal("80.0495") / Decimal("0.99")


def test_a_lone_short() -> None:
    none, price = estimate_liquidation_prices(
        leg(LONG, "0", "0"), leg(SHORT, "1", "100"), Decimal(20), FLAT
    )
    assert none is None
    assert price == (Decimal(120) - Decimal("0.0605")) / Decimal("1.01")


def test_a_better_hedge_moves_liquidation_away() -> None:
    prices = [
        estimate_liquidation_prices(
            leg(LONG, "10", "100"), leg(SHORT, str(hedge), "100"), Decimal(300), FLAT
        )[0]
        for hedge in range(7)
    ]
    known = [price for price in prices if price is not None]
    assert known == sorted(known, reverse=True)
    assert prices[-1] is None or prices[-1] < 30


def test_a_long_that_equity_carries_to_zero_has_none() -> None:
    assert estimate_liquidation_prices(
        leg(LONG, "1", "100"), leg(SHORT, "0", "0"), Decimal(200), FLAT
    ) == (None, None)


def test_a_short_beyond_saving_has_the_lowest_price_there_is() -> None:
    _, price = estimate_liquidation_prices(
        leg(LONG, "0", "0"), leg(SHORT, "1", "100"), Decimal(-200), FLAT
    )
    assert price is not None
    assert 0 < price < Decimal("1E-11")


def test_empty_legs_have_none() -> None:
    empty = PositionState.empty(LONG), PositionState.empty(SHORT)
    assert estimate_liquidation_prices(*empty, Decimal(100), FLAT) == (None, None)


def test_a_leg_by_its_name_has_its_own_formula() -> None:
    entry, price, one = Decimal(100), Decimal(110), Decimal(1)
    for leg in DirectionType:
        name: Any = leg.value
        for formula in (calc_unrealised_pnl, calc_unrealised_pnl_pct):
            assert formula(name, entry, price, one) == formula(leg, entry, price, one)
        by_leg = calc_order_margin(leg, one, price, Decimal(10))
        assert calc_order_margin(name, one, price, Decimal(10)) == by_leg
    other: Any = "up"
    with pytest.raises(GridcoreError, match="the direction is 'up'; it is long or short"):
        calc_unrealised_pnl(other, entry, price, one)


def test_a_side_by_its_name_belongs_to_its_leg() -> None:
    for side in SideType:
        name: Any = side.value
        for closing in (False, True):
            assert direction_of(name, closing=closing) is direction_of(side, closing=closing)
        for leg in DirectionType:
            assert leg.is_closing(name) is leg.is_closing(side)
    other: Any = "buy"
    with pytest.raises(GridcoreError, match="the side is 'buy'; it is Buy or Sell"):
        direction_of(other, closing=False)
