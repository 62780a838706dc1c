"""What a strategy remembers between two starts, in one file per strategy.

The state is kept before the orders that rest on it leave, on the event loop's thread. So the file
is a piece of memory that the system writes out by itself: a call into the kernel would hand the
interpreter over to any thread that wants it, several milliseconds each time. A process that is
killed loses nothing; a machine that loses power may lose the last half minute.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)

_SLOT_BYTES = 1 << 16  # at first; a grid of 200 levels takes 20 kB
_HEAD = struct.Struct("<QII")  # number of the save, length and CRC-32 of what follows


class StateStore(Protocol):
    """Keeps the snapshot of a strategy."""

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot."""


class StateFiles:
    """`<folder>/<strat_id>.state`. One that cannot be read is kept aside and counts as absent.

    A file that is taken away while the bot runs is not written again before the next start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, _TwoSlots] = {}

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""
        path = self._path(strat_id)
        try:
            content = json.loads(_newest(path.read_bytes())[1])
            saved_at = datetime.fromisoformat(content["saved_at"])
            snapshot = content["snapshot"]
            if saved_at.tzinfo is None or not isinstance(snapshot, dict):
                raise ValueError("not what was written")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be used and counts as absent: %s", path, error)
            if path.exists():
                path.replace(path.with_suffix(".unreadable"))
            return None
        return saved_at, snapshot

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot. Raises OSError."""
        content = json.dumps({"saved_at": saved_at.isoformat(), "snapshot": snapshot}).encode()
        slots = self._open.get(strat_id)
        if slots is None or not slots.fits(content):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._open[strat_id] = _TwoSlots.replacing(self._path(strat_id), content)
            if slots is not None:
                slots.close()
        else:
            slots.write(content)

    def _path(self, strat_id: str) -> Path:
        return self.folder / f"{strat_id}.state"


class _TwoSlots:
    """A mapped file of two halves that are written in turn, so that one is always whole."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._size = len(memory) // 2
        self._number = number

    @classmethod
    def replacing(cls, path: Path, content: bytes) -> _TwoSlots:
        """Make a file with room for `content` and twice as much, and move it over the old one."""
        size = _SLOT_BYTES
        while size < 2 * (len(content) + _HEAD.size):
            size *= 2
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            # room on the disk is taken now: a full one is an OSError here and no fault later
            left = memoryview(bytes(2 * size))
            while left:
                left = left[os.write(handle, left) :]
            slots = cls(mmap.mmap(handle, 2 * size), 0)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        finally:
            os.close(handle)
        slots.write(content)
        temporary.replace(path)
        return slots

    def fits(self, content: bytes) -> bool:
        """Tell whether there is room."""
        return len(content) + _HEAD.size <= self._size

    def write(self, content: bytes) -> None:
        """Write into the half that holds the older state; its head last."""
        self._number += 1
        start = self._number % 2 * self._size
        body = start + _HEAD.size
        self._memory[start : start + _HEAD.size] = bytes(_HEAD.size)
        self._memory[body : body + len(content)] = content
        head = _HEAD.pack(self._number, len(content), zlib.crc32(content))
        self._memory[start : start + _HEAD.size] = head

    def close(self) -> None:
        """Let go of the memory; what was written stays in the file."""
        self._memory.close()


def _newest(data: bytes) -> tuple[int, bytes]:
    """Return number and content of the newer whole half. Raises ValueError if none is whole."""
    size = len(data) // 2
    found = []
    for start in (0, size):
        if size < _HEAD.size:
            break
        number, length, checksum = _HEAD.unpack_from(data, start)
        content = data[start + _HEAD.size : start + min(_HEAD.size + length, size)]
        if number and len(content) == length and zlib.crc32(content) == checksum:
            found.append((number, content))
    if not found:
        raise ValueError("no whole state in it")
    return max(found)


class StateInMemory:
    """For simulations: as durable as the object."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[datetime, str]] = {}

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""
        kept = self._kept.get(strat_id)
        return None if kept is None else (kept[0], json.loads(kept[1]))

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot."""
        self._kept[strat_id] = saved_at, json.dumps(snapshot)
