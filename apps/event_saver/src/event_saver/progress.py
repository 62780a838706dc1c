"""Until when each stream is complete: a small file that survives any end of the process.

A moment stands here only when everything that the stream sent before it is in the database or on
disk, or is noted as missing. So the stretch from here to the next start is what was not received.
Where a process ended before it had fetched what an earlier break left, rows of after the break are
stored already: the file says so, because then the newest row tells nothing.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from grid_db import ALL_SYMBOLS, CaptureStream

log = logging.getLogger(__name__)

_HELD = "held"  # no name of a stream: those have slashes


@dataclass(frozen=True, slots=True)
class StreamKey:
    """One stream of one symbol, or of one account."""

    stream: CaptureStream
    symbol: str = ALL_SYMBOLS
    account_id: str | None = None

    def __str__(self) -> str:
        return f"{self.stream}/{self.account_id or '-'}/{self.symbol}"


class Progress:
    """The file `progress.json`. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.json"
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._moments: dict[str, datetime] = {}
        self._left: set[str] = set()
        self._saving = threading.Lock()
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._left = set(content.pop(_HELD, ()))
            self._moments = {key: datetime.fromisoformat(text) for key, text in content.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError, TypeError) as error:
            # the newest rows of the database tell nearly as much
            log.error("%s cannot be read (%s) and is begun anew", self._path.name, error)

    def of(self, key: StreamKey) -> datetime | None:
        """Return until when the stream is complete, None if it was never captured."""
        return self._moments.get(str(key))

    def has_left(self, key: StreamKey) -> bool:
        """Tell whether an earlier process left a hole in the stream that it knew of.

        That is so until the stream is held.
        """
        return str(key) in self._left

    def hold(self, keys: Iterable[StreamKey]) -> None:
        """Let the streams stay where they are until each hold is released."""
        names = tuple(map(str, keys))
        with self._lock:
            self._held.update(names)
            self._left.difference_update(names)

    def release(self, keys: Iterable[StreamKey]) -> None:
        """Take one hold of each stream back."""
        with self._lock:
            for name in map(str, keys):
                self._held[name] = max(0, self._held[name] - 1)

    def abandon(self, keys: Iterable[StreamKey]) -> None:
        """Take all holds of the streams back: nobody follows them any more."""
        with self._lock:
            for name in map(str, keys):
                del self._held[name]

    def advance(self, key: StreamKey, moment: datetime) -> None:
        """Note that a stream is complete until a moment, unless it is held; never goes back."""
        name = str(key)
        with self._lock:
            before = self._moments.get(name)
            if self._held[name] <= 0 and (before is None or before < moment):
                self._moments[name] = moment

    def begin(self, key: StreamKey, moment: datetime) -> None:
        """Note the beginning of a stream that was never captured before, held or not."""
        with self._lock:
            self._moments.setdefault(str(key), moment)

    def save(self) -> None:
        """Write the file; the old one stays if that fails."""
        with self._saving:
            with self._lock:
                content: dict[str, Any] = {key: at.isoformat() for key, at in self._moments.items()}
                held = {name for name, count in self._held.items() if count > 0}
                content[_HELD] = sorted(held | self._left)
            fresh = self._path.with_suffix(".new")
            try:
                with fresh.open("w", encoding="utf-8") as file:
                    json.dump(content, file, indent=0)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(self._path)
            except OSError as error:
                log.warning("%s cannot be written: %s", self._path.name, error.strerror)
