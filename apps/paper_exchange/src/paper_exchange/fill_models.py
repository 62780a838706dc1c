"""The backtest's fill models on a market with a visible book."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from backtest.fill_simulator import (
    Fill,
    FillModel,
    MarketTrade,
    QueueFillSimulator,
    TouchFillSimulator,
    TradeThroughFillSimulator,
)
from backtest.order_manager import BacktestOrderManager, SimulatedOrder
from paper_exchange.market import Market
from paper_exchange.settings import FillModelName


class VisibleQueue:
    """The `queue` model, with what the book shows at the order's price as the queue before it."""

    name = "queue"

    def __init__(self, market: Market) -> None:
        self._market = market
        self._queue = QueueFillSimulator(Decimal(0), market.listing.instrument.qty_step)

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        """Return the closed range of prices, in ticks, at which nothing happens."""
        return self._queue.quiet_range(orders)

    def rest(self, order: SimulatedOrder) -> None:
        """Let an order join behind the visible size."""
        order.queue_ahead = self._market.visible_at(order.side, order.price_ticks)

    def fills(self, orders: BacktestOrderManager, trade: MarketTrade) -> Iterator[Fill]:
        """Yield what a trade fills."""
        return self._queue.fills(orders, trade)


def fill_model_of(name: FillModelName, market: Market) -> FillModel:
    """Return the fill model of one market."""
    if name is FillModelName.STRICT_CROSS:
        return TradeThroughFillSimulator()
    if name is FillModelName.TOUCH:
        return TouchFillSimulator()
    return VisibleQueue(market)
