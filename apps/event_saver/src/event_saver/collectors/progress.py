"""Until when each stream is complete: a small file that survives any end of the process.

A moment stands here only when everything that the stream sent before it is in the database or on
disk, or is noted as missing. So the stretch from here to the next start is what was not received.
Where a process ended before it had fetched what an earlier break left, rows of after the break are
stored already: the file says so, because then the newest row tells nothing.

The file carries a checksum, and the one before it stays beside it: where the newer one is damaged
the older one holds, and every stream counts as one that a hole was left in.
"""

from __future__ import annotations

import json
import logging
import threading
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from event_saver.basics.durable import replace_file
from grid_db import ALL_SYMBOLS, CaptureStream

log = logging.getLogger(__name__)

_HELD = "held"  # no name of a stream: those have slashes
_CHECK = "check"  # the checksum of the rest


@dataclass(frozen=True, slots=True)
class StreamKey:
    """One stream of one symbol, or of one account."""

    stream: CaptureStream
    symbol: str = ALL_SYMBOLS
    account_id: str | None = None

    def __str__(self) -> str:
        return f"{self.stream}/{self.account_id or '-'}/{self.symbol}"


class Progress:
    """The file `progress.json`. Thread-safe.

    With `read_now=False` what an earlier process left is read by `read` alone.
    """

    def __init__(self, folder: Path | str, *, read_now: bool = True) -> None:
        self._path = Path(folder) / "progress.json"
        self._before = Path(folder) / "progress.before.json"
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._moments: dict[str, datetime] = {}
        self._left: set[str] = set()
        self._saving = threading.Lock()
        if read_now:
            self.read()

    def read(self) -> None:
        """Take over what an earlier process left."""
        for path in (self._path, self._before):
            try:
                self._moments, self._left = _read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, AttributeError, TypeError) as error:
                # the one before it, or else the newest rows of the database, tell nearly as much
                log.error("%s cannot be read (%s) and is begun anew", path.name, error)
                continue
            if path is self._before:
                # what the lost file knew of holes is lost with it
                self._left = set(self._moments)
            break

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
            content[_CHECK] = _checksum(content)
            try:
                text = json.dumps(content, indent=0)
                replace_file(self._path, text.encode(), before=self._before)
            except OSError as error:
                log.warning("%s cannot be written: %s", self._path.name, error.strerror)


def _checksum(content: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _read(path: Path) -> tuple[dict[str, datetime], set[str]]:
    """Return moments and what was held. Raises OSError, ValueError, AttributeError, TypeError."""
    content = json.loads(path.read_text(encoding="utf-8"))
    check = content.pop(_CHECK, None)  # an older version wrote none
    if check is not None and check != _checksum(content):
        raise ValueError("it does not fit its checksum")
    left = set(content.pop(_HELD, ()))
    return {key: datetime.fromisoformat(text) for key, text in content.items()}, left
