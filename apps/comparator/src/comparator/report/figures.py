"""The figures of a comparison as people read them, in groups; and the verdict in one line."""

from __future__ import annotations

from decimal import Context, Decimal

from backtest.report.figures import UNKNOWN, Figure, money, percent, price_text
from comparator.comparison import Comparison
from comparator.money.metrics import ValidationMetrics
from comparator.money.split import SymbolMarks
from comparator.money.spread import Shape, Spread
from gridcore import DirectionType
from market_data.basics.quality import utc_text

PLACES = 4


def verdict(comparison: Comparison) -> str:
    """Return the result in one line."""
    m = comparison.metrics
    counts = f"{m.matched:,} of {m.live_trades:,} live trades matched ({_rate(m.match_rate)})"
    if comparison.within_tolerance:
        delta = comparison.split.delta
        profit = "profit equal" if not delta else f"profit differs by {signed(delta)} USDT"
        deltas = [m.price, m.quantity, m.fee]
        exact = all(one is None or one.shape is Shape.NONE for one in deltas)
        how = "no price, quantity or fee differs" if exact else "all within tolerance"
        if m.live_fees_unknown:
            how += f" (the fee of {m.live_fees_unknown:,} live trades is unknown)"
        return f"WITHIN TOLERANCE: {counts}, phantom rate {_rate(m.phantom_rate)}, {how}, {profit}"
    parts = [
        f"{m.live_only:,} missed" if m.live_only else "",
        f"{m.backtest_only:,} phantom" if m.backtest_only else "",
        f"{len(m.breaches):,} beyond tolerance" if m.breaches else "",
        f"{comparison.explanations.unexplained:,} unexplained"
        if comparison.explanations.unexplained
        else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f"BREACHED: {counts}; {told}; profit differs by {signed(comparison.split.delta)} USDT"


def figure_groups(m: ValidationMetrics) -> dict[str, list[Figure]]:
    """Return all figures in groups; `name` is the row of metrics.csv that holds it exactly."""
    return {
        "Trades": [
            Figure("Match rate", "match_rate", _rate(m.match_rate), "matched / live trades"),
            Figure(
                "Phantom rate",
                "phantom_rate",
                _rate(m.phantom_rate),
                "trades of the backtest alone / its trades",
            ),
            Figure("Live trades", "live_trades", f"{m.live_trades:,}", "orders with fills"),
            Figure("Backtest trades", "backtest_trades", f"{m.backtest_trades:,}", "likewise"),
            Figure("Matched", "matched", f"{m.matched:,}", "by client order id and occurrence"),
            Figure("Missed", "live_only", f"{m.live_only:,}", "live only"),
            Figure("Phantom", "backtest_only", f"{m.backtest_only:,}", "backtest only"),
            Figure("Beyond tolerance", "breaches", f"{len(m.breaches):,}", "pairs"),
            *_legs(m),
        ],
        "Largest differences of pairs": [
            *_spread("Price", "price", m.price),
            *_spread("Quantity", "quantity", m.quantity),
            *_spread("Fee", "fee", m.fee),
            *_spread("Profit", "pnl", m.pnl),
            *_times(m.time_us),
        ],
        "Sums, USDT": [
            Figure("Realised, live", "live_pnl", money(m.live_pnl, PLACES), "as recorded"),
            Figure("Realised, backtest", "backtest_pnl", money(m.backtest_pnl, PLACES), ""),
            Figure("Realised, delta", "pnl_delta", signed(m.pnl_delta), "live - backtest"),
            Figure("Fees, live", "live_fees", money(m.live_fees, PLACES), _paid(m)),
            Figure("Fees, backtest", "backtest_fees", money(m.backtest_fees, PLACES), "paid"),
            Figure(
                "Fees, delta",
                "fee_delta",
                UNKNOWN if m.fee_delta is None else signed(m.fee_delta),
                "live - backtest",
            ),
            Figure("Volume, live", "live_volume", money(m.live_volume), "unmatched included"),
            Figure("Volume, backtest", "backtest_volume", money(m.backtest_volume), "likewise"),
            Figure(
                "Correlation",
                "pnl_correlation",
                UNKNOWN if m.pnl_correlation is None else f"{m.pnl_correlation:.6f}",
                "of the cumulative realised profit",
            ),
        ],
    }


def _paid(m: ValidationMetrics) -> str:
    if not m.live_fees_unknown:
        return "paid"
    return f"paid; without {m.live_fees_unknown:,} trades whose fee is not known in USDT"


def split_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the split of the difference as pairs of cause and amount, its sum last."""
    split = comparison.split
    rows = [(cause.value, signed(worth)) for cause, worth in split.causes.items()]
    return [*rows, ("live − backtest", signed(split.delta))]


def fact_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what was compared, as pairs of name and text."""
    wanted, limits, split = comparison.wanted, comparison.tolerances, comparison.split
    return [
        *comparison.facts.items(),
        ("Range", f"{utc_text(wanted.start_us)} to {utc_text(wanted.end_us)} UTC"),
        ("Symbols", ", ".join(comparison.symbols)),
        (
            "Tolerances",
            f"price {limits.price:f}, quantity {limits.qty:f}, fee {limits.fee:f} USDT",
        ),
        *[(f"Prices of {symbol}", _mark_text(mark)) for symbol, mark in comparison.marks.items()],
        ("Profit", f"live {signed(split.live)}, backtest {signed(split.backtest)} USDT"),
    ]


def _mark_text(mark: SymbolMarks) -> str:
    start, end = price_text(mark.start), price_text(mark.end)
    return f"{start} at the start, {end} at the end; the profit is valued with them"


def signed(value: Decimal) -> str:
    """Return an amount with its sign, rounded for reading; what is not zero is not shown as it."""
    if not value:
        return "0"
    text = money(value, PLACES)
    if Decimal(text.replace(",", "")) == 0:
        return f"{value:+.1E}"
    return text if value < 0 else f"+{text}"


def _rate(value: Decimal | None) -> str:
    if value is None:
        return UNKNOWN
    shown = percent(value * 100)
    # rounding must not make a perfect run of one that is not
    if value < 1 and shown == percent(Decimal(100)):
        return "under 100 %"
    return "above 0 %" if value > 0 and shown == percent(Decimal(0)) else shown


def _spread(label: str, name: str, spread: Spread | None) -> list[Figure]:
    if spread is None:
        return [Figure(label, f"{name}_maximum", UNKNOWN, "no pair")]
    return [
        Figure(
            label,
            f"{name}_maximum",
            _largest(spread),
            f"{spread.shape.value}; mean {_short(spread.mean)}, median {_short(spread.median)},"
            f" p95 {_short(spread.p95)}, {spread.spikes:,} beyond three times the p95",
        )
    ]


def _largest(spread: Spread) -> str:
    if spread.shape is Shape.NONE:
        return "0"
    pairs = "pair" if spread.differing == 1 else "pairs"
    return f"{_short(spread.maximum)} ({spread.differing:,} {pairs})"


def _times(spread: Spread | None) -> list[Figure]:
    if spread is None:
        return []
    return [
        Figure("Time, mean", "time_us_mean", _span(spread.mean), "absolute"),
        Figure("Time, p95", "time_us_p95", _span(spread.p95), "absolute"),
        Figure("Time, largest", "time_us_maximum", _span(spread.maximum), "absolute"),
    ]


def _span(us: Decimal) -> str:
    """Return a span in a unit that keeps it short."""
    for unit, length in (("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000)):
        if us >= 2 * length:
            return f"{us / length:,.2f} {unit}"
    return f"{us / 1000:,.3f} ms"


def _legs(m: ValidationMetrics) -> list[Figure]:
    return [
        Figure(
            f"{leg.value.capitalize()} leg",
            f"{leg.value}_matched",
            f"{of_leg.matched:,} / {of_leg.live_only:,} / {of_leg.backtest_only:,}",
            f"matched / missed / phantom; realised profit delta {signed(of_leg.pnl_delta)} USDT",
        )
        for leg, of_leg in ((leg, m.legs[leg]) for leg in DirectionType)
    ]


def _short(value: Decimal) -> str:
    return price_text(Context(prec=6).plus(value))
