"""Snapshots in words, for Telegram and for the end of a run. Plain text, no markup."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from gridbot.words.snapshot import (
    AccountSnapshot,
    BotSnapshot,
    Health,
    LegStatus,
    OrderSnapshot,
    PnlSnapshot,
    RunState,
    StrategySnapshot,
)
from gridcore import DirectionType

CENT = Decimal("0.01")
UNKNOWN = "–"
MOST_ORDERS = 60  # of one strategy; a phone is small


def usdt(value: Decimal | None, *, signed: bool = False) -> str:
    """Return an amount of USDT to the cent, "–" for an unknown one."""
    if value is None:
        return UNKNOWN
    rounded = value.quantize(CENT)
    rounded = rounded or abs(rounded)  # no negative zero
    return f"{rounded:+,}" if signed else f"{rounded:,}"


def number(value: Decimal | None) -> str:
    """Return a price or a size as it is, without zeros at the end and without exponent."""
    if value is None:
        return UNKNOWN
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def average_price(value: Decimal | None) -> str:
    """Return an average price to seven figures: a mean has more digits than anybody reads."""
    if value is None:
        return UNKNOWN
    figures = value.quantize(Decimal(1).scaleb(value.adjusted() - 6))
    return number(figures)


def age(seconds: float | None) -> str:
    """Return how long ago something was."""
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


def status_text(snapshot: BotSnapshot, now: datetime) -> str:
    """Return accounts and strategies with their health; `now` gives the ages."""
    lines = [f"running for {age((now - snapshot.started_at).total_seconds())}"]
    if snapshot.state is not RunState.RUNNING:
        lines.append(f"{snapshot.state}: {snapshot.reason}" if snapshot.reason else snapshot.state)
    for account in snapshot.accounts:
        lines += ["", _account_line(account)]
        lines += [_status_line(one, now) for one in snapshot.strategies_of(account.name)]
    if snapshot.unattended:
        lines += ["", "NOT LOOKED AFTER, orders may rest:"]
        lines += [f"• {one.strat_id} {one.symbol}: {one.reason}" for one in snapshot.unattended]
    return "\n".join(lines)


def _account_line(account: AccountSnapshot) -> str:
    stream = "connected" if account.is_connected else "NOT CONNECTED"
    return (
        f"{account.name} ({account.environment}), {stream}: wallet"
        f" {usdt(account.wallet_balance)}, available {usdt(account.available_balance)},"
        f" equity {usdt(account.equity)} USDT"
    )


def _status_line(one: StrategySnapshot, now: datetime) -> str:
    health = one.health if one.health is Health.HEALTHY else one.health.upper()
    paused = ", paused" if one.is_paused else ""
    reasons = f": {'; '.join(one.reasons)}" if one.reasons else ""
    return (
        f"• {one.strat_id} {one.symbol} ({one.run_type}): {health}{paused}{reasons}\n"
        f"  {number(one.last_price)} USDT, tick {age(one.tick_age_s(now))} ago,"
        f" {len(one.orders)} orders, {one.counts.fills} fills, net {net_text(one.pnl)}"
    )


def positions_text(snapshot: BotSnapshot) -> str:
    """Return both legs of every strategy."""
    lines = []
    for one in snapshot.strategies:
        lines.append(f"{one.strat_id} {one.symbol} at {number(one.last_price)}")
        lines += [_leg_line(leg) for leg in (one.long, one.short)]
    return "\n".join(lines) or "no strategies"


def _leg_line(leg: LegStatus) -> str:
    if not leg.size:
        return f"  {leg.direction}: nothing"
    ratio = UNKNOWN if leg.margin_ratio is None else f"{leg.margin_ratio:.2f}"
    return (
        f"  {leg.direction}: {number(leg.size)} at {average_price(leg.entry_price)}, PnL"
        f" {usdt(leg.unrealised_pnl, signed=True)} USDT, liquidation"
        f" {number(leg.liquidation_price)}, value/wallet {ratio}"
    )


def orders_text(snapshot: BotSnapshot) -> str:
    """Return the open orders of every strategy, highest price first."""
    lines = []
    for one in snapshot.strategies:
        lines.append(f"{one.strat_id} {one.symbol}: {len(one.orders)} orders")
        ordered = sorted(one.orders, key=lambda order: order.price, reverse=True)
        lines += [_order_line(order) for order in ordered[:MOST_ORDERS]]
        if len(ordered) > MOST_ORDERS:
            lines.append(f"  and {len(ordered) - MOST_ORDERS} more")
    return "\n".join(lines) or "no strategies"


def _order_line(order: OrderSnapshot) -> str:
    leg = "L" if order.direction is DirectionType.LONG else "S"
    does = "closes" if order.reduce_only else "opens"
    part = "" if order.leaves_qty == order.qty else f" of {number(order.qty)}"
    return f"  {number(order.price)} {order.side} {number(order.leaves_qty)}{part} {does} {leg}"


def fees_text(pnl: PnlSnapshot) -> str:
    """Return the fees in the coins that they were paid in; a number without a coin is USDT."""
    others = [f"{number(paid)} {coin}" for coin, paid in sorted(pnl.other_fees.items())]
    return " and ".join([usdt(pnl.fees), *others])


def net_text(*of: PnlSnapshot) -> str:
    """Return the net profit in USDT, and what it lacks for want of a price."""
    net = sum((pnl.net for pnl in of), Decimal(0))
    coins = sorted({coin for pnl in of for coin in pnl.other_fees})
    lacks = f" without fees in {', '.join(coins)}" if coins else ""
    return f"{usdt(net, signed=True)} USDT{lacks}"


def pnl_text(snapshot: BotSnapshot) -> str:
    """Return profit by strategy and in all, since the start."""
    lines = []
    for one in snapshot.strategies:
        pnl = one.pnl
        lines.append(
            f"{one.strat_id} {one.symbol}: net {net_text(pnl)}"
            f" (realised {usdt(pnl.realised, signed=True)}, unrealised"
            f" {usdt(pnl.unrealised, signed=True)}, fees {fees_text(pnl)}, funding"
            f" {usdt(pnl.funding)}), {one.counts.fills} fills"
        )
    if len(snapshot.strategies) > 1:
        lines.append(f"all: net {net_text(*(one.pnl for one in snapshot.strategies))}")
    return "\n".join(lines) or "no strategies"
