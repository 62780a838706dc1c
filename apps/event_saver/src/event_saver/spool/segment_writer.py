"""One segment of the spool, written: each line durable before anybody counts on it."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress

from event_saver.basics.durable import sync_folder
from event_saver.spool.segment import SegmentFiles


class SegmentWriter:
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
