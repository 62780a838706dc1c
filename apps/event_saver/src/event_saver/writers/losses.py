"""Losses that no row of the ledger tells of yet.

They wait in memory until the database or the spool has them. As long as one waits, nothing that
says until when a stream is complete moves on, so a process that ends before leaves the loss to the
next one, which begins where it was complete the last time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from event_saver.spool.rows import GAPS, Batch
from event_saver.spool.spans import Span, StreamOf
from event_saver.writers.ledger import STATES, gap_record
from grid_db import CaptureGapRecord

TOGETHER = timedelta(minutes=1)  # losses that are so near to each other are one
MOST_OF_A_STREAM = 500  # beyond it the last one grows, so that memory is bounded


@dataclass(slots=True)
class _Waiting:
    gap: CaptureGapRecord
    of: StreamOf

    def takes(self, gap: CaptureGapRecord, *, by_force: bool) -> bool:
        """Grow by a gap of the same stream if it is of the same time and kind."""
        mine = self.gap
        if not by_force and (
            mine.status is not gap.status
            or _cause(mine) != _cause(gap)
            or gap.gap_start > mine.gap_end + TOGETHER
            or mine.gap_start > gap.gap_end + TOGETHER
        ):
            return False
        self.gap = replace(
            mine,
            gap_start=min(mine.gap_start, gap.gap_start),
            gap_end=max(mine.gap_end, gap.gap_end),
        )
        return True


def _cause(gap: CaptureGapRecord) -> str:
    return gap.reason.partition("; ")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Entries that somebody tries to write."""

    entries: list[_Waiting]

    def batches(self) -> list[Batch]:
        """Return them as rows of the ledger."""
        by_user: dict[str | None, list[CaptureGapRecord]] = {}
        for one in self.entries:
            by_user.setdefault(one.of.user_id, []).append(one.gap)
        return [Batch(GAPS, user_id, gaps) for user_id, gaps in by_user.items()]


class Losses:
    """What is lost and not written down. Thread-safe.

    `pending` is how many entries wait; kept, not counted, as every batch looks at it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: dict[StreamOf, list[_Waiting]] = {}
        self._taken: list[Taken] = []
        self._since: float | None = None
        self.pending = 0

    def are_pending(self, stream: str) -> bool:
        """Tell whether a loss of a stream is not written yet."""
        with self._lock:
            return any(one.of.stream.value == stream for one in self._all())

    def age_s(self) -> float:
        """Return how long the oldest entry has waited, in seconds; 0 when none does."""
        with self._lock:
            return 0.0 if self._since is None else self._monotonic() - self._since

    def add(self, spans: Iterable[Span], reason: str, *, is_final: bool = False) -> int:
        """Note rows that are lost; return how many entries that makes.

        `is_final` where asking again would not help. `reason` is `cause; what is known`.
        """
        return self._add(
            (span.of, gap_record(
                span.of.stream, span.of.symbol, span.of.account_id, span.start,
                span.end, reason, is_final=is_final or span.of.stream in STATES,
            ))
            for span in spans
        )  # fmt: skip

    def add_gaps(self, gaps: Iterable[CaptureGapRecord], user_id: str | None) -> int:
        """Keep rows of the ledger that found no room; return how many entries that makes."""
        return self._add(
            (StreamOf(gap.stream, gap.symbol, gap.account_id, user_id), gap) for gap in gaps
        )

    def _add(self, found: Iterable[tuple[StreamOf, CaptureGapRecord]]) -> int:
        new = 0
        with self._lock:
            for of, gap in found:
                known = self._waiting.setdefault(of, [])
                is_full = len(known) >= MOST_OF_A_STREAM
                if known and known[-1].takes(gap, by_force=is_full):
                    continue
                known.append(_Waiting(gap, of))
                new += 1
            self.pending += new
            if new and self._since is None:
                self._since = self._monotonic()
        return new

    def take(self, stream: str | None = None) -> Taken:
        """Hand out what waits (of one stream, or all), to be settled or put back."""
        with self._lock:
            entries: list[_Waiting] = []
            for of in [one for one in self._waiting if stream in (None, one.stream.value)]:
                entries += self._waiting.pop(of)
            taken = Taken(entries)
            if entries:
                self._taken.append(taken)
        return taken

    def settle(self, taken: Taken) -> None:
        """Forget what was taken: it is in the database, or on disk."""
        with self._lock:
            self._out(taken)
            self.pending -= len(taken.entries)
            if not (self._waiting or self._taken):
                self._since = None

    def put_back(self, taken: Taken) -> None:
        """Keep what was taken: it could not be written."""
        with self._lock:
            self._out(taken)
            for one in reversed(taken.entries):
                self._waiting.setdefault(one.of, []).insert(0, one)

    def _out(self, taken: Taken) -> None:
        self._taken = [one for one in self._taken if one is not taken]

    def _all(self) -> Iterator[_Waiting]:
        for some in self._waiting.values():
            yield from some
        for taken in self._taken:
            yield from taken.entries

    def describe(self) -> Sequence[str]:
        """Return a line for each entry, for a log that is all that is left."""
        with self._lock:
            waiting = list(self._all())
        return [
            f"{one.gap.stream} {one.gap.symbol} of {one.gap.account_id or 'the market'} from"
            f" {one.gap.gap_start} to {one.gap.gap_end}: {one.gap.reason}"
            for one in waiting
        ]
