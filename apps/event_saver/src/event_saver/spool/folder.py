"""The folder of a spool: one process has it at a time, and beside the segments lie files aside."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from event_saver.basics.durable import sync_folder
from event_saver.spool.codec import CorruptLineError, decode
from event_saver.spool.spans import Span, spans_of

ASIDE_BYTES = 64 << 20
REJECTED, DAMAGED = "rejected.lines", "damaged.lines"
# Second copies of rows of the gap ledger. What one of them had cannot be estimated from the lines
# around it: it tells of any time in the past.
GAP_COPIES = "gaps.lines"


class SpoolError(Exception):
    """The folder cannot be used; one sentence says why and what to do."""


def take_folder(folder: Path) -> IO[str]:
    """Return the open lock of a folder, made if need be, for one process. Raises SpoolError."""
    try:
        is_new = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        if is_new:
            sync_folder(folder.parent)
        guard = (folder / "lock").open("w")
    except OSError as error:
        raise SpoolError(
            f"the spool folder {folder} cannot be used ({error.strerror}); create it, make it"
            " writable, or name another with EVENTSAVER_SPOOL_DIR"
        ) from None
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        guard.close()
        raise SpoolError(
            f"the spool folder {folder} is in use by another process; give this one another"
            " folder with EVENTSAVER_SPOOL_DIR"
        ) from None
    return guard


class AsideFiles:
    """Files of lines beside the segments, each bounded: what was refused, damaged, or twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, line: bytes) -> bool:
        """Append a line, on the disk itself when this returns; tell whether there was room."""
        path = self._folder / name
        try:
            is_new = not path.exists()
            if not is_new and path.stat().st_size + len(line) > ASIDE_BYTES:
                return False
            with path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                sync_folder(self._folder)
        except OSError:
            return False
        return True

    def copied_gaps(self) -> Iterator[Span]:
        """Yield what the second copies of rows of the ledger tell of."""
        with suppress(OSError), (self._folder / GAP_COPIES).open("rb") as file:
            for line in file:
                with suppress(CorruptLineError):
                    yield from spans_of(decode(line))

    def forget_copies(self) -> None:
        """Remove the second copies. Raises OSError."""
        (self._folder / GAP_COPIES).unlink(missing_ok=True)


class Damage:
    """What reading found damaged: told once by `take`, counted for good."""

    def __init__(self, aside: AsideFiles) -> None:
        self.lines = 0  # that could not be read; they are kept
        self.pieces = 0  # that are lost, lines or more
        self._aside = aside
        self._lost: list[tuple[list[Span], str]] = []

    def note(self, spans: list[Span], reason: str) -> None:
        """Take a loss of which it is known what it was."""
        self.pieces += 1
        self._lost.append((spans, reason))

    def note_hole(self, spans: list[Span], reason: str) -> None:
        """Take a loss of which nothing is known: rows of the ledger may have been in it too."""
        self.note([*spans, *self._aside.copied_gaps()], reason)

    def keep(self, line: bytes) -> None:
        """Keep a line that cannot be read."""
        self.lines += 1
        self._aside.put(DAMAGED, line if line.endswith(b"\n") else line + b"\n")

    def take(self) -> list[tuple[list[Span], str]]:
        """Return what was noted since the last time, with reasons."""
        lost, self._lost = self._lost, []
        return lost
