"""`--check`: everything that a start depends on, looked at and shown; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from rich.console import Console

from bybit_adapter import BybitAsyncClient, BybitError
from grid_db import Environment
from gridbot.ports import ExchangeClock, MachineTime
from gridbot.preflight_local import LocalReport
from gridbot.session.connections import Connector
from gridbot.session.preflight import StrategyReport, look_at_account, look_at_strategy
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig, StrategySettings
from gridbot.words.texts import number
from gridcore.plan import GridPlan

LOOK_BACK = timedelta(minutes=1)


@dataclass(slots=True)
class Finding:
    """What was found of one strategy. Money is USDT; problems keep it from starting, notes are
    worth knowing."""

    account: str
    environment: Environment
    settings: StrategySettings
    wallet: Decimal | None = None
    price: Decimal | None = None
    plan: GridPlan | None = None
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
        Finding(account.name, account.environment, one)
        for one in config.strategies_of(account.name)
    ]
    if not findings:
        return []
    report = await look_at_account(account.name, rest, ExchangeClock(MachineTime()))
    for finding in findings:
        finding.wallet = report.wallet
        finding.notes += report.notes
    if report.problems:
        findings[0].problems += report.problems  # told once
        return findings
    for finding in findings:
        found = await look_at_strategy(config, finding.settings, rest, report.wallet)
        finding.problems += found.problems
        finding.notes += found.notes
        finding.price, finding.plan = found.price, found.plan
        if not found.problems:
            await _read_as_a_start(finding, found, rest)
    return findings


async def _read_as_a_start(finding: Finding, found: StrategyReport, rest: BybitAsyncClient) -> None:
    """Read what a start reads besides; it may fail there as it fails here."""
    symbol = finding.settings.symbol
    try:
        server = await rest.get_server_time()
        await rest.get_executions_all(symbol, start=server - LOOK_BACK)
        finding.open_orders = len(await rest.get_open_orders(symbol))
    except BybitError as error:
        finding.problems.append(str(error))


def print_machine(console: Console, machine: LocalReport, holder: str | None) -> None:
    """Show what was found of this machine."""
    console.print("this machine", style="bold", markup=False)
    lines = [("note", text) for text in machine.notes]
    lines += [("problem", text) for text in ([] if holder is None else [holder])]
    lines += [("problem", text) for text in machine.problems]
    _print_lines(console, lines)
    console.print()


def print_check(console: Console, findings: list[Finding]) -> None:
    """Show what was found: a block of short lines for each strategy, for a terminal or a log."""
    for one in findings:
        settings = one.settings
        title = f"{settings.strat_id}: {settings.symbol}, account {one.account}"
        console.print(title, style="bold", markup=False)
        _print_lines(console, _lines(one))
        console.print()
    console.print("nothing was placed")


def _print_lines(console: Console, lines: list[tuple[str, str]]) -> None:
    for name, text in lines:
        console.print(f"  {name:<17} {text}", markup=False)


def _lines(one: Finding) -> list[tuple[str, str]]:
    """Return names and values of a block; what is not known has no line."""
    settings, plan = one.settings, one.plan
    sends = "shadow: decides and sends nothing" if settings.shadow_mode else "sends orders"
    lines = [
        ("environment", f"{one.environment}, {sends}"),
        ("leverage", number(settings.leverage)),
    ]
    lines += [("cap", text) for text in _caps(settings)]
    if one.price is not None:
        lines.append(("price", number(one.price)))
    if plan is not None:
        lines.append(("grid", f"{number(plan.lowest)} to {number(plan.highest)}"))
    if plan is not None and plan.orders:
        lines += [
            ("qty per order", _span(*plan.quantities)),
            ("asked per order", f"{_money(*plan.asked_usdt)} USDT"),
            ("placed per order", f"{_money(*plan.placed_usdt)} USDT"),
            ("times as asked", f"{float(plan.factor):.3g} at most"),
            ("margin at worst", f"{plan.margin:.2f} USDT"),
        ]
    if one.wallet is not None:
        lines.append(("wallet", f"{one.wallet:.2f} USDT"))
    if one.open_orders is not None:
        lines.append(("open orders", str(one.open_orders)))
    lines += [("note", text) for text in one.notes]
    lines += [("problem", text) for text in one.problems]
    return lines


def _caps(settings: StrategySettings) -> list[str]:
    caps = settings.safety_caps
    shown = [f"max_margin {settings.max_margin:g}"]
    for name, unit in (
        ("max_notional", " USDT"), ("max_open_orders", ""), ("max_orders_per_minute", ""),
        ("session_loss_limit", " USDT"),
    ):  # fmt: skip
        value = getattr(caps, name)
        shown.append(f"{name} none" if value is None else f"{name} {value}{unit}")
    return shown


def _span(low: Decimal, high: Decimal) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def _money(low: Decimal, high: Decimal) -> str:
    first, last = f"{low:.2f}", f"{high:.2f}"
    return first if first == last else f"{first} to {last}"
