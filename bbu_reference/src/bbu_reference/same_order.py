"""The same-order error: two orders filled where there should have been one."""

from collections import deque
from dataclasses import dataclass

from bbu_reference.orders import Direction, Side
from bbu_reference.switches import LegacySwitches


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution from the private stream."""

    order_id: str
    side: Side
    price: float  # USDT
    closing: bool  # whether it reduced a position
    leaves_qty: float  # base coin still open after it; 0 when the order is done
    exec_type: str  # "Trade", "Funding", ...

    @property
    def direction(self) -> Direction:
        """The leg it belongs to: long opens with Buy and closes with Sell."""
        return "long" if (self.side == "Buy") != self.closing else "short"


class SameOrderGuard:
    """Remembers the two newest complete fills of each leg and compares them."""

    def __init__(self, switches: LegacySwitches | None = None) -> None:
        self.long: deque[Execution] = deque(maxlen=2)
        self.short: deque[Execution] = deque(maxlen=2)
        self.error = False  # True: place nothing
        self._swapped = (switches or LegacySwitches()).same_order_filters_swapped

    def on_execution(self, execution: Execution) -> bool:
        """Take one execution and return the error as it stands now.

        Partial fills and executions that are no trades change nothing.
        """
        if execution.leaves_qty == 0 and execution.exec_type == "Trade":
            into_long = (execution.direction == "long") != self._swapped
            (self.long if into_long else self.short).append(execution)
        self.error = _is_duplicate(self.long) or _is_duplicate(self.short)
        return self.error


def _is_duplicate(fills: deque[Execution]) -> bool:
    if len(fills) < 2:
        return False
    older, newer = fills
    return (
        older.price == newer.price and older.side == newer.side and older.order_id != newer.order_id
    )
