"""The position rules: every rule, every boundary, their order, and how the legs meet."""

import logging
from bisect import bisect_left
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import (
    ConfigError,
    DirectionType,
    GridcoreError,
    Position,
    PositionRiskManager,
    PositionState,
    RiskConfig,
    RiskRule,
    SideType,
)
from testkit.builders import risk

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
PRICE = Decimal(100)
WALLET = Decimal(10_000)
NEUTRAL = {(LONG, BUY): 1.0, (LONG, SELL): 1.0, (SHORT, BUY): 1.0, (SHORT, SELL): 1.0}


def leg(
    direction: DirectionType, size: str | Decimal = "50", liq: str | None = None, entry: str = "100"
) -> PositionState:
    value = Decimal(size) * Decimal(entry)
    return PositionState(
        direction=direction,
        size=Decimal(size),
        entry_price=Decimal(entry),
        unrealized_pnl=Decimal(0),
        margin=value / WALLET,
        liquidation_price=None if liq is None else Decimal(liq),
        leverage=Decimal(10),
        position_value=value,
    )


def check(
    long: PositionState,
    short: PositionState,
    config: RiskConfig | None = None,
    pair: tuple[Position, Position] | None = None,
    price: Decimal = PRICE,
) -> tuple[RiskRule | None, RiskRule | None, dict[Any, float]]:
    """Evaluate long, then short; return both rules and what differs from 1."""
    legs = pair or Position.create_linked_pair(config or risk(min_total_margin=0.0))
    first = legs[0].calculate_amount_multiplier(long, short, price)
    second = legs[1].calculate_amount_multiplier(short, long, price)
    multipliers = {
        (each.direction, side): mult
        for each in legs
        for side, mult in each.get_amount_multiplier().items()
    }
    return first, second, {key: m for key, m in multipliers.items() if m != 1.0}


HIGH, MODERATE = RiskRule.HIGH_LIQUIDATION_RISK, RiskRule.MODERATE_LIQUIDATION_RISK
LOW, LOSING, SMALL = RiskRule.LOW_TOTAL_MARGIN, RiskRule.LOSING_AND_SMALL, RiskRule.VERY_SMALL


# liquidation; min_liq_ratio 0.8, max_liq_ratio 1.2


@pytest.mark.parametrize(
    ("liq", "rule", "changed"),
    [
        (None, None, {}),
        ("80", None, {}),
        ("80.01", MODERATE, {(SHORT, BUY): 0.5}),
        ("84", MODERATE, {(SHORT, BUY): 0.5}),
        ("84.01", HIGH, {(LONG, SELL): 1.5}),
        ("99", HIGH, {(LONG, SELL): 1.5}),
    ],
)
def test_liquidation_of_the_long(
    liq: str | None, rule: RiskRule | None, changed: dict[Any, float]
) -> None:
    first, second, multipliers = check(leg(LONG, liq=liq), leg(SHORT))
    assert (first, second, multipliers) == (rule, None, changed)


@pytest.mark.parametrize(
    ("liq", "rule", "changed"),
    [
        (None, None, {}),
        ("150", None, {}),
        ("120", None, {}),
        ("119.99", MODERATE, {(LONG, SELL): 0.5}),
        ("114", MODERATE, {(LONG, SELL): 0.5}),
        ("113.99", HIGH, {(SHORT, BUY): 1.5}),
        ("101", HIGH, {(SHORT, BUY): 1.5}),
    ],
)
def test_liquidation_of_the_short(
    liq: str | None, rule: RiskRule | None, changed: dict[Any, float]
) -> None:
    first, second, multipliers = check(leg(LONG), leg(SHORT, liq=liq))
    assert (first, second, multipliers) == (None, rule, changed)


# equal legs, low total margin


def test_low_margin_halves_the_own_closing_side() -> None:
    rules = check(leg(LONG), leg(SHORT), risk(min_total_margin=3.0))
    assert rules == (LOW, LOW, {(LONG, SELL): 0.5, (SHORT, BUY): 0.5})


def test_or_doubles_the_own_opening_side() -> None:
    config = risk(min_total_margin=3.0, increase_same_position_on_low_margin=True)
    rules = check(leg(LONG), leg(SHORT), config)
    assert rules == (LOW, LOW, {(LONG, BUY): 2.0, (SHORT, SELL): 2.0})


@pytest.mark.parametrize(("total", "rule"), [(1.0, None), (1.0001, LOW)])
def test_total_margin_is_low_strictly_below_the_minimum(
    total: float, rule: RiskRule | None
) -> None:
    # 0.5 + 0.5
    assert check(leg(LONG), leg(SHORT), risk(min_total_margin=total))[0] is rule


@pytest.mark.parametrize(
    ("long_size", "long_rule", "short_rule"),
    [
        ("46", None, None),  # 0.92; the other way round 1.087
        ("47", None, None),  # 0.94 exactly is not equal; 1.0638 is not either
        ("47.1", LOW, None),  # 0.942 is equal, 1.0616 is not: the bounds are not reciprocal
        ("48", LOW, LOW),
        ("52", LOW, LOW),
        ("52.5", None, LOW),  # 1.05 exactly is not equal; 0.952 is
        ("53", None, LOW),
        ("54", None, None),
    ],
)
def test_legs_are_equal_strictly_between_the_bounds(
    long_size: str, long_rule: RiskRule | None, short_rule: RiskRule | None
) -> None:
    rules = check(leg(LONG, long_size), leg(SHORT), risk(min_total_margin=3.0))
    assert rules[:2] == (long_rule, short_rule)


# position ratio


@pytest.mark.parametrize(
    ("size", "entry", "rule"),
    [
        ("25", "101", None),  # 0.5 exactly
        ("24", "101", LOSING),  # bought at 101, market 100
        ("24", "100", None),
        ("24", "99", None),  # winning
        ("10", "99", None),  # 0.2 exactly
        ("9.9", "99", SMALL),
        ("9.9", "101", LOSING),
    ],
)
def test_a_long_that_is_too_small_is_doubled(size: str, entry: str, rule: RiskRule | None) -> None:
    first, second, multipliers = check(leg(LONG, size, entry=entry), leg(SHORT))
    assert (first, second) == (rule, None)
    assert multipliers == ({} if rule is None else {(LONG, BUY): 2.0})


@pytest.mark.parametrize(
    ("long_size", "entry", "rule"),
    [
        ("100", "99", None),  # 2 exactly
        ("101", "99", LOSING),  # sold at 99, market 100
        ("101", "100", None),
        ("101", "101", None),  # winning
        ("250", "101", None),  # 5 exactly
        ("251", "101", SMALL),
        ("251", "99", LOSING),
    ],
)
def test_a_short_that_is_too_small_is_doubled(
    long_size: str, entry: str, rule: RiskRule | None
) -> None:
    first, second, multipliers = check(leg(LONG, long_size), leg(SHORT, entry=entry))
    assert (first, second) == (None, rule)
    assert multipliers == ({} if rule is None else {(SHORT, SELL): 2.0})


# order


def test_liquidation_comes_before_low_margin_and_low_margin_before_the_ratio() -> None:
    low = risk(min_total_margin=30.0)
    assert check(leg(LONG, liq="99"), leg(SHORT), low)[0] is HIGH
    assert check(leg(LONG, liq="81"), leg(SHORT), low)[0] is MODERATE
    assert check(leg(LONG), leg(SHORT, liq="101"), low)[1] is HIGH
    assert check(leg(LONG), leg(SHORT, liq="119"), low)[1] is MODERATE
    # equal in margin, though the sizes differ by the entry price: margin decides first
    long, short = leg(LONG, "10", entry="500"), leg(SHORT, "50", entry="100")
    assert check(long, short, low)[0] is LOW
    assert check(long, short)[0] is LOSING
    assert check(leg(LONG, "9", "99", entry="101"), leg(SHORT))[0] is HIGH


def test_the_short_leg_keeps_what_the_long_leg_set() -> None:
    # moderate risk of the long halves the short's Buy; the short doubles its own Sell
    _, _, multipliers = check(leg(LONG, "300", liq="82"), leg(SHORT))
    assert multipliers == {(SHORT, BUY): 0.5, (SHORT, SELL): 2.0}


def test_where_both_set_the_same_multiplier_the_short_leg_stays() -> None:
    # the long halves the short's Buy, then the short in danger sets it to 1.5: set, not multiplied
    _, _, multipliers = check(leg(LONG, liq="82"), leg(SHORT, liq="105"))
    assert multipliers == {(SHORT, BUY): 1.5}
    _, _, multipliers = check(leg(LONG, liq="99"), leg(SHORT, liq="119"))
    assert multipliers == {(LONG, SELL): 0.5}


def test_each_check_of_the_long_leg_resets_both() -> None:
    pair = Position.create_linked_pair(risk(min_total_margin=0.0))
    assert check(leg(LONG, liq="82"), leg(SHORT, liq="105"), pair=pair)[2]
    assert check(leg(LONG), leg(SHORT), pair=pair)[2] == {}


def test_multipliers_do_not_add_up_over_checks() -> None:
    pair = Position.create_linked_pair(risk())
    for _ in range(5):
        assert check(leg(LONG, liq="99"), leg(SHORT), pair=pair)[2] == {(LONG, SELL): 1.5}


# empty legs


def test_an_empty_leg_changes_nothing() -> None:
    pair = Position.create_linked_pair(risk())
    pair[0].set_amount_multiplier(BUY, 2.0)
    pair[1].set_amount_multiplier(SELL, 0.5)
    none = PositionState.empty(LONG)
    assert pair[0].calculate_amount_multiplier(none, leg(SHORT, liq="105"), PRICE) is None
    assert pair[0].get_amount_multiplier()[BUY] == 2.0
    assert pair[1].get_amount_multiplier()[SELL] == 0.5


@pytest.mark.parametrize(("liq", "rule"), [(None, None), ("82", MODERATE), ("90", HIGH)])
def test_a_lone_long_knows_only_the_liquidation_rules(
    liq: str | None, rule: RiskRule | None
) -> None:
    config = risk(min_total_margin=30.0)
    rules = check(leg(LONG, liq=liq, entry="101"), PositionState.empty(SHORT), config)
    assert rules[:2] == (rule, None)


@pytest.mark.parametrize(("liq", "rule"), [(None, None), ("118", MODERATE), ("105", HIGH)])
def test_a_lone_short_knows_only_the_liquidation_rules(
    liq: str | None, rule: RiskRule | None
) -> None:
    config = risk(min_total_margin=30.0)
    rules = check(PositionState.empty(LONG), leg(SHORT, liq=liq, entry="99"), config)
    assert rules[:2] == (None, rule)


# the pair


def test_a_pair_is_linked_both_ways_and_neutral() -> None:
    long, short = Position.create_linked_pair(risk())
    assert (long.direction, short.direction) == (LONG, SHORT)
    assert long.opposite is short
    assert short.opposite is long
    assert long.config is short.config
    assert long.get_amount_multiplier() == short.get_amount_multiplier() == {BUY: 1.0, SELL: 1.0}
    assert PositionRiskManager is Position


def test_the_short_leg_may_have_thresholds_of_its_own() -> None:
    other = risk(max_liq_ratio=1.5)
    pair = Position.create_linked_pair(risk(), other)
    assert pair[1].config is other
    assert check(leg(LONG), leg(SHORT, liq="130"), pair=pair)[1] is HIGH


def test_a_leg_without_its_opposite_decides_nothing() -> None:
    with pytest.raises(ValueError, match="no opposite; use Position"):
        Position(LONG, risk()).calculate_amount_multiplier(leg(LONG), leg(SHORT), PRICE)


def test_two_legs_of_one_direction_cannot_be_linked() -> None:
    with pytest.raises(GridcoreError, match="link a long with a short"):
        Position(LONG, risk()).set_opposite(Position(LONG, risk()))


def test_states_of_the_wrong_legs_are_refused() -> None:
    long, short = Position.create_linked_pair(risk())
    for own, other in (
        (leg(SHORT), leg(LONG)),
        (leg(LONG), leg(LONG)),
        (leg(SHORT), leg(SHORT)),
    ):
        with pytest.raises(GridcoreError, match="own leg first"):
            long.calculate_amount_multiplier(own, other, PRICE)
    with pytest.raises(GridcoreError, match="own leg first"):
        short.calculate_amount_multiplier(leg(LONG), leg(SHORT), PRICE)


@pytest.mark.parametrize("price", [Decimal(0), Decimal(-1)])
def test_a_price_that_is_none_is_refused(price: Decimal) -> None:
    long, _ = Position.create_linked_pair(risk())
    with pytest.raises(GridcoreError, match="last_close"):
        long.calculate_amount_multiplier(leg(LONG), leg(SHORT), price)


def test_multipliers_are_set_read_and_reset() -> None:
    long, _ = Position.create_linked_pair(risk())
    long.set_amount_multiplier(BUY, 2.0)
    long.set_amount_multiplier(BUY, 1.5)
    assert long.amount_multiplier(BUY) == 1.5
    copy = long.get_amount_multiplier()
    copy[BUY] = 9.0
    assert long.amount_multiplier(BUY) == 1.5
    long.reset_amount_multiplier()
    assert long.get_amount_multiplier() == {BUY: 1.0, SELL: 1.0}


@pytest.mark.parametrize("mult", [0.0, -1.0, float("nan")])
def test_a_multiplier_is_above_zero(mult: float) -> None:
    with pytest.raises(GridcoreError, match="above zero"):
        Position(LONG, risk()).set_amount_multiplier(BUY, mult)


@pytest.mark.parametrize(
    "name", ["min_liq_ratio", "max_liq_ratio", "max_margin", "min_total_margin"]
)
@pytest.mark.parametrize("value", [-0.1, float("nan"), "0.8", None, True, Decimal("0.8")])
def test_wrong_thresholds_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        risk(**{name: value})


def test_an_adjustment_is_told_when_it_changes_and_not_at_each_check(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = Position.create_linked_pair(risk())
    with caplog.at_level(logging.INFO, "gridcore.position"):
        for _ in range(3):
            check(leg(LONG, liq="99"), leg(SHORT), pair=pair)
        assert len(caplog.records) == 1
        check(leg(LONG), leg(SHORT), pair=pair)
        assert len(caplog.records) == 2


def at_the_boundary_of_high_risk(direction: DirectionType, percent: int) -> RiskRule | None:
    """Return the rule where liquidation price / market is exactly the boundary of high risk."""
    limit = Decimal(percent) / 100
    if direction is LONG:
        config = risk(min_liq_ratio=float(limit), min_total_margin=0.0)
        liq = str(PRICE * limit * Decimal("1.05"))
        return check(leg(LONG, liq=liq), leg(SHORT), config)[0]
    config = risk(max_liq_ratio=float(limit), min_total_margin=0.0)
    liq = str(PRICE * limit * Decimal("0.95"))
    return check(leg(LONG), leg(SHORT, liq=liq), config)[1]


def test_at_exactly_the_boundary_the_risk_of_a_short_is_still_moderate() -> None:
    rules = {at_the_boundary_of_high_risk(SHORT, percent) for percent in range(101, 151)}
    assert rules == {MODERATE}


def test_at_exactly_the_boundary_the_risk_of_a_long_is_still_moderate() -> None:
    rules = {at_the_boundary_of_high_risk(LONG, percent) for percent in range(50, 96)}
    assert rules == {MODERATE}


# where a check comes to one result


SIZES = st.sampled_from([Decimal(n) for n in (0, 1, 3, 6, 20)])
PRICES = st.integers(500, 1500).map(Decimal)


@st.composite
def legs(draw: st.DrawFn, direction: DirectionType) -> PositionState:
    size, entry = draw(SIZES), draw(PRICES)
    return PositionState(
        direction=direction,
        size=size,
        entry_price=entry if size else Decimal(0),
        unrealized_pnl=Decimal(0),
        margin=size * entry / Decimal(draw(st.sampled_from([5_000, 100_000]))),
        liquidation_price=draw(st.none() | PRICES) if size else None,
        leverage=Decimal(10),
        position_value=size * entry,
    )


@pytest.mark.untraced
@settings(max_examples=400, deadline=None)
@given(
    long=legs(DirectionType.LONG),
    short=legs(DirectionType.SHORT),
    limits=st.sampled_from([(0.8, 1.2), (0.0, 0.0), (0.95, 1.05)]),
    prices=st.lists(st.integers(4_000, 20_000).map(lambda n: Decimal(n) / 10), min_size=6),
)
def test_between_two_edges_a_check_comes_to_one_result(
    long: PositionState,
    short: PositionState,
    limits: tuple[float, float],
    prices: list[Decimal],
) -> None:
    long_leg, short_leg = Position.create_linked_pair(RiskConfig(*limits, 3, 0.15))
    edges = sorted([*long_leg.edges(long, short), *short_leg.edges(short, long)])
    found: dict[int, object] = {}
    for price in prices:
        if price not in edges:
            trial = long_leg.trial(long, short, price)
            assert found.setdefault(bisect_left(edges, price), trial) == trial


@settings(max_examples=200, deadline=None)
@given(legs(DirectionType.LONG), legs(DirectionType.SHORT), PRICES)
def test_a_trial_says_what_a_check_would_set(
    long: PositionState, short: PositionState, price: Decimal
) -> None:
    long_leg, short_leg = Position.create_linked_pair(RiskConfig(0.8, 1.2, 3, 0.15))
    trial = long_leg.trial(long, short, price)
    long_leg.calculate_amount_multiplier(long, short, price)
    short_leg.calculate_amount_multiplier(short, long, price)
    assert trial == (long_leg.get_amount_multiplier(), short_leg.get_amount_multiplier())


# a leg by its name


@pytest.mark.parametrize("direction", DirectionType)
def test_a_leg_may_be_given_by_its_name(direction: DirectionType) -> None:
    named = Position(direction.value, risk())  # type: ignore[arg-type]
    other = Position(direction.opposite.value, risk())  # type: ignore[arg-type]
    assert named.direction is direction
    named.set_opposite(other)
    other.set_opposite(named)
    long, short = (named, other) if direction is LONG else (other, named)
    by_name = PositionState(
        direction="long",  # type: ignore[arg-type]
        size=Decimal(50),
        entry_price=PRICE,
        unrealized_pnl=Decimal(0),
        margin=Decimal("0.5"),
        liquidation_price=Decimal(90),
        leverage=Decimal(10),
        position_value=Decimal(5000),
    )
    rules = check(by_name, leg(SHORT), pair=(long, short))
    assert rules == check(leg(LONG, liq="90"), leg(SHORT))
    assert rules[0] is RiskRule.HIGH_LIQUIDATION_RISK
    with pytest.raises(GridcoreError, match="own leg first"):
        long.calculate_amount_multiplier(leg(SHORT), by_name, PRICE)


@pytest.mark.parametrize("word", ["up", "LONG", "", None, 1])
def test_a_leg_of_another_name_is_refused_at_once(word: Any) -> None:
    with pytest.raises(GridcoreError, match=r"the direction is .* it is long or short"):
        Position(word, risk())


def test_a_side_of_another_name_is_refused() -> None:
    position = Position(LONG, risk())
    position.set_amount_multiplier("Buy", 2.0)  # type: ignore[arg-type]
    assert position.get_amount_multiplier() == {BUY: 2.0, SELL: 1.0}
    with pytest.raises(GridcoreError, match="the side is 'buy'; it is Buy or Sell"):
        position.set_amount_multiplier("buy", 2.0)  # type: ignore[arg-type]
