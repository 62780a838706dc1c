"""Whether a strategy gets what it wants: orders that are wanted and never come are no health.

Single refusals are daily business: a leg too small to close, a margin that is used up while orders
rest. What counts is a side of a leg (its opening or its closing orders) that wants an order for a
minute of event time and gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from gridcore.sides import DirectionType

PATIENCE = timedelta(minutes=1)

Side = tuple[DirectionType, bool]  # a leg, and whether it closes


class Starved(NamedTuple):
    """A side of a leg that gets no order: why, and since when it wants one."""

    direction: DirectionType
    closing: bool
    reason: str
    since: datetime


class Starvation:
    """Follows, from one look of the engine to the next, which sides want orders and get none."""

    def __init__(self) -> None:
        self._since: dict[Side, datetime] = {}
        self._reasons: dict[Side, str] = {}
        self._served: dict[Side, datetime] = {}  # since when the last one was wanted
        self._refusals: dict[Side, str] = {}

    def looked(self, now: datetime, wanting: dict[Side, str], sent: Iterable[Side]) -> None:
        """Take in what one look wanted, each with what stands against it.

        `sent` are the sides of which an order is on its way: it counts as wanted until the
        exchange has taken it.
        """
        if self._since:
            for side in self._since.keys() - wanting.keys() - set(sent):
                del self._since[side]
        for side in wanting:
            self._since.setdefault(side, now)
        self._reasons.update(wanting)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that want an order now."""
        return tuple(self._since)

    def served(self, direction: DirectionType, *, closing: bool) -> None:
        """Note that the exchange took an order of this side."""
        self._refusals.pop((direction, closing), None)
        since = self._since.pop((direction, closing), None)
        if since is not None:
            self._served[direction, closing] = since

    def refused(self, direction: DirectionType, why: str, *, closing: bool) -> None:
        """Note what the exchange said instead of taking an order."""
        self._refusals[direction, closing] = why

    def last_refusal(self, direction: DirectionType, *, closing: bool) -> str:
        """Return what the exchange said last, since it took an order of this side."""
        told = self._refusals.get((direction, closing))
        return f"the exchange takes none: {told}" if told else "the exchange has taken none yet"

    def lost(self, direction: DirectionType, *, closing: bool) -> None:
        """Note that the only order of this side ended as soon as the exchange had taken it.

        It was none: the side has wanted one since before.
        """
        side = direction, closing
        since = self._served.get(side)
        if since is not None:
            self._since[side] = min(since, self._since.get(side, since))

    def starved(self, now: datetime) -> Iterator[Starved]:
        """Yield the sides that have wanted for a minute or more."""
        for side, since in self._since.items():
            if now - since >= PATIENCE and side in self._reasons:
                yield Starved(*side, self._reasons[side], since)

    def is_total(self, now: datetime) -> bool:
        """Tell whether every side that wants an order is starved, and one is."""
        waits = [now - since >= PATIENCE for since in self._since.values()]
        return bool(waits) and all(waits)

    def forget(self) -> None:
        """Begin anew, after a time in which nothing was wanted because nothing was decided."""
        self._since.clear()
        self._served.clear()
