"""The separate process that takes opening orders away when the bot is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from gridbot.watchdog.command import app, main
    from gridbot.watchdog.watchdog import Watchdog

__all__ = ["Watchdog", "app", "main"]

__getattr__ = names_of(
    __name__,
    {
        "Watchdog": "gridbot.watchdog.watchdog",
        "app": "gridbot.watchdog.command",
        "main": "gridbot.watchdog.command",
    },
)
