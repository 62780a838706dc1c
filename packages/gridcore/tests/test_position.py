"""The position rules: every rule, every boundary, their order, and how the legs meet."""

from typing import Any

import pytest

from gridcore import (
    Position,
    PositionState,
    RiskRule,
)
from gridcore.sides import BUY, LONG, SELL, SHORT
from testkit.builders import risk
from testkit.position_scene import PRICE, check, leg

NEUTRAL = {(LONG, BUY): 1.0, (LONG, SELL): 1.0, (SHORT, BUY): 1.0, (SHORT, SELL): 1.0}


HIGH, MODERATE = RiskRule.HIGH_LIQUIDATION_RISK, RiskRule.MODERATE_LIQUIDATION_RISK


LOW, LOSING, SMALL = RiskRule.LOW_TOTAL_MARGIN, RiskRule.LOSING_AND_SMALL, RiskRule.VERY_SMALL


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
