"""The live orders of one direction by price, and what changed of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from gridcore.order_records import RestingOrder

REMEMBERED_CHANGES = 32  # of a side; one more, and everything derived from it is derived anew


class RestingSide:
    """Live and in-flight orders of one direction, by price.

    `version` grows with every change of what the engine looks at, so that it may cache what it
    derives; `changed_since` says where it has to look again. More than one order at a price is a
    fault that the exchange can show us; the further ones are the `extras`.
    """

    __slots__ = ("_changes", "by_ticks", "extras", "version")

    def __init__(self, orders: Iterable[RestingOrder] = ()) -> None:
        self.by_ticks: dict[int, RestingOrder] = {}
        self.extras: list[RestingOrder] = []
        self.version = 0
        self._changes: deque[int] = deque(maxlen=REMEMBERED_CHANGES)  # prices, newest first
        for order in orders:
            if order.price_ticks in self.by_ticks:
                self.extras.append(order)
            else:
                self.by_ticks[order.price_ticks] = order

    def __len__(self) -> int:
        return len(self.by_ticks) + len(self.extras)

    def __iter__(self) -> Iterator[RestingOrder]:
        yield from self.by_ticks.values()
        yield from self.extras

    def add(self, order: RestingOrder) -> None:
        """Take in one order."""
        if order.price_ticks in self.by_ticks:
            self.extras.append(order)
        else:
            self.by_ticks[order.price_ticks] = order
        self.touch(order)

    def remove(self, order: RestingOrder) -> None:
        """Drop one order; a further one at its price takes its place."""
        ticks = order.price_ticks
        if self.by_ticks.get(ticks) is order:
            del self.by_ticks[ticks]
            for extra in self.extras:
                if extra.price_ticks == ticks:
                    self.extras.remove(extra)
                    self.by_ticks[ticks] = extra
                    break
        else:
            self.extras.remove(order)
        self.touch(order)

    def touch(self, order: RestingOrder | None = None) -> None:
        """Note that an order changed in place; without an order, that any may have."""
        self.version += 1
        if order is None:
            self._changes.clear()
        else:
            self._changes.appendleft(order.price_ticks)

    def changed_since(self, version: int) -> set[int] | None:
        """Return the prices, in ticks, of what changed since a version; None when not known."""
        count, known = self.version - version, self._changes
        if count > len(known):
            return None
        return {known[0]} if count == 1 else set(islice(known, count))
