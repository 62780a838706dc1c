"""The running bot on a terminal: price, grid, orders, positions and profit of each strategy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gridbot.words.snapshot import (
    BotSnapshot,
    Health,
    LegStatus,
    OrderSnapshot,
    PnlSnapshot,
    StrategySnapshot,
)
from gridbot.words.texts import UNKNOWN, age, average_price, fees_text, net_text, number, usdt
from gridcore import DirectionType, GridSideType

MOST_AROUND = 5  # levels shown on each side of the price
LEAST_LINES = 10  # of a panel: its border and the figures
LADDER_EXTRAS = 4  # lines of a panel beside the levels: border, head, market
_COLOURS = {
    Health.HEALTHY: "green",
    Health.DEGRADED: "yellow",
    Health.BLOCKED: "red",
    Health.STOPPED: "bold red",
}


class LiveView:
    """Use as a context on a terminal; `show` draws a snapshot over the one before it."""

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, snapshot: BotSnapshot, now: datetime) -> None:
        """Draw a snapshot; `now` gives the ages."""
        self._live.update(render(snapshot, now, self._live.console.height), refresh=True)


def render(snapshot: BotSnapshot, now: datetime, height: int) -> RenderableType:
    """Return a snapshot as something that rich can draw, in at most `height` lines.

    Where the panels of all strategies do not fit, each gets one line.
    """
    strategies = snapshot.strategies
    lines = (height - len(snapshot.accounts) - 1) // max(1, len(strategies))
    if lines < LEAST_LINES:
        return Group(_head(snapshot, now), _overview(strategies, now))
    around = min(MOST_AROUND, (lines - LADDER_EXTRAS) // 2)
    return Group(_head(snapshot, now), *(_panel(one, now, around) for one in strategies))


def _head(snapshot: BotSnapshot, now: datetime) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    running = age((now - snapshot.started_at).total_seconds())
    for account in snapshot.accounts:
        name = Text(f"{account.name} ({account.environment})", "bold")
        if not account.is_connected:
            name.append(" NOT CONNECTED", "bold red")
        table.add_row(
            name,
            f"wallet {usdt(account.wallet_balance)}",
            f"equity {usdt(account.equity)}",
            f"free {usdt(account.available_balance)}",
            f"for {running}",
        )
    for column in table.columns:
        column.no_wrap = True
    return table


def _panel(one: StrategySnapshot, now: datetime, around: int) -> Panel:
    colour = _COLOURS[one.health]
    title = Text.assemble(
        (f"{one.strat_id} {one.symbol} ", "bold"),
        (f"{number(one.last_price)} ", "bold cyan"),
        f"tick {age(one.tick_age_s(now))} ago ",
        (one.health.value + (" (paused)" if one.is_paused else ""), colour),
    )
    body = Table.grid(padding=(0, 2))
    body.add_row(_ladder(one, around), _figures(one))
    # below it a line of reasons would change the height
    subtitle = Text("; ".join(one.reasons), colour) if one.reasons else None
    return Panel(body, title=title, title_align="left", subtitle=subtitle, subtitle_align="left")


def _overview(strategies: Sequence[StrategySnapshot], now: datetime) -> Table:
    table = Table(
        "strategy", "price", "tick", "health", "long", "short", "orders", "fills", "net",
        box=None, padding=(0, 1),
    )  # fmt: skip
    for column in table.columns:
        column.no_wrap = True
    for one in strategies:
        table.add_row(
            Text(one.strat_id, "bold"),
            Text(number(one.last_price), "cyan"),
            age(one.tick_age_s(now)),
            Text(one.health.value, _COLOURS[one.health]),
            number(one.long.size),
            number(one.short.size),
            str(len(one.orders)),
            str(one.counts.fills),
            _net(one.pnl),
        )
    return table


def _ladder(one: StrategySnapshot, around: int) -> Table:
    """Return the levels around the price, highest first, with what rests on each."""
    table = Table(
        "price", "grid", "long leg", "short leg", box=None, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.columns[0].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    orders: dict[Decimal, list[OrderSnapshot]] = defaultdict(list)
    for order in one.orders:
        orders[order.price].append(order)
    sides = {level.price: level.side for level in one.levels}
    prices = sorted(sides.keys() | orders.keys(), reverse=True)
    market = one.last_price
    if market is not None:
        above = [price for price in prices if price > market]
        below = [price for price in prices if price <= market]
        for price in above[-around:]:
            table.add_row(*_rung(price, sides.get(price), orders[price]))
        table.add_row(Text(f"▶ {number(market)}", "bold cyan"), "", "", "")
        prices = below
    for price in prices[:around]:
        table.add_row(*_rung(price, sides.get(price), orders[price]))
    return table


def _rung(
    price: Decimal, side: GridSideType | None, orders: list[OrderSnapshot]
) -> tuple[RenderableType, ...]:
    cells = []
    for direction in DirectionType:
        mine = [order for order in orders if order.direction is direction]
        cells.append(", ".join(_order(order, side) for order in mine))
    colour = {"Buy": "green", "Sell": "red"}.get(side.value if side else "", "dim")
    return number(price), Text(side.value if side else UNKNOWN, colour), *cells


def _order(order: OrderSnapshot, wanted: GridSideType | None) -> str:
    """Return quantity and purpose; the side stands there where the level does not tell it."""
    side = "" if wanted is not None and wanted.value == order.side else f"{order.side} "
    return f"{side}{number(order.leaves_qty)} {'close' if order.reduce_only else 'open'}"


def _figures(one: StrategySnapshot) -> Table:
    table = Table.grid(padding=(0, 1))
    for leg in (one.long, one.short):
        table.add_row(Text(leg.direction.value, "bold"), *_leg(leg))
    closing = sum(order.reduce_only for order in one.orders)
    table.add_row("orders", f"{len(one.orders) - closing} open, {closing} close", "")
    table.add_row("placed", f"{one.counts.placed}, cancelled {one.counts.cancelled}", "")
    table.add_row("fills", str(one.counts.fills), "")
    table.add_row("realised", "", _money(one.pnl.realised))
    table.add_row("fees", "", fees_text(one.pnl))
    table.add_row(Text("net", "bold"), "", _net(one.pnl))
    return table


def _leg(leg: LegStatus) -> tuple[RenderableType, RenderableType]:
    if not leg.size:
        return "nothing", ""
    return f"{number(leg.size)} at {average_price(leg.entry_price)}", _money(leg.unrealised_pnl)


def _net(pnl: PnlSnapshot) -> Text:
    shown = _money(pnl.net)
    if pnl.other_fees:
        shown.append(f" without {', '.join(sorted(pnl.other_fees))}", "yellow")
    return shown


def _money(value: Decimal | None) -> Text:
    colour = "dim" if not value else "green" if value > 0 else "red"
    return Text(usdt(value, signed=True), colour)


def summary_text(snapshot: BotSnapshot, now: datetime) -> str:
    """Return what a run did, as plain text for its end."""
    lines = [f"ran for {age((now - snapshot.started_at).total_seconds())}"]
    for one in snapshot.strategies:
        lines += _summary_of(one)
    lines += [
        f"{account.name}: wallet {usdt(account.wallet_balance)}, equity {usdt(account.equity)} USDT"
        for account in snapshot.accounts
    ]
    if len(snapshot.strategies) > 1:
        lines.append(f"net of all: {net_text(*(one.pnl for one in snapshot.strategies))}")
    return "\n".join(lines)


def _summary_of(one: StrategySnapshot) -> list[str]:
    pnl, counts = one.pnl, one.counts
    why = f" ({'; '.join(one.reasons)})" if one.reasons else ""
    orders = (
        f"orders {counts.placed} placed, {counts.cancelled} cancelled, {counts.rejected} rejected,"
        f" {len(one.orders)} resting; {counts.fills} fills"
    )
    legs = ", ".join(
        f"{leg.direction} {number(leg.size)}"
        + (f" at {average_price(leg.entry_price)}" if leg.size else "")
        for leg in (one.long, one.short)
    )
    profit = (
        f"realised {usdt(pnl.realised, signed=True)}, unrealised"
        f" {usdt(pnl.unrealised, signed=True)}, fees {fees_text(pnl)}, funding"
        f" {usdt(pnl.funding)}, net {net_text(pnl)}"
    )
    head = f"{one.strat_id} {one.symbol} ({one.run_type}): {one.health}{why}"
    return [head, *(f"  {line}" for line in (orders, legs, profit))]
