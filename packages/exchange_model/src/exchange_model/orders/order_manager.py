"""Simulated resting orders of one pair, sorted so that the next one to fill is at hand."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from exchange_model.account.simulated_account import SimulatedPair
from gridcore import DirectionType, SideType
from gridcore.grid import UNBOUNDED
from gridcore.sides import BUY, SELL

ZERO = Decimal(0)


@dataclass(slots=True, eq=False)
class SimulatedOrder:
    """One resting order; price in ticks and USDT, quantities in base coin.

    `queue_ahead` is what has to trade at its price before it fills, None where no model keeps it.
    `takes` says that it crossed the market when it arrived, so that its fill pays the taker fee.
    """

    order_id: str
    client_order_id: str
    direction: DirectionType
    side: SideType
    price_ticks: int
    price: Decimal
    qty: Decimal
    leaves_qty: Decimal
    reduce_only: bool
    margin: Decimal  # USDT held by what is left of it, 0 for a closing order
    level: int = 0
    queue_ahead: Decimal | None = None
    takes: bool = False


class BacktestOrderManager:
    """Resting orders by id, Buys and Sells sorted by price, oldest first at one price."""

    def __init__(self, pair: SimulatedPair) -> None:
        self.pair = pair
        self.orders: dict[str, SimulatedOrder] = {}
        self.closing_qty = dict.fromkeys(DirectionType, ZERO)
        self._at: dict[tuple[SideType, int], list[SimulatedOrder]] = {}
        self._buys: list[int] = []
        self._sells: list[int] = []

    def __len__(self) -> int:
        return len(self.orders)

    def order_count(self) -> int:
        """Return how many orders rest."""
        return len(self.orders)

    def closing_budget(self, direction: DirectionType) -> Decimal:
        """Return what of a leg no closing order covers, in base coin."""
        return self.pair.leg(direction).size - self.closing_qty[direction]

    def opening_value(self) -> Decimal:
        """Return what resting orders that open are worth at their limits, USDT."""
        return sum(
            (one.leaves_qty * one.price for one in self.orders.values() if not one.reduce_only),
            ZERO,
        )

    def add(self, order: SimulatedOrder) -> None:
        """Let an order rest."""
        self.orders[order.order_id] = order
        key = order.side, order.price_ticks
        queue = self._at.get(key)
        if queue is None:
            self._at[key] = [order]
            insort(self._buys if order.side is BUY else self._sells, order.price_ticks)
        else:
            queue.append(order)
        if order.reduce_only:
            self.closing_qty[order.direction] += order.leaves_qty
        else:
            self.pair.order_margin += order.margin

    def remove(self, order_id: str) -> SimulatedOrder | None:
        """Take an order off, because it filled or was cancelled; None when it is not there."""
        order = self.orders.pop(order_id, None)
        if order is None:
            return None
        key = order.side, order.price_ticks
        queue = self._at[key]
        queue.remove(order)
        if not queue:
            del self._at[key]
            prices = self._buys if order.side is BUY else self._sells
            del prices[bisect_left(prices, order.price_ticks)]
        if order.reduce_only:
            self.closing_qty[order.direction] -= order.leaves_qty
        else:
            self.pair.order_margin -= order.margin
        return order

    def reduce(self, order: SimulatedOrder, qty: Decimal) -> None:
        """Take `qty` (base coin) off a resting order; at nothing left it goes."""
        if qty >= order.leaves_qty:
            self.remove(order.order_id)
            order.leaves_qty = order.margin = ZERO
            return
        order.leaves_qty -= qty
        if order.reduce_only:
            self.closing_qty[order.direction] -= qty
        else:
            held = self.pair.order_margin_of(order.direction, order.leaves_qty, order.price)
            self.pair.order_margin += held - order.margin
            order.margin = held

    @property
    def highest_buy(self) -> int:
        """Highest resting Buy in ticks; 0 without one."""
        return self._buys[-1] if self._buys else 0

    @property
    def lowest_sell(self) -> int:
        """Lowest resting Sell in ticks; UNBOUNDED without one."""
        return self._sells[0] if self._sells else UNBOUNDED

    def at(self, side: SideType, price_ticks: int) -> tuple[SimulatedOrder, ...]:
        """Return the orders of a side at a price, oldest first."""
        return tuple(self._at.get((side, price_ticks), ()))

    def buys_from(self, price_ticks: int) -> Iterator[SimulatedOrder]:
        """Yield Buys at or above a price, highest first, oldest first at one price.

        The caller may fill what was yielded on the way.
        """
        prices = self._buys[bisect_left(self._buys, price_ticks) :]
        for ticks in reversed(prices):
            yield from self.at(BUY, ticks)

    def sells_to(self, price_ticks: int) -> Iterator[SimulatedOrder]:
        """Yield Sells at or below a price, lowest first, oldest first at one price."""
        prices = self._sells[: bisect_left(self._sells, price_ticks + 1)]
        for ticks in prices:
            yield from self.at(SELL, ticks)
