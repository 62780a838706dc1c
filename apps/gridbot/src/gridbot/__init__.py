"""The live bot: accounts and strategies, live, shadow or paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import keep_former_paths, names_of

if TYPE_CHECKING:
    from gridbot.orchestrator import Orchestrator
    from gridbot.settings.config import GridbotConfig

__all__ = [
    "GridbotConfig",
    "Orchestrator",
]

__getattr__ = names_of(
    __name__,
    {
        "GridbotConfig": "gridbot.settings.config",
        "Orchestrator": "gridbot.orchestrator",
    },
)

keep_former_paths(
    __name__,
    {
        "config": "gridbot.settings.config",
        "executor": "gridbot.actor.executor",
        "metrics": "gridbot.views.metrics",
        "notifier": "gridbot.alerts.notifier",
        "reconciler": "gridbot.session.reconciler",
        "retry_queue": "gridbot.actor.retry_queue",
        "runner": "gridbot.actor.runner",
        "session_settings": "gridbot.settings.session_settings",
        "status": "gridbot.views.status",
    },
)
