"""The same-order error: two orders filled where there should have been one."""

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
    """Remembers the four newest complete fills and compares the two newest ones of each leg."""

    def __init__(self, switches: LegacySwitches | None = None) -> None:
        self.error = False  # True: place nothing
        self._switches = switches or LegacySwitches()
        self._newest: list[Execution] = []  # newest last

    def fills(self, direction: Direction) -> list[Execution]:
        """Return the remembered fills of one leg's list, at most two, the newest last."""
        if self._switches.same_order_filters_swapped:
            direction = "short" if direction == "long" else "long"
        return [fill for fill in self._newest if fill.direction == direction][-2:]

    def on_execution(self, execution: Execution) -> bool:
        """Take one execution and return the error as it stands now.

        Partial fills and executions that are no trades change nothing.
        """
        if execution.leaves_qty == 0 and execution.exec_type == "Trade":
            self._remember(execution)
        self.error = _is_duplicate(self.fills("long")) or _is_duplicate(self.fills("short"))
        return self.error

    def _remember(self, execution: Execution) -> None:
        fills = [*self._newest, execution]
        if self._switches.four_newest_fills_in_all:
            self._newest = fills[-4:]
            return
        legs = {"long": 0, "short": 0}
        self._newest = []
        for fill in reversed(fills):
            legs[fill.direction] += 1
            if legs[fill.direction] <= 2:
                self._newest.insert(0, fill)


def _is_duplicate(fills: list[Execution]) -> bool:
    if len(fills) < 2:
        return False
    older, newer = fills
    return (
        older.price == newer.price and older.side == newer.side and older.order_id != newer.order_id
    )
