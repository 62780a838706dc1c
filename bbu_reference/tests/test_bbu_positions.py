"""Position check: every rule of both legs, its edges and its precedence."""

import pytest

from bbu_reference.orders import Multipliers, neutral_multipliers
from bbu_reference.positions import (
    LastCheck,
    Position,
    PositionCheck,
    RiskLimits,
    liq_ratio,
    multipliers_for,
    position_ratio,
    unrealised_pct,
)
from bbu_reference.switches import LegacySwitches

PRICE = 100.0
LIMITS = RiskLimits(
    min_liq_ratio=0.8,
    max_liq_ratio=1.2,
    min_total_margin=0.5,
    increase_same_position_on_low_margin=False,
)


def leg(
    size: float = 1.0,
    *,
    entry: float | None = PRICE,
    value: float | None = None,
    liq: float | None = None,
    leverage: float = 10,
) -> Position:
    return Position(
        size=size,
        entry_price=entry,
        position_value=size * (entry or 0) if value is None else value,
        liq_price=liq,
        leverage=leverage,
    )


def set_by(
    long: Position,
    short: Position,
    *,
    wallet: float = 100.0,
    increase: bool = False,
    before: LastCheck | None = None,
    switches: LegacySwitches | None = None,
) -> Multipliers:
    """Return the multipliers that are not 1.

    The check before is one of the same legs, unless another one is given.
    """
    limits = RiskLimits(
        min_liq_ratio=0.8,
        max_liq_ratio=1.2,
        min_total_margin=0.5,
        increase_same_position_on_low_margin=increase,
    )
    result = multipliers_for(
        long,
        short,
        last_price=PRICE,
        wallet_usdt=wallet,
        limits=limits,
        before=before
        or LastCheck(
            position_ratio=position_ratio(long, short), short_margin=short.position_value / wallet
        ),
        switches=switches or LegacySwitches(),
    )
    assert set(result) == set(neutral_multipliers())
    return {key: value for key, value in result.items() if value != 1}


def test_nothing_to_do_leaves_every_multiplier_at_1() -> None:
    assert set_by(leg(), leg()) == {}


def test_unrealised_percent() -> None:
    assert unrealised_pct("long", leg(entry=80), 100) == pytest.approx(200)  # (1 - 0.8) x 100 x 10
    assert unrealised_pct("short", leg(entry=80), 100) == pytest.approx(-200)
    assert unrealised_pct("long", leg(entry=80, leverage=5), 100) == pytest.approx(100)
    assert unrealised_pct("short", leg(0, entry=None), 100) == 0
    with pytest.raises(ZeroDivisionError):
        unrealised_pct("long", leg(0, entry=0), 100)


def test_liq_ratio() -> None:
    assert liq_ratio(leg(liq=80), 100) == 0.8
    assert liq_ratio(leg(liq=None), 100) == 0


# long leg


@pytest.mark.parametrize(
    ("liq", "expected"),
    [
        (90.0, {("long", "Sell"): 1.5}),
        (84.1, {("long", "Sell"): 1.5}),
        (83.9, {("short", "Buy"): 0.5}),
        (80.1, {("short", "Buy"): 0.5}),
        (80.0, {}),
        (None, {}),
    ],
)
def test_long_near_liquidation(liq: float | None, expected: Multipliers) -> None:
    assert set_by(leg(liq=liq), leg()) == expected


@pytest.mark.parametrize(
    ("long_size", "long_entry", "expected"),
    [
        (0.4, 110.0, {("long", "Buy"): 2}),  # small and losing
        (0.4, 90.0, {}),  # small and winning
        (0.4, 100.0, {}),  # small and even
        (0.5, 110.0, {}),  # not below 0.5
        (0.2, 90.0, {}),  # not below 0.2
        (0.19, 90.0, {("long", "Buy"): 2}),  # very small, winning or not
    ],
)
def test_small_long(long_size: float, long_entry: float, expected: Multipliers) -> None:
    assert set_by(leg(long_size, entry=long_entry), leg()) == expected


def test_long_liquidation_comes_before_the_other_rules() -> None:
    assert set_by(leg(0.1, entry=110, liq=90), leg()) == {("long", "Sell"): 1.5}
    assert set_by(leg(0.1, entry=110, liq=82), leg()) == {("short", "Buy"): 0.5}
    # with little total margin the short leg halves its own closing side, the long leg does not
    with_short_rule = {("long", "Sell"): 1.5, ("short", "Buy"): 0.5}
    assert set_by(leg(liq=90), leg(), wallet=1000) == with_short_rule
    assert set_by(leg(liq=82), leg(), wallet=1000) == {("short", "Buy"): 0.5}


def test_long_low_margin_comes_before_the_ratio() -> None:
    # equal in value though not in size
    long = leg(0.1, entry=110, value=100)
    assert set_by(long, leg(value=100), wallet=1000)["long", "Sell"] == 0.5
    assert ("long", "Buy") not in set_by(long, leg(value=100), wallet=1000)


# short leg


@pytest.mark.parametrize(
    ("liq", "expected"),
    [
        (105.0, {("short", "Buy"): 1.5}),
        (113.9, {("short", "Buy"): 1.5}),
        (114.1, {("long", "Sell"): 0.5}),
        (119.9, {("long", "Sell"): 0.5}),
        (120.0, {}),
        (200.0, {}),
        (None, {}),  # an empty price is no danger
    ],
)
def test_short_near_liquidation(liq: float | None, expected: Multipliers) -> None:
    assert set_by(leg(), leg(liq=liq)) == expected


@pytest.mark.parametrize(
    ("long_size", "short_entry", "expected"),
    [
        (2.1, 90.0, {("short", "Sell"): 2}),  # small and losing
        (2.1, 110.0, {}),
        (2.1, 100.0, {}),
        (2.0, 90.0, {}),
        (5.0, 110.0, {}),
        (5.1, 110.0, {("short", "Sell"): 2}),
    ],
)
def test_small_short(long_size: float, short_entry: float, expected: Multipliers) -> None:
    assert set_by(leg(long_size), leg(entry=short_entry)) == expected


def test_short_liquidation_comes_before_the_other_rules() -> None:
    assert set_by(leg(6), leg(entry=90, liq=105)) == {("short", "Buy"): 1.5}
    assert set_by(leg(6), leg(entry=90, liq=115)) == {("long", "Sell"): 0.5}
    # with little total margin the long leg halves its own closing side, the short leg does not
    with_long_rule = {("long", "Sell"): 0.5, ("short", "Buy"): 1.5}
    assert set_by(leg(), leg(liq=105), wallet=1000) == with_long_rule
    assert set_by(leg(), leg(liq=115), wallet=1000) == {("long", "Sell"): 0.5}


def test_short_low_margin_comes_before_the_ratio() -> None:
    long = leg(6, value=100)
    short = leg(1, entry=90, value=100)
    assert set_by(long, short, wallet=1000) == {("long", "Sell"): 0.5, ("short", "Buy"): 0.5}


# low margin


def test_low_margin_halves_what_closes_or_doubles_what_opens() -> None:
    halved = {("long", "Sell"): 0.5, ("short", "Buy"): 0.5}
    doubled = {("long", "Buy"): 2, ("short", "Sell"): 2}
    assert set_by(leg(), leg(), wallet=1000) == halved
    assert set_by(leg(), leg(), wallet=1000, increase=True) == doubled


@pytest.mark.parametrize(("wallet", "low"), [(401.0, True), (400.0, False), (399.0, False)])
def test_total_margin_is_both_values_over_the_wallet(wallet: float, low: bool) -> None:
    assert bool(set_by(leg(), leg(), wallet=wallet)) == low  # 200 / 400 is the limit itself


@pytest.mark.parametrize(
    ("long_value", "short_value", "long_equal", "short_equal"),
    [
        (100, 100, True, True),
        (104, 100, True, True),
        (106, 100, False, True),  # 1.06 and 0.943: equal for the short leg only
        (100, 106, True, False),
        (107, 100, False, False),
        (93, 100, False, False),
        (105, 100, False, True),  # 1.05 is excluded
        (94, 100, False, False),  # 0.94 is excluded, and the other way it is 1.064
    ],
)
def test_legs_are_equal_from_0_94_to_1_05_of_the_other(
    long_value: float, short_value: float, long_equal: bool, short_equal: bool
) -> None:
    # a power of two, so that the margins are exact and the edges are met
    result = set_by(leg(value=long_value), leg(value=short_value), wallet=1024)
    assert (("long", "Sell") in result) == long_equal
    assert (("short", "Buy") in result) == short_equal


# the legs together


def test_multiplier_is_set_not_multiplied_and_the_short_leg_comes_second() -> None:
    # long sets its own Sell to 1.5, then short sets the long leg's Sell to 0.5
    assert set_by(leg(liq=90), leg(liq=115)) == {("long", "Sell"): 0.5}
    # long sets the short leg's Buy to 0.5, then short sets its own Buy to 1.5
    assert set_by(leg(liq=82), leg(liq=105)) == {("short", "Buy"): 1.5}


def test_neither_leg_resets_what_the_other_set() -> None:
    both = {("long", "Sell"): 1.5, ("short", "Buy"): 1.5}
    assert set_by(leg(liq=90), leg(liq=105)) == both


# one leg alone


def test_a_lone_long_is_checked_for_liquidation() -> None:
    for entry in (0, None):
        assert set_by(leg(liq=90), leg(0, entry=entry)) == {("long", "Sell"): 1.5}
        assert set_by(leg(liq=82), leg(0, entry=entry)) == {("short", "Buy"): 0.5}
        assert set_by(leg(), leg(0, entry=entry)) == {}


def test_beside_a_lone_short_the_buys_of_the_long_leg_are_not_doubled() -> None:
    for entry in (0, None):
        assert set_by(leg(0, entry=entry), leg()) == {}


def test_a_lone_short_is_checked_unless_the_long_leg_raises() -> None:
    assert set_by(leg(0, entry=None), leg(liq=105)) == {("short", "Buy"): 1.5}
    assert set_by(leg(0, entry=0), leg(liq=105)) == {}
    no_raise = LegacySwitches(empty_long_leg_raises=False)
    assert set_by(leg(0, entry=0), leg(liq=105), switches=no_raise) == {("short", "Buy"): 1.5}


def test_without_any_position_nothing_is_set() -> None:
    for entry in (0, None):
        assert set_by(leg(0, entry=entry), leg(0, entry=entry)) == {}


def test_position_ratio() -> None:
    assert position_ratio(leg(3), leg(2)) == 1.5
    assert position_ratio(leg(0), leg(2)) == 0
    assert position_ratio(leg(1), leg(0)) == float("inf")
    assert position_ratio(leg(0), leg(0)) == 1


# the check before


def test_ratio_is_the_one_of_the_check_before() -> None:
    even = LastCheck(position_ratio=1.0, short_margin=1.0)
    small = LastCheck(position_ratio=0.1, short_margin=1.0)
    assert set_by(leg(0.1), leg(), before=even) == {}
    assert set_by(leg(), leg(), before=small) == {("long", "Buy"): 2}
    present = LegacySwitches(checks_use_previous_check=False)
    assert set_by(leg(0.1), leg(), before=even, switches=present) == {("long", "Buy"): 2}
    assert set_by(leg(), leg(), before=small, switches=present) == {}


def test_short_margin_is_the_one_of_the_check_before() -> None:
    # sizes 0.048 and 0.050, then 0.052 and 0.048: 0.052 / 0.050 are equal, 0.052 / 0.048 are not
    before = LastCheck(position_ratio=0.96, short_margin=0.005)
    long, short = leg(0.052), leg(0.048)
    halved = {("long", "Sell"): 0.5, ("short", "Buy"): 0.5}
    assert set_by(long, short, wallet=1000, before=before) == halved
    own = LegacySwitches(short_rules_use_previous_short_margin=False)
    found = set_by(long, short, wallet=1000, before=before, switches=own)
    assert found == {("long", "Sell"): 0.5}
    present = LegacySwitches(checks_use_previous_check=False)
    assert set_by(long, short, wallet=1000, before=before, switches=present) == {}


def test_at_first_the_check_before_is_one_of_ratio_and_margin_1() -> None:
    check = PositionCheck(LIMITS)
    assert check.last == LastCheck(position_ratio=1, short_margin=1)
    for expected in (1, 2):  # long / short is 0.1, which only the second check knows
        check.check(leg(0.1), leg(), last_price=PRICE, wallet_usdt=100)
        assert check.multipliers["long", "Buy"] == expected
    assert check.last == LastCheck(position_ratio=0.1, short_margin=1)


# switches


def test_inverted_operator_acts_on_a_safe_short_and_ignores_one_in_danger() -> None:
    inverted = LegacySwitches(short_liquidation_operator_inverted=True)
    safe, near, in_danger = leg(liq=200), leg(liq=115), leg(liq=105)
    assert set_by(leg(), safe) == {}
    assert set_by(leg(), safe, switches=inverted) == {("short", "Buy"): 1.5}
    assert set_by(leg(), near, switches=inverted) == {("short", "Buy"): 1.5}
    assert set_by(leg(), in_danger) == {("short", "Buy"): 1.5}
    assert set_by(leg(), in_danger, switches=inverted) == {}
    assert set_by(leg(), leg(liq=None), switches=inverted) == {}


# timer


def test_check_runs_every_63_seconds_and_keeps_its_result_between() -> None:
    check = PositionCheck(LIMITS)
    multipliers = check.multipliers
    fetched: list[float] = []

    def run(now_s: float, liq: float | None) -> bool:
        def fetch() -> tuple[Position, Position]:
            fetched.append(now_s)
            return leg(liq=liq), leg()

        return check.run(now_s, fetch_positions=fetch, last_price=PRICE, wallet_usdt=100)

    assert run(0.0, 90.0)
    assert multipliers["long", "Sell"] == 1.5
    assert not run(62.9, None)
    assert multipliers["long", "Sell"] == 1.5
    assert run(63.0, 82.0)
    assert multipliers["long", "Sell"] == 1  # reset before the rules
    assert multipliers["short", "Buy"] == 0.5
    assert not run(125.9, None)
    assert run(126.0, None)
    assert multipliers == neutral_multipliers()
    assert fetched == [0.0, 63.0, 126.0]


def test_check_resets_even_when_it_raises() -> None:
    check = PositionCheck(LIMITS)
    for long in (leg(liq=90), leg(0, entry=0)):
        check.check(long, leg(liq=105), last_price=PRICE, wallet_usdt=100)
    assert check.multipliers == neutral_multipliers()


def test_check_passes_its_switches_on() -> None:
    check = PositionCheck(LIMITS, LegacySwitches(short_liquidation_operator_inverted=True))
    check.run(0.0, fetch_positions=lambda: (leg(), leg(liq=200)), last_price=PRICE, wallet_usdt=100)
    assert check.multipliers["short", "Buy"] == 1.5
