"""Trading rules of one contract, and the border between decimal prices and integer ticks."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from gridcore.errors import InvalidInstrumentError, OffTickError
from gridcore.exact import ceil_div, round_half_even

LARGEST_PRICE = Decimal("1E15")  # USDT; far above any contract, and exact in ticks


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """Trading rules of one linear contract. Source: Bybit `GET /v5/market/instruments-info`.

    Raises InvalidInstrumentError for a rule that is not positive, is not a Decimal, or for a
    min_qty or max_qty that is no multiple of qty_step.
    """

    symbol: str
    tick_size: Decimal  # USDT
    qty_step: Decimal  # base coin
    min_qty: Decimal  # base coin
    min_notional: Decimal  # USDT, 0 when the contract has none
    max_qty: Decimal  # base coin, limit orders

    def __post_init__(self) -> None:
        for name in ("tick_size", "qty_step", "min_qty", "max_qty"):
            check_positive_decimal(getattr(self, name), self.symbol, name)
        least = self.min_notional
        if not isinstance(least, Decimal) or not least.is_finite() or least < 0:
            raise InvalidInstrumentError(
                f"{self.symbol}: min_notional is {self.min_notional!r}; it is a Decimal, 0 or more"
            )
        for name in ("min_qty", "max_qty"):
            if getattr(self, name) % self.qty_step:
                raise InvalidInstrumentError(
                    f"{self.symbol}: {name} {getattr(self, name)} is no multiple of"
                    f" the qty step {self.qty_step}"
                )
        if self.max_qty < self.min_qty:
            raise InvalidInstrumentError(
                f"{self.symbol}: max_qty {self.max_qty} is below min_qty {self.min_qty}"
            )

    def to_ticks(self, price: Decimal) -> int:
        """Return `price` (USDT) as whole ticks. Raises OffTickError between two ticks."""
        return price_to_ticks(price, self.tick_size, self.symbol)

    def to_price(self, ticks: int) -> Decimal:
        """Return the price in USDT of a whole number of ticks."""
        return self.tick_size * ticks

    def round_price(self, price: Decimal) -> Decimal:
        """Return `price` (USDT) on the nearest tick, ties to the even tick."""
        num, den = price.as_integer_ratio()
        tick_num, tick_den = self.tick_size.as_integer_ratio()
        return self.to_price(round_half_even(num * tick_den, den * tick_num))

    def round_qty(self, qty: Decimal) -> Decimal:
        """Return `qty` (base coin) rounded up to the qty step."""
        num, den = qty.as_integer_ratio()
        step_num, step_den = self.qty_step.as_integer_ratio()
        return self.qty_step * ceil_div(num * step_den, den * step_num)


def check_positive_decimal(value: Decimal, what: str, name: str) -> None:
    """Raise InvalidInstrumentError unless `value` is a finite Decimal above zero."""
    if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
        raise InvalidInstrumentError(
            f"{what}: {name} is {value!r}; it must be a Decimal above zero, for example"
            ' Decimal("0.1")'
        )


def price_to_ticks(price: Decimal, tick_size: Decimal, symbol: str) -> int:
    """Return `price` (USDT) as whole ticks of `tick_size`. Raises OffTickError otherwise."""
    if not price.is_finite() or abs(price) > LARGEST_PRICE:
        raise OffTickError(f"{symbol}: {price} is no price")
    ticks, rest = divmod(price, tick_size)
    if rest:
        raise OffTickError(
            f"{symbol}: the price {price} is off the {tick_size} tick; round it first, and check"
            " that the tick size is the exchange's"
        )
    return int(ticks)


def floor_ceil_ticks(price: Decimal, tick_size: Decimal) -> tuple[int, int]:
    """Return the whole ticks at or below and at or above `price`; equal for a price on a tick."""
    ticks, rest = divmod(price, tick_size)
    low = int(ticks)
    return (low, low + 1) if rest else (low, low)


class TickBounds:
    """`floor_ceil_ticks` for one tick size; remembers the newest price, which is asked for again
    and again until the market moves.
    """

    __slots__ = ("_found", "_price", "tick_size")

    def __init__(self, tick_size: Decimal) -> None:
        self.tick_size = tick_size
        self._price: Decimal | None = None
        self._found = 0, 0

    def of(self, price: Decimal) -> tuple[int, int]:
        """Return the whole ticks at or below and at or above `price` (USDT)."""
        if price is not self._price:
            self._found = floor_ceil_ticks(price, self.tick_size)
            self._price = price
        return self._found
