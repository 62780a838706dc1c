"""One HTML file that needs nothing else: verdict, figures, the split, causes, charts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from backtest.column_folder import write_atomically
from backtest.report_page import PAGE, SCRIPT, STYLE
from comparator.comparison import Comparison
from comparator.console_report import unmatched_rows
from comparator.figures import fact_rows, figure_groups, split_rows, verdict
from comparator.report_charts import equity_chart, notes, split_chart, trades_chart
from comparator.tables import metric_values

MOST_ROWS: Final = 500
MORE_STYLE: Final = """
h2.good { background:#0b6e4f; color:#fff; padding:.7rem 1rem; border-radius:6px; }
.wide td:nth-child(2) { overflow-wrap:normal; }
td.money { text-align:right; white-space:nowrap; }
"""


def write_html(path: Path, comparison: Comparison) -> None:
    """Write the report; the file appears whole or not at all."""
    write_atomically(path, html_page(comparison).encode())


def html_page(comparison: Comparison) -> str:
    """Return the page."""
    charts: dict[str, Any] = {}
    good = "good" if comparison.within_tolerance else "dead"
    parts = [f'<h2 class="headline {good}">{escape(verdict(comparison))}</h2>']
    if comparison.warnings:
        items = "".join(f"<li>{escape(text)}</li>" for text in comparison.warnings)
        parts.append(f'<ul class="warnings">{items}</ul>')
    parts.append(_figures(comparison))
    parts.append(_chart(charts, "split", split_chart(comparison)))
    parts.append(_chart(charts, "trades", trades_chart(comparison)))
    parts.extend(f'<p class="note">{escape(note)}</p>' for note in notes(comparison))
    equity = equity_chart(comparison)
    if equity is not None:
        parts.append(_chart(charts, "equity", equity))
    parts.extend(_differences(comparison))
    parts.append(_table("What was compared", (), fact_rows(comparison)))
    return PAGE.format(
        title=escape(f"Backtest against live: {', '.join(comparison.symbols)}"),
        style=STYLE + MORE_STYLE,
        body="\n".join(parts),
        plotly=get_plotlyjs(),
        charts=_json(charts),
        script=SCRIPT,
    )


def _figures(comparison: Comparison) -> str:
    exact = dict(metric_values(comparison.metrics))
    groups = []
    for title, figures in figure_groups(comparison.metrics).items():
        rows = "".join(
            f'<tr title="{escape(figure.meaning)}"><th>{escape(figure.label)}</th>'
            f'<td data-metric="{figure.name}" data-exact="{escape(exact[figure.name])}">'
            f"{escape(figure.shown)}</td></tr>"
            for figure in figures
        )
        groups.append(f"<table><caption>{escape(title)}</caption>{rows}</table>")
    rows = "".join(
        f'<tr><th>{escape(cause)}</th><td class="money">{escape(worth)}</td></tr>'
        for cause, worth in split_rows(comparison)
    )
    groups.append(f"<table><caption>Why the profit differs, USDT</caption>{rows}</table>")
    return f'<div class="figures">{"".join(groups)}</div>'


def _differences(comparison: Comparison) -> list[str]:
    parts = []
    counts = comparison.explanations.counts()
    if counts:
        rows = [
            (cause.value, f"{live:,}", f"{backtest:,}")
            for cause, (live, backtest) in counts.items()
        ]
        parts.append(_table("Causes", ("cause", "missed", "phantom"), rows))
    unmatched = unmatched_rows(comparison, MOST_ROWS)
    if unmatched:
        total = comparison.metrics.live_only + comparison.metrics.backtest_only
        title = f"Trades without a partner ({len(unmatched):,} of {total:,}; all in the CSV files)"
        parts.append(_table(title, ("time, UTC", "side", "order", "cause", "record"), unmatched))
    breaches = comparison.metrics.breaches
    if breaches:
        rows = [
            (breach.client_order_id, str(breach.occurrence), comparison.notes.get(breach, ""))
            for breach in breaches[:MOST_ROWS]
        ]
        title = f"Pairs beyond tolerance ({len(rows):,} of {len(breaches):,})"
        parts.append(_table(title, ("client order id", "occurrence", "difference"), rows))
    return parts


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


def _chart(charts: dict[str, Any], name: str, figure: go.Figure) -> str:
    # the page has its own looks, so plotly's built-in theme stays out of the file
    figure.update_layout(template="none")
    plain: dict[str, Any] = json.loads(figure.to_json())
    plain["layout"].pop("template", None)
    charts[f"chart-{name}"] = plain
    height = figure.layout.height
    return f'<div class="chart" id="chart-{name}" style="height:{height}px"></div>'


def _json(value: object) -> str:
    """Return JSON that cannot end the script element that holds it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")
