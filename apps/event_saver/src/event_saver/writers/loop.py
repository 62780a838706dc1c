"""The writing of rows as everybody else sees it: a thread that writes, and one that looks on.

The second thread puts rows on disk when a statement hangs while they pile up, so that neither a
slow database nor a crash takes them. `durable` never goes beyond a loss that nobody could know of.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from event_saver.spool.spool import Spool
from event_saver.writers.backlog import Backlog, OnLoss
from event_saver.writers.limits import WriteLimits
from event_saver.writers.losses import Losses
from event_saver.writers.writer import BatchWriter
from event_saver.writers.writing import DatabaseState, WritingThread
from grid_db import DatabaseFactory

__all__ = ["DatabaseState", "WriteLoop"]

log = logging.getLogger(__name__)

LOOK_S = 0.1  # how often the second thread looks


class WriteLoop:
    """Moves rows from the writers to the database, through the spool where need be.

    The order of `writers` is that in which they are served. `on_loss` is told, on either thread,
    of rows that found no room anywhere; that they stand in the ledger is seen to here.
    """

    def __init__(
        self,
        database: DatabaseFactory,
        spool: Spool,
        writers: Sequence[BatchWriter],
        limits: WriteLimits | None = None,
        *,
        on_loss: OnLoss = lambda batch, reason: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writers = tuple(writers)
        self._limits = limits or WriteLimits()
        self._monotonic = monotonic
        self.losses = Losses(monotonic)
        self._backlog = Backlog(spool, self.losses, self._writers, on_loss)
        self._writing = WritingThread(
            database, self._backlog, self._writers, self._limits, monotonic
        )
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._look_on, name="event-spiller", daemon=True)
        for writer in self._writers:
            writer.on_full = self._writing.added

    def start(self) -> None:
        """Begin to write."""
        self._writing.start()
        self._watch.start()

    def flush(self) -> None:
        """Write what waits as soon as possible. Returns at once."""
        self._writing.flush()

    async def durable(self, timeout_s: float = 60.0) -> bool:
        """Wait until all rows added so far are in the database or on disk; False after timeout.

        What is lost counts once the ledger, or the spool, has a row that tells of it.
        """
        wanted = [(writer, writer.received) for writer in self._writers]
        end = self._monotonic() + timeout_s
        self.flush()
        while self.losses.pending or any(writer.settled < received for writer, received in wanted):
            if self._monotonic() > end:
                return False
            await asyncio.sleep(0.02)
        return True

    @property
    def is_alive(self) -> bool:
        """Whether the writing thread runs."""
        return self._writing.is_alive

    @property
    def buffered(self) -> int:
        """Rows that wait in memory, those being written included."""
        return self._waiting() + sum(len(batch.records) for batch in tuple(self._backlog.in_hand))

    def _waiting(self) -> int:
        return sum(writer.buffered for writer in self._writers)

    def database_state(self) -> DatabaseState:
        """Return whether the database takes rows."""
        return self._writing.database_state()

    def stop(self, timeout_s: float = 8.0) -> bool:
        """Write or spool everything and end; False if a statement hung, rows are on disk then.

        Blocks for at most timeout_s.
        """
        self._stopping.set()
        if not self._writing.stop(timeout_s):
            self._backlog.spill(self._limits.max_batch_rows)
        if not self._backlog.spool_losses():
            log.error(
                "%d losses could not be written down; the next start begins where the streams were"
                " complete: %s", self.losses.pending, "; ".join(self.losses.describe()[:20]),
            )  # fmt: skip
        return not self._writing.is_alive

    # the thread that looks on

    def _look_on(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if self._must_spill():
                self._backlog.spill(self._limits.max_batch_rows)

    def _must_spill(self) -> bool:
        if not self._writing.is_alive:
            return self._waiting() > 0
        hangs = self._writing.hangs_s()
        if hangs is None:
            return False
        if self._waiting() > self._limits.memory_rows:
            return True
        oldest = max(writer.age_s() for writer in self._writers)
        return min(hangs, oldest) > 2 * self._limits.flush_interval_s
