"""Orders that have ended, and what an earlier process knew: late words about them are no news."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

REMEMBERED_ENDED_ORDERS = 5_000  # a late word about an order comes within seconds


class EndedOrder(NamedTuple):
    """When an order ended and from when on it could fill.

    `is_final` tells that the exchange itself said how it ended; an order that only could not be
    found may turn up again.
    """

    ts: datetime
    started_ts: datetime | None
    is_final: bool


class PastOrders:
    """What is remembered of orders by their exchange id once they are not tracked any more."""

    def __init__(self) -> None:
        self.by_id: OrderedDict[str, EndedOrder] = OrderedDict()
        self._earlier: dict[str, datetime | None] = {}  # orders of an earlier process: started

    def ended(self, order_id: str) -> EndedOrder | None:
        """Return how this order ended here, None when it did not."""
        return self.by_id.get(order_id)

    def remember(self, order_id: str, ended: EndedOrder) -> None:
        """Note the end of an order; of very many the oldest is forgotten."""
        self.by_id[order_id] = ended
        if len(self.by_id) > REMEMBERED_ENDED_ORDERS:
            self.by_id.popitem(last=False)

    def revive(self, order_id: str) -> None:
        """Forget an end that was none."""
        self.by_id.pop(order_id, None)

    def lived_before(self, order_id: str, started_ts: datetime | None) -> None:
        """Note from when on an order of an earlier process could fill; None: unknown."""
        self._earlier[order_id] = started_ts

    def started_ts(self, order_id: str) -> datetime | None:
        """Return from when on an order could fill that is not tracked any more; None: unknown."""
        ended = self.by_id.get(order_id)
        return self._earlier.get(order_id) if ended is None else ended.started_ts

    def newest(self, count: int) -> dict[str, list[str | bool | None]]:
        """Return the newest ended orders by id, oldest first, ready for JSON."""
        newest = list(self.by_id.items())[-count:]
        return {
            order_id: [
                one.ts.isoformat(),
                None if one.started_ts is None else one.started_ts.isoformat(),
                one.is_final,
            ]
            for order_id, one in newest
        }

    def restore(self, ended: Mapping[str, Any]) -> None:
        """Take over what `newest` gave in an earlier process."""
        for order_id, kept in ended.items():
            # an older version kept the time alone
            end, started, is_final = (kept, None, True) if isinstance(kept, str) else kept
            self.remember(
                order_id,
                EndedOrder(
                    datetime.fromisoformat(end),
                    None if started is None else datetime.fromisoformat(started),
                    bool(is_final),
                ),
            )
