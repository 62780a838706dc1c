"""One HTML file that needs nothing else: charts, figures, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from backtest.column_folder import write_atomically
from backtest.console_report import strategy_row
from backtest.export import metric_values, run_facts
from backtest.figures import data_lines, figure_groups, headline, money, percent
from backtest.report_charts import days_chart, notes, price_chart
from backtest.report_page import PAGE, SCRIPT, STYLE
from backtest.session import BacktestSession


def write_html(
    path: Path,
    sessions: Mapping[str, BacktestSession],
    failures: Mapping[str, Exception] | None = None,
) -> None:
    """Write all sessions into one file; the file appears whole or not at all."""
    write_atomically(path, html_page(sessions, failures or {}).encode())


def html_page(sessions: Mapping[str, BacktestSession], failures: Mapping[str, Exception]) -> str:
    """Return the page of all sessions."""
    parts = []
    if len(sessions) + len(failures) > 1:
        parts.append(_summary(sessions, failures))
    charts: dict[str, Any] = {}
    for number, session in enumerate(sessions.values()):
        parts.append(_section(number, session, charts))
    symbols = ", ".join([*sessions, *failures])
    return PAGE.format(
        title=escape(f"Backtest {symbols}"),
        style=STYLE,
        body="\n".join(parts),
        plotly=get_plotlyjs(),
        charts=_json(charts),
        script=SCRIPT,
    )


def _section(number: int, session: BacktestSession, charts: dict[str, Any]) -> str:
    dead = " dead" if session.liquidation is not None else ""
    parts = [
        f'<section id="run{number}"><h2 class="headline{dead}">{escape(headline(session))}</h2>'
    ]
    if session.warnings:
        items = "".join(f"<li>{escape(text)}</li>" for text in session.warnings)
        parts.append(f'<ul class="warnings">{items}</ul>')
    for name, chart in (("main", price_chart(session)), ("days", days_chart(session))):
        if chart is not None:
            chart_id = f"chart{number}-{name}"
            charts[chart_id] = chart.plain()
            height = chart.figure.layout.height
            parts.append(f'<div class="chart" id="{chart_id}" style="height:{height}px"></div>')
    parts.extend(f'<p class="note">{escape(note)}</p>' for note in notes(session))
    parts.append(_figures(session))
    parts.append(
        _table(
            "Strategies",
            ("strategy", "fills", "orders placed / cancelled / refused", "long", "short"),
            [strategy_row(outcome) for outcome in session.strategies],
        )
    )
    parts.append(_table("Where the numbers come from", (), data_lines(session)))
    facts = json.dumps(run_facts(session), indent=2, default=str, ensure_ascii=False)
    parts.append(
        "<details><summary>Everything needed to repeat this run</summary>"
        f"<pre>{escape(facts)}</pre></details></section>"
    )
    return "\n".join(parts)


def _figures(session: BacktestSession) -> str:
    exact = dict(metric_values(session.metrics))
    groups = []
    for title, figures in figure_groups(session.metrics).items():
        rows = "".join(
            f'<tr title="{escape(figure.meaning)}"><th>{escape(figure.label)}</th>'
            f'<td data-metric="{figure.name}" data-exact="{escape(exact[figure.name])}">'
            f"{escape(figure.shown)}</td></tr>"
            for figure in figures
        )
        groups.append(f"<table><caption>{escape(title)}</caption>{rows}</table>")
    return f'<div class="figures">{"".join(groups)}</div>'


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return (
        f'<div class="wide"><table><caption>{escape(title)}</caption>'
        f"{head}<tbody>{body}</tbody></table></div>"
    )


def _summary(sessions: Mapping[str, BacktestSession], failures: Mapping[str, Exception]) -> str:
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
    return _table("All symbols", columns, rows)


def _json(value: object) -> str:
    """Return JSON that cannot end the script element that holds it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")
