"""Batches on disk while the database cannot take them: appended, checksummed, bounded, in order.

A folder of numbered segments, each a file of lines (see spool_codec). A start begins a segment of
its own, so that a line torn by a crash stays the last of its file. A segment goes when all of it
is stored; if the process dies before, it is read again and the unique keys tell the duplicates.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from event_saver.rows import Batch
from event_saver.spool_codec import CorruptLineError, decode, encode

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8 << 20
# What rows that REST or nobody gives again may use, beyond the room of public ones.
PRIVATE_RESERVE = 0.1
REJECTED_BYTES = 64 << 20


class SpoolError(Exception):
    """The folder cannot be used; one sentence says why and what to do."""


class SpoolFullError(Exception):
    """There is no room for the batch."""


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int  # bytes
    lines: int


class Spool:
    """One folder, used by one process. Thread-safe. `max_bytes` bounds all segments together."""

    def __init__(
        self, folder: Path, max_bytes: int = 1 << 30, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Open the folder with what an earlier process left there. Raises SpoolError."""
        self.folder = folder
        self.max_bytes = max_bytes
        self.corrupt_lines = 0
        self.rejected_rows = 0
        self._segment_bytes = segment_bytes
        self._lock = threading.RLock()
        self._segments: deque[_Segment] = deque()
        self._file: IO[bytes] | None = None
        self._head: Iterator[Batch] | None = None
        self._handed_out: list[Batch] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
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
        for path in sorted(folder.glob("*.spool")):
            content = path.read_bytes()
            self._segments.append(_Segment(path, len(content), content.count(b"\n")))
        last = self._segments[-1].path.stem if self._segments else "0"
        self._number = int(last) if last.isdecimal() else 0

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

    def append(self, batch: Batch) -> None:
        """Put a batch at the end, on the disk itself when this returns.

        Raises SpoolFullError when there is no room, on the disk or within the bound. The last
        tenth of the bound is for private rows.
        """
        line = encode(batch)
        with self._lock:
            bound = self.max_bytes * ((1 - PRIVATE_RESERVE) if batch.kind.is_public else 1)
            if self.size + len(line) > bound:
                raise SpoolFullError(f"the spool holds {self.size} of {self.max_bytes} bytes")
            try:
                self._append(line)
            except OSError as error:
                self._cut_torn_line()
                raise SpoolFullError(f"{self.folder}: {error.strerror}") from error
        batch.on_disk = True

    def _append(self, line: bytes) -> None:
        if self._file is None or self._segments[-1].size >= self._segment_bytes:
            self._open_segment()
        file = self._file
        assert file is not None  # noqa: S101 - opened above
        file.write(line)
        file.flush()
        os.fdatasync(file.fileno())
        self._segments[-1].size += len(line)
        self._segments[-1].lines += 1

    def _open_segment(self) -> None:
        self._close_file()
        self._number += 1
        path = self.folder / f"{self._number:010d}.spool"
        self._file = path.open("xb")
        self._segments.append(_Segment(path, 0, 0))

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _cut_torn_line(self) -> None:
        """Take back what a failed write left; if even that fails, the checksum tells it later."""
        if self._file is None:
            return
        try:
            os.truncate(self._segments[-1].path, self._segments[-1].size)
        except OSError:
            log.warning("%s: a torn line stays at the end", self._segments[-1].path.name)
        try:
            self._close_file()
        except OSError:
            self._file = None

    def peek(self, max_rows: int) -> list[Batch]:
        """Return the oldest batches, about max_rows rows; the same ones until `forget_read`."""
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
                self._close_file()
            self._head = self._read(self._segments[0])
        return next(self._head, None)

    def _read(self, segment: _Segment) -> Iterator[Batch]:
        with segment.path.open("rb") as file:
            for line in file:
                try:
                    yield decode(line)
                except CorruptLineError as error:
                    self.corrupt_lines += 1
                    log.error("spool %s: %s; skipped", segment.path.name, error)

    def forget_read(self) -> None:
        """Note that all that `peek` returned is stored; drop a segment that is used up."""
        with self._lock:
            self._handed_out.clear()
            if self._head is None:
                return
            ahead = next(self._head, None)
            if ahead is not None:
                self._head = _with_first(ahead, self._head)
                return
            self._head = None
            self._segments.popleft().path.unlink(missing_ok=True)

    def reject(self, batch: Batch, reason: str) -> bool:
        """Keep rows that the database refuses for good; tell whether there was room."""
        line = encode(batch)
        path = self.folder / "rejected.lines"
        with self._lock:
            self.rejected_rows += len(batch.records)
            try:
                if path.exists() and path.stat().st_size + len(line) > REJECTED_BYTES:
                    return False
                with path.open("ab") as file:
                    file.write(line)
            except OSError:
                return False
        log.error("%d rows of %s refused: %s", len(batch.records), batch.kind.name, reason)
        return True

    def close(self) -> None:
        """Close the files; what waits stays on disk."""
        with self._lock:
            self._close_file()
            self._guard.close()


def _with_first(first: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from rest
