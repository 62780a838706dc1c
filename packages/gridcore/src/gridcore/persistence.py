"""The grid anchor on disk: the one module of this package that touches a file.

One JSON object keyed by strat_id. Writers of several threads and processes take turns through a
lock file beside it; a reader always sees a whole file, because a new one replaces the old by
rename.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from gridcore.errors import SnapshotError

log = logging.getLogger(__name__)

Anchor = dict[str, Any]


class GridAnchorStore:
    """Anchors of any number of strategies in one JSON file.

    An entry has anchor_price and grid_step as text, grid_count, and levels when they were given.
    A changed step or count means that the caller builds afresh; the store only keeps.
    """

    def __init__(self, path: str | Path = "db/grid_anchor.json") -> None:
        self.path = Path(path)
        self._thread_lock = threading.Lock()

    def load(self, strat_id: str) -> Anchor | None:
        """Return the entry of one strategy, None when there is none.

        A missing, corrupt or foreign file reads as empty; the last two log a warning.
        """
        _check_strat_id(strat_id)
        entries, _ = self._read()
        entry = entries.get(strat_id)
        return dict(entry) if isinstance(entry, dict) else None

    def save(
        self,
        strat_id: str,
        anchor_price: Decimal,
        grid_step: Decimal | float,
        grid_count: int,
        levels: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        """Write the entry of one strategy; no write happens when nothing changed.

        `levels` is what `Grid.snapshot` returns. A file that cannot be read is copied aside
        (`.corrupt-N`) before it is replaced. Raises SnapshotError for an empty strat_id, OSError
        when the folder cannot be written.
        """
        _check_strat_id(strat_id)
        entry: Anchor = {
            "anchor_price": str(anchor_price),
            "grid_step": str(grid_step),
            "grid_count": grid_count,
        }
        if levels is not None:
            entry["levels"] = [dict(level) for level in levels]
        with self._exclusive():
            entries, intact = self._read()
            if intact and entries.get(strat_id) == entry:
                return
            if not intact:
                self._keep_aside()
            entries[strat_id] = entry
            self._write(entries)

    def delete(self, strat_id: str) -> None:
        """Remove the entry of one strategy; nothing happens when there is none."""
        _check_strat_id(strat_id)
        with self._exclusive():
            entries, intact = self._read()
            if intact and entries.pop(strat_id, None) is not None:
                self._write(entries)

    def _read(self) -> tuple[dict[str, Any], bool]:
        """Return the entries, and whether the file was readable (a missing one is)."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}, True
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read and counts as empty: %s", self.path, error)
            return {}, False
        if not isinstance(content, dict):
            log.warning("%s holds no JSON object and counts as empty", self.path)
            return {}, False
        return content, True

    def _write(self, entries: Mapping[str, Any]) -> None:
        name = f".{self.path.name}.{os.getpid()}.{threading.get_ident()}.tmp"
        temporary = self.path.with_name(name)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(entries, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself survives a power cut only then
        finally:
            os.close(folder)

    def _keep_aside(self) -> None:
        number = 1
        while (copy := self.path.with_name(f"{self.path.name}.corrupt-{number}")).exists():
            number += 1
        copy.write_bytes(self.path.read_bytes())
        log.warning("kept the unreadable %s as %s", self.path, copy.name)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock_path = self.path.with_name(f".{self.path.name}.lock")
        with self._thread_lock, lock_path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _check_strat_id(strat_id: str) -> None:
    if not strat_id:
        raise SnapshotError("strat_id is empty; every strategy needs a name of its own")
