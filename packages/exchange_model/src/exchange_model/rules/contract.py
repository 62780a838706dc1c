"""What a contract allows, whoever's order it is: quantity, price, order type."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from gridcore import InstrumentInfo

# of one account in one symbol. Source: docs/exchange.md, "Limits of orders"
MOST_OPEN_ORDERS: Final = 500


class LimitsSource(Protocol):
    """What instruments-info says beyond `gridcore.InstrumentInfo`; None where it does not."""

    @property
    def min_price(self) -> Decimal | None: ...
    @property
    def max_price(self) -> Decimal | None: ...
    @property
    def max_market_qty(self) -> Decimal | None: ...
    @property
    def max_leverage(self) -> Decimal | None: ...
    @property
    def price_ratio_x(self) -> Decimal | None: ...
    @property
    def price_ratio_y(self) -> Decimal | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractLimits:
    """Limits that not everybody knows. None is not known: then nothing is refused for it.

    Prices in USDT, `max_market_qty` in base coin, the ratios are shares of the mark price.
    """

    min_price: Decimal | None = None
    max_price: Decimal | None = None
    max_market_qty: Decimal | None = None
    max_leverage: Decimal | None = None
    price_ratio_x: Decimal | None = None
    price_ratio_y: Decimal | None = None
    max_open_orders: int | None = MOST_OPEN_ORDERS

    @classmethod
    def of(
        cls, published: LimitsSource, max_open_orders: int | None = MOST_OPEN_ORDERS
    ) -> ContractLimits:
        """Return the limits of a contract as its row of instruments-info gave them."""
        return cls(
            min_price=published.min_price,
            max_price=published.max_price,
            max_market_qty=published.max_market_qty,
            max_leverage=published.max_leverage,
            price_ratio_x=published.price_ratio_x,
            price_ratio_y=published.price_ratio_y,
            max_open_orders=max_open_orders,
        )

    def not_known(self) -> tuple[str, ...]:
        """Return what orders are not checked against, in words."""
        known = {
            "price range": self.min_price is not None and self.max_price is not None,
            "price limit": self.price_ratio_x is not None and self.price_ratio_y is not None,
            "largest leverage": self.max_leverage is not None,
            "number of orders": self.max_open_orders is not None,
        }
        return tuple(name for name, is_known in known.items() if not is_known)


def check_price(price: Decimal, one: InstrumentInfo, limits: ContractLimits) -> None:
    """Raise RefusalError for a price outside the contract's range or between two ticks."""
    least, most = limits.min_price, limits.max_price
    if (least is not None and price < least) or (most is not None and price > most):
        raise RefusalError(
            RetCode.PRICE_OUT_OF_RANGE, f"price {price} is outside {least} to {most}"
        )
    if price % one.tick_size:
        raise parameter_error(f"price {price} is no multiple of the tick size {one.tick_size}")


def check_qty(
    qty: Decimal, one: InstrumentInfo, limits: ContractLimits, *, is_market: bool, splits: bool
) -> None:
    """Raise RefusalError for a quantity off the step or outside the contract's limits.

    A reduce-only order of more than the largest quantity `splits` itself.
    """
    if qty < one.min_qty:
        raise parameter_error(
            f"the number of contracts exceeds minimum limit allowed: qty {qty}, min {one.min_qty}"
        )
    if not splits:
        most = largest_qty(one, limits, is_market=True) if is_market else one.max_qty
        if qty > most:
            raise parameter_error(
                f"the number of contracts exceeds maximum limit allowed: qty {qty}, max {most}"
            )
    if qty % one.qty_step:
        raise parameter_error(f"qty {qty} is no multiple of the qty step {one.qty_step}")


def largest_qty(one: InstrumentInfo, limits: ContractLimits, *, is_market: bool) -> Decimal:
    """Return the most that one order may ask for, in base coin."""
    return (limits.max_market_qty or one.max_qty) if is_market else one.max_qty
