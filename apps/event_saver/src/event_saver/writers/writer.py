"""The buffered writer of one kind of rows, and the seven that there are.

A writer takes updates on the event loop and keeps their records until the writing thread fetches
them. It touches neither database nor disk.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bybit_adapter import StreamUpdate
from event_saver.basics.owner import Owner
from event_saver.spool import rows as kinds
from event_saver.spool.rows import Batch, RowKind
from event_saver.writers.records import (
    execution_records,
    order_records,
    position_records,
    ticker_records,
    trade_records,
    wallet_records,
)
from grid_db import CaptureGapRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """Counts of rows since the start, and what waits now.

    received = written + duplicate + failed + dropped + buffered + those on disk. failed rows were
    refused by the database one by one and are kept in the spool's folder; dropped ones found no
    room anywhere and stand in the gap ledger. Rows of a statement that hung, went to disk and were
    stored all the same count once when the spool is empty again.
    """

    received: int
    written: int
    duplicate: int
    failed: int
    dropped: int
    spooled: int
    buffered: int
    oldest_age_s: float


class BatchWriter:
    """Buffers the rows of one kind. Safe to use from several threads."""

    def __init__(
        self,
        kind: RowKind,
        convert: Callable[..., Sequence[Any]] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = kind
        self.on_full: Callable[[int], None] = lambda buffered: None
        self._convert = convert
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._chunks: deque[tuple[float, str | None, Sequence[Any]]] = deque()
        self._counts = dict.fromkeys(
            ("received", "written", "duplicate", "failed", "dropped", "spooled", "settled"), 0
        )
        self._buffered = 0

    def add(self, updates: Iterable[StreamUpdate], owner: Owner | None = None) -> int:
        """Take the updates of one frame; return how many rows they are.

        Private rows need their owner. Never waits for the database.
        """
        if self._convert is None:
            raise TypeError(f"{self.kind.name} are added as records; call add_records")
        records = self._convert(updates, owner)
        self.add_records(records, None if owner is None else owner.user_id)
        return len(records)

    def add_records(self, records: Sequence[Any], user_id: str | None = None) -> None:
        """Take records that are ready to be stored."""
        if not records:
            return
        with self._lock:
            self._chunks.append((self._monotonic(), user_id, records))
            self._counts["received"] += len(records)
            self._buffered += len(records)
            buffered = self._buffered
        self.on_full(buffered)

    def take(self, max_rows: int) -> list[Batch]:
        """Hand out the oldest rows, about max_rows of them, a batch for each user."""
        by_user: dict[str | None, list[Any]] = {}
        taken = 0
        with self._lock:
            while self._chunks and taken < max_rows:
                _, user_id, records = self._chunks.popleft()
                by_user.setdefault(user_id, []).extend(records)
                taken += len(records)
            self._buffered -= taken
        return [Batch(self.kind, user_id, records) for user_id, records in by_user.items()]

    def count(self, **changes: int) -> None:
        """Add to the counters of `stats`; `settled` are rows that a crash cannot take any more."""
        with self._lock:
            for name, change in changes.items():
                self._counts[name] += change

    @property
    def buffered(self) -> int:
        """Rows that wait here."""
        return self._buffered

    @property
    def received(self) -> int:
        """Rows taken since the start."""
        return self._counts["received"]

    @property
    def settled(self) -> int:
        """Rows that are in the database or on the disk, or were given up and noted."""
        return self._counts["settled"]

    def age_s(self) -> float:
        """Return how long the oldest row has waited here, in seconds; 0 when none does."""
        with self._lock:
            return self._monotonic() - self._chunks[0][0] if self._chunks else 0.0

    def stats(self) -> WriterStats:
        """Return the counters."""
        age = self.age_s()
        with self._lock:
            counts = {name: n for name, n in self._counts.items() if name != "settled"}
            return WriterStats(**counts, buffered=self._buffered, oldest_age_s=age)


class TradeWriter(BatchWriter):
    """Public trades."""

    def __init__(self) -> None:
        super().__init__(kinds.TRADES, trade_records)


class TickerWriter(BatchWriter):
    """States of markets."""

    def __init__(self) -> None:
        super().__init__(kinds.TICKERS, ticker_records)


class ExecutionWriter(BatchWriter):
    """Executions of accounts; they need an owner with a run."""

    def __init__(self) -> None:
        super().__init__(kinds.EXECUTIONS, execution_records)


class OrderWriter(BatchWriter):
    """States of orders of accounts; they need an owner with a run."""

    def __init__(self) -> None:
        super().__init__(kinds.ORDERS, order_records)


class PositionWriter(BatchWriter):
    """Legs of accounts."""

    def __init__(self) -> None:
        super().__init__(kinds.POSITIONS, position_records)


class WalletWriter(BatchWriter):
    """Wallets of accounts, a row for each coin."""

    def __init__(self) -> None:
        super().__init__(kinds.WALLET, wallet_records)


class GapWriter(BatchWriter):
    """Entries of the gap ledger, ready as records."""

    def __init__(self) -> None:
        super().__init__(kinds.GAPS)

    def note(self, gap: CaptureGapRecord, user_id: str | None) -> None:
        """Write a gap down; user_id is None for market data."""
        self.add_records([gap], user_id)
