"""Backtest trades against live trades: deltas, causes, verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import keep_former_paths, names_of

if TYPE_CHECKING:
    from comparator.columns.trades import NormalizedTrade
    from comparator.match.matcher import MatchResult, TradeMatcher
    from comparator.money.equity import EquityComparator
    from comparator.money.metrics import Tolerances, ValidationMetrics, calculate_metrics
    from comparator.report.reporter import ComparatorReporter
    from comparator.sides.loader import BacktestTradeLoader, LiveTradeLoader

__all__ = [
    "BacktestTradeLoader",
    "ComparatorReporter",
    "EquityComparator",
    "LiveTradeLoader",
    "MatchResult",
    "NormalizedTrade",
    "Tolerances",
    "TradeMatcher",
    "ValidationMetrics",
    "calculate_metrics",
]

__getattr__ = names_of(
    __name__,
    {
        "BacktestTradeLoader": "comparator.sides.loader",
        "ComparatorReporter": "comparator.report.reporter",
        "EquityComparator": "comparator.money.equity",
        "LiveTradeLoader": "comparator.sides.loader",
        "MatchResult": "comparator.match.matcher",
        "NormalizedTrade": "comparator.columns.trades",
        "Tolerances": "comparator.money.metrics",
        "TradeMatcher": "comparator.match.matcher",
        "ValidationMetrics": "comparator.money.metrics",
        "calculate_metrics": "comparator.money.metrics",
    },
)

keep_former_paths(
    __name__,
    {
        "equity": "comparator.money.equity",
        "loader": "comparator.sides.loader",
        "matcher": "comparator.match.matcher",
        "metrics": "comparator.money.metrics",
        "reporter": "comparator.report.reporter",
    },
)
