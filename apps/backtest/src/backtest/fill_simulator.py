"""When a resting order fills. Each model is an object with the same two questions."""

from __future__ import annotations

from typing import Protocol

from backtest.order_manager import BacktestOrderManager, SimulatedOrder
from gridcore import SideType


class FillModel(Protocol):
    """Decides which resting orders a market price fills."""

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        """Return the closed range of market prices, in ticks, at which nothing fills."""

    def fills(self, order: SimulatedOrder, price_ticks: int) -> bool:
        """Tell whether the market at this price fills the order."""


class TradeThroughFillSimulator:
    """A Buy fills below its limit, a Sell above it, at the limit nothing (`strict_cross`).

    Understates fills: real orders at the limit fill when the queue before them has traded. What it
    fills would have filled, because the market traded beyond the order.
    """

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        return orders.highest_buy, orders.lowest_sell

    def fills(self, order: SimulatedOrder, price_ticks: int) -> bool:
        if order.side is SideType.BUY:
            return price_ticks < order.price_ticks
        return price_ticks > order.price_ticks


class TouchFillSimulator:
    """An order fills as soon as the market trades at its limit (`touch`).

    Overstates fills: it takes the place at the front of every queue.
    """

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        return orders.highest_buy + 1, orders.lowest_sell - 1

    def fills(self, order: SimulatedOrder, price_ticks: int) -> bool:
        if order.side is SideType.BUY:
            return price_ticks <= order.price_ticks
        return price_ticks >= order.price_ticks
