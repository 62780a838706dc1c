"""Simulated resting orders of one strategy, and the prices between which none of them fills."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from gridcore import DirectionType, PlaceLimitIntent, SideType, calc_order_margin
from gridcore.grid import UNBOUNDED

ZERO = Decimal(0)


@dataclass(slots=True)
class SimulatedOrder:
    """One resting order; price in ticks, quantities in base coin."""

    order_id: str
    client_order_id: str
    direction: DirectionType
    side: SideType
    price_ticks: int
    price: Decimal
    qty: Decimal
    leaves_qty: Decimal
    reduce_only: bool
    margin: Decimal  # USDT, 0 for a closing order


class BacktestOrderManager:
    """Resting orders by id, with the best bid and ask of our own orders kept at hand."""

    def __init__(self, leverage: Decimal) -> None:
        self.leverage = leverage
        self.orders: dict[str, SimulatedOrder] = {}
        self.margin = ZERO
        self._next_id = 0
        self._highest_buy: int | None = None
        self._lowest_sell: int | None = None

    def place(self, intent: PlaceLimitIntent, price_ticks: int) -> SimulatedOrder:
        """Let an order rest."""
        self._next_id += 1
        margin = (
            ZERO
            if intent.reduce_only
            else calc_order_margin(intent.direction, intent.qty, intent.price, self.leverage)
        )
        order = SimulatedOrder(
            order_id=f"b{self._next_id}",
            client_order_id=intent.client_order_id,
            direction=intent.direction,
            side=intent.side,
            price_ticks=price_ticks,
            price=intent.price,
            qty=intent.qty,
            leaves_qty=intent.qty,
            reduce_only=intent.reduce_only,
            margin=margin,
        )
        self.orders[order.order_id] = order
        self.margin += margin
        if order.side is SideType.BUY:
            if self._highest_buy is not None:
                self._highest_buy = max(self._highest_buy, price_ticks)
        elif self._lowest_sell is not None:
            self._lowest_sell = min(self._lowest_sell, price_ticks)
        return order

    def remove(self, order_id: str) -> SimulatedOrder | None:
        """Take an order off, because it filled or was cancelled; None when it is not there."""
        order = self.orders.pop(order_id, None)
        if order is not None:
            self.margin -= order.margin
            if order.side is SideType.BUY:
                if order.price_ticks == self._highest_buy:
                    self._highest_buy = None
            elif order.price_ticks == self._lowest_sell:
                self._lowest_sell = None
        return order

    @property
    def highest_buy(self) -> int:
        """Highest resting Buy in ticks; 0 without one."""
        if self._highest_buy is None:
            self._highest_buy = max(
                (o.price_ticks for o in self.orders.values() if o.side is SideType.BUY), default=0
            )
        return self._highest_buy

    @property
    def lowest_sell(self) -> int:
        """Lowest resting Sell in ticks; UNBOUNDED without one."""
        if self._lowest_sell is None:
            self._lowest_sell = min(
                (o.price_ticks for o in self.orders.values() if o.side is SideType.SELL),
                default=UNBOUNDED,
            )
        return self._lowest_sell
