"""The figures of a run as people read them: label, shown text, explanation, in groups."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from backtest.result.metrics import BacktestMetrics
from backtest.result.session import BacktestSession
from exchange_model.fills.registry import fill_model_sentence
from gridcore.moments import moment
from market_data.basics.quality import utc_text

UNKNOWN = "–"


class Figure(NamedTuple):
    """One figure; `name` is the field of BacktestMetrics that holds it exactly."""

    label: str
    name: str
    shown: str
    meaning: str


def money(value: Decimal | None, places: int = 2) -> str:
    """Return an amount with separators, rounded to places; a dash for None."""
    if value is None:
        return UNKNOWN
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    return f"{rounded:,}" if rounded else f"{abs(rounded):,}"


def percent(value: Decimal | None, places: int = 2) -> str:
    """Return a percentage; a dash for None."""
    return UNKNOWN if value is None else f"{money(value, places)} %"


def ratio(value: float | Decimal | None) -> str:
    """Return a ratio with two decimals; a dash for None."""
    return UNKNOWN if value is None else f"{value:,.2f}"


def duration(seconds: Decimal) -> str:
    """Return a span of time in its two largest units."""
    left = int(seconds)
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def price_text(value: Decimal) -> str:
    """Return a price without trailing zeros and without an exponent."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def figure_groups(metrics: BacktestMetrics) -> dict[str, list[Figure]]:
    """Return all figures of a run in groups, in the order in which they are read."""
    m = metrics
    fall = f"{utc_text(m.max_drawdown_from_us)} to {utc_text(m.max_drawdown_to_us)}"
    return {
        "Money, USDT": [
            Figure("Net profit", "net_pnl", money(m.net_pnl), "change of equity over the run"),
            Figure("Return", "return_pct", percent(m.return_pct), "of the initial balance"),
            Figure("Realised", "realised_pnl", money(m.realised_pnl), "before fees and funding"),
            Figure("Unrealised", "unrealised_pnl", money(m.unrealised_pnl), "of open legs"),
            Figure("Commission", "commission", money(m.commission), "fees paid"),
            Figure("Funding", "funding", money(m.funding), "paid; negative when received"),
        ],
        "Risk": [
            Figure("Max drawdown", "max_drawdown", money(m.max_drawdown), fall),
            Figure(
                "Max drawdown, share",
                "max_drawdown_pct",
                percent(m.max_drawdown_pct),
                "of the peak before it, judged at every tick",
            ),
            Figure(
                "Longest drawdown",
                "longest_drawdown_s",
                duration(m.longest_drawdown_s),
                "time below a peak",
            ),
            Figure(
                "Nearest liquidation",
                "min_liquidation_distance_pct",
                percent(m.min_liquidation_distance_pct),
                "smallest distance of the price from a liquidation price",
            ),
            Figure("Most margin", "max_margin_used", money(m.max_margin_used), "with orders"),
            Figure(
                "Most margin, share",
                "max_margin_rate_pct",
                percent(m.max_margin_rate_pct),
                "initial margin of legs and orders / equity",
            ),
            Figure("Sharpe", "sharpe", ratio(m.sharpe), "annualised over 365.25 days"),
            Figure("Sortino", "sortino", ratio(m.sortino), "against downside deviation"),
            Figure("Calmar", "calmar", ratio(m.calmar), "yearly growth / max drawdown"),
        ],
        "Activity": [
            Figure("Fills", "fills", f"{m.fills:,}", "partial fills count each"),
            Figure("Closed orders", "rounds", f"{m.rounds:,}", "closing orders that filled"),
            Figure(
                "Win rate",
                "win_rate",
                percent(m.win_rate * 100 if m.win_rate is not None else None),
                f"{m.winners:,} won, {m.losers:,} lost, after their own fees",
            ),
            Figure("Average win", "average_win", money(m.average_win, 4), "USDT"),
            Figure("Average loss", "average_loss", money(m.average_loss, 4), "USDT"),
            Figure(
                "Profit factor, long",
                "profit_factor_long",
                ratio(m.profit_factor_long),
                "wins / losses",
            ),
            Figure(
                "Profit factor, short",
                "profit_factor_short",
                ratio(m.profit_factor_short),
                "wins / losses",
            ),
            Figure("Volume", "volume", money(m.volume, 0), "USDT traded"),
            Figure("Turnover", "turnover", ratio(m.turnover), "volume / initial balance"),
            Figure("Fills a day", "fills_per_day", ratio(m.fills_per_day), ""),
            Figure(
                "Time in market",
                "time_in_market_pct",
                percent(m.time_in_market_pct, 1),
                "with a leg that holds something",
            ),
        ],
    }


def data_lines(session: BacktestSession) -> list[tuple[str, str]]:
    """Return where the numbers come from, as pairs of name and text."""
    data = session.data
    speed = f"looked at {session.visits:,} rows in {session.elapsed_s:.2f} s"
    rows = f"{data.rows:,} ticks" + (f" and {data.tickers:,} tickers" if data.tickers else "")
    return [
        ("Range", f"{utc_text(data.first_ts_us)} to {utc_text(data.last_ts_us)} UTC"),
        ("Ticks", f"{rows}, tick size {price_text(data.tick_size)}"),
        *(("", line) for line in data.quality.lines()),
        *(("Gap", str(gap)) for gap in data.quality.gaps[:20]),
        ("Fingerprint", data.fingerprint),
        ("Contract", session.rules),
        *_unchecked(session),
        ("Funding", session.funding),
        ("Fill model", _fill_model(session)),
        ("Mode", f"{session.mode}: {speed} ({session.ticks_per_s:,.0f} ticks/s)"),
        ("Versions", ", ".join(f"{name} {text}" for name, text in session.versions.items())),
    ]


def _unchecked(session: BacktestSession) -> list[tuple[str, str]]:
    names = ", ".join(session.unchecked)
    return [("Not known", f"{names}; orders were not checked against it")] if names else []


def _fill_model(session: BacktestSession) -> str:
    name = str(session.settings["fill_model"])
    meaning = fill_model_sentence(name, session.settings)
    latency = session.settings["latency_ms"]
    return f"{name}: {meaning}; latency {latency} ms"


def headline(session: BacktestSession) -> str:
    """Return the run in one line. A liquidation comes first."""
    if session.liquidation is not None:
        death = session.liquidation
        return (
            f"LIQUIDATED: {session.symbol} at {price_text(death.price)},"
            f" {moment(death.ts_us):%Y-%m-%d %H:%M:%S} UTC;"
            f" {money(death.lost)} USDT of equity lost, nothing traded afterwards"
        )
    m = session.metrics
    return (
        f"{session.symbol}: net {money(m.net_pnl)} USDT ({percent(m.return_pct)}),"
        f" max drawdown {percent(m.max_drawdown_pct)}, {m.fills:,} fills"
        f" in {duration(m.days * 86_400)}"
    )
