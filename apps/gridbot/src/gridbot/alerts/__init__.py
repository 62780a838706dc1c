"""What somebody has to know, and how it reaches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from gridbot.alerts.alerts import AlertKey

__all__ = ["AlertKey"]

__getattr__ = names_of(
    __name__,
    {
        "AlertKey": "gridbot.alerts.alerts",
    },
)
