"""Fills that an order's end tells of before their executions arrive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(slots=True)
class AwaitedFill:
    """Quantity of an order that ended as filled before its executions arrived."""

    order_id: str
    qty: Decimal
    price: Decimal
    closing: bool
    ts: datetime


class AwaitedFills:
    """What guards count although no execution has told it. Prices are USDT, sizes base coin."""

    def __init__(self) -> None:
        self.items: list[AwaitedFill] = []

    @property
    def closing_qty(self) -> Decimal:
        """What closed."""
        if not self.items:
            return ZERO
        return sum((item.qty for item in self.items if item.closing), ZERO)

    @property
    def opening_value(self) -> Decimal:
        """The value (USDT) of what opened."""
        return sum((i.qty * i.price for i in self.items if not i.closing), ZERO)

    def add(self, fill: AwaitedFill) -> None:
        """Wait for one."""
        self.items.append(fill)

    def executed(self, order_id: str, qty: Decimal) -> None:
        """Take in that an execution of an order has arrived."""
        for item in self.items:
            if item.order_id == order_id:
                item.qty -= qty
                if item.qty <= 0:
                    self.items.remove(item)
                return

    def reported(self, ts: datetime, surplus: Decimal) -> None:
        """Stop waiting for what a report of the leg as of `ts` contains.

        surplus is what it shows more than was known.
        """
        # of two fills in one moment the report may lack the one that ended the order
        self.items = [item for item in self.items if item.ts >= ts]
        for item in self.items:
            # what opened more than was known is what was waited for; counted once is enough
            if not item.closing and surplus > 0:
                seen = min(item.qty, surplus)
                item.qty -= seen
                surplus -= seen
        self.items = [item for item in self.items if item.qty > 0]
