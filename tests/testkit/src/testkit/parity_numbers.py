"""Quantities, multipliers and the same-order error, compared case by case."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product

from bbu_reference.orders import Direction, Multipliers, Side, Sizing, neutral_multipliers
from bbu_reference.orders import order_qty as oracle_qty
from bbu_reference.positions import Position as OraclePosition
from bbu_reference.positions import RiskLimits, multipliers_for
from bbu_reference.same_order import Execution as OracleExecution
from bbu_reference.same_order import SameOrderGuard
from bbu_reference.switches import LegacySwitches
from gridcore import (
    AmountKind,
    AmountSpec,
    DirectionType,
    FilledOrder,
    InstrumentInfo,
    Position,
    PositionState,
    RiskConfig,
    SameOrderDetector,
    SideType,
    calc_margin_ratio,
    direction_of,
    order_qty,
)
from testkit.builders import START
from testkit.parity_cases import Contract
from testkit.parity_exact import exact, is_noise
from testkit.parity_report import Deviation

Verdict = Deviation | str | None
EXEMPT = LegacySwitches(minimum_notional_for_closing_orders=False)
INVERTED = LegacySwitches(short_liquidation_operator_inverted=True)
NOT_SKIPPED = LegacySwitches(zero_short_size_skips_rules=False)
OLD_MIN_NOTIONAL = Decimal(5)


def wire_side(side: SideType) -> Side:
    """Return the side in the oracle's type."""
    return "Buy" if side is SideType.BUY else "Sell"


def same_number(value: Decimal | float) -> str:
    """Return 15 significant digits, as many as a float carries."""
    return f"{float(value):.15g}"


# quantities


@dataclass(frozen=True, slots=True)
class QtyCase:
    """One quantity to decide; price, wallet in USDT."""

    amount: AmountSpec
    price: Decimal
    info: InstrumentInfo
    direction: DirectionType
    side: SideType
    multiplier: float
    long_koef: Decimal
    wallet: Decimal

    @property
    def is_opening(self) -> bool:
        """Whether the order enlarges its leg."""
        return not self.direction.is_closing(self.side)

    def core(self, info: InstrumentInfo | None = None) -> Decimal | None:
        """Return gridcore's answer."""
        return order_qty(
            self.amount,
            self.price,
            info or self.info,
            opening=self.is_opening,
            multiplier=self.multiplier,
            long_koef=self.long_koef,
            wallet_balance=self.wallet,
        )

    def oracle(self, switches: LegacySwitches) -> float:
        """Return the oracle's answer; a plain amount as b{100/price}, the bias as multiplier."""
        forms = {
            AmountKind.USDT: f"b{float(self.amount.value) / float(self.price)!r}",
            AmountKind.BASE: f"b{self.amount.value}",
            AmountKind.WALLET_SHARE: f"x{self.amount.value}",
        }
        return oracle_qty(
            self.direction.value,
            wire_side(self.side),
            float(self.price),
            sizing=Sizing(
                amount=forms[self.amount.kind],
                qty_step=float(self.info.qty_step),
                min_qty=float(self.info.min_qty),
            ),
            wallet_usdt=float(self.wallet),
            multipliers={
                (leg.value, wire_side(side)): self.multiplier * float(self.long_koef)
                for leg in DirectionType
                for side in SideType
            },
            switches=switches,
        )

    def exact_steps(self) -> Fraction:
        """Return the wanted quantity in steps before rounding, minimums aside."""
        base = exact(self.amount.value)
        if self.amount.kind is AmountKind.WALLET_SHARE:
            base *= exact(self.wallet)
        if self.amount.kind is not AmountKind.BASE:
            base /= exact(self.price)
        base *= exact(self.multiplier) * exact(self.long_koef)
        least = exact(self.info.min_qty)
        if self.is_opening:
            least = max(least, exact(self.info.min_notional) / exact(self.price))
        return max(base, least) / exact(self.info.qty_step)


def compare_quantity(case: QtyCase) -> Verdict:
    """Compare one quantity; a plain amount counts as its deviation when all else is equal."""
    core, old = case.core(), case.oracle(LegacySwitches())
    if core is None:
        if case.amount.kind is AmountKind.WALLET_SHARE and case.wallet <= 0:
            return Deviation.NO_WALLET
        return f"no order: {case}"
    if core % case.info.qty_step:
        return f"{core} is off the step: {case}"
    same = Deviation.PLAIN_USDT if case.amount.kind is AmountKind.USDT else None
    if same_number(core) == same_number(old):
        return same
    exempt = case.oracle(EXEMPT)
    if same_number(core) == same_number(exempt) and not case.is_opening:
        return Deviation.CLOSING_MIN_NOTIONAL
    if core == case.info.max_qty and exempt > float(core):
        return Deviation.MAX_QTY
    older_rules = replace(case.info, min_notional=OLD_MIN_NOTIONAL)
    if case.is_opening and case.info.min_notional != OLD_MIN_NOTIONAL:
        under_five = case.core(older_rules)
        if under_five is not None and same_number(under_five) == same_number(exempt):
            return Deviation.OWN_MIN_NOTIONAL
    steps = case.exact_steps()
    whole = Fraction(round(steps))
    # the oracle looks at 14 significant digits
    if is_noise(steps, whole, 100 * steps):
        up = -(-steps.numerator // steps.denominator)
        if core == case.info.qty_step * up:
            return Deviation.FLOAT_TIE
    return f"gridcore {core}, oracle {old} (closing exempt: {exempt}): {case}"


def compare_quantities(rng: random.Random, contract: Contract, count: int) -> Iterator[Verdict]:
    """Yield one verdict for each random quantity."""
    info = contract.info
    for _ in range(count):
        price = contract.price(rng)
        kind = rng.choice(list(AmountKind))
        usdt = Decimal(rng.choice((1, 3, 5, 10, 100, 1000, rng.randint(1, 100_000))))
        value = {
            AmountKind.USDT: usdt,
            AmountKind.BASE: info.qty_step * rng.choice((1, 7, rng.randint(1, 10_000))),
            AmountKind.WALLET_SHARE: Decimal(rng.randint(1, 9999)).scaleb(-rng.randint(3, 7)),
        }[kind]
        if rng.random() < 0.1:
            value *= Decimal("1.37")
        direction = rng.choice(list(DirectionType))
        long_koef = Decimal(rng.choice(("1", "1", "1.1", "0.5", "2")))
        rules = info
        if rng.random() < 0.2:
            rules = replace(info, min_notional=Decimal(rng.choice(("0", "1", "20", "100"))))
        if rng.random() < 0.2:
            rules = replace(rules, min_qty=info.qty_step * rng.randint(1, 20))
        yield compare_quantity(
            QtyCase(
                AmountSpec(kind, value),
                price,
                rules,
                direction,
                rng.choice(list(SideType)),
                rng.choice((0.5, 1.0, 1.0, 1.5, 2.0)),
                long_koef if direction is DirectionType.LONG else Decimal(1),
                Decimal(0) if rng.random() < 0.03 else Decimal(rng.randint(1, 10**8)).scaleb(-2),
            )
        )


# multipliers


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


def _for_oracle(state: PositionState) -> OraclePosition:
    liq = state.liquidation_price
    return OraclePosition(
        size=float(state.size),
        entry_price=float(state.entry_price),
        position_value=float(state.position_value),
        liq_price=None if liq is None else float(liq),
        leverage=float(state.leverage),
    )


def compare_multipliers(
    long: PositionState,
    short: PositionState,
    price: Decimal,
    wallet: Decimal,
    limits: LimitsPair,
    legs: tuple[Position, Position] | None = None,
) -> Verdict:
    """Run one position check of both (price, wallet in USDT) and compare the four results."""
    legs = legs or Position.create_linked_pair(limits.core)
    for leg in legs:
        leg.reset_amount_multiplier()
    legs[0].calculate_amount_multiplier(long, short, price)
    legs[1].calculate_amount_multiplier(short, long, price)
    core = core_multipliers(legs)

    def oracle(
        long: OraclePosition, short: OraclePosition, switches: LegacySwitches | None = None
    ) -> Multipliers:
        return multipliers_for(
            long,
            short,
            last_price=float(price),
            wallet_usdt=float(wallet),
            limits=limits.oracle,
            switches=switches,
        )

    own = _for_oracle(long), _for_oracle(short)
    old = oracle(*own)
    if core == old:
        notes = oracle(*own, INVERTED)
        return Deviation.SHORT_LIQUIDATION if notes != old else None
    if not (long.size and short.size):
        expected = oracle(*_lone(*own), NOT_SKIPPED)
        return Deviation.EMPTY_LEG if core == expected else _failure(core, expected, long, short)
    ours = exact_multipliers(long, short, price, limits.core)
    if core == ours and _is_on_threshold(long, short, price, limits.core):
        return Deviation.FLOAT_THRESHOLD
    return _failure(core, old, long, short) + f", at {price}, wallet {wallet}, {limits.core}"


def _failure(core: Multipliers, old: Multipliers, long: PositionState, short: PositionState) -> str:
    return f"gridcore {core}, oracle {old}: {long}, {short}"


def _lone(long: OraclePosition, short: OraclePosition) -> tuple[OraclePosition, OraclePosition]:
    """Give an empty leg the other's size and nothing else: no rule but liquidation can match."""
    ghost = OraclePosition(
        size=max(long.size, short.size),
        entry_price=0.0,
        position_value=0.0,
        liq_price=None,
        leverage=1.0,
    )
    return (long if long.size else ghost), (short if short.size else ghost)


def exact_multipliers(
    long: PositionState, short: PositionState, price: Decimal, limits: RiskConfig
) -> Multipliers:
    """Return what the rules say of two legs, in fractions throughout."""
    result = neutral_multipliers()
    for own, other in ((long, short), (short, long)):
        direction: Direction = own.direction.value
        opening: Side = "Buy" if own is long else "Sell"
        closing: Side = "Sell" if own is long else "Buy"
        liq = exact(own.liquidation_price or 0) / exact(price)
        high, moderate = _liquidation_risk(own, liq, limits)
        margins = exact(own.margin), exact(other.margin)
        equal = Fraction(94, 100) < margins[0] / margins[1] < Fraction(105, 100)
        share = exact(own.size) / exact(other.size)
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
    margins = exact(long.margin), exact(short.margin)
    pairs = [
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


def compare_random_multipliers(rng: random.Random, count: int) -> Iterator[Verdict]:
    """Yield one verdict for each random pair of legs."""
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
        yield compare_multipliers(
            _random_leg(rng, DirectionType.LONG, long_size, price, wallet),
            _random_leg(rng, DirectionType.SHORT, short_size, price, wallet),
            price,
            wallet,
            limits,
        )


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


# same-order error


def compare_same_order(rng: random.Random, count: int) -> Iterator[Verdict]:
    """Yield one verdict for each execution of a random sequence with many near-duplicates.

    Orders have a price of their own and fill at it or, crossing on arrival, at another; some are
    placed beside a live one, some after it. The older bot sees fill prices alone.
    """
    core, oracle = SameOrderDetector(), SameOrderGuard()
    newest: dict[DirectionType, list[FilledOrder]] = {leg: [] for leg in DirectionType}
    for number in range(count):
        side, closing = rng.choice(list(SideType)), rng.random() < 0.5
        order_price = rng.choice(("100", "101"))
        price = order_price if rng.random() < 0.8 else "100.0"
        order_id = f"o{rng.randint(1, 6)}"
        ended = START + timedelta(seconds=number)
        started = ended - timedelta(seconds=rng.choice((0, 1, 2, 5)))
        leg = direction_of(side, closing=closing)
        leaves = "1" if rng.random() < 0.2 else "0"
        if leaves == "0":
            order = FilledOrder(order_id, f"{side} {order_price}", started, ended)
            core.add(leg, order)
            newest[leg] = [order, *newest[leg][:1]]
        expected = oracle.on_execution(
            OracleExecution(
                order_id=order_id,
                side=wire_side(side),
                price=float(price),
                closing=closing,
                leaves_qty=float(leaves),
                exec_type="Trade",
            )
        )
        at_once = any(_lived_at_once(*pair) for pair in newest.values() if len(pair) == 2)
        if core.is_set != at_once:
            yield f"execution {number}: {core.is_set}, but {at_once} of {newest}"
        else:
            yield None if core.is_set == expected else Deviation.SAME_ORDER_AT_ONCE


def _lived_at_once(one: FilledOrder, other: FilledOrder) -> bool:
    if one.order_id == other.order_id or one.identity != other.identity:
        return False
    if one.started is None or other.started is None:
        return True
    return not (one.ended <= other.started or other.ended <= one.started)
