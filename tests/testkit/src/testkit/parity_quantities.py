"""Quantities, order by order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from bbu_reference.orders import MIN_NOTIONAL_USDT, AccountSeen, Sizing
from bbu_reference.orders import order_qty as oracle_qty
from bbu_reference.switches import LegacySwitches
from gridcore import AmountKind, AmountSpec, DirectionType, InstrumentInfo, SideType, order_qty
from testkit.parity_cases import Contract
from testkit.parity_exact import exact, is_noise
from testkit.parity_report import Deviation, Verdict, joined, least
from testkit.parity_world import oracle_amount, same_number, wire_side

# rules of a quantity that are switched off, one by one, to find what makes a difference
SWITCHED = (
    Deviation.OTHER_COINS,
    Deviation.LONG_KOEF,
    Deviation.CLOSING_MIN_NOTIONAL,
    Deviation.OWN_MIN_NOTIONAL,
    Deviation.ROUNDED_ONCE,
    Deviation.MAX_QTY,
)
READ_OTHERWISE = {
    AmountKind.USDT: (Deviation.PLAIN_USDT,),
    AmountKind.BASE: (Deviation.BASE_COIN,),
    AmountKind.WALLET_SHARE: None,
}
AS_WRITTEN: frozenset[Deviation] = frozenset()


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
    other_coins: Decimal = Decimal(0)  # what they are worth, USD
    position_ratio: float = 1.0
    has_liq_price: bool = False

    @property
    def is_opening(self) -> bool:
        """Whether the order enlarges its leg."""
        return not self.direction.is_closing(self.side)

    @property
    def own_koef(self) -> Decimal:
        """What gridcore is given: the long leg's koef."""
        return self.long_koef if self.direction is DirectionType.LONG else Decimal(1)

    def core(self) -> Decimal | None:
        """Return gridcore's answer."""
        return order_qty(
            self.amount,
            self.price,
            self.info,
            opening=self.is_opening,
            multiplier=self.multiplier,
            long_koef=self.own_koef,
            wallet_balance=self.wallet,
        )

    def oracle(self, switched_off: frozenset[Deviation] = AS_WRITTEN) -> float:
        """Return the oracle's answer to the same amount, in the older bot's form of it."""
        own = Deviation.OWN_MIN_NOTIONAL in switched_off
        qty = oracle_qty(
            self.direction.value,
            wire_side(self.side),
            float(self.price),
            sizing=Sizing(
                amount=oracle_amount(self.amount),
                qty_step=float(self.info.qty_step),
                min_qty=float(self.info.min_qty),
                min_notional_usdt=float(self.info.min_notional) if own else MIN_NOTIONAL_USDT,
                long_koef=float(self.long_koef),
            ),
            account=AccountSeen(
                wallet_usdt=float(self.wallet),
                other_coins_usd=float(self.other_coins),
                position_ratio=self.position_ratio,
                has_liq_price=self.has_liq_price,
            ),
            multipliers={
                (leg.value, wire_side(side)): self.multiplier
                for leg in DirectionType
                for side in SideType
            },
            switches=LegacySwitches(
                quantity_rounded_before_multiplying=Deviation.ROUNDED_ONCE not in switched_off,
                minimum_notional_for_closing_orders=(
                    Deviation.CLOSING_MIN_NOTIONAL not in switched_off
                ),
                other_coins_in_wallet=Deviation.OTHER_COINS not in switched_off,
                long_koef_by_position_ratio=Deviation.LONG_KOEF not in switched_off,
            ),
        )
        return min(qty, float(self.info.max_qty)) if Deviation.MAX_QTY in switched_off else qty

    def exact_steps(self) -> Fraction:
        """Return the wanted quantity in steps before rounding, minimums applied."""
        base = exact(self.amount.value)
        if self.amount.kind is AmountKind.WALLET_SHARE:
            base *= exact(self.wallet)
        if self.amount.kind is not AmountKind.BASE:
            base /= exact(self.price)
        base *= exact(self.multiplier) * exact(self.own_koef)
        least_qty = exact(self.info.min_qty)
        if self.is_opening:
            least_qty = max(least_qty, exact(self.info.min_notional) / exact(self.price))
        return max(base, least_qty) / exact(self.info.qty_step)


def compare_quantity(case: QtyCase) -> Verdict:
    """Compare one quantity; how an amount is read counts as its deviation, all else being equal."""
    core = case.core()
    if core is None:
        if case.amount.kind is AmountKind.WALLET_SHARE and case.wallet <= 0:
            return (Deviation.NO_WALLET,)
        return f"no order: {case}"
    if core % case.info.qty_step:
        return f"{core} is off the step: {case}"
    ours = same_number(core)
    names = least(SWITCHED, lambda switched_off: same_number(case.oracle(switched_off)) == ours)
    if names is not None:
        return joined(READ_OTHERWISE[case.amount.kind], names)
    steps = case.exact_steps()
    whole = Fraction(round(steps))
    # the oracle looks at 14 significant digits
    if is_noise(steps, whole, 100 * steps):
        up = -(-steps.numerator // steps.denominator)
        if core == min(case.info.qty_step * up, case.info.max_qty):
            return (Deviation.FLOAT_TIE,)
    return (
        f"gridcore {core}, oracle {case.oracle()}, ours {case.oracle(frozenset(SWITCHED))}: {case}"
    )


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
                rng.choice(list(DirectionType)),
                rng.choice(list(SideType)),
                rng.choice((0.5, 1.0, 1.0, 1.5, 2.0)),
                Decimal(rng.choice(("1", "1", "1.1", "0.5", "2"))),
                Decimal(0) if rng.random() < 0.03 else Decimal(rng.randint(1, 10**8)).scaleb(-2),
                other_coins=Decimal(rng.choice((0, 0, 0, 10, 5000))),
                position_ratio=rng.choice((0.5, 1.0, 1.1, 1.2, 3.0, 9.9, 10.0)),
                has_liq_price=rng.random() < 0.5,
            )
        )
