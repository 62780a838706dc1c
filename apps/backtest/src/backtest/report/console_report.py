"""The result of a run on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from backtest.report.figures import (
    UNKNOWN,
    data_lines,
    figure_groups,
    headline,
    money,
    percent,
    price_text,
)
from backtest.result.session import BacktestSession, LegAtEnd, StrategyOutcome


def print_session(console: Console, session: BacktestSession) -> None:
    """Print one session; a liquidation is the first line."""
    if session.liquidation is not None:
        console.print(Text(headline(session), style="bold white on red"))
    else:
        console.print(Text(headline(session), style="bold"))
    for warning in session.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    groups = []
    for title, figures in figure_groups(session.metrics).items():
        table = Table(title=title, box=box.SIMPLE_HEAD, show_header=False, title_justify="left")
        table.add_column()
        table.add_column(justify="right")
        for figure in figures:
            table.add_row(figure.label, Text(figure.shown, style=_colour(figure.shown)))
        groups.append(table)
    console.print(Columns(groups, padding=(0, 3)))
    console.print(_strategies(session))
    facts = Table(box=None, show_header=False, padding=(0, 1))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in data_lines(session):
        facts.add_row(name, Text(text))
    console.print(Panel(facts, title="where the numbers come from", title_align="left"))


def print_summary(
    console: Console,
    sessions: Mapping[str, BacktestSession],
    failures: Mapping[str, Exception],
) -> None:
    """Print one line per symbol, those that did not run included."""
    table = Table(title="all symbols", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("symbol")
    for name in ("net USDT", "return", "max drawdown", "fills"):
        table.add_column(name, justify="right")
    table.add_column("")
    for symbol, session in sessions.items():
        m = session.metrics
        died = session.liquidation is not None
        table.add_row(
            symbol,
            money(m.net_pnl),
            percent(m.return_pct),
            percent(m.max_drawdown_pct),
            f"{m.fills:,}",
            Text("LIQUIDATED", style="bold red") if died else "",
        )
    for symbol in failures:
        table.add_row(symbol, *[UNKNOWN] * 4, Text("not run", style="red"))
    console.print(table)


def _strategies(session: BacktestSession) -> Table:
    table = Table(title="Strategies", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("strategy")
    table.add_column("fills", justify="right")
    table.add_column("orders placed / cancelled / refused", justify="right")
    table.add_column("long at the end", justify="right")
    table.add_column("short at the end", justify="right")
    for outcome in session.strategies:
        # a name is text, whatever brackets it has
        table.add_row(*map(Text, strategy_row(outcome)))
    return table


def strategy_row(outcome: StrategyOutcome) -> tuple[str, str, str, str, str]:
    """Return what one strategy did, as texts: name, fills, orders, both legs."""
    return (
        outcome.strat_id,
        f"{len(outcome.trades):,}",
        f"{outcome.orders_placed:,} / {outcome.orders_cancelled:,} / {outcome.orders_rejected:,}",
        leg_text(outcome.long, outcome.config.instrument.tick_size),
        leg_text(outcome.short, outcome.config.instrument.tick_size),
    )


def leg_text(leg: LegAtEnd, tick_size: Decimal) -> str:
    """Return a leg as size @ entry (unrealised profit), the entry to a hundredth of a tick."""
    if not leg.size:
        return "empty"
    entry = price_text(leg.entry_price.quantize(tick_size / 100))
    return f"{price_text(leg.size)} @ {entry} ({money(leg.unrealised_pnl)})"


def _colour(shown: str) -> str:
    return "red" if shown.startswith("-") else ""
