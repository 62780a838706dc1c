"""Fills at the limit by chance, the same chance whichever way a run goes through its data."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from itertools import chain

from exchange_model.fills.fill_simulator import Fill, MarketTrade
from exchange_model.orders.order_manager import BacktestOrderManager, SimulatedOrder
from gridcore.sides import BUY, SELL

DRAW_BYTES = 8


class ChanceFillSimulator:
    """A trade at an order's limit fills all of it with probability `chance` (`chance`).

    A trade beyond the limit always does. Each trade of the market at the limit is a draw of its
    own: a hash of seed, order and trade, so that it does not matter how many others were made
    before it. At 0 it is `strict_cross`, at 1 it is `touch`.
    """

    name = "chance"

    def __init__(self, chance: Decimal, seed: int) -> None:
        """`chance` lies within 0 and 1. Raises ValueError."""
        if not 0 <= chance <= 1:
            raise ValueError(f"the chance of a fill is {chance}; it lies within 0 and 1")
        self.chance = chance
        self.seed = seed
        self._below = int(chance * (1 << 8 * DRAW_BYTES))
        self._seeded = blake2b(str(seed).encode() + b":", digest_size=DRAW_BYTES)

    def quiet_range(self, orders: BacktestOrderManager) -> tuple[int, int]:
        """Return the closed range of prices, in ticks, at which nothing happens."""
        return orders.highest_buy + 1, orders.lowest_sell - 1

    def rest(self, order: SimulatedOrder) -> None:
        """Prepare nothing: an order has no place in a queue."""

    def fills(self, orders: BacktestOrderManager, trade: MarketTrade) -> Iterator[Fill]:
        """Yield what a trade fills, best price first."""
        price = trade.price_ticks
        for order in chain(orders.buys_from(price + 1), orders.sells_to(price - 1)):
            yield Fill(order, order.leaves_qty)
        for side in (BUY, SELL):
            for order in orders.at(side, price):
                # what waits behind an endless queue is kept beside its limit, not at it
                if order.queue_ahead is None and self._draws(order.order_id, trade.number):
                    yield Fill(order, order.leaves_qty)

    def _draws(self, order_id: str, number: int) -> bool:
        draw = self._seeded.copy()
        draw.update(f"{order_id}:{number}".encode())
        return int.from_bytes(draw.digest(), "big") < self._below
