"""One HTML file that needs nothing else: charts, figures, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

from backtest.report.charts import days_chart, notes, price_chart
from backtest.report.console_report import strategy_row
from backtest.report.export import metric_values, run_facts
from backtest.report.figures import data_lines, figure_groups, headline, money, percent
from backtest.report.page import ReportPage
from backtest.result.session import BacktestSession
from market_data.files.column_folder import write_atomically


def write_html(
    path: str | Path,
    sessions: Mapping[str, BacktestSession],
    failures: Mapping[str, Exception] | None = None,
) -> None:
    """Write all sessions into one file; the file appears whole or not at all."""
    path = Path(path)
    write_atomically(path, html_page(sessions, failures or {}).encode())


def html_page(sessions: Mapping[str, BacktestSession], failures: Mapping[str, Exception]) -> str:
    """Return the page of all sessions."""
    page = ReportPage(f"Backtest {', '.join([*sessions, *failures])}")
    if len(sessions) + len(failures) > 1:
        _add_summary(page, sessions, failures)
    for number, session in enumerate(sessions.values()):
        _add_section(page, number, session)
    return page.html()


def _add_section(page: ReportPage, number: int, session: BacktestSession) -> None:
    page.add(f'<section id="run{number}">')
    page.headline(headline(session), *(("dead",) if session.liquidation is not None else ()))
    page.warnings(session.warnings)
    for name, chart in (("main", price_chart(session)), ("days", days_chart(session))):
        if chart is not None:
            page.chart(f"chart{number}-{name}", chart.figure, chart.plain())
    page.notes(notes(session))
    page.figures(figure_groups(session.metrics), dict(metric_values(session.metrics)))
    page.table(
        "Strategies",
        ("strategy", "fills", "orders placed / cancelled / refused", "long", "short"),
        [strategy_row(outcome) for outcome in session.strategies],
    )
    page.table("Where the numbers come from", (), data_lines(session))
    facts = json.dumps(run_facts(session), indent=2, default=str, ensure_ascii=False)
    page.add(
        "<details><summary>Everything needed to repeat this run</summary>"
        f"<pre>{escape(facts)}</pre></details></section>"
    )


def _add_summary(
    page: ReportPage,
    sessions: Mapping[str, BacktestSession],
    failures: Mapping[str, Exception],
) -> None:
    rows = [
        (
            symbol,
            money(session.metrics.net_pnl),
            percent(session.metrics.return_pct),
            percent(session.metrics.max_drawdown_pct),
            f"{session.metrics.fills:,}",
            "LIQUIDATED" if session.liquidation is not None else "",
        )
        for symbol, session in sessions.items()
    ]
    rows += [(symbol, "", "", "", "", f"not run: {error}") for symbol, error in failures.items()]
    columns = ("symbol", "net, USDT", "return", "max drawdown", "fills", "")
    page.table("All symbols", columns, rows)
