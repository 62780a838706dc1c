"""Closing orders that a leg does not cover any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Protocol, TypeVar

from gridcore import DirectionType
from gridcore.sides import LONG


class ClosingOrder(Protocol):
    """A closing order of one leg: limit in USDT, what of it can still fill in base coin."""

    @property
    def price(self) -> Decimal: ...
    @property
    def leaves_qty(self) -> Decimal: ...


Order = TypeVar("Order", bound=ClosingOrder)


def closing_cuts(
    orders: Iterable[Order], direction: DirectionType, excess: Decimal
) -> Iterator[tuple[Order, Decimal]]:
    """Yield closing orders of a leg with what each loses, until `excess` (base coin) is gone.

    Those furthest from the market first. Who loses all is cancelled (`CancelByReduceOnly`).
    Source: docs/exchange.md, "Reduce-only in hedge mode".
    """
    for order in sorted(orders, key=lambda one: one.price, reverse=direction is LONG):
        if excess <= 0:
            return
        lost = min(order.leaves_qty, excess)
        excess -= lost
        yield order, lost
