"""Whether an order existed twice: told by two full fills that one order cannot have had."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridcore.growing_rest import GrowingRest
from gridcore.sides import DirectionType
from gridcore.stored_time import moment_of, moment_or_none, text_or_none

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FilledOrder:
    """A filled order as the same-order check compares it.

    `identity` stands for leg, side and order price (the client order id). The order could fill
    from `started`, when the exchange accepted it, to `ended`, its last fill; `started` is None for
    an order that nobody here placed or saw: then it may have been there all the time.
    """

    order_id: str
    identity: str
    started: datetime | None
    ended: datetime

    def doubles(self, other: FilledOrder) -> bool:
        """Tell whether both were live at one moment as the same order."""
        return (
            self.identity == other.identity
            and self.order_id != other.order_id
            and (self.started is None or self.started < other.ended)
            and (other.started is None or other.started < self.ended)
        )


class SameOrderDetector:
    """Two full fills in a row of one leg, by two orders that were live at once as the same order.

    They mean that a duplicate order existed. Equal fill prices alone mean nothing: two levels that
    cross the market fill at one price, and in a market that swings a level is filled, placed again
    and filled again. Judged anew at every full fill, so a clean one of the leg ends it; a list of
    open orders without a double ends it as well, after a rest that grows when it comes back;
    `reset` ends it by hand.
    """

    def __init__(self) -> None:
        self._newest: dict[DirectionType, list[FilledOrder]] = {leg: [] for leg in DirectionType}
        self._doubled: set[DirectionType] = set()
        self._rest = GrowingRest()
        self.ends_from: datetime | None = None

    @property
    def is_set(self) -> bool:
        """Whether a duplicate order existed, and nothing has shown since that it is over."""
        return bool(self._doubled)

    def add(self, direction: DirectionType, order: FilledOrder) -> None:
        """Judge one full fill of a leg."""
        newest = self._newest[direction]
        newest[:] = order, *newest[:1]
        if len(newest) == 2 and order.doubles(newest[1]):
            self._doubled.add(direction)
            self.ends_from = self._rest.begin(order.ended)
            log.error("same-order error on the %s leg: %s; placing stops", direction, newest)
        else:
            self._doubled.discard(direction)

    def compared(self, ts: datetime, *, has_double: bool, is_empty: bool) -> None:
        """Take in what a list of open orders shows, confirmed as of `ts`.

        An empty one leaves nothing that could be doubled, so it ends the error without a rest.
        """
        if not self._doubled or has_double:
            return
        if is_empty or self.ends_from is None or ts >= self.ends_from:
            log.warning("same-order error: the open orders show no double any more; it ends")
            self._doubled.clear()

    def reset(self) -> None:
        """Forget the fills seen so far."""
        for newest in self._newest.values():
            newest.clear()
        self._doubled.clear()
        self._rest.reset()

    def snapshot(self) -> dict[str, Any]:
        """Return the state, ready for JSON."""
        return {
            "doubled": [leg.value for leg in DirectionType if leg in self._doubled],
            "ends_from": text_or_none(self.ends_from),
            "rest": self._rest.snapshot(),
            "fills": {
                leg.value: [
                    [o.order_id, o.identity, text_or_none(o.started), text_or_none(o.ended)]
                    for o in fills
                ]
                for leg, fills in self._newest.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot. Of one that an older version wrote, the error alone counts."""
        if "doubled" not in state:
            self._doubled = set(DirectionType) if state["is_set"] else set()
            return
        self._doubled = {DirectionType(leg) for leg in state["doubled"]}
        self.ends_from = moment_or_none(state["ends_from"])
        self._rest.restore(state["rest"])
        for leg in DirectionType:
            self._newest[leg] = [
                FilledOrder(str(order_id), str(identity), moment_or_none(started), moment_of(ended))
                for order_id, identity, started, ended in state["fills"][leg.value]
            ]
