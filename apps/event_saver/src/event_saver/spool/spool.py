"""Batches on disk while the database cannot take them: appended, checksummed, bounded, in order.

A folder of numbered segments, each a file of lines (see spool_codec) with an index beside it that
tells what a line had where the line cannot be read any more (see spool_segment). A start begins a
segment of its own, so that a line torn by a crash stays the last of its file. A segment goes when
all of it is stored; if the process dies before, it is read again and the unique keys tell the
duplicates. Names of files are as durable as their content: the folder is synced, once for each
file that comes or goes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from event_saver.basics.durable import sync_folder
from event_saver.spool.codec import CorruptLineError, decode, encode
from event_saver.spool.rows import GAPS, Batch
from event_saver.spool.segment import (
    Seen,
    SegmentFiles,
    SegmentReader,
    Streams,
    index_entry,
    index_head,
    segment_before,
)
from event_saver.spool.spans import Span, spans_of

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8 << 20
# What rows that REST or nobody gives again may use, beyond the room of public ones.
PRIVATE_RESERVE = 0.1
ASIDE_BYTES = 64 << 20
REJECTED, DAMAGED = "rejected.lines", "damaged.lines"
# Second copies of rows of the gap ledger. What one of them had cannot be estimated from the lines
# around it: it tells of any time in the past.
GAP_COPIES = "gaps.lines"


class SpoolError(Exception):
    """The folder cannot be used; one sentence says why and what to do."""


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

    `may_hold` names the streams that rows may be of, for a damage of which nothing is known.
    """

    def __init__(
        self, folder: Path, max_bytes: int = 1 << 30, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Open the folder with what an earlier process left there. Raises SpoolError."""
        self.folder = folder
        self.max_bytes = max_bytes
        self.may_hold: Streams = tuple
        self.corrupt_lines = 0
        self.damages = 0  # pieces that are lost, lines or more
        self.rejected_rows = 0
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        self._segments: deque[_Segment] = deque()
        self._writer: _SegmentWriter | None = None
        self._seen = Seen()
        self._reader: SegmentReader | None = None
        self._head: Iterator[Batch] | None = None
        self._ahead: Batch | None = None
        self._handed_out: list[Batch] = []
        self._lost: list[tuple[list[Span], str]] = []
        try:
            is_new = not folder.is_dir()
            folder.mkdir(parents=True, exist_ok=True)
            if is_new:
                sync_folder(folder.parent)
            self._guard = (folder / "lock").open("w")
        except OSError as error:
            raise SpoolError(
                f"the spool folder {folder} cannot be used ({error.strerror}); create it, make it"
                " writable, or name another with EVENTSAVER_SPOOL_DIR"
            ) from None
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._guard.close()
            raise SpoolError(
                f"the spool folder {folder} is in use by another process; give this one another"
                " folder with EVENTSAVER_SPOOL_DIR"
            ) from None
        self._find_segments()

    def _find_segments(self) -> None:
        """Take over what is there; a file that its index or its neighbours miss counts too."""
        names = {path.stem for path in self.folder.glob("*.spool")}
        names |= {path.stem for path in self.folder.glob("*.index")}
        numbers = sorted(int(name) for name in names if name.isdecimal())
        for number in numbers:
            before = segment_before(self.folder / f"{_name_of(number)}.index")
            # segments go from the oldest on: one with an older one beside it did not go by itself
            if before is not None and numbers[0] < before:
                names.add(_name_of(before))
        for name in sorted(names):
            files = SegmentFiles(self.folder / f"{name}.spool")
            self._segments.append(_Segment(files, files.size(), files.count_lines()))
        self._number = numbers[-1] if numbers else 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._segments

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
                self._put_aside(GAP_COPIES, line)
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
        files = SegmentFiles(self.folder / f"{_name_of(number)}.spool")
        while files.exist():  # somebody put it there
            number += 1
            files = SegmentFiles(self.folder / f"{_name_of(number)}.spool")
        before = self._number if self._segments else None
        self._writer = _SegmentWriter(files, index_head(before))
        self._number = number
        self._segments.append(_Segment(files, 0, 0))

    def _end_segment(self) -> None:
        """Close the segment that is written; one that got no line goes again."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if not self._segments[-1].lines:
            self._segments.pop()
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
                self._note_damage,
                self._note_hole,
                self._keep,
            )
            self._head = self._reader.batches()
            self._ahead = next(self._head, None)
        batch = self._ahead
        # one more, so that a damage at the end is known before the segment goes
        self._ahead = None if batch is None else next(self._head, None)
        return batch

    def _note_damage(self, spans: list[Span], reason: str) -> None:
        self.damages += 1
        self._lost.append((spans, reason))

    def _note_hole(self, spans: list[Span], reason: str) -> None:
        """Take a loss of which nothing is known: rows of the ledger may have been in it too."""
        with suppress(OSError), (self.folder / GAP_COPIES).open("rb") as file:
            for line in file:
                with suppress(CorruptLineError):
                    spans = spans + spans_of(decode(line))
        self._note_damage(spans, reason)

    def _keep(self, line: bytes) -> None:
        self.corrupt_lines += 1
        self._put_aside(DAMAGED, line if line.endswith(b"\n") else line + b"\n")

    def take_lost(self) -> list[tuple[list[Span], str]]:
        """Return what reading found damaged since the last time, with reasons."""
        with self._lock:
            lost, self._lost = self._lost, []
            return lost

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
            try:
                if reader is not None and reader.is_refused:
                    files.set_aside()  # somebody may still get something out of it
                else:
                    files.remove()
                if not self._segments:
                    (self.folder / GAP_COPIES).unlink(missing_ok=True)
                sync_folder(self.folder)
            except OSError as error:
                log.error("spool %s cannot be removed: %s", files.path.name, error.strerror)

    def reject(self, batch: Batch, reason: str) -> bool:
        """Keep rows that the database refuses for good; tell whether there was room."""
        with self._lock:
            self.rejected_rows += len(batch.records)
            is_kept = self._put_aside(REJECTED, encode(batch))
        log.error("%d rows of %s refused: %s", len(batch.records), batch.kind.name, reason)
        return is_kept

    def _put_aside(self, name: str, line: bytes) -> bool:
        path = self.folder / name
        try:
            is_new = not path.exists()
            if not is_new and path.stat().st_size + len(line) > ASIDE_BYTES:
                return False
            with path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(self.folder)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the files; what waits stays on disk."""
        with self._lock:
            self._end_segment()
            self._guard.close()


class _SegmentWriter:
    """Appends lines to a segment and entries to its index. Raises OSError.

    Nothing is buffered here: what a full disk did not take must not come later, behind a cut.
    """

    def __init__(self, files: SegmentFiles, head: bytes) -> None:
        self.files = files
        self._size = 0
        self._index_size = len(head)
        with ExitStack() as undo:
            undo.callback(files.remove)
            # the index first, for a segment without one counts as one that lost it
            self._index = undo.enter_context(files.index.open("xb", buffering=0))
            self._file = undo.enter_context(files.path.open("xb", buffering=0))
            _write_all(self._index.fileno(), head)
            sync_folder(files.path.parent)
            undo.pop_all()

    def write(self, line: bytes, entry: bytes) -> int:
        """Write a line and its entry, the line down to the disk; return how many bytes that is."""
        try:
            _write_all(self._file.fileno(), line)
            os.fdatasync(self._file.fileno())
        except OSError:
            with suppress(OSError):  # if that fails too the checksum tells it later
                self._file.truncate(self._size)
            raise
        self._size += len(line)
        try:
            # not synced: it serves where the segment is damaged, and a power cut damages neither
            _write_all(self._index.fileno(), entry)
        except OSError:
            with suppress(OSError):
                self._index.truncate(self._index_size)
                self._index.seek(self._index_size)
            return len(line)
        self._index_size += len(entry)
        return len(line) + len(entry)

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        self._index.close()


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _name_of(number: int) -> str:
    return f"{number:010d}"
