"""The writing thread: the only one that gives rows to the database.

While the database does not take them, rows go to the spool, and new rows queue behind what is
there, so that the order stays. A second thread looks on: when a statement hangs while rows pile
up, it puts them on disk, so that neither a slow database nor a crash takes them.

What finds no room on either, or is found damaged on disk, is a loss: it waits in `losses` until a
row of the gap ledger tells of it, and no later row of its stream is stored before. So the newest
row that is stored, and `durable`, never go beyond a loss that nobody could know of.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from event_saver.spool.rows import GAPS, Batch
from event_saver.spool.spans import Span, spans_of
from event_saver.spool.spool import REJECTED, Spool, SpoolFullError
from event_saver.writers.journal import JournalWatch
from event_saver.writers.ledger import DAMAGED, LOST, REFUSED
from event_saver.writers.limits import WriteLimits
from event_saver.writers.losses import Losses
from event_saver.writers.writer import BatchWriter
from grid_db import ConstraintError, DatabaseFactory, GridDbError, InvalidValueError

log = logging.getLogger(__name__)

LOOK_S = 0.1  # how often the second thread looks
# For so long losses grow together in memory before the spool gets them, where it has room for them
# and nobody waits for it.
SPOOL_LOSSES_S = 60.0
_BAD_ROW = (ConstraintError, InvalidValueError, ValueError, TypeError, ArithmeticError)
Loss = Callable[[Batch, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """Whether the database takes rows. error is one sentence, None while it does.

    journal_bytes is the size of SQLite's write-ahead log, journal_held_s how long a reader has kept
    it from being emptied beyond its bound; both 0 for other databases.
    """

    error: str | None
    down_s: float
    commits: int
    last_commit_s: float  # how long the last one took
    journal_bytes: int = 0
    journal_held_s: float = 0.0


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
        on_loss: Loss = lambda batch, reason: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._spool = spool
        self._writers = tuple(writers)
        self._by_kind = {writer.kind.name: writer for writer in writers}
        self._limits = limits or WriteLimits()
        self._on_loss = on_loss
        self._monotonic = monotonic
        self.losses = Losses(monotonic)
        self._wake = threading.Event()
        self._force = False
        self._stopping = threading.Event()
        self._stop_by = 0.0
        self._pending: deque[Batch] = deque()
        self._order = threading.Lock()  # of what goes to the spool
        self._storing_since: float | None = None
        self._down_since: float | None = None
        self._error: str | None = None
        self._retry_at = 0.0
        self._retry_s = self._limits.first_retry_s
        self._commits = 0
        self._last_commit_s = 0.0
        self._journal = JournalWatch(database, monotonic)
        self._stored_twice: Counter[str] = Counter()  # rows on disk that were stored all the same
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)
        self._watch = threading.Thread(target=self._look_on, name="event-spiller", daemon=True)
        for writer in self._writers:
            writer.on_full = self._on_added

    # for the event loop

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()
        self._watch.start()

    def _on_added(self, buffered: int) -> None:
        if buffered >= self._limits.batch_size and not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write what waits as soon as possible. Returns at once."""
        self._force = True
        self._wake.set()

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
        return self._thread.is_alive()

    @property
    def buffered(self) -> int:
        """Rows that wait in memory, those being written included."""
        return sum(writer.buffered for writer in self._writers) + sum(
            len(batch.records) for batch in tuple(self._pending)
        )

    def database_state(self) -> DatabaseState:
        """Return whether the database takes rows."""
        since, error = self._down_since, self._error
        storing = self._storing_since
        if since is None and storing is not None:
            # a statement that hangs is an outage that has no error yet
            hangs = self._monotonic() - storing
            if hangs > self._limits.flush_interval_s:
                since, error = storing, f"a statement has been running for {hangs:.0f} s"
        return DatabaseState(
            error=error,
            down_s=0.0 if since is None else self._monotonic() - since,
            commits=self._commits,
            last_commit_s=self._last_commit_s,
            journal_bytes=self._journal.size,
            journal_held_s=self._journal.held_s(),
        )

    def stop(self, timeout_s: float = 8.0) -> bool:
        """Write or spool everything and end; False if a statement hung, rows are on disk then.

        Blocks for at most timeout_s.
        """
        self._stop_by = self._monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        was_started = self._thread.ident is not None
        if was_started:
            self._thread.join(timeout_s)
        if self._thread.is_alive() or not was_started:
            self._spill()
        with self._order:
            is_noted = self._spool_losses()
        if not is_noted:
            log.error(
                "%d losses could not be written down; the next start begins where the streams were"
                " complete: %s", self.losses.pending, "; ".join(self.losses.describe()[:20]),
            )  # fmt: skip
        return not self._thread.is_alive()

    # the writing thread

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            try:
                self._cycle(everything=stopping)
            except Exception:  # the supervisor: rows must not wait for ever
                log.exception("writing failed in a way that is not foreseen; rows go to disk")
                self._rescue()
                self._stopping.wait(self._limits.first_retry_s)
            if stopping:
                return
            self._wake.wait(self._pause())
            self._wake.clear()

    def _rescue(self) -> None:
        """Bring what was being written to disk, or write down that it is lost."""
        try:
            self._spill()
        except Exception:
            log.exception("putting rows on disk failed in a way that is not foreseen")
        with self._order:
            while self._pending:
                batch = self._pending.popleft()
                if not (batch.on_disk or batch.is_lost):
                    self._give_up(batch, f"{LOST}; writing failed, see the log")

    def _pause(self) -> float:
        """Return for how long there is nothing to do, in seconds."""
        if not self._spool.is_empty and not self._is_down():
            return 0.0
        ages = [writer.age_s() for writer in self._writers]
        pause = min(self._limits.flush_interval_s - age for age in ages)
        if not self._spool.is_empty:
            pause = min(pause, self._retry_at - self._monotonic())
        # rows that are added while this waits do not wake it, so it looks again in time
        return min(max(pause, 0.0), self._limits.flush_interval_s / 4)

    def _is_down(self) -> bool:
        return self._monotonic() < self._retry_at

    def _cycle(self, *, everything: bool) -> None:
        force, self._force = self._force or everything, False
        self._settle_losses(at_once=force)
        if not self._spool.is_empty and not self._is_down():
            self._replay()
        again = True
        while again:
            again = False
            for writer in self._writers:
                if not self._is_due(writer, force):
                    continue
                with self._order:  # nobody may put newer rows on disk in between
                    self._pending.extend(writer.take(self._limits.max_batch_rows))
                while self._pending:
                    self._settle(self._pending[0])
                    self._pending.popleft()
                again = again or writer.buffered >= self._limits.batch_size
                if not self._spool.is_empty and not self._is_down():
                    again = False  # the spool comes first
                    break
            if everything and any(writer.buffered for writer in self._writers):
                again = True
        if not self._is_down():
            self._journal.look()
        if everything:
            # half of the time: what is left of the spool waits for the next start
            while not self._spool.is_empty and self._monotonic() < self._stop_by - 4:
                if self._is_down() or not self._replay():
                    break

    def _is_due(self, writer: BatchWriter, force: bool) -> bool:
        if force or writer.buffered >= self._limits.batch_size:
            return writer.buffered > 0
        return writer.age_s() >= self._limits.flush_interval_s

    def _settle(self, batch: Batch) -> None:
        """Bring a batch to where a crash cannot take it: the database, else the spool."""
        writer = self._by_kind[batch.kind.name]
        if (
            self._is_down()
            or not self._spool.is_empty
            or not self._write_losses()
            or not self._store(batch)
        ):
            with self._order:
                self._to_spool(batch)
            return
        with self._order:
            rows = len(batch.records)
            if batch.is_lost:  # a statement that seemed to hang came to its end
                writer.count(dropped=-rows)
                log.warning("%d rows of %s were told as lost and are stored", rows, batch.kind.name)
            elif batch.on_disk:  # the same
                self._stored_twice[batch.kind.name] += rows
            else:
                batch.on_disk = True
                writer.count(settled=rows)

    def _to_spool(self, batch: Batch) -> None:
        if batch.on_disk or batch.is_lost:
            return
        writer, rows = self._by_kind[batch.kind.name], len(batch.records)
        try:
            if self.losses.are_pending(batch.kind.name) and not self._has_spooled_losses(batch):
                raise SpoolFullError("what was lost before cannot be written down yet")
            self._spool.append(batch)
        except (SpoolFullError, TypeError, ValueError) as error:
            self._give_up(batch, f"{LOST}; {error}")
        else:
            writer.count(spooled=rows, settled=rows)

    def _give_up(self, batch: Batch, reason: str) -> None:
        """Note rows that find no room anywhere; those of the ledger wait until there is some."""
        batch.is_lost = True
        writer, rows = self._by_kind[batch.kind.name], len(batch.records)
        if batch.kind.name == GAPS.name:
            new = self.losses.add_gaps(batch.records, batch.user_id)
            writer.count(settled=rows, duplicate=rows - new)
            return
        # first the loss, then the counter: what looks at both must not miss it in between
        self._add_losses(spans_of(batch), reason)
        writer.count(dropped=rows, settled=rows)
        log.error("%d rows of %s are lost: %s", rows, batch.kind.name, reason)
        self._on_loss(batch, reason)

    def _add_losses(self, spans: Sequence[Span], reason: str, *, is_final: bool = False) -> None:
        new = self.losses.add(spans, reason, is_final=is_final)
        self._by_kind[GAPS.name].count(received=new, settled=new)

    # losses

    def _settle_losses(self, *, at_once: bool) -> None:
        """Write down what is lost, to the database, else to the spool."""
        if not self._is_down() and self._write_losses():
            return
        if at_once or self.losses.age_s() > SPOOL_LOSSES_S:
            with self._order:
                self._spool_losses()

    def _write_losses(self) -> bool:
        """Give all losses to the database; False if it does not take any now."""
        if not self.losses.pending:
            return True
        taken = self.losses.take()
        if not all(self._store(batch) for batch in taken.batches()):
            self.losses.put_back(taken)
            return False
        self.losses.settle(taken)
        log.warning("%d losses are written down", len(taken.entries))
        return True

    def _spool_losses(self, stream: str | None = None) -> bool:
        """Put losses (of one stream, or all) on disk; False if there is no room."""
        taken = self.losses.take(stream)
        try:
            for batch in taken.batches():
                self._spool.append(batch)
        except SpoolFullError:
            self.losses.put_back(taken)
            return False
        self.losses.settle(taken)
        self._by_kind[GAPS.name].count(spooled=len(taken.entries))
        return True

    def _has_spooled_losses(self, batch: Batch) -> bool:
        """Put the losses of a batch's stream on disk, if there is room for the batch after them."""
        return self._spool.has_room(batch) and self._spool_losses(batch.kind.name)

    def _take_damage(self) -> None:
        """Note what of the spool cannot be read."""
        for spans, reason in self._spool.take_lost():
            log.error("the spool is damaged, %d gaps follow: %s", len(spans), reason)
            self._add_losses(spans, f"{DAMAGED}; {reason}")

    def _replay(self) -> bool:
        """Store the oldest rows of the spool; tell whether the database took them."""
        batches = self._spool.peek(self._limits.max_batch_rows)
        self._take_damage()
        for batch in _joined(batches):
            if not self._store(batch):
                return False
        if not self._write_losses():
            return False
        self._spool.forget_read()
        if self._spool.is_empty:
            log.info("the spool is empty; all its rows are in the database")
        return True

    def _store(self, batch: Batch) -> bool:
        """Give rows to the database; False if it does not take any now."""
        writer = self._by_kind[batch.kind.name]
        is_copy = batch.on_disk
        self._storing_since = start = self._monotonic()
        try:
            with self._database.get_session() as session:
                new = batch.kind.store(session, batch.user_id, batch.records)
        except _BAD_ROW as error:
            self._storing_since = None
            return self._store_halves(batch, error)
        except GridDbError as error:
            self._note_down(str(error))
            return False
        finally:
            self._storing_since = None
        self._note_up(self._monotonic() - start)
        known = len(batch.records) - new
        if is_copy:
            counted = min(known, self._stored_twice[batch.kind.name])
            self._stored_twice[batch.kind.name] -= counted
            known -= counted
        writer.count(written=new, duplicate=known)
        return True

    def _store_halves(self, batch: Batch, error: Exception) -> bool:
        """Find the rows that the database refuses, keep them aside, store the others."""
        rows = batch.records
        if len(rows) == 1:
            where = f"kept in {REJECTED}" if self._spool.reject(batch, str(error)) else "not kept"
            self._by_kind[batch.kind.name].count(failed=1)
            if batch.kind.name != GAPS.name:
                # the exchange would give the same row again
                self._add_losses(spans_of(batch), f"{REFUSED}; {where}: {error}", is_final=True)
            return True
        middle = len(rows) // 2
        return all(
            self._store(Batch(batch.kind, batch.user_id, half))
            for half in (rows[:middle], rows[middle:])
        )

    def _note_down(self, error: str) -> None:
        if self._down_since is None:
            self._down_since = self._monotonic()
            log.error("the database does not take rows, they go to disk: %s", error)
        self._error = error
        self._retry_at = self._monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, self._limits.longest_retry_s)

    def _note_up(self, took_s: float) -> None:
        self._commits += 1
        self._last_commit_s = took_s
        if self._down_since is not None:
            log.info(
                "the database takes rows again after %.1f s; %d batches on disk follow",
                self._monotonic() - self._down_since,
                self._spool.batches,
            )
        self._down_since, self._error = None, None
        self._retry_at, self._retry_s = 0.0, self._limits.first_retry_s

    # the thread that looks on

    def _look_on(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if self._must_spill():
                self._spill()

    def _must_spill(self) -> bool:
        storing = self._storing_since
        if not self._thread.is_alive():
            return any(writer.buffered for writer in self._writers)
        if storing is None:
            return False
        if sum(writer.buffered for writer in self._writers) > self._limits.memory_rows:
            return True
        hangs = self._monotonic() - storing
        oldest = max(writer.age_s() for writer in self._writers)
        return min(hangs, oldest) > 2 * self._limits.flush_interval_s

    def _spill(self) -> None:
        """Put on disk what waits in memory, what is being written first."""
        with self._order:
            for batch in tuple(self._pending):
                self._to_spool(batch)
            for writer in self._writers:
                while writer.buffered:
                    for batch in writer.take(self._limits.max_batch_rows):
                        self._to_spool(batch)


def _joined(batches: Sequence[Batch]) -> list[Batch]:
    """Return the rows put together by kind and user, in their order: a commit costs more than rows.

    Kinds say nothing of each other, so theirs is not an order to be kept.
    """
    joined: dict[tuple[str, str | None], list[Any]] = {}
    kinds = {batch.kind.name: batch.kind for batch in batches}
    for batch in batches:
        joined.setdefault((batch.kind.name, batch.user_id), []).extend(batch.records)
    return [
        Batch(kinds[name], user_id, records, on_disk=True)
        for (name, user_id), records in joined.items()
    ]
