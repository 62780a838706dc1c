"""What executions alone make of a leg, and when they happened."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gridcore.events import ExecutionEvent
from gridcore.moments import LONGEST_LAG
from gridcore.sides import DirectionType

ZERO = Decimal(0)
EXPLAINED_AFTER = timedelta(minutes=2)  # executions that were missed are fetched by then


class Moment(NamedTuple):
    """When something happened to a leg: event time, and the exchange's number where it is told.

    Two numbers of one symbol are in order whatever their times say.
    """

    ts: datetime
    seq: int | None

    def is_before(self, other: Moment) -> bool:
        """Tell whether this happened first, for certain."""
        if self.seq is not None and other.seq is not None:
            return self.seq < other.seq
        return self.ts < other.ts

    def is_with(self, other: Moment) -> bool:
        """Tell whether both are one moment."""
        return self.seq == other.seq if self.is_numbered_as(other) else self.ts == other.ts

    def is_numbered_as(self, other: Moment) -> bool:
        """Tell whether both have a number: then a row contains what has its own.

        Of two that only have the same time nobody knows which was first.
        """
        return self.seq is not None and other.seq is not None

    def is_lagging(self, ts: datetime, known: Moment) -> bool:
        """Tell whether a row of this moment, listed at `ts`, is older than what is known.

        A list does not lag for long; a row that is older by more says what is so.
        """
        return self.is_before(known) and ts - known.ts < LONGEST_LAG


def latest(*moments: Moment | None) -> Moment | None:
    """Return the last one of those that are known."""
    found: Moment | None = None
    for one in moments:
        if one is not None and (found is None or found.is_before(one)):
            found = one
    return found


class LegCost:
    """What executions alone make of a leg: what is left, and what it cost.

    Whatever their order, profits and cost add up: where older executions came after younger ones,
    the cost that the exchange reports corrects the profit.
    """

    def __init__(self, direction: DirectionType) -> None:
        self.size = ZERO
        self.entry_price: Decimal | None = None
        self.is_known = False  # what it began with
        self._value = ZERO  # of what is left, USDT
        self._sign = 1 if direction is DirectionType.LONG else -1
        self._newest: Moment | None = None
        self._is_disordered = False
        self._is_computed = False  # the profit of one at least, which nobody told
        self._differs_since: datetime | None = None  # from what the exchange reports

    def book(self, event: ExecutionEvent, moment: Moment) -> Decimal:
        """Count one execution; return its realised profit in USDT before fees.

        Where the exchange tells the profit, what is left follows from it.
        """
        if self._newest is not None and moment.is_before(self._newest):
            self._is_disordered = True
        else:
            self._newest = moment
        closed, entry = event.closed_size, self.entry_price
        if not closed:
            self.size += event.qty
            self._value += event.qty * event.price
            if self.size > 0:
                self.entry_price = self._value / self.size
            return ZERO
        told = event.closed_pnl
        if told is None:
            self._is_computed = True
            told = ZERO if entry is None else closed * (event.price - entry) * self._sign
        self.size -= closed
        self._value -= closed * event.price - told * self._sign
        if self._is_disordered and self.size > 0:
            self.entry_price = self._value / self.size
        return told

    def take(self, size: Decimal, entry_price: Decimal | None) -> None:
        """Take over what the exchange reports."""
        self.size, self.entry_price = size, entry_price
        self._value = ZERO if entry_price is None else size * entry_price
        self.is_known, self._differs_since = True, None
        self._is_disordered = self._is_computed = False

    def compare(self, size: Decimal, entry_price: Decimal | None, ts: datetime) -> Decimal:
        """Take over a report, unless it contains executions that are still to come.

        Their profit is that of the entry price before them. Returns what has to be added to the
        profit of those that came in disorder, USDT.
        """
        if self.is_known and size != self.size:
            if self._differs_since is None:
                self._differs_since = ts
            elif ts - self._differs_since > EXPLAINED_AFTER:
                self.take(size, entry_price)
            return ZERO
        value = self._value
        is_inexact = self.is_known and self._is_disordered and self._is_computed
        self.take(size, entry_price)
        return (self._value - value) * self._sign if is_inexact else ZERO
