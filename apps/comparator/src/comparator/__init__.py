"""Backtest trades against live trades: deltas, causes, verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from comparator.match.matcher import TradeMatcher
    from comparator.money.equity import EquityComparator
    from comparator.money.metrics import calculate_metrics
    from comparator.report.reporter import ComparatorReporter

__all__ = ["ComparatorReporter", "EquityComparator", "TradeMatcher", "calculate_metrics"]

__getattr__ = names_of(
    __name__,
    {
        "ComparatorReporter": "comparator.report.reporter",
        "EquityComparator": "comparator.money.equity",
        "TradeMatcher": "comparator.match.matcher",
        "calculate_metrics": "comparator.money.metrics",
    },
)
