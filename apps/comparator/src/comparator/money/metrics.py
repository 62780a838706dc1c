"""How well a backtest repeats what was traded live. Money is exact; correlations are floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from comparator.columns.exact import Exact, Rows, constant, units_of
from comparator.columns.trades import TradeTable
from comparator.match.matcher import MatchResult
from comparator.money.spread import Spread, spread_of
from gridcore import DirectionType

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """What may differ without a breach: USDT per base coin, base coin, USDT per trade."""

    price: Decimal = ZERO
    qty: Decimal = ZERO
    fee: Decimal = ZERO


class BreachKind(StrEnum):
    """What of a pair differs beyond its tolerance."""

    PRICE = "price"
    QUANTITY = "quantity"
    FEE = "fee"


class Breach(NamedTuple):
    """A pair that differs beyond a tolerance."""

    client_order_id: str
    occurrence: int


class LegMetrics(NamedTuple):
    """One leg: counts, and realised profit live - backtest over all its trades, USDT."""

    matched: int
    live_only: int
    backtest_only: int
    pnl_delta: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationMetrics:
    """Figures of one comparison. None means that the figure does not exist, never zero.

    Deltas are live - backtest; that of the fees does not exist while one of them is unknown.
    `live_fees_unknown` counts live trades whose fee is not known in USDT. `match_rate` is matched /
    live trades, `phantom_rate` trades of the backtest alone / its trades, both 0-1. Sums hold all
    trades, unmatched included; what was not recorded is left out of them. `breaches` are pairs
    beyond a tolerance in any of `breach_kinds`, each once. Times are microseconds.
    """

    live_trades: int
    backtest_trades: int
    matched: int
    live_only: int
    backtest_only: int
    match_rate: Decimal | None
    phantom_rate: Decimal | None
    price: Spread | None  # USDT
    quantity: Spread | None  # base coin
    fee: Spread | None  # USDT
    pnl: Spread | None  # USDT, realised
    time_us: Spread | None
    live_fees: Decimal
    backtest_fees: Decimal
    live_fees_unknown: int
    fee_delta: Decimal | None
    live_pnl: Decimal  # realised, before fees and funding
    backtest_pnl: Decimal
    pnl_delta: Decimal
    pnl_correlation: float | None  # of the cumulative realised profit of both sides
    live_volume: Decimal  # USDT
    backtest_volume: Decimal
    legs: Mapping[DirectionType, LegMetrics]
    inferred_legs: int
    breaches: tuple[Breach, ...] = ()
    breach_kinds: Mapping[BreachKind, tuple[Breach, ...]] = field(default_factory=dict)

    @property
    def within_tolerance(self) -> bool:
        """Whether every trade has a partner and no pair differs beyond a tolerance."""
        return not (self.breaches or self.live_only or self.backtest_only)


def calculate_metrics(
    result: MatchResult, tolerances: Tolerances | None = None
) -> ValidationMetrics:
    """Return the figures of matched and unmatched trades."""
    tolerances = tolerances or Tolerances()
    live, backtest = result.live, result.backtest
    matched = len(result.live_rows)
    live_only, backtest_only = len(result.live_only_rows), len(result.backtest_only_rows)
    live_fees, backtest_fees = live.exact("fee").total(), backtest.exact("fee").total()
    live_pnl = live.exact("realized_pnl").total()
    backtest_pnl = backtest.exact("realized_pnl").total()
    kinds = _breach_kinds(result, tolerances)
    rows = np.array(sorted({pair for found in kinds.values() for pair in found.tolist()}), np.int64)
    return ValidationMetrics(
        live_trades=len(live),
        backtest_trades=len(backtest),
        matched=matched,
        live_only=live_only,
        backtest_only=backtest_only,
        match_rate=Decimal(matched) / len(live) if len(live) else None,
        phantom_rate=Decimal(backtest_only) / len(backtest) if len(backtest) else None,
        price=spread_of(result.delta("price")),
        quantity=spread_of(result.delta("qty")),
        fee=spread_of(result.delta("fee")),
        pnl=spread_of(result.delta("realized_pnl")),
        time_us=spread_of(Exact(pl.Series(result.time_delta_us, dtype=pl.Int128), 0)),
        live_fees=live_fees,
        backtest_fees=backtest_fees,
        live_fees_unknown=live.frame["fee"].null_count(),
        fee_delta=None if _lacks_fees(live, backtest) else live_fees - backtest_fees,
        live_pnl=live_pnl,
        backtest_pnl=backtest_pnl,
        pnl_delta=live_pnl - backtest_pnl,
        pnl_correlation=_pnl_correlation(live, backtest),
        live_volume=live.exact("notional").total(),
        backtest_volume=backtest.exact("notional").total(),
        legs={leg: _leg(result, leg) for leg in DirectionType},
        inferred_legs=live.inferred,
        breaches=_names(result, rows),
        breach_kinds={kind: _names(result, of_kind) for kind, of_kind in kinds.items()},
    )


def _lacks_fees(*tables: TradeTable) -> bool:
    return any(table.frame["fee"].null_count() for table in tables)


def _breach_kinds(result: MatchResult, tolerances: Tolerances) -> dict[BreachKind, Rows]:
    """Return the pairs (by their number) beyond each tolerance."""
    return {
        BreachKind.PRICE: _beyond(result.delta("price"), tolerances.price),
        BreachKind.QUANTITY: _beyond(result.delta("qty"), tolerances.qty),
        BreachKind.FEE: _fee_breaches(result, tolerances.fee),
    }


def _beyond(deltas: Exact, tolerance: Decimal) -> Rows:
    limit = constant(tolerance, 1)
    places = max(deltas.places, limit.places)
    wide = deltas.at(places).abs()
    allowed = pl.Series([units_of(tolerance, places)], dtype=pl.Int128)
    return _true_rows(wide.units > allowed)


def _fee_breaches(result: MatchResult, tolerance: Decimal) -> Rows:
    """Return pairs whose fees differ and not just because the backtest's rate met another notional.

    |live fee - backtest fee x live notional / backtest notional| > tolerance, multiplied out. A
    difference of price or quantity that is tolerated is so not counted again in the fee.
    """
    live, backtest = result.pairs("fee")
    differing = _true_rows((live - backtest).units != pl.Series([0], dtype=pl.Int128))
    if not len(differing):
        return differing
    live_notional, backtest_notional = (one.take(differing) for one in result.pairs("notional"))
    left = live.take(differing) * backtest_notional
    right = backtest.take(differing) * live_notional
    allowed = constant(tolerance, len(differing)) * backtest_notional
    excess = (left - right).abs() - allowed
    return differing[_true_rows(excess.units > pl.Series([0], dtype=pl.Int128))]


def _true_rows(flags: pl.Series) -> Rows:
    return flags.fill_null(False).arg_true().cast(pl.Int64).to_numpy().astype(np.int64)


def _names(result: MatchResult, pairs: Rows) -> tuple[Breach, ...]:
    frame = result.live.frame[result.live_rows[pairs]]
    return tuple(Breach(*row) for row in frame.select("client_order_id", "occurrence").rows())


def _leg(result: MatchResult, leg: DirectionType) -> LegMetrics:
    def of_leg(table: TradeTable) -> NDArray[np.bool_]:
        return np.asarray((table.frame["direction"] == leg.value).to_numpy(), dtype=np.bool_)

    live, backtest = of_leg(result.live), of_leg(result.backtest)
    pnl = [
        table.exact("realized_pnl").take(np.flatnonzero(flags)).total()
        for table, flags in ((result.live, live), (result.backtest, backtest))
    ]
    return LegMetrics(
        matched=int(live[result.live_rows].sum()),
        live_only=int(live[result.live_only_rows].sum()),
        backtest_only=int(backtest[result.backtest_only_rows].sum()),
        pnl_delta=pnl[0] - pnl[1],
    )


def cumulative_pnl(table: TradeTable, times_us: Rows) -> NDArray[np.float64]:
    """Return the realised profit up to and including each time, as floats for drawing."""
    pnl = np.nan_to_num(table.exact("realized_pnl").floats())
    sums = np.concatenate(([0.0], np.cumsum(pnl)))
    return np.asarray(sums[np.searchsorted(table.ts_us, times_us, side="right")])


def moments(live: TradeTable, backtest: TradeTable) -> Rows:
    """Return the times at which either side traded, ascending, each once."""
    # two ascending runs: merging is faster than looking for the unique ones
    times = np.sort(np.concatenate((live.ts_us, backtest.ts_us)), kind="stable")
    return times[np.diff(times, prepend=-1) > 0]


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None where a curve does not move or has one point."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    if np.array_equal(one, other):
        return 1.0  # rounding must not make equal curves differ
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1.0, 1.0))


def _pnl_correlation(live: TradeTable, backtest: TradeTable) -> float | None:
    times = moments(live, backtest)
    return correlation(cumulative_pnl(live, times), cumulative_pnl(backtest, times))
