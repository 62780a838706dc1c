"""The running bot on a terminal: price, grid, orders, positions and profit of each strategy."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gridbot.snapshot import BotSnapshot, Health, OrderSnapshot, StrategySnapshot
from gridbot.texts import UNKNOWN, age, net_of, number, usdt
from gridcore import DirectionType, GridSideType

AROUND = 5  # levels shown on each side of the price
_COLOURS = {
    Health.HEALTHY: "green",
    Health.DEGRADED: "yellow",
    Health.BLOCKED: "red",
    Health.STOPPED: "bold red",
}


class LiveView:
    """Use as a context on a terminal; `show` draws a snapshot over the one before it."""

    def __init__(self, console: Console | None = None, *, around: int = AROUND) -> None:
        self._around = around
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, snapshot: BotSnapshot, now: datetime) -> None:
        """Draw a snapshot; `now` gives the ages."""
        self._live.update(render(snapshot, now, self._around), refresh=True)


def render(snapshot: BotSnapshot, now: datetime, around: int = AROUND) -> RenderableType:
    """Return a snapshot as something that rich can draw."""
    parts: list[RenderableType] = [_head(snapshot, now)]
    parts += [_panel(one, now, around) for one in snapshot.strategies]
    return Group(*parts)


def _head(snapshot: BotSnapshot, now: datetime) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    running = age((now - snapshot.started_at).total_seconds())
    for account in snapshot.accounts:
        stream = Text("connected", "green") if account.is_connected else Text("no stream", "red")
        table.add_row(
            Text(f"{account.name} ({account.environment})", "bold"),
            stream,
            f"wallet {usdt(account.wallet_balance)}",
            f"equity {usdt(account.equity)}",
            f"available {usdt(account.available_balance)}",
            f"running {running}",
        )
    return table


def _panel(one: StrategySnapshot, now: datetime, around: int) -> Panel:
    colour = _COLOURS[one.health]
    title = Text.assemble(
        (f"{one.strat_id} {one.symbol} ", "bold"),
        (f"{number(one.last_price)} ", "bold cyan"),
        f"tick {age(one.tick_age_s(now))} ago ",
        (one.health.value + (" (paused)" if one.is_paused else ""), colour),
    )
    body = Table.grid(padding=(0, 4))
    body.add_row(_ladder(one, around), _figures(one))
    reasons = Text("; ".join(one.reasons), colour)
    return Panel(Group(body, reasons) if one.reasons else body, title=title, title_align="left")


def _ladder(one: StrategySnapshot, around: int) -> Table:
    """Return the levels around the price, highest first, with what rests on each."""
    table = Table("price", "grid", "long leg", "short leg", box=None, padding=(0, 1))
    table.columns[0].justify = "right"
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
        table.add_row(Text(f"▶ {number(market)}", "bold cyan"), Text("market", "cyan"), "", "")
        prices = below
    for price in prices[:around]:
        table.add_row(*_rung(price, sides.get(price), orders[price]))
    return table


def _rung(
    price: Decimal, side: GridSideType | None, orders: list[OrderSnapshot]
) -> tuple[RenderableType, ...]:
    cells = []
    for direction in DirectionType:
        texts = [
            f"{order.side} {number(order.leaves_qty)} {'closes' if order.reduce_only else 'opens'}"
            for order in orders
            if order.direction is direction
        ]
        cells.append(", ".join(texts))
    colour = {"Buy": "green", "Sell": "red"}.get(side.value if side else "", "dim")
    return number(price), Text(side.value if side else UNKNOWN, colour), *cells


def _figures(one: StrategySnapshot) -> Table:
    table = Table.grid(padding=(0, 2))
    for leg in (one.long, one.short):
        table.add_row(
            Text(leg.direction.value, "bold"),
            f"{number(leg.size)} at {number(leg.entry_price)}" if leg.size else "nothing",
            _money(leg.unrealised_pnl) if leg.size else "",
        )
    closing = sum(order.reduce_only for order in one.orders)
    table.add_row("orders", f"{len(one.orders) - closing} open, {closing} close", "")
    table.add_row(
        "placed", f"{one.counts.placed}, cancelled {one.counts.cancelled}",
        f"fills {one.counts.fills}",
    )  # fmt: skip
    table.add_row("realised", "", _money(one.pnl.realised))
    table.add_row("fees", "", usdt(one.pnl.fees))
    table.add_row(Text("net", "bold"), "", _money(one.pnl.net))
    return table


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
        lines.append(f"net of all: {usdt(net_of(snapshot.strategies), signed=True)} USDT")
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
        + (f" at {number(leg.entry_price)}" if leg.size else "")
        for leg in (one.long, one.short)
    )
    profit = (
        f"realised {usdt(pnl.realised, signed=True)}, unrealised"
        f" {usdt(pnl.unrealised, signed=True)}, fees {usdt(pnl.fees)}, funding"
        f" {usdt(pnl.funding)}, net {usdt(pnl.net, signed=True)} USDT"
    )
    head = f"{one.strat_id} {one.symbol} ({one.run_type}): {one.health}{why}"
    return [head, *(f"  {line}" for line in (orders, legs, profit))]
