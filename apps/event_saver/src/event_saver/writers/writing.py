"""The writing thread: the only one that gives rows to the database.

While the database does not take them, rows go to the backlog, which is stored first afterwards.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from event_saver.spool.rows import Batch
from event_saver.writers.backlog import Backlog
from event_saver.writers.journal import JournalWatch
from event_saver.writers.limits import WriteLimits
from event_saver.writers.writer import BatchWriter
from grid_db import ConstraintError, DatabaseFactory, GridDbError, InvalidValueError

log = logging.getLogger(__name__)

# For so long losses grow together in memory before the spool gets them, where it has room for them
# and nobody waits for it.
SPOOL_LOSSES_S = 60.0
_BAD_ROW = (ConstraintError, InvalidValueError, ValueError, TypeError, ArithmeticError)


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


class WritingThread:
    """Takes rows out of the writers, in their order, and stores them. Runs from `start` on."""

    def __init__(
        self,
        database: DatabaseFactory,
        backlog: Backlog,
        writers: Sequence[BatchWriter],
        limits: WriteLimits,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._backlog = backlog
        self._spool = backlog.spool
        self._losses = backlog.losses
        self._writers = tuple(writers)
        self._by_kind = {writer.kind.name: writer for writer in writers}
        self._limits = limits
        self._monotonic = monotonic
        self._wake = threading.Event()
        self._force = False
        self._stopping = threading.Event()
        self._stop_by = 0.0
        self._storing_since: float | None = None
        self._down_since: float | None = None
        self._error: str | None = None
        self._retry_at = 0.0
        self._retry_s = limits.first_retry_s
        self._commits = 0
        self._last_commit_s = 0.0
        self._journal = JournalWatch(database, monotonic)
        self._stored_twice: Counter[str] = Counter()  # rows on disk that were stored all the same
        self._thread = threading.Thread(target=self._run, name="event-writer", daemon=True)

    # for other threads

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def added(self, buffered: int) -> None:
        """Begin at once if so many rows of a kind wait that a write is due."""
        if buffered >= self._limits.batch_size and not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write what waits as soon as possible. Returns at once."""
        self._force = True
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Let it write everything and end; False if it has not within that time, or never ran."""
        self._stop_by = self._monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is None:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def hangs_s(self) -> float | None:
        """Return for how many seconds a statement has been running, None while none does."""
        since = self._storing_since
        return None if since is None else self._monotonic() - since

    def database_state(self) -> DatabaseState:
        """Return whether the database takes rows."""
        since, error = self._down_since, self._error
        down_s = 0.0 if since is None else self._monotonic() - since
        hangs = self.hangs_s()
        if since is None and hangs is not None and hangs > self._limits.flush_interval_s:
            # a statement that hangs is an outage that has no error yet
            down_s, error = hangs, f"a statement has been running for {hangs:.0f} s"
        return DatabaseState(
            error=error,
            down_s=down_s,
            commits=self._commits,
            last_commit_s=self._last_commit_s,
            journal_bytes=self._journal.size,
            journal_held_s=self._journal.held_s(),
        )

    # the thread

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            try:
                self._cycle(everything=stopping)
            except Exception:  # the supervisor: rows must not wait for ever
                log.exception("writing failed in a way that is not foreseen; rows go to disk")
                self._backlog.rescue(self._limits.max_batch_rows)
                self._stopping.wait(self._limits.first_retry_s)
            if stopping:
                return
            self._wake.wait(self._pause())
            self._wake.clear()

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
        if self._losses.pending:
            self._settle_losses(at_once=force)
        if not self._spool.is_empty and not self._is_down():
            self._replay()
        again = True
        while again:
            again = False
            for writer in self._writers:
                if not self._is_due(writer, force):
                    continue
                with self._backlog.order:
                    self._backlog.in_hand.extend(writer.take(self._limits.max_batch_rows))
                while self._backlog.in_hand:
                    self._settle(self._backlog.in_hand[0])
                    self._backlog.in_hand.popleft()
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
        writer, backlog = self._by_kind[batch.kind.name], self._backlog
        if (
            self._is_down()
            or not self._spool.is_empty
            or (self._losses.pending and not backlog.write_losses(self._store))
            or not self._store(batch)
        ):
            with backlog.order:
                backlog.to_spool(batch)
            return
        with backlog.order:
            rows = len(batch.records)
            if batch.is_lost:  # a statement that seemed to hang came to its end
                writer.count(dropped=-rows)
                log.warning("%d rows of %s were told as lost and are stored", rows, batch.kind.name)
            elif batch.on_disk:  # the same
                self._stored_twice[batch.kind.name] += rows
            else:
                batch.on_disk = True
                writer.count(settled=rows)

    def _settle_losses(self, *, at_once: bool) -> None:
        """Write down what is lost, to the database, else to the spool."""
        if not self._is_down() and self._backlog.write_losses(self._store):
            return
        if at_once or self._losses.age_s() > SPOOL_LOSSES_S:
            self._backlog.spool_losses()

    def _replay(self) -> bool:
        return self._backlog.replay(self._store, self._limits.max_batch_rows)

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
            self._backlog.refuse(batch, error)
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
