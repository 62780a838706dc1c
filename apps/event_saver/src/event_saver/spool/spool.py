"""Batches on disk while the database cannot take them: appended, checksummed, bounded, in order.

A folder of numbered segments, each a file of lines (see codec) with an index beside it that
tells what a line had where the line cannot be read any more (see segment). A start begins a
segment of its own, so that a line torn by a crash stays the last of its file. A segment goes when
all of it is stored; if the process dies before, it is read again and the unique keys tell the
duplicates. Names of files are as durable as their content: the folder is synced, once for each
file that comes or goes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from event_saver.basics.durable import sync_folder
from event_saver.spool.codec import encode
from event_saver.spool.folder import (
    DAMAGED,
    GAP_COPIES,
    REJECTED,
    AsideFiles,
    Damage,
    SpoolError,
    take_folder,
)
from event_saver.spool.rows import GAPS, Batch
from event_saver.spool.segment import (
    NEWER,
    Seen,
    SegmentFiles,
    SegmentReader,
    Streams,
    index_entry,
    index_head,
    segment_before,
    segment_name,
    take_back,
)
from event_saver.spool.segment_writer import SegmentWriter
from event_saver.spool.spans import Span

__all__ = ["DAMAGED", "REJECTED", "Spool", "SpoolError", "SpoolFullError"]

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8 << 20
# What rows that REST or nobody gives again may use, beyond the room of public ones.
PRIVATE_RESERVE = 0.1


class SpoolFullError(Exception):
    """There is no room for the batch."""


@dataclass(slots=True)
class _Segment:
    files: SegmentFiles
    size: int  # bytes of both files
    lines: int
    lines_size: int = 0  # bytes of the lines alone


class Spool:
    """One folder, used by one process. Thread-safe. `max_bytes` bounds all segments together.

    `is_empty` tells whether nothing waits; kept, not counted, as every batch looks at it.
    `may_hold` names the streams that rows may be of, for a damage of which nothing is known.
    """

    def __init__(
        self,
        folder: Path | str,
        max_bytes: int = 1 << 30,
        segment_bytes: int = SEGMENT_BYTES,
        *,
        open_now: bool = True,
    ) -> None:
        """Open the folder with what an earlier process left there. Raises SpoolError.

        With `open_now=False` the folder is left alone, to whoever uses it, until `open`.
        """
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self.may_hold: Streams = tuple
        self.is_empty = True
        self.rejected_rows = 0
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        self._guard: IO[str] | None = None
        self._segments: deque[_Segment] = deque()
        self._number = 0
        self._writer: SegmentWriter | None = None
        self._seen = Seen()
        self._reader: SegmentReader | None = None
        self._head: Iterator[Batch] | None = None
        self._ahead: Batch | None = None
        self._handed_out: list[Batch] = []
        self._aside = AsideFiles(self.folder)
        self._damage = Damage(self._aside)
        if open_now:
            self.open()

    def open(self) -> None:
        """Take the folder, if that is not done yet. Raises SpoolError."""
        with self._lock:
            if self._guard is None:
                self._guard = take_folder(self.folder)
                self._find_segments()

    def _find_segments(self) -> None:
        """Take over what is there; a file that its index or its neighbours miss counts too."""
        take_back(self.folder)
        names = {path.stem for path in self.folder.glob("*.spool")}
        names |= {path.stem for path in self.folder.glob("*.index")}
        numbers = sorted(int(name) for name in names if name.isdecimal())
        for number in numbers:
            before = segment_before(self.folder / f"{segment_name(number)}.index")
            # segments go from the oldest on: one with an older one beside it did not go by itself
            if before is not None and numbers[0] < before:
                names.add(segment_name(before))
        for name in sorted(names):
            files = SegmentFiles(self.folder / f"{name}.spool")
            self._segments.append(_Segment(files, files.size(), files.count_lines()))
        self._number = numbers[-1] if numbers else 0
        self.is_empty = not self._segments

    @property
    def corrupt_lines(self) -> int:
        """Lines that could not be read."""
        return self._damage.lines

    @property
    def damages(self) -> int:
        """Pieces that are lost, lines or more."""
        return self._damage.pieces

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(segment.size for segment in self._segments)

    @property
    def batches(self) -> int:
        """Batches that wait, at most; what is half replayed counts until its segment goes."""
        with self._lock:
            return sum(segment.lines for segment in self._segments)

    def has_room(self, batch: Batch) -> bool:
        """Tell whether a batch fits within the bound; whether the disk takes it, it tells later."""
        line = encode(batch)
        with self._lock:
            return self._fits(batch, len(line) + len(index_entry(line, batch)))

    def _fits(self, batch: Batch, size: int) -> bool:
        bound = self.max_bytes * ((1 - PRIVATE_RESERVE) if batch.kind.is_public else 1)
        return self.size + size <= bound

    def append(self, batch: Batch) -> None:
        """Put a batch at the end, on the disk itself when this returns.

        Raises SpoolFullError when there is no room, on the disk or within the bound. The last
        tenth of the bound is for private rows.
        """
        line = encode(batch)
        entry = index_entry(line, batch)
        with self._lock:
            if not self._fits(batch, len(line) + len(entry)):
                raise SpoolFullError(f"the spool holds {self.size} of {self.max_bytes} bytes")
            try:
                self._append(line, entry)
            except OSError as error:
                self._end_segment()
                raise SpoolFullError(f"{self.folder}: {error.strerror}") from error
            if batch.kind.name == GAPS.name:
                self._aside.put(GAP_COPIES, line)
        batch.on_disk = True

    def _append(self, line: bytes, entry: bytes) -> None:
        if self._writer is None or self._segments[-1].lines_size >= self._segment_bytes:
            self._open_segment()
        writer, segment = self._writer, self._segments[-1]
        assert writer is not None  # noqa: S101 - opened above
        segment.size += writer.write(line, entry)
        segment.lines_size += len(line)
        segment.lines += 1

    def _open_segment(self) -> None:
        self._end_segment()
        number = self._number + 1
        files = SegmentFiles(self.folder / f"{segment_name(number)}.spool")
        while files.exist():  # somebody put it there
            number += 1
            files = SegmentFiles(self.folder / f"{segment_name(number)}.spool")
        before = self._number if self._segments else None
        self._writer = SegmentWriter(files, index_head(before))
        self._number = number
        self._segments.append(_Segment(files, 0, 0))
        self.is_empty = False

    def _end_segment(self) -> None:
        """Close the segment that is written; one that got no line goes again."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if not self._segments[-1].lines:
            self._segments.pop()
            self.is_empty = not self._segments
            writer.files.remove()
            self._number -= 1

    def peek(self, max_rows: int) -> list[Batch]:
        """Return the oldest batches, about max_rows rows; the same ones until `forget_read`.

        `take_lost` has what is damaged among them, and up to the next one, when this returns.
        """
        with self._lock:
            rows = sum(len(batch.records) for batch in self._handed_out)
            while rows < max_rows and (batch := self._next()) is not None:
                self._handed_out.append(batch)
                rows += len(batch.records)
            return list(self._handed_out)

    def _next(self) -> Batch | None:
        if self._head is None:
            if not self._segments:
                return None
            if len(self._segments) == 1:
                # what comes from now on goes into a segment of its own
                self._end_segment()
            if not self._segments:
                return None
            self._reader = SegmentReader(
                self._segments[0].files,
                self._seen,
                self.may_hold,
                self._damage.note,
                self._damage.note_hole,
                self._damage.keep,
            )
            self._head = self._reader.batches()
            self._ahead = next(self._head, None)
        batch = self._ahead
        # one more, so that a damage at the end is known before the segment goes
        self._ahead = None if batch is None else next(self._head, None)
        return batch

    def take_lost(self) -> list[tuple[list[Span], str]]:
        """Return what reading found damaged since the last time, with reasons."""
        with self._lock:
            return self._damage.take()

    def forget_read(self) -> None:
        """Note that all that `peek` returned is stored; drop a segment that is used up.

        What was damaged in it must be written down before.
        """
        with self._lock:
            self._handed_out.clear()
            if self._head is None or self._ahead is not None:
                return
            reader, self._reader, self._head = self._reader, None, None
            files = self._segments.popleft().files
            self.is_empty = not self._segments
            try:
                if reader is not None and reader.is_newer:
                    files.set_aside(NEWER)
                elif reader is not None and reader.is_refused:
                    files.set_aside()  # somebody may still get something out of it
                else:
                    files.remove()
                if not self._segments:
                    self._aside.forget_copies()
                sync_folder(self.folder)
            except OSError as error:
                log.error("spool %s cannot be removed: %s", files.path.name, error.strerror)

    def reject(self, batch: Batch, reason: str) -> bool:
        """Keep rows that the database refuses for good; tell whether there was room."""
        with self._lock:
            self.rejected_rows += len(batch.records)
            is_kept = self._aside.put(REJECTED, encode(batch))
        log.error("%d rows of %s refused: %s", len(batch.records), batch.kind.name, reason)
        return is_kept

    def close(self) -> None:
        """Close the files; what waits stays on disk."""
        with self._lock:
            self._end_segment()
            if self._guard is not None:
                self._guard.close()
