"""Figures that describe a run. Money is exact; ratios of statistics are floats."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, stdev

from backtest.result.track import TrackedValues
from exchange_model.trades import BacktestTrade
from gridcore import DirectionType

ZERO = Decimal(0)
US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S
YEAR_US = 365.25 * US_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestMetrics:
    """Figures of one run. None means that the figure does not exist, never zero.

    A round is a closing order with all its fills; it wins when its realised profit exceeds the
    fees of those fills. Money is USDT. Ratios are 0-1, `_pct` is 0-100. Sharpe, Sortino and Calmar
    are annualised over 365.25 days, risk-free rate 0.
    """

    fills: int
    rounds: int
    winners: int
    losers: int
    win_rate: Decimal | None  # winners / rounds
    average_win: Decimal | None
    average_loss: Decimal | None  # below zero
    realised_pnl: Decimal  # before fees and funding
    unrealised_pnl: Decimal  # at the end
    commission: Decimal
    funding: Decimal  # paid; negative when received
    net_pnl: Decimal  # realised + unrealised - commission - funding
    return_pct: Decimal
    max_drawdown: Decimal
    max_drawdown_pct: Decimal  # of the peak before it
    max_drawdown_from_us: int  # time of the peak
    max_drawdown_to_us: int  # time of the trough
    longest_drawdown_s: Decimal
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    profit_factor_long: Decimal | None  # sum of wins / sum of losses
    profit_factor_short: Decimal | None
    volume: Decimal
    turnover: Decimal  # volume / initial balance
    time_in_market_pct: Decimal
    max_margin_used: Decimal
    max_margin_rate_pct: Decimal | None  # of equity
    min_liquidation_distance_pct: Decimal | None  # of the price
    fills_per_day: Decimal | None
    days: Decimal


@dataclass(frozen=True, slots=True)
class Round:
    """One closing order with all its fills: profit after the fees of these fills, USDT."""

    direction: DirectionType
    net_pnl: Decimal


def rounds_of(trades: Iterable[BacktestTrade]) -> list[Round]:
    """Return the closing orders of the trades, in order of their first fill."""
    found: dict[tuple[str, str], Round] = {}
    for trade in trades:
        if not trade.closing:
            continue
        key = trade.strat_id, trade.order_id
        before = found[key].net_pnl if key in found else ZERO
        found[key] = Round(trade.direction, before + trade.realised_pnl - trade.fee)
    return list(found.values())


def profit_factor(rounds: Iterable[Round], direction: DirectionType) -> Decimal | None:
    """Return the sum of a leg's wins over the sum of its losses; None without a loss."""
    own = [r.net_pnl for r in rounds if r.direction is direction]
    losses = -sum((pnl for pnl in own if pnl < 0), ZERO)
    return sum((pnl for pnl in own if pnl > 0), ZERO) / losses if losses else None


def returns_of(equity: Sequence[Decimal]) -> list[float] | None:
    """Return the relative changes between samples; None when equity was not above zero."""
    if any(value <= 0 for value in equity):
        return None
    return [float(b / a) - 1.0 for a, b in pairwise(equity)]


def sharpe_ratio(returns: Sequence[float] | None, interval_us: int) -> float | None:
    """Return mean / sample standard deviation of the returns, annualised; None without spread."""
    if returns is None or len(returns) < 2:
        return None
    spread = stdev(returns)
    return fmean(returns) / spread * math.sqrt(YEAR_US / interval_us) if spread else None


def sortino_ratio(returns: Sequence[float] | None, interval_us: int) -> float | None:
    """Return mean / downside deviation (root mean square of the returns below zero, counted over
    all returns), annualised; None without a loss.
    """
    if returns is None or len(returns) < 2:
        return None
    downside = math.sqrt(fmean(min(value, 0.0) ** 2 for value in returns))
    return fmean(returns) / downside * math.sqrt(YEAR_US / interval_us) if downside else None


def calmar_ratio(
    initial: Decimal, final: Decimal, span_us: int, drawdown_share: Decimal
) -> float | None:
    """Return yearly growth / largest drawdown; None for less than a day or without drawdown."""
    if span_us < US_PER_DAY or drawdown_share <= 0 or initial <= 0 or final <= 0:
        return None
    log_growth = math.log(float(final / initial)) * YEAR_US / span_us
    if log_growth > 50:
        return None  # a rate that no year could keep up says nothing
    return math.expm1(log_growth) / float(drawdown_share)


@dataclass(frozen=True, slots=True)
class RunTotals:
    """The account at the end of a run, USDT."""

    initial_balance: Decimal
    wallet: Decimal
    equity: Decimal
    realised_pnl: Decimal
    commission: Decimal
    funding: Decimal


def calculate_metrics(
    trades: Sequence[BacktestTrade],
    totals: RunTotals,
    values: TrackedValues,
    ratio_interval_us: int,
) -> BacktestMetrics:
    """Return the figures of a run; Sharpe and Sortino from equity sampled at the interval."""
    ts = values.timeline.ts_us
    first_us, last_us = int(ts[0]), int(ts[-1])
    span_us = last_us - first_us
    days = Decimal(span_us) / US_PER_DAY
    rounds = rounds_of(trades)
    wins = [r.net_pnl for r in rounds if r.net_pnl > 0]
    losses = [r.net_pnl for r in rounds if r.net_pnl < 0]
    drawdown = values.drawdown()
    margin_used, margin_rate = values.margin_used()
    distance = values.liquidation_distance()
    _, sampled = values.sample(ratio_interval_us)
    # the first and the last sample bound parts of an interval, which give no whole return
    returns = returns_of(sampled[1:-1])
    volume = sum((trade.qty * trade.price for trade in trades), ZERO)
    initial, net = totals.initial_balance, totals.equity - totals.initial_balance
    return BacktestMetrics(
        fills=len(trades),
        rounds=len(rounds),
        winners=len(wins),
        losers=len(losses),
        win_rate=Decimal(len(wins)) / len(rounds) if rounds else None,
        average_win=sum(wins, ZERO) / len(wins) if wins else None,
        average_loss=sum(losses, ZERO) / len(losses) if losses else None,
        realised_pnl=totals.realised_pnl,
        unrealised_pnl=totals.equity - totals.wallet,
        commission=totals.commission,
        funding=totals.funding,
        net_pnl=net,
        return_pct=net / initial * 100,
        max_drawdown=drawdown.usdt,
        max_drawdown_pct=drawdown.share * 100,
        max_drawdown_from_us=int(ts[drawdown.from_row]),
        max_drawdown_to_us=int(ts[drawdown.to_row]),
        longest_drawdown_s=Decimal(drawdown.longest_us) / US_PER_S,
        sharpe=sharpe_ratio(returns, ratio_interval_us),
        sortino=sortino_ratio(returns, ratio_interval_us),
        calmar=calmar_ratio(initial, totals.equity, span_us, drawdown.share),
        profit_factor_long=profit_factor(rounds, DirectionType.LONG),
        profit_factor_short=profit_factor(rounds, DirectionType.SHORT),
        volume=volume,
        turnover=volume / initial,
        time_in_market_pct=(
            Decimal(values.time_in_market_us()) / span_us * 100 if span_us else ZERO
        ),
        max_margin_used=margin_used,
        max_margin_rate_pct=margin_rate * 100 if margin_rate is not None else None,
        min_liquidation_distance_pct=distance * 100 if distance is not None else None,
        fills_per_day=Decimal(len(trades)) / days if days else None,
        days=days,
    )
