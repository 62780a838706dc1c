"""One HTML file that needs nothing else: verdict, figures, the split, causes, charts."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from backtest.report.page import ReportPage
from comparator.comparison import Comparison
from comparator.report.charts import equity_chart, notes, split_chart, trades_chart
from comparator.report.console_report import unmatched_rows
from comparator.report.figures import fact_rows, figure_groups, split_rows, verdict
from comparator.report.tables import metric_values
from market_data.files.column_folder import write_atomically

MOST_ROWS: Final = 500
MORE_STYLE: Final = """
h2.good { background:#0b6e4f; color:#fff; padding:.7rem 1rem; border-radius:6px; }
.wide td:nth-child(2) { overflow-wrap:normal; }
td.money { text-align:right; white-space:nowrap; }
"""


def write_html(path: str | Path, comparison: Comparison) -> None:
    """Write the report; the file appears whole or not at all."""
    path = Path(path)
    write_atomically(path, html_page(comparison).encode())


def html_page(comparison: Comparison) -> str:
    """Return the page."""
    page = ReportPage(f"Backtest against live: {', '.join(comparison.symbols)}", MORE_STYLE)
    page.headline(verdict(comparison), "good" if comparison.within_tolerance else "dead")
    page.warnings(comparison.warnings)
    _add_figures(page, comparison)
    page.chart("chart-split", split_chart(comparison))
    page.chart("chart-trades", trades_chart(comparison))
    page.notes(notes(comparison))
    equity = equity_chart(comparison)
    if equity is not None:
        page.chart("chart-equity", equity)
    _add_differences(page, comparison)
    page.table("What was compared", (), fact_rows(comparison))
    return page.html()


def _add_figures(page: ReportPage, comparison: Comparison) -> None:
    rows = "".join(
        f'<tr><th>{escape(cause)}</th><td class="money">{escape(worth)}</td></tr>'
        for cause, worth in split_rows(comparison)
    )
    split = f"<table><caption>Why the profit differs, USDT</caption>{rows}</table>"
    exact = dict(metric_values(comparison.metrics))
    page.figures(figure_groups(comparison.metrics), exact, split)


def _add_differences(page: ReportPage, comparison: Comparison) -> None:
    counts = comparison.explanations.counts()
    if counts:
        rows = [
            (cause.value, f"{live:,}", f"{backtest:,}")
            for cause, (live, backtest) in counts.items()
        ]
        page.table("Causes", ("cause", "missed", "phantom"), rows)
    unmatched = unmatched_rows(comparison, MOST_ROWS)
    if unmatched:
        total = comparison.metrics.live_only + comparison.metrics.backtest_only
        title = f"Trades without a partner ({len(unmatched):,} of {total:,}; all in the CSV files)"
        page.table(title, ("time, UTC", "side", "order", "cause", "record"), unmatched)
    breaches = comparison.metrics.breaches
    if breaches:
        rows = [
            (breach.client_order_id, str(breach.occurrence), comparison.notes.get(breach, ""))
            for breach in breaches[:MOST_ROWS]
        ]
        title = f"Pairs beyond tolerance ({len(rows):,} of {len(breaches):,})"
        page.table(title, ("client order id", "occurrence", "difference"), rows)
