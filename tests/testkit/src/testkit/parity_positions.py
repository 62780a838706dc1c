"""Position checks, one after the other: what both legs lead to, multiplier by multiplier."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product

from bbu_reference.orders import Direction, Multipliers, Side, neutral_multipliers
from bbu_reference.positions import (
    LastCheck,
    PositionCheck,
    RiskLimits,
    multipliers_for,
    position_ratio,
)
from bbu_reference.positions import Position as OraclePosition
from bbu_reference.switches import LegacySwitches
from gridcore import DirectionType, Position, PositionState, RiskConfig, calc_margin_ratio
from testkit.parity_exact import exact, is_noise
from testkit.parity_report import Deviation, Verdict, least
from testkit.parity_world import wire_side

# rules of a check that are switched off, one by one, to find what makes a difference
SWITCHED = (Deviation.PRESENT_CHECK, Deviation.EMPTY_LONG)


@dataclass(frozen=True, slots=True)
class LimitsPair:
    """The same thresholds for both."""

    core: RiskConfig

    @property
    def oracle(self) -> RiskLimits:
        """The oracle's form."""
        return RiskLimits(
            min_liq_ratio=self.core.min_liq_ratio,
            max_liq_ratio=self.core.max_liq_ratio,
            min_total_margin=self.core.min_total_margin,
            increase_same_position_on_low_margin=self.core.increase_same_position_on_low_margin,
        )


def random_limits(rng: random.Random) -> LimitsPair:
    """Return thresholds such as users set."""
    return LimitsPair(
        RiskConfig(
            min_liq_ratio=rng.choice((0.5, 0.8, 0.85, 0.95)),
            max_liq_ratio=rng.choice((1.05, 1.2, 1.3, 1.5)),
            max_margin=8.0,
            min_total_margin=rng.choice((0.0, 0.15, 0.5, 3.0)),
            increase_same_position_on_low_margin=rng.random() < 0.5,
        )
    )


def core_multipliers(legs: tuple[Position, Position]) -> Multipliers:
    """Return gridcore's four multipliers in the oracle's form."""
    return {
        (leg.direction.value, wire_side(side)): mult
        for leg in legs
        for side, mult in leg.get_amount_multiplier().items()
    }


def _for_oracle(state: PositionState, empty_entry: float | None = 0.0) -> OraclePosition:
    liq = state.liquidation_price
    return OraclePosition(
        size=float(state.size),
        entry_price=float(state.entry_price) if state.size else empty_entry,
        position_value=float(state.position_value),
        liq_price=None if liq is None else float(liq),
        leverage=float(state.leverage),
    )


def compare_check(
    long: PositionState,
    short: PositionState,
    price: Decimal,
    wallet: Decimal,
    limits: LimitsPair,
    last: LastCheck,
    legs: tuple[Position, Position] | None = None,
    *,
    empty_entry: float | None = 0.0,
) -> tuple[Verdict, LastCheck]:
    """Run one position check of both (price, wallet in USDT) and compare the four multipliers.

    `last` is what the older bot's check before left, `empty_entry` what it reads as the entry
    price of an empty leg. Return also what this one leaves.
    """
    legs = legs or Position.create_linked_pair(limits.core)
    for leg in legs:
        leg.reset_amount_multiplier()
    legs[0].calculate_amount_multiplier(long, short, price)
    legs[1].calculate_amount_multiplier(short, long, price)
    core = core_multipliers(legs)
    theirs = _for_oracle(long, empty_entry), _for_oracle(short, empty_entry)
    check = PositionCheck(limits.oracle)
    check.last = last

    def oracle(switched_off: frozenset[Deviation], *, inverted: bool = False) -> Multipliers:
        return multipliers_for(
            *theirs,
            last_price=float(price),
            wallet_usdt=float(wallet),
            limits=limits.oracle,
            before=last,
            switches=LegacySwitches(
                checks_use_previous_check=Deviation.PRESENT_CHECK not in switched_off,
                empty_long_leg_raises=Deviation.EMPTY_LONG not in switched_off,
                short_liquidation_operator_inverted=inverted,
            ),
        )

    verdict: Verdict = least(SWITCHED, lambda switched_off: oracle(switched_off) == core)
    if verdict is None:
        verdict = _failure(core, oracle(frozenset()), long, short) + f", {last}"
        ours = exact_multipliers(long, short, price, limits.core)
        if core == ours and _is_on_threshold(long, short, price, limits.core):
            verdict = (Deviation.FLOAT_THRESHOLD,)
        else:
            verdict += f", at {price}, wallet {wallet}, {limits.core}"
    elif not verdict and oracle(frozenset(), inverted=True) != core:
        verdict = (Deviation.SHORT_LIQUIDATION,)
    check.check(*theirs, last_price=float(price), wallet_usdt=float(wallet))
    return verdict or None, check.last


def compare_multipliers(
    long: PositionState, short: PositionState, price: Decimal, wallet: Decimal, limits: LimitsPair
) -> Verdict:
    """Compare one check whose check before was one of the same legs."""
    last = LastCheck(
        position_ratio=position_ratio(_for_oracle(long), _for_oracle(short)),
        short_margin=float(short.position_value) / float(wallet),
    )
    return compare_check(long, short, price, wallet, limits, last, empty_entry=None)[0]


def _failure(core: Multipliers, old: Multipliers, long: PositionState, short: PositionState) -> str:
    return f"gridcore {core}, oracle {old}: {long}, {short}"


def exact_multipliers(
    long: PositionState, short: PositionState, price: Decimal, limits: RiskConfig
) -> Multipliers:
    """Return what the rules say of two legs, in fractions throughout."""
    result = neutral_multipliers()
    for own, other in ((long, short), (short, long)):
        if not own.size:
            continue
        direction: Direction = own.direction.value
        opening: Side = "Buy" if own is long else "Sell"
        closing: Side = "Sell" if own is long else "Buy"
        liq = exact(own.liquidation_price or 0) / exact(price)
        high, moderate = _liquidation_risk(own, liq, limits)
        margins = exact(own.margin), exact(other.margin)
        # beside an empty leg there is nothing to be compared with
        equal = bool(other.size) and (
            Fraction(94, 100) < margins[0] / margins[1] < Fraction(105, 100)
        )
        share = exact(own.size) / exact(other.size) if other.size else Fraction(1)
        move = exact(price) - exact(own.entry_price)
        losing = move < 0 if own is long else move > 0
        if high:
            result[direction, closing] = 1.5
        elif moderate:
            result["short" if own is long else "long", opening] = 0.5
        elif equal and sum(margins) < exact(limits.min_total_margin):
            if limits.increase_same_position_on_low_margin:
                result[direction, opening] = 2
            else:
                result[direction, closing] = 0.5
        elif (share < Fraction(1, 2) and losing) or share < Fraction(1, 5):
            result[direction, opening] = 2
    return result


def _liquidation_risk(own: PositionState, liq: Fraction, limits: RiskConfig) -> tuple[bool, bool]:
    """Return whether the risk is high, and whether it is at least moderate."""
    if own.direction is DirectionType.LONG:
        limit = exact(limits.min_liq_ratio)
        return liq > limit * Fraction(105, 100), liq > limit
    limit = exact(limits.max_liq_ratio)
    return 0 < liq < limit * Fraction(95, 100), 0 < liq < limit


def _is_on_threshold(
    long: PositionState, short: PositionState, price: Decimal, limits: RiskConfig
) -> bool:
    """Tell whether a quotient lies exactly on a threshold, where floats fall to either side."""
    pairs: list[tuple[Fraction, Fraction]] = []
    if long.size and short.size:
        margins = exact(long.margin), exact(short.margin)
        pairs += [
            (margins[0] / margins[1], Fraction(94, 100)),
            (margins[0] / margins[1], Fraction(105, 100)),
            (margins[1] / margins[0], Fraction(94, 100)),
            (margins[1] / margins[0], Fraction(105, 100)),
            (sum(margins, Fraction(0)), exact(limits.min_total_margin)),
        ]
        ratio = exact(long.size) / exact(short.size)
        pairs += [(ratio, exact(text)) for text in ("0.2", "0.5", "2", "5")]
    for state, limit, factor in (
        (long, exact(limits.min_liq_ratio), Fraction(105, 100)),
        (short, exact(limits.max_liq_ratio), Fraction(95, 100)),
    ):
        if state.liquidation_price is not None:
            ratio = exact(state.liquidation_price) / exact(price)
            pairs += [(ratio, limit), (ratio, limit * factor)]
    return any(is_noise(value, threshold, threshold) for value, threshold in pairs)


def compare_random_checks(rng: random.Random, count: int) -> Iterator[Verdict]:
    """Yield one verdict for each random pair of legs, each after a check of other legs."""
    last = LastCheck()
    for _ in range(count):
        limits = random_limits(rng)
        price = Decimal(rng.randint(1, 10**7)).scaleb(-rng.randint(0, 4))
        wallet = Decimal(rng.randint(10**3, 10**7)).scaleb(-1)
        empty = rng.random()
        sizes = [Decimal(rng.randint(1, 10**6)).scaleb(-3) for _ in range(2)]
        if rng.random() < 0.5:
            sizes[1] = (sizes[0] * Decimal(rng.uniform(0.9, 1.1))).quantize(Decimal("0.001"))
        long_size = Decimal(0) if empty < 0.04 else sizes[0]
        short_size = Decimal(0) if 0.02 < empty < 0.06 else max(sizes[1], Decimal("0.001"))
        verdict, last = compare_check(
            _random_leg(rng, DirectionType.LONG, long_size, price, wallet),
            _random_leg(rng, DirectionType.SHORT, short_size, price, wallet),
            price,
            wallet,
            limits,
            last,
            empty_entry=rng.choice((0.0, None)),
        )
        yield verdict


def compare_check_sequence(rng: random.Random, count: int) -> Iterator[Verdict]:
    """Yield one verdict for each check while two legs grow, shrink, close and open again."""
    limits = random_limits(rng)
    price = Decimal(rng.randint(100, 10**7)).scaleb(-2)
    unit = Decimal(rng.randint(1, 1000)).scaleb(-3)
    wallet = max(Decimal(1), round(unit * price * rng.choice((2, 20, 200)), 2))
    steps = {leg: rng.randint(20, 60) for leg in DirectionType}
    entries = dict.fromkeys(DirectionType, price)
    legs = Position.create_linked_pair(limits.core)
    last = LastCheck()
    for _ in range(count):
        price = max(Decimal("0.01"), round(price * Decimal(1 + rng.gauss(0, 0.02)), 2))
        for leg in DirectionType:
            moved = rng.choice((-4, -2, -1, 0, 0, 1, 2, 4))
            if rng.random() < 0.06:
                moved = rng.choice((-steps[leg], 60, 300))
            if moved > 0:
                entries[leg] = price
            steps[leg] = max(0, steps[leg] + moved)
        states = [_walked_leg(rng, leg, unit * steps[leg], entries[leg], price, wallet)
                  for leg in DirectionType]  # fmt: skip
        verdict, last = compare_check(
            states[0], states[1], price, wallet, limits, last, legs,
            empty_entry=rng.choice((0.0, 0.0, None)),
        )  # fmt: skip
        yield verdict


def compare_equal_legs(rng: random.Random) -> Iterator[Verdict]:
    """Yield the verdicts of two checks between which nearly equal legs change places.

    For example 0.048 and 0.050, then 0.052 and 0.048: equal to the short leg of the check before,
    and not equal to the present one.
    """
    price, wallet = Decimal(60_000), Decimal(60_000)
    limits = LimitsPair(RiskConfig(0.8, 1.2, 8.0, 3.0, rng.random() < 0.5))
    last = LastCheck()
    pairs = [("0.048", "0.050"), ("0.052", "0.048")]
    if rng.random() < 0.8:
        pairs = [
            tuple(f"0.{rng.randint(46, 54):03}" for _ in range(2))  # type: ignore[misc]
            for _ in range(4)
        ]
    for long, short in pairs:
        verdict, last = compare_check(
            _leg(DirectionType.LONG, Decimal(long), price, None, wallet),
            _leg(DirectionType.SHORT, Decimal(short), price, None, wallet),
            price,
            wallet,
            limits,
            last,
        )
        yield verdict


def _walked_leg(
    rng: random.Random,
    leg: DirectionType,
    size: Decimal,
    entry: Decimal,
    price: Decimal,
    wallet: Decimal,
) -> PositionState:
    if not size:
        return PositionState.empty(leg)
    ratio = rng.uniform(0.5, 0.99) if leg is DirectionType.LONG else rng.uniform(1.01, 1.5)
    liq = None if rng.random() < 0.7 else round(price * Decimal(ratio), 2) or None
    return _leg(leg, size, entry, liq, wallet)


def _random_leg(
    rng: random.Random, leg: DirectionType, size: Decimal, price: Decimal, wallet: Decimal
) -> PositionState:
    if not size:
        return PositionState.empty(leg)
    ratio = rng.uniform(0.4, 1.1) if leg is DirectionType.LONG else rng.uniform(0.9, 1.8)
    liq = None if rng.random() < 0.4 else round(price * Decimal(ratio), 6) or None
    entry = round(price * Decimal(rng.uniform(0.8, 1.2)), 6) or price
    return _leg(leg, size, entry, liq, wallet)


def _leg(
    leg: DirectionType, size: Decimal, entry: Decimal, liq: Decimal | None, wallet: Decimal
) -> PositionState:
    return PositionState(
        direction=leg,
        size=size,
        entry_price=entry,
        unrealized_pnl=Decimal(0),
        margin=calc_margin_ratio(size * entry, wallet),
        liquidation_price=liq,
        leverage=Decimal(10),
        position_value=size * entry,
    )


def compare_searched_multipliers() -> Iterator[Verdict]:
    """Yield one verdict for each point of a net over every boundary of the rules."""
    price, wallet = Decimal(100), Decimal(10_000)
    around = (Decimal("-0.0001"), Decimal(0), Decimal("0.0001"))
    long_liqs = [
        None,
        *(100 * Decimal("0.8") * f + d for f in (1, Decimal("1.05")) for d in around),
    ]
    short_liqs = [
        None,
        *(100 * Decimal("1.2") * f + d for f in (1, Decimal("0.95")) for d in around),
    ]
    ratios = [
        Decimal(r) for r in ("0.19", "0.2", "0.21", "0.49", "0.5", "0.51", "0.93", "0.94", "0.95",
                             "1", "1.04", "1.05", "1.06", "1.07", "2", "2.01", "5", "5.01")
    ]  # fmt: skip
    entries = [Decimal(99), Decimal(100), Decimal(101)]
    for increase, total in product((False, True), (0.15, 0.21, 3.0)):
        limits = LimitsPair(RiskConfig(0.8, 1.2, 8.0, total, increase))
        for long_liq, short_liq, ratio, entry in product(long_liqs, short_liqs, ratios, entries):
            yield compare_multipliers(
                _leg(DirectionType.LONG, 10 * ratio, entry, long_liq, wallet),
                _leg(DirectionType.SHORT, Decimal(10), entry, short_liq, wallet),
                price,
                wallet,
                limits,
            )
    # 30.9 / 154.5 is 0.2 exactly, and less in floats
    yield compare_multipliers(
        _leg(DirectionType.LONG, Decimal("30.9"), Decimal(99), None, wallet),
        _leg(DirectionType.SHORT, Decimal("154.5"), Decimal(99), None, wallet),
        price,
        wallet,
        LimitsPair(RiskConfig(0.8, 1.2, 8.0, 0.15)),
    )
