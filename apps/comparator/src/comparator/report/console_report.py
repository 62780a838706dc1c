"""The result on a terminal: the verdict first."""

from __future__ import annotations

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from comparator.comparison import Comparison
from comparator.report.figures import fact_rows, figure_groups, signed, split_rows, verdict
from market_data.basics.quality import utc_text

MOST_ROWS = 20


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print verdict, warnings, figures, the split, causes and the first differences."""
    good = comparison.within_tolerance
    style = "bold green" if good else "bold white on red"
    # one line wherever it goes: scripts read it
    console.print(Text(verdict(comparison), style=style), soft_wrap=True)
    for warning in comparison.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    groups = []
    for title, figures in figure_groups(comparison.metrics).items():
        table = Table(title=title, box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
        table.add_column()
        table.add_column(justify="right")
        for figure in figures:
            table.add_row(figure.label, Text(figure.shown))
        groups.append(table)
    groups.append(_split(comparison))
    console.print(Columns(groups, padding=(0, 3)))
    for part in (_causes(comparison), _unmatched(comparison), _breaches(comparison)):
        if part is not None:
            console.print(part)
    if comparison.equity is not None:
        equity = comparison.equity
        console.print(
            f"equity on {len(equity.ts_us):,} hours: largest divergence"
            f" {signed(equity.maximum)} USDT, mean {signed(equity.mean)} USDT",
            markup=False,
        )
    facts = Table(box=None, show_header=False, padding=(0, 1))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in fact_rows(comparison):
        facts.add_row(name, Text(text))
    console.print(Panel(facts, title="what was compared", title_align="left"))


def _split(comparison: Comparison) -> Table:
    table = Table(
        title="Why the profit differs, USDT",
        box=box.SIMPLE_HEAD,
        show_header=False,
        title_justify="left",
    )
    table.add_column()
    table.add_column(justify="right")
    rows = split_rows(comparison)
    for at, (cause, worth) in enumerate(rows):
        table.add_row(cause, Text(worth), style="bold" if at == len(rows) - 1 else "")
    return table


def _causes(comparison: Comparison) -> Table | None:
    counts = comparison.explanations.counts()
    if not counts:
        return None
    table = Table(title="Causes", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("cause")
    table.add_column("missed", justify="right")
    table.add_column("phantom", justify="right")
    for cause, (live, backtest) in counts.items():
        table.add_row(cause.value, f"{live:,}", f"{backtest:,}")
    return table


def _unmatched(comparison: Comparison) -> Table | None:
    rows = unmatched_rows(comparison, MOST_ROWS)
    if not rows:
        return None
    total = comparison.metrics.live_only + comparison.metrics.backtest_only
    table = Table(
        title=f"Trades without a partner, the first {len(rows):,} of {total:,}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for name in ("time", "side", "order", "cause", "record"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*[Text(text) for text in row])
    return table


def unmatched_rows(comparison: Comparison, most: int) -> list[tuple[str, str, str, str, str]]:
    """Return the first trades without a partner: time, side, order, cause, record."""
    result, explained = comparison.result, comparison.explanations
    found: list[tuple[int, str, str, str, str]] = []
    for side, table, numbers, explanations in (
        ("missed", result.live, result.live_only_rows, explained.live_only),
        ("phantom", result.backtest, result.backtest_only_rows, explained.backtest_only),
    ):
        first = table.take(numbers[:most]).trades()
        for trade, explanation in zip(first, explanations[:most], strict=True):
            order = (
                f"{trade.symbol} {trade.direction.value} {trade.side.value}"
                f" {trade.qty:f} @ {trade.price:f}"
            )
            found.append((trade.ts_us, side, order, explanation.cause.value, explanation.detail))
    found.sort(key=lambda row: row[0])
    return [
        (utc_text(ts_us), side, order, cause, record)
        for ts_us, side, order, cause, record in found[:most]
    ]


def _breaches(comparison: Comparison) -> Table | None:
    breaches = comparison.metrics.breaches
    if not breaches:
        return None
    shown = breaches[:MOST_ROWS]
    table = Table(
        title=f"Pairs beyond tolerance, the first {len(shown):,} of {len(breaches):,}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    table.add_column("client order id")
    table.add_column("occurrence", justify="right")
    table.add_column("difference", overflow="fold")
    for breach in shown:
        table.add_row(
            breach.client_order_id, str(breach.occurrence), Text(comparison.notes.get(breach, ""))
        )
    return table
