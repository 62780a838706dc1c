"""SQLite's write-ahead log: emptied where it is too large, and told where a reader keeps it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from grid_db import DatabaseFactory, GridDbError

log = logging.getLogger(__name__)

LOOK_S = 5.0


class JournalWatch:
    """Looks now and then. `size` is in bytes, as of the last look; 0 for other databases."""

    def __init__(
        self, database: DatabaseFactory, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.size = 0
        self._database = database
        self._monotonic = monotonic
        self._look_at = 0.0
        self._held_since: float | None = None

    def held_s(self) -> float:
        """Return for how many seconds a reader has kept the log beyond its bound."""
        since = self._held_since
        return 0.0 if since is None else self._monotonic() - since

    def look(self) -> None:
        """Look, if it is time to. Waits for nobody; blocks while the log is copied."""
        if self._monotonic() < self._look_at:
            return
        self._look_at = self._monotonic() + LOOK_S
        try:
            state = self._database.trim_journal()
        except GridDbError as error:
            log.warning("the write-ahead log could not be looked at: %s", error)
            return
        if state is None:
            return
        self.size = state.size
        if state.is_held and self._held_since is None:
            self._held_since = self._monotonic()
            log.warning(
                "the write-ahead log of the database has %d MB and grows on: a reader has had a"
                " transaction open for long; end it",
                state.size >> 20,
            )
        elif not state.is_held and self._held_since is not None:
            self._held_since = None
            log.info("the write-ahead log could be emptied again")
