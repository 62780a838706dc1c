"""What a strategy remembers between two starts, in one file per strategy.

Written beside the file and moved over it, so that a crash leaves the old one.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class StateStore(Protocol):
    """Keeps the snapshot of a strategy."""

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot."""


class StateFiles:
    """`<folder>/<strat_id>.json`. A file that cannot be read is kept aside and counts as absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, strat_id: str) -> tuple[datetime, dict[str, Any]] | None:
        """Return when it was saved and the snapshot; None when there is none to use."""
        path = self._path(strat_id)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
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
        path = self._path(strat_id)
        content = json.dumps({"saved_at": saved_at.isoformat(), "snapshot": snapshot})
        temporary = f"{self.folder}/.{path.name}.{os.getpid()}.tmp"
        # Not forced to the disk: a process that is killed loses nothing, and the loop waits less.
        # As few calls as there can be: at each the event loop hands the interpreter over to any
        # other thread that wants it, and this happens before the orders leave.
        try:
            handle = os.open(temporary, _NEW_FILE, 0o644)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(temporary, _NEW_FILE, 0o644)
        try:
            left = memoryview(content.encode())
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
        os.replace(temporary, path)

    def _path(self, strat_id: str) -> Path:
        return self.folder / f"{strat_id}.json"


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
