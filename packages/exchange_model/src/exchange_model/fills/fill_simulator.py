"""When a resting order fills. Each model is an object with the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import NamedTuple, Protocol

from exchange_model.orders.order_manager import BacktestOrderManager, SimulatedOrder
from gridcore import SideType
from gridcore.sides import TAKER_BUY, TAKER_SELL

ZERO = Decimal(0)
VisibleAt = Callable[[SideType, int], Decimal]  # base coin that others show at a price in ticks


class MarketTrade(NamedTuple):
    """One trade of the market: price in ticks, the taker's side (`TAKER_BUY`, `TAKER_SELL` or
    `TAKER_UNKNOWN` of gridcore.sides), size in base coin.

    `number` tells the trades of a run apart, whichever of them are looked at."""

    price_ticks: int
    side: int
    qty: Decimal
    number: int = 0


class Fill(NamedTuple):
    """So much of an order (base coin) fills at its limit."""

    order: SimulatedOrder
    qty: Decimal


class FillModel(Protocol):
    """Decides which resting orders a trade of the market fills."""

    name: str

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        """Return the closed range of market prices, in ticks, at which nothing happens."""

    def rest(self, order: SimulatedOrder) -> None:
        """Prepare an order that begins to rest."""

    def fills(self, orders: BacktestOrderManager, trade: MarketTrade) -> Iterator[Fill]:
        """Yield what a trade fills, best price first."""


class TradeThroughFillSimulator:
    """A Buy fills below its limit, a Sell above it, at the limit nothing (`strict_cross`).

    Understates fills: real orders at the limit fill when the queue before them has traded. What it
    fills would have filled, because the market traded beyond the order.
    """

    name = "strict_cross"

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        return orders.highest_buy, orders.lowest_sell

    def rest(self, order: SimulatedOrder) -> None:
        pass

    def fills(self, orders: BacktestOrderManager, trade: MarketTrade) -> Iterator[Fill]:
        price = trade.price_ticks
        for order in chain(orders.buys_from(price + 1), orders.sells_to(price - 1)):
            yield Fill(order, order.leaves_qty)


class TouchFillSimulator:
    """An order fills as soon as the market trades at its limit (`touch`).

    Overstates fills: it takes the place at the front of every queue.
    """

    name = "touch"

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        return orders.highest_buy + 1, orders.lowest_sell - 1

    def rest(self, order: SimulatedOrder) -> None:
        pass

    def fills(self, orders: BacktestOrderManager, trade: MarketTrade) -> Iterator[Fill]:
        price = trade.price_ticks
        for order in chain(orders.buys_from(price), orders.sells_to(price)):
            yield Fill(order, order.leaves_qty)


class QueueFillSimulator:
    """An order joins behind `ahead_usdt` of other orders at its price (`queue`).

    Trades at the limit, by takers of the other side (or of an unknown one), first use up what is
    ahead, then fill the order, in parts of whole `qty_step`s. A trade beyond the limit fills all of
    it. Several orders of ours at one price share the volume, oldest first. Archives do not say how
    long a queue was: the figure is an assumption. That orders ahead may be cancelled is not seen,
    which understates fills; that the queue may have been longer overstates them.
    """

    name = "queue"

    def __init__(self, ahead_usdt: Decimal, qty_step: Decimal) -> None:
        self.ahead_usdt = ahead_usdt
        self.qty_step = qty_step

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        return orders.highest_buy + 1, orders.lowest_sell - 1

    def rest(self, order: SimulatedOrder) -> None:
        order.queue_ahead = self.ahead_usdt / order.price

    def fills(self, orders: BacktestOrderManager, trade: MarketTrade) -> Iterator[Fill]:
        price = trade.price_ticks
        for order in chain(orders.buys_from(price + 1), orders.sells_to(price - 1)):
            yield Fill(order, order.leaves_qty)
        if trade.side != TAKER_BUY:
            yield from self._at_limit(orders.at(SideType.BUY, price), trade.qty)
        if trade.side != TAKER_SELL:
            yield from self._at_limit(orders.at(SideType.SELL, price), trade.qty)

    def _at_limit(self, resting: Sequence[SimulatedOrder], volume: Decimal) -> Iterator[Fill]:
        """Share the volume of a trade among the orders at its very price.

        What has passed the queue and is less than a step waits as a negative `queue_ahead`.
        """
        for order in resting:
            ahead = (order.queue_ahead or ZERO) - volume
            qty = ZERO
            if ahead < 0:
                qty = min(order.leaves_qty, -ahead // self.qty_step * self.qty_step)
                volume = max(ZERO, volume - qty)
                ahead += qty
            order.queue_ahead = ahead
            if qty:
                yield Fill(order, qty)


class VisibleQueue(QueueFillSimulator):
    """The `queue` model, with what a book shows at the order's price as the queue before it."""

    def __init__(self, visible: VisibleAt, qty_step: Decimal) -> None:
        super().__init__(ZERO, qty_step)
        self._visible = visible

    def rest(self, order: SimulatedOrder) -> None:
        """Let an order join behind the visible size."""
        order.queue_ahead = self._visible(order.side, order.price_ticks)
