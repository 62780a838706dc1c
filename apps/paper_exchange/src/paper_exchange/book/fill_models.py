"""The backtest's fill models on a market with a visible book."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from exchange_model.fills.fill_simulator import (
    Fill,
    FillModel,
    MarketTrade,
    QueueFillSimulator,
    TouchFillSimulator,
    TradeThroughFillSimulator,
)
from exchange_model.orders.order_manager import BacktestOrderManager, SimulatedOrder
from gridcore import InstrumentInfo, SideType
from paper_exchange.basics.settings import FillModelName
from paper_exchange.market.market import Market

ENDLESS = Decimal("Infinity")


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


def resting_place(
    model: FillModel, instrument: InstrumentInfo, side: SideType, price: Decimal
) -> tuple[int, Decimal | None]:
    """Return at which tick a model keeps an order, and what is ahead of it if nothing may reach it.

    A limit between two ticks (the tick size changed under it) fills as soon as the market trades
    beyond it. `touch` reaches it at the tick beyond; the other models fill beyond the tick at which
    an order is, so it is kept at the one before, where no volume gets to it.
    """
    down, rest = divmod(price, instrument.tick_size)
    if not rest:
        return int(down), None
    beyond, before = int(down), int(down) + 1
    if side is SideType.SELL:
        beyond, before = before, beyond
    return (beyond, None) if model.name == TouchFillSimulator.name else (before, ENDLESS)


def taking_ticks(instrument: InstrumentInfo, side: SideType, price: Decimal) -> int:
    """Return the worst tick at which a limit may take."""
    tick = instrument.tick_size
    return int(price // tick) if side is SideType.BUY else -int(-price // tick)


def fill_model_of(name: FillModelName, market: Market) -> FillModel:
    """Return the fill model of one market."""
    if name is FillModelName.STRICT_CROSS:
        return TradeThroughFillSimulator()
    if name is FillModelName.TOUCH:
        return TouchFillSimulator()
    return VisibleQueue(market)
