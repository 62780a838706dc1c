"""The identities of a strategy's orders, and wishes as intents that carry them."""

from __future__ import annotations

from decimal import Decimal

from gridcore.grid import Grid
from gridcore.intents import CancelIntent, Intent, PlaceLimitIntent, client_order_id_for
from gridcore.order_records import LimitOrder
from gridcore.sides import DirectionType, SideType
from gridcore.wants import Want, WantCancel, WantPlace

REMEMBERED_IDS = 20_000


class OrderNames:
    """Names orders of one strategy, and knows which ones carry such a name."""

    def __init__(self, symbol: str, strat_id: str | None, grid: Grid) -> None:
        self.symbol = symbol
        self.strat_id = strat_id
        self._grid = grid
        self._tick_size = grid.tick_size
        self._ids: dict[tuple[DirectionType, SideType, int], str] = {}

    def client_order_id(self, direction: DirectionType, side: SideType, price_ticks: int) -> str:
        """Return the identity of an order of this strategy at a price."""
        key = (direction, side, price_ticks)
        known = self._ids.get(key)
        if known is None:
            if len(self._ids) > REMEMBERED_IDS:
                self._ids.clear()
            price = self._tick_size * price_ticks
            known = client_order_id_for(self.symbol, side, price, direction, self.strat_id)
            self._ids[key] = known
        return known

    def is_own(self, order: LimitOrder) -> bool:
        """Tell whether an order's link id carries an identity of this strategy.

        The exchange may move a price to its limit, so identities of the present levels count too.
        """
        prefix = order.client_order_id
        if not prefix:
            return False
        if order.price is not None:
            return prefix == client_order_id_for(
                self.symbol, order.side, order.price, order.direction, self.strat_id
            )
        if prefix == self.client_order_id(order.direction, order.side, order.price_ticks):
            return True
        return any(
            prefix == self.client_order_id(order.direction, order.side, ticks)
            for ticks in self._grid.ticks
        )

    def cancel_intent(self, want: WantCancel) -> CancelIntent:
        """Turn a wish to cancel into an intent; an order without an id yet has id ""."""
        order = want.order
        return CancelIntent(
            symbol=self.symbol,
            order_id=order.order_id or "",
            reason=want.reason,
            price=order.price or self._tick_size * order.price_ticks,
            side=order.side,
            client_order_id=order.client_order_id,
        )

    def place_intent(self, want: WantPlace, qty: Decimal, post_only: bool) -> PlaceLimitIntent:
        """Turn a wish to place into an intent of this quantity (base coin)."""
        return PlaceLimitIntent(
            symbol=self.symbol,
            side=want.side,
            price=self._tick_size * want.price_ticks,
            qty=qty,
            reduce_only=want.closing,
            client_order_id=self.client_order_id(want.direction, want.side, want.price_ticks),
            grid_level=want.level,
            direction=want.direction,
            post_only=post_only,
        )

    def intent(self, want: Want) -> Intent:
        if isinstance(want, WantCancel):
            return self.cancel_intent(want)
        return self.place_intent(want, Decimal(0), post_only=False)
