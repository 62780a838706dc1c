"""How much to order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Self

from gridcore.errors import AmountError
from gridcore.exact import ceil_div, exact_fraction
from gridcore.instrument import InstrumentInfo

FORMS = '"100" (USDT per order), "x0.001" (share of the wallet balance) or "b0.001" (base coin)'


class AmountKind(StrEnum):
    """Unit of an amount."""

    USDT = "usdt"
    WALLET_SHARE = "wallet_share"
    BASE = "base"


@dataclass(frozen=True, slots=True)
class AmountSpec:
    """Size of one order before multipliers."""

    kind: AmountKind
    value: Decimal

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `"100"`, `"x0.001"` or `"b0.001"`. Raises AmountError for anything else."""
        if not isinstance(text, str):
            raise AmountError(f"the amount is {text!r}; write it as text: {FORMS}")
        kind = {"x": AmountKind.WALLET_SHARE, "b": AmountKind.BASE}.get(text[:1], AmountKind.USDT)
        digits = text if kind is AmountKind.USDT else text[1:]
        try:
            value = Decimal(digits) if digits.strip() == digits and "_" not in digits else None
        except InvalidOperation:
            value = None
        if value is None or not value.is_finite() or value <= 0:
            raise AmountError(f"the amount is {text!r}; it is one of {FORMS}, above zero")
        return cls(kind, value)


def order_qty(
    amount: AmountSpec,
    price: Decimal,
    instrument: InstrumentInfo,
    *,
    opening: bool,
    multiplier: float = 1.0,
    long_koef: Decimal = Decimal(1),
    wallet_balance: Decimal | None = None,
) -> Decimal | None:
    """Return the quantity (base coin) of one order at `price` (USDT), None for no order.

    Base amount x multiplier x long_koef (the caller passes it for the long leg only), rounded up
    to the qty step once, at the end; then raised to min_qty and, for opening orders, to
    min_notional / price; above max_qty it is cut to max_qty. A share of a wallet whose balance is
    unknown, zero or negative gives None. Raises AmountError for a price that is not positive.
    """
    asked = _asked(amount, price, instrument, multiplier, long_koef, wallet_balance)
    if asked is None:
        return None
    steps = _steps_up(asked, instrument.qty_step)
    least = instrument.min_qty / instrument.qty_step
    steps = max(steps, int(least))
    if opening and instrument.min_notional:
        needed = exact_fraction(instrument.min_notional) / exact_fraction(price)
        steps = max(steps, _steps_up(needed, instrument.qty_step))
    return min(instrument.qty_step * steps, instrument.max_qty)


@dataclass(frozen=True, slots=True)
class OrderSize:
    """One order as the settings ask for it and as the contract's rules make it."""

    price: Decimal  # USDT
    qty: Decimal  # base coin, as placed
    asked: Fraction  # USDT

    @property
    def asked_usdt(self) -> Decimal:
        """What the settings ask for, USDT."""
        return Decimal(self.asked.numerator) / Decimal(self.asked.denominator)

    @property
    def placed_usdt(self) -> Decimal:
        """What the order is worth at its price, USDT."""
        return self.qty * self.price

    @property
    def factor(self) -> Fraction:
        """How many times what is asked for is placed: above 1 where a minimum or a step enlarges
        the order, below 1 where the contract's largest order cuts it."""
        return exact_fraction(self.placed_usdt) / self.asked


def order_size(
    amount: AmountSpec,
    price: Decimal,
    instrument: InstrumentInfo,
    *,
    opening: bool,
    multiplier: float = 1.0,
    long_koef: Decimal = Decimal(1),
    wallet_balance: Decimal | None = None,
) -> OrderSize | None:
    """Return what `order_qty` makes of an amount, beside what was asked for; None for no order."""
    asked = _asked(amount, price, instrument, multiplier, long_koef, wallet_balance)
    qty = order_qty(
        amount,
        price,
        instrument,
        opening=opening,
        multiplier=multiplier,
        long_koef=long_koef,
        wallet_balance=wallet_balance,
    )
    if asked is None or qty is None:
        return None
    return OrderSize(price, qty, asked * exact_fraction(price))


def _asked(
    amount: AmountSpec,
    price: Decimal,
    instrument: InstrumentInfo,
    multiplier: float,
    long_koef: Decimal,
    wallet_balance: Decimal | None,
) -> Fraction | None:
    """Return the quantity (base coin) before any rule of the contract, None for no order."""
    if not price.is_finite() or price <= 0:
        raise AmountError(f"{instrument.symbol}: the price is {price}; an order has one above zero")
    match amount.kind:
        case AmountKind.USDT:
            base = exact_fraction(amount.value) / exact_fraction(price)
        case AmountKind.BASE:
            base = exact_fraction(amount.value)
        case AmountKind.WALLET_SHARE:
            if wallet_balance is None or wallet_balance <= 0:
                return None
            usdt = exact_fraction(amount.value) * exact_fraction(wallet_balance)
            base = usdt / exact_fraction(price)
    return base * exact_fraction(multiplier) * exact_fraction(long_koef)


def _steps_up(qty: Fraction, qty_step: Decimal) -> int:
    steps = qty / exact_fraction(qty_step)
    return ceil_div(steps.numerator, steps.denominator)


class OrderSizer:
    """`order_qty` for one instrument at many prices: everything but the price is computed once.

    `order_qty` is the definition; both give the same for every input.
    """

    def __init__(self, amount: AmountSpec, instrument: InstrumentInfo) -> None:
        self.amount = amount
        self.instrument = instrument
        step, tick = exact_fraction(instrument.qty_step), exact_fraction(instrument.tick_size)
        self._per_price = amount.kind is not AmountKind.BASE
        self._base = exact_fraction(amount.value) / step / (tick if self._per_price else 1)
        self._least = int(instrument.min_qty / instrument.qty_step)
        self._most = int(instrument.max_qty / instrument.qty_step)
        notional = exact_fraction(instrument.min_notional) / step / tick
        self._notional = notional.numerator, notional.denominator
        self._wallet: Decimal | None = None
        self._fixed: dict[tuple[float, Decimal], tuple[int, int]] = {}
        self._factors: dict[tuple[float, Decimal], tuple[int, int]] = {}  # at this wallet balance

    def qty(
        self,
        price_ticks: int,
        *,
        opening: bool,
        multiplier: float,
        long_koef: Decimal,
        wallet_balance: Decimal | None,
    ) -> Decimal | None:
        """Return the quantity (base coin) of one order at a price in ticks, None for no order."""
        if self.amount.kind is AmountKind.WALLET_SHARE:
            if wallet_balance is None or wallet_balance <= 0:
                return None
            if wallet_balance != self._wallet:
                self._wallet = wallet_balance
                self._factors.clear()
        factor = self._factors.get((multiplier, long_koef))
        if factor is None:
            factor = self._factor(multiplier, long_koef)
        num, den = factor
        steps = ceil_div(num, den * price_ticks if self._per_price else den)
        if opening:
            num, den = self._notional
            steps = max(steps, ceil_div(num, den * price_ticks))
        return self.instrument.qty_step * min(max(steps, self._least), self._most)

    def _factor(self, multiplier: float, long_koef: Decimal) -> tuple[int, int]:
        key = multiplier, long_koef
        fixed = self._fixed.get(key)
        if fixed is None:
            product = self._base * exact_fraction(multiplier) * exact_fraction(long_koef)
            fixed = self._fixed[key] = product.numerator, product.denominator
        num, den = fixed
        if self.amount.kind is AmountKind.WALLET_SHARE and self._wallet is not None:
            wallet_num, wallet_den = self._wallet.as_integer_ratio()
            num, den = num * wallet_num, den * wallet_den
        self._factors[key] = num, den
        return num, den
