"""What a strategy remembers between two starts, in two files per strategy.

The state is kept before the orders that rest on it leave, on the event loop's thread. What changes
with every order, and what stops trading, is small and has a file of its own. Each
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
from typing import Any, NamedTuple, Protocol

log = logging.getLogger(__name__)

_SLOT_BYTES = 1 << 16  # at first; a grid of 200 levels takes 20 kB
_HEAD = struct.Struct("<QII")  # number of the save, length and CRC-32 of what follows


class StateStore(Protocol):
    """Keeps the snapshot of a strategy."""

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot, with the guards in it."""

    def save_guards(self, strat_id: str, saved_at: datetime, guards: Mapping[str, Any]) -> None:
        """Keep newer guards beside the last snapshot."""


GUARDS = "guards"


class StateFiles:
    """`<folder>/<strat_id>.state` and `.guards`. One that cannot be read is kept aside and counts
    as absent.

    A file that is taken away while the bot runs is not written again before the next start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[Path, _TwoSlots] = {}
        self._numbers: dict[str, int] = {}  # of the last save of a strategy, whichever file

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""
        state = self._read(self._path(strat_id, "state"), "snapshot")
        newer = self._read(self._path(strat_id, GUARDS), GUARDS)
        self._numbers[strat_id] = max(one.number if one else 0 for one in (state, newer))
        if newer is not None and (state is None or newer.number > state.number):
            # guards alone tell what stops trading; the grid begins afresh
            content = {} if state is None else state.content
            return newer.saved_at, content | {GUARDS: newer.content}
        return None if state is None else (state.saved_at, state.content)

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot. Raises OSError."""
        self._write(strat_id, "state", saved_at, "snapshot", snapshot)

    def save_guards(self, strat_id: str, saved_at: datetime, guards: Mapping[str, Any]) -> None:
        """Keep newer guards. Raises OSError."""
        self._write(strat_id, GUARDS, saved_at, GUARDS, guards)

    def _write(
        self, strat_id: str, suffix: str, saved_at: datetime, name: str, part: Mapping[str, Any]
    ) -> None:
        number = self._numbers[strat_id] = self._numbers.get(strat_id, 0) + 1
        content = json.dumps(
            {"saved_at": saved_at.isoformat(), "number": number, name: part}
        ).encode()
        path = self._path(strat_id, suffix)
        slots = self._open.get(path)
        if slots is None or not slots.fits(content):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._open[path] = _TwoSlots.replacing(path, content)
            if slots is not None:
                slots.close()
        else:
            slots.write(content)

    def _path(self, strat_id: str, suffix: str) -> Path:
        return self.folder / f"{strat_id}.{suffix}"

    @staticmethod
    def _read(path: Path, name: str) -> _Kept | None:
        try:
            content = json.loads(_newest(path.read_bytes())[1])
            # an older version did not number what it kept
            kept = _Kept(
                datetime.fromisoformat(content["saved_at"]),
                int(content.get("number", 0)),
                content[name],
            )
            if kept.saved_at.tzinfo is None or not isinstance(kept.content, dict):
                raise ValueError("not what was written")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be used and counts as absent: %s", path, error)
            if path.exists():
                aside = path.stem if path.suffix == ".state" else path.name
                path.replace(path.with_name(f"{aside}.unreadable"))
            return None
        return kept


class _Kept(NamedTuple):
    """What one file holds."""

    saved_at: datetime
    number: int
    content: dict[str, Any]


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

    def save_guards(self, strat_id: str, saved_at: datetime, guards: Mapping[str, Any]) -> None:
        """Keep newer guards."""
        _, kept = self._kept.get(strat_id, (saved_at, "{}"))
        self._kept[strat_id] = saved_at, json.dumps(json.loads(kept) | {GUARDS: guards})
