"""`--check`: everything that a start depends on, looked at and shown; nothing is changed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Console

from bybit_adapter import BybitAsyncClient, BybitError, Ticker
from gridbot.account_config import AccountConfig
from gridbot.config import GridbotConfig, StrategySettings
from gridbot.connections import Connector
from gridbot.key_permission import key_problem
from gridbot.texts import number
from gridcore import DirectionType, Grid, GridSideType, InstrumentInfo, calc_order_margin
from gridcore.errors import GridcoreError
from gridcore.qty import AmountSpec, order_qty

MAX_DRIFT_S = 5.0


@dataclass(slots=True)
class Finding:
    """What was found of one strategy. Money is USDT, sizes base coin; problems keep it from
    starting, notes are worth knowing."""

    account: str
    strat_id: str
    symbol: str
    wallet: Decimal | None = None
    price: Decimal | None = None
    levels: tuple[Decimal, Decimal] | None = None
    order_qty: Decimal | None = None
    worst_margin: Decimal | None = None
    open_orders: int | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def check_accounts(config: GridbotConfig, embedded_port: int | None) -> list[Finding]:
    """Look at every strategy's account, contract and money."""
    found = []
    for account in config.accounts:
        rest = Connector(account, account.place(embedded_port)).rest()
        try:
            found += await _check_account(config, account, rest)
        finally:
            rest.close()
    return found


async def _check_account(
    config: GridbotConfig, account: AccountConfig, rest: BybitAsyncClient
) -> list[Finding]:
    findings = [
        Finding(account.name, one.strat_id, one.symbol)
        for one in config.strategies_of(account.name)
    ]
    try:
        problems, notes, wallet = await _look_at_account(account, rest)
    except BybitError as error:
        problems, notes, wallet = [f"account {account.name}: {error}"], [], None
    for finding, one in zip(findings, config.strategies_of(account.name), strict=True):
        finding.wallet = wallet
        finding.notes += notes
        finding.problems += problems
        if problems:
            problems = []  # told once
            continue
        try:
            await _look_at_strategy(finding, one, rest)
        except (BybitError, GridcoreError) as error:
            finding.problems.append(f"{one.strat_id}: {error}")
    return findings


async def _look_at_account(
    account: AccountConfig, rest: BybitAsyncClient
) -> tuple[list[str], list[str], Decimal | None]:
    problems, notes = [], []
    for _ in range(3):  # the first call opens the connection, which is not the clock's fault
        sent = datetime.now(UTC)
        server = await rest.get_server_time()
        drift = (server - (sent + (datetime.now(UTC) - sent) / 2)).total_seconds()
        await asyncio.sleep(0)
    if abs(drift) > MAX_DRIFT_S:
        problems.append(f"account {account.name}: the clock is off by {drift:+.1f} s; set it")
    else:
        notes.append(f"clock {drift * 1000:+.0f} ms")
    refused = await key_problem(account.name, rest)
    if refused is not None:
        problems.append(refused)
    info = await rest.get_account_info()
    if not info.is_unified or not info.is_cross_margin:
        problems.append(
            f"account {account.name}: it has to be a unified account in cross margin, it is"
            f" {info.margin_mode}"
        )
    wallet = await rest.get_wallet_balance()
    usdt = wallet.coin()
    balance = None if usdt is None else usdt.wallet_balance
    if not balance:
        problems.append(f"account {account.name}: it holds no USDT")
    return problems, notes, balance


async def _look_at_strategy(
    finding: Finding, one: StrategySettings, rest: BybitAsyncClient
) -> None:
    instrument = await rest.get_instrument(one.symbol)
    strategy = one.to_strategy(instrument.rules)
    if not instrument.is_trading:
        finding.problems.append(f"{one.strat_id}: {one.symbol} is {instrument.status}")
    most = instrument.max_leverage
    if most is not None and one.leverage > most:
        finding.problems.append(f"{one.strat_id}: leverage {one.leverage}, at most {most}")
    positions = await rest.get_positions(one.symbol)
    if any(leg.direction is None for leg in positions):
        finding.problems.append(
            f"{one.strat_id}: {one.symbol} is in one-way mode; switch it to hedge mode"
        )
    for leg in positions:
        if leg.size:
            finding.notes.append(f"{leg.direction} {leg.size} at {leg.entry_price}")
        if leg.leverage is not None and leg.leverage != one.leverage:
            finding.notes.append(f"leverage {leg.leverage} becomes {one.leverage}")
            break
    finding.open_orders = len(await rest.get_open_orders(one.symbol))
    tickers: list[Ticker] = await rest.get_tickers(one.symbol)
    price = tickers[0].last_price if tickers else None
    if price is None:
        finding.problems.append(f"{one.strat_id}: {one.symbol} has no price")
        return
    finding.price = price
    _plan(finding, one, strategy.instrument, price)


def _plan(
    finding: Finding, one: StrategySettings, instrument: InstrumentInfo, price: Decimal
) -> None:
    """Work out the grid at the present price and the margin of all its opening orders at once."""
    grid = Grid(instrument.tick_size, one.grid_count, one.grid_step, one.rebalance_threshold)
    grid.build_grid(price)
    levels = [level["price"] for level in grid.grid]
    finding.levels = min(levels), max(levels)
    amount = AmountSpec.parse(one.amount)
    margin = Decimal(0)
    for level in grid.grid:
        if level["side"] is GridSideType.WAIT:
            continue
        buys = level["side"] is GridSideType.BUY
        direction = DirectionType.LONG if buys else DirectionType.SHORT
        qty = order_qty(
            amount,
            level["price"],
            instrument,
            opening=True,
            long_koef=one.long_koef if buys else Decimal(1),
            wallet_balance=finding.wallet,
        )
        if qty is None:
            continue
        finding.order_qty = qty
        margin += calc_order_margin(direction, qty, level["price"], one.leverage)
    finding.worst_margin = margin
    if finding.wallet is not None and margin > finding.wallet:
        finding.notes.append("the wallet does not carry all opening orders; some will wait")


def print_check(console: Console, findings: list[Finding]) -> None:
    """Show what was found: a block of short lines for each strategy, for a terminal or a log."""
    for one in findings:
        title = f"{one.strat_id}: {one.symbol}, account {one.account}"
        console.print(title, style="bold", markup=False)
        for name, text in _lines(one):
            console.print(f"  {name:<16} {text}", markup=False)
        console.print()
    console.print("nothing was placed")


def _lines(one: Finding) -> list[tuple[str, str]]:
    """Return names and values of a block; what is not known has no line."""
    lines: list[tuple[str, str]] = []
    if one.price is not None:
        lines.append(("price", number(one.price)))
    if one.levels is not None:
        lines.append(("grid", f"{number(one.levels[0])} to {number(one.levels[1])}"))
    if one.order_qty is not None:
        lines.append(("qty per order", number(one.order_qty)))
    if one.worst_margin is not None:
        lines.append(("margin at worst", f"{one.worst_margin:.2f} USDT"))
    if one.wallet is not None:
        lines.append(("wallet", f"{one.wallet:.2f} USDT"))
    if one.open_orders is not None:
        lines.append(("open orders", str(one.open_orders)))
    lines += [("note", text) for text in one.notes]
    lines += [("problem", text) for text in one.problems]
    return lines
