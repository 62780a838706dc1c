"""Capture daemon: market and private streams to the database, gaps found and filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import keep_former_paths, names_of

if TYPE_CHECKING:
    from event_saver.accounts.contexts import AccountContext
    from event_saver.saver import EventSaver
    from event_saver.settings.config import EventSaverConfig

__all__ = ["AccountContext", "EventSaver", "EventSaverConfig"]

__getattr__ = names_of(
    __name__,
    {
        "AccountContext": "event_saver.accounts.contexts",
        "EventSaver": "event_saver.saver",
        "EventSaverConfig": "event_saver.settings.config",
    },
)

keep_former_paths(
    __name__,
    {
        "config": "event_saver.settings.config",
        "rows": "event_saver.spool.rows",
    },
)
