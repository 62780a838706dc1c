"""What cannot go into the database now: on disk in its order, or lost and to be written down.

New rows queue behind what is on disk, so that the order stays. What finds no room there either, or
is found damaged on disk, is a loss: it waits in `losses` until a row of the gap ledger tells of it,
and no later row of its stream is stored before. So the newest row that is stored never goes beyond
a loss that nobody could know of.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from event_saver.spool.rows import GAPS, Batch
from event_saver.spool.spans import Span, spans_of
from event_saver.spool.spool import REJECTED, Spool, SpoolFullError
from event_saver.writers.ledger import DAMAGED, LOST, REFUSED
from event_saver.writers.losses import Losses
from event_saver.writers.writer import BatchWriter

log = logging.getLogger(__name__)

Store = Callable[[Batch], bool]  # gives rows to the database; False if it takes none now
OnLoss = Callable[[Batch, str], None]


class Backlog:
    """Spool and losses of one set of writers. `store` is lent by whoever has the database.

    `in_hand` is what was taken out of the writers and is not settled yet. `order` is held by
    whoever changes it or puts rows on disk: nobody may put newer rows there in between.
    """

    def __init__(
        self, spool: Spool, losses: Losses, writers: Sequence[BatchWriter], on_loss: OnLoss
    ) -> None:
        self.spool = spool
        self.losses = losses
        self.order = threading.Lock()
        self.in_hand: deque[Batch] = deque()
        self._writers = tuple(writers)
        self._by_kind = {writer.kind.name: writer for writer in writers}
        self._on_loss = on_loss

    def to_spool(self, batch: Batch) -> None:
        """Put a batch on disk, or note that it is lost. Holds `order` from before."""
        if batch.on_disk or batch.is_lost:
            return
        writer, rows = self._by_kind[batch.kind.name], len(batch.records)
        try:
            if self.losses.are_pending(batch.kind.name) and not self._has_spooled_losses(batch):
                raise SpoolFullError("what was lost before cannot be written down yet")
            self.spool.append(batch)
        except (SpoolFullError, TypeError, ValueError) as error:
            self.give_up(batch, f"{LOST}; {error}")
        else:
            writer.count(spooled=rows, settled=rows)

    def give_up(self, batch: Batch, reason: str) -> None:
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

    def refuse(self, batch: Batch, error: Exception) -> None:
        """Keep a row aside that the database refuses for good, and note it."""
        where = f"kept in {REJECTED}" if self.spool.reject(batch, str(error)) else "not kept"
        self._by_kind[batch.kind.name].count(failed=1)
        if batch.kind.name != GAPS.name:
            # the exchange would give the same row again
            self._add_losses(spans_of(batch), f"{REFUSED}; {where}: {error}", is_final=True)

    def _add_losses(self, spans: Sequence[Span], reason: str, *, is_final: bool = False) -> None:
        new = self.losses.add(spans, reason, is_final=is_final)
        self._by_kind[GAPS.name].count(received=new, settled=new)

    def spill(self, max_rows: int) -> None:
        """Put on disk what waits in memory, what is being written first."""
        with self.order:
            for batch in tuple(self.in_hand):
                self.to_spool(batch)
            for writer in self._writers:
                while writer.buffered:
                    for batch in writer.take(max_rows):
                        self.to_spool(batch)

    def rescue(self, max_rows: int) -> None:
        """Bring what was being written to disk, or write down that it is lost."""
        try:
            self.spill(max_rows)
        except Exception:
            log.exception("putting rows on disk failed in a way that is not foreseen")
        with self.order:
            while self.in_hand:
                batch = self.in_hand.popleft()
                if not (batch.on_disk or batch.is_lost):
                    self.give_up(batch, f"{LOST}; writing failed, see the log")

    # losses

    def write_losses(self, store: Store) -> bool:
        """Give all losses to the database; False if it does not take any now."""
        if not self.losses.pending:
            return True
        taken = self.losses.take()
        if not all(store(batch) for batch in taken.batches()):
            self.losses.put_back(taken)
            return False
        self.losses.settle(taken)
        log.warning("%d losses are written down", len(taken.entries))
        return True

    def spool_losses(self) -> bool:
        """Put all losses on disk; False if there is no room."""
        with self.order:
            return self._spool_losses(None)

    def _spool_losses(self, stream: str | None) -> bool:
        taken = self.losses.take(stream)
        try:
            for batch in taken.batches():
                self.spool.append(batch)
        except SpoolFullError:
            self.losses.put_back(taken)
            return False
        self.losses.settle(taken)
        self._by_kind[GAPS.name].count(spooled=len(taken.entries))
        return True

    def _has_spooled_losses(self, batch: Batch) -> bool:
        """Put the losses of a batch's stream on disk, if there is room for the batch after them."""
        return self.spool.has_room(batch) and self._spool_losses(batch.kind.name)

    # what is on disk

    def replay(self, store: Store, max_rows: int) -> bool:
        """Store the oldest rows of the spool; tell whether the database took them."""
        batches = self.spool.peek(max_rows)
        for spans, reason in self.spool.take_lost():
            log.error("the spool is damaged, %d gaps follow: %s", len(spans), reason)
            self._add_losses(spans, f"{DAMAGED}; {reason}")
        for batch in _joined(batches):
            if not store(batch):
                return False
        if not self.write_losses(store):
            return False
        self.spool.forget_read()
        if self.spool.is_empty:
            log.info("the spool is empty; all its rows are in the database")
        return True


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
