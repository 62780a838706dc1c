"""Two legs as a pair: what one says to the other."""

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
)
from gridcore.sides import BUY, LONG, SELL, SHORT
from testkit.builders import risk
from testkit.position_scene import PRICE, PRICES, check, leg, legs

HIGH, MODERATE = RiskRule.HIGH_LIQUIDATION_RISK, RiskRule.MODERATE_LIQUIDATION_RISK


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
