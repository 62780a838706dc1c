"""Rows on disk while the database is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from event_saver.spool.spool import Spool, SpoolError, SpoolFullError

__all__ = ["Spool", "SpoolError", "SpoolFullError"]

__getattr__ = names_of(
    __name__,
    {
        "Spool": "event_saver.spool.spool",
        "SpoolError": "event_saver.spool.spool",
        "SpoolFullError": "event_saver.spool.spool",
    },
)
