"""A short and a long that walk to their liquidation price, tick by tick."""

from decimal import Decimal
from itertools import groupby

from bbu_reference.positions import LastCheck, RiskLimits, multipliers_for
from bbu_reference.positions import Position as OraclePosition
from bbu_reference.switches import LegacySwitches
from gridcore import (
    DirectionType,
    MMTier,
    MMTiers,
    Position,
    PositionState,
    RiskRule,
    SideType,
    calc_margin_ratio,
    estimate_liquidation_prices,
)
from testkit.builders import risk

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
HIGH, MODERATE = RiskRule.HIGH_LIQUIDATION_RISK, RiskRule.MODERATE_LIQUIDATION_RISK
TIERS = MMTiers((MMTier(Decimal(10**12), Decimal("0.005"), Decimal("0.01"), Decimal(0)),))
WALLET = Decimal(2_500)
TICK = Decimal("0.1")
ENTRY = Decimal(100)


def leg(direction: DirectionType, size: str, liq: Decimal | None = None) -> PositionState:
    value = Decimal(size) * ENTRY
    return PositionState(
        direction=direction,
        size=Decimal(size),
        entry_price=ENTRY,
        unrealized_pnl=Decimal(0),
        margin=calc_margin_ratio(value, WALLET),
        liquidation_price=liq,
        leverage=Decimal(10),
        position_value=value,
    )


def short_heavy() -> tuple[PositionState, PositionState]:
    """Return a pair whose larger short has its liquidation price above the market."""
    _, liq = estimate_liquidation_prices(leg(LONG, "20"), leg(SHORT, "80"), WALLET, TIERS)
    assert liq is not None
    assert liq > ENTRY
    return leg(LONG, "20"), leg(SHORT, "80", liq)


def long_heavy() -> tuple[PositionState, PositionState]:
    liq, _ = estimate_liquidation_prices(leg(LONG, "80"), leg(SHORT, "20"), WALLET, TIERS)
    assert liq is not None
    assert liq < ENTRY
    return leg(LONG, "80", liq), leg(SHORT, "20")


def walk(
    pair: tuple[PositionState, PositionState], start: Decimal, end: Decimal, own: DirectionType
) -> list[tuple[Decimal, RiskRule | None, dict[tuple[DirectionType, SideType], float]]]:
    """Check both legs at every tick from start to end; return price, own rule, multipliers."""
    legs = Position.create_linked_pair(risk(min_total_margin=0.0))
    step = TICK if end > start else -TICK
    steps, price = [], start
    while (price < end) if step > 0 else (price > end):
        rules = {
            LONG: legs[0].calculate_amount_multiplier(*pair, price),
            SHORT: legs[1].calculate_amount_multiplier(pair[1], pair[0], price),
        }
        multipliers = {
            (each.direction, side): mult
            for each in legs
            for side, mult in each.get_amount_multiplier().items()
        }
        steps.append((price, rules[own], multipliers))
        price += step
    return steps


def liquidation_rules(
    steps: list[tuple[Decimal, RiskRule | None, object]],
) -> list[RiskRule | None]:
    """Return the liquidation rules in the order in which they appear, other rules as None."""
    found = [rule if rule in (HIGH, MODERATE) else None for _, rule, _ in steps]
    return [rule for rule, _ in groupby(found)]


def test_a_short_on_its_way_up_shows_none_then_moderate_then_high() -> None:
    pair = short_heavy()
    liq = pair[1].liquidation_price
    assert liq is not None
    steps = walk(pair, Decimal(90), liq, SHORT)
    assert liquidation_rules([*steps]) == [None, MODERATE, HIGH]
    for price, rule, multipliers in steps:
        ratio = liq / price
        if ratio >= Decimal("1.2"):
            assert rule not in (HIGH, MODERATE)
            assert multipliers[SHORT, BUY] == 1.0
        elif ratio >= Decimal("1.14"):
            assert (rule, multipliers[LONG, SELL]) == (MODERATE, 0.5)  # the hedge is kept
        else:
            assert (rule, multipliers[SHORT, BUY]) == (HIGH, 1.5)  # buys back faster
    assert steps[-1][1] is HIGH  # up to the last tick before liquidation


def test_a_long_on_its_way_down_shows_none_then_moderate_then_high() -> None:
    pair = long_heavy()
    liq = pair[0].liquidation_price
    assert liq is not None
    steps = walk(pair, Decimal(120), liq, LONG)
    assert liquidation_rules([*steps]) == [None, MODERATE, HIGH]
    for price, rule, multipliers in steps:
        ratio = liq / price
        if ratio <= Decimal("0.8"):
            assert rule not in (HIGH, MODERATE)
        elif ratio <= Decimal("0.84"):
            assert (rule, multipliers[SHORT, BUY]) == (MODERATE, 0.5)
        else:
            assert (rule, multipliers[LONG, SELL]) == (HIGH, 1.5)
    assert steps[-1][1] is HIGH


def test_the_two_walks_mirror_each_other() -> None:
    up = walk(short_heavy(), Decimal(90), Decimal(140), SHORT)
    down = walk(long_heavy(), Decimal(120), Decimal(60), LONG)
    mirrored = {(LONG, SELL): (SHORT, BUY), (SHORT, BUY): (LONG, SELL)}
    seen_up = {(rule, key) for _, rule, m in up for key in mirrored if m[key] != 1.0}
    seen_down = {(rule, mirrored[key]) for _, rule, m in down for key in mirrored if m[key] != 1.0}
    assert seen_up == seen_down == {(MODERATE, (LONG, SELL)), (HIGH, (SHORT, BUY))}


def test_the_operator_of_the_older_notes_would_leave_the_short_in_danger_alone() -> None:
    long, short = short_heavy()
    liq = short.liquidation_price
    assert liq is not None
    limits = RiskLimits(
        min_liq_ratio=0.8, max_liq_ratio=1.2, min_total_margin=0.0,
        increase_same_position_on_low_margin=False,
    )  # fmt: skip

    def by_the_notes(price: Decimal) -> float:
        return multipliers_for(
            *(
                OraclePosition(
                    size=float(each.size),
                    entry_price=float(each.entry_price),
                    position_value=float(each.position_value),
                    liq_price=None if each.liquidation_price is None else float(liq),
                    leverage=10,
                )
                for each in (long, short)
            ),
            last_price=float(price),
            wallet_usdt=float(WALLET),
            limits=limits,
            before=LastCheck(),
            switches=LegacySwitches(short_liquidation_operator_inverted=True),
        )["short", "Buy"]

    safe, doomed = Decimal(90), (liq - TICK).quantize(TICK)
    assert by_the_notes(safe) == 1.5  # reduces a short that is far from danger
    assert by_the_notes(doomed) == 1.0  # and leaves the one about to be liquidated alone
    ours = {price: rule for price, rule, _ in walk((long, short), safe, liq, SHORT)}
    assert ours[safe] not in (HIGH, MODERATE)
    assert list(ours.values())[-1] is HIGH
