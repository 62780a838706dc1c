"""Open orders on the symbol that are not of this strategy."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator

from gridcore.order_records import LimitOrder

log = logging.getLogger(__name__)


class ForeignOrders:
    """Foreign orders by exchange id, and which of them have a cancel on its way."""

    def __init__(self, strat_id: str) -> None:
        self.by_id: dict[str, LimitOrder] = {}
        self._strat_id = strat_id
        self._cancelled: set[str] = set()

    def report(self, order: LimitOrder) -> None:
        """Take in one that the exchange shows."""
        if order.order_id not in self.by_id:
            log.warning(
                "%s: order %s (%s %s at tick %s) is not of this strategy",
                self._strat_id,
                order.order_id,
                order.side,
                order.leaves_qty,
                order.price_ticks,
            )
        self.by_id[order.order_id] = order

    def drop(self, order_id: str) -> None:
        """Forget one that is gone."""
        self.by_id.pop(order_id, None)
        self._cancelled.discard(order_id)

    def keep_listed(self, listed: Container[str]) -> None:
        """Forget those that a whole list lacks; the others may be cancelled once more."""
        self.by_id = {name: order for name, order in self.by_id.items() if name in listed}
        self._cancelled.clear()

    @property
    def has_any_to_cancel(self) -> bool:
        """Whether one has no cancel on its way."""
        return any(order_id not in self._cancelled for order_id in self.by_id)

    def take_to_cancel(self) -> Iterator[LimitOrder]:
        """Yield those that have no cancel on its way; from here on they have."""
        for order_id, order in self.by_id.items():
            if order_id not in self._cancelled:
                self._cancelled.add(order_id)
                yield order

    def cancelled_in_vain(self, order_id: str) -> None:
        """Note that the exchange does not know one that was to be cancelled."""
        if order_id in self._cancelled:
            self.drop(order_id)
