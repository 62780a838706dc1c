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
from gridcore.exact import exact_fraction

log = logging.getLogger(__name__)

Anchor = dict[str, Any]


class StoredNumber(Decimal):
    """A number as a file states it: equal to a Decimal, a float or a text that states the same.

    So `loaded["grid_step"] == config.grid_step` holds whichever of them a configuration has.
    """

    def __eq__(self, other: object) -> bool:
        if isinstance(other, float | str):
            try:
                return exact_fraction(other) == exact_fraction(self)
            except (ValueError, ArithmeticError):
                return False
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = Decimal.__hash__


class GridAnchorStore:
    """Anchors of any number of strategies in one JSON file.

    An entry has anchor_price (USDT) and grid_step (percent) as numbers, grid_count, and levels when
    they were given; what is loaded can be handed to `GridEngine` and `GridStrategy` as it is. In
    the file the numbers are text; plain JSON numbers are read as well. A changed step or count
    means that the caller builds afresh; the store only keeps.
    """

    def __init__(self, path: str | Path = "db/grid_anchor.json") -> None:
        self.path = Path(path)
        self._thread_lock = threading.Lock()

    def load(self, strat_id: str) -> Anchor | None:
        """Return the entry of one strategy, None when there is none.

        A missing, corrupt or foreign file reads as empty, and so does an entry that is no anchor;
        all but the first log a warning.
        """
        _check_strat_id(strat_id)
        entries, _ = self._read()
        if strat_id not in entries:
            return None
        try:
            return _parsed(entries[strat_id])
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            log.warning("%s: the anchor of %s cannot be used: %r", self.path, strat_id, error)
            return None

    def save(
        self,
        strat_id: str,
        anchor_price: Decimal | float,
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


def _parsed(entry: Mapping[str, Any]) -> Anchor:
    """Return an entry with its numbers as numbers. Raises for one that is no anchor."""
    price, step, count = (
        StoredNumber(str(entry[name])) for name in ("anchor_price", "grid_step", "grid_count")
    )
    if not all(number.is_finite() and number > 0 for number in (price, step, count)):
        raise ValueError("its numbers are above zero")
    if count % 1:
        raise ValueError(f"grid_count is {count}; it is a whole number")
    return {**entry, "anchor_price": price, "grid_step": step, "grid_count": int(count)}


def _check_strat_id(strat_id: str) -> None:
    if not strat_id:
        raise SnapshotError("strat_id is empty; every strategy needs a name of its own")
