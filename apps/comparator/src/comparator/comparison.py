"""One comparison from loaded sides to all that is reported about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from comparator.causes.causes import Explanations, explain
from comparator.causes.evidence import Evidence, EvidenceReader, net_size, no_evidence
from comparator.causes.pair_notes import breach_notes
from comparator.columns.errors import ComparatorError
from comparator.columns.trades import TradeTable
from comparator.match.edges import outside_partners
from comparator.match.matcher import MatchResult, TradeMatcher
from comparator.money.equity import EquityComparator, EquityComparison, Point
from comparator.money.funding import select as select_funding
from comparator.money.metrics import Breach, Tolerances, ValidationMetrics, calculate_metrics
from comparator.money.split import Circumstances, Leg, PnlSplit, SymbolMarks, split_pnl
from comparator.sides.loader import Side
from gridcore import DirectionType
from market_data.basics.quality import utc_text
from market_data.basics.time_range import TimeRange


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result of one comparison. `facts` say where both sides come from, for the report."""

    wanted: TimeRange
    symbols: tuple[str, ...]
    result: MatchResult
    metrics: ValidationMetrics
    split: PnlSplit
    marks: Mapping[str, SymbolMarks]
    explanations: Explanations
    notes: Mapping[Breach, str]
    equity: EquityComparison | None
    tolerances: Tolerances
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def within_tolerance(self) -> bool:
        """Whether the backtest repeats the live run."""
        return self.metrics.within_tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Equity of both sides, (us UTC, USDT) in time order; empty where it is not known."""

    live: Sequence[Point] = ()
    backtest: Sequence[Point] = ()


def compare(
    live: Side,
    backtest: Side,
    wanted: TimeRange,
    *,
    symbols: Sequence[str] | None = None,
    tolerances: Tolerances | None = None,
    reader: EvidenceReader | None = None,
    curves: Curves | None = None,
    facts: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
) -> Comparison:
    """Compare two loaded sides within the range, for some symbols (None: those traded live).

    Raises ComparatorError where there is nothing to compare, SplitError if the split of the
    profit does not add up.
    """
    chosen = sorted(symbols) if symbols is not None else live.trades.symbols()
    tolerances = tolerances or Tolerances()
    span = wanted.start_us, wanted.end_us
    ours, theirs = live.trades.select(*span, chosen), backtest.trades.select(*span, chosen)
    if not len(live.trades):
        raise ComparatorError(f"the live run has no trade from {wanted}; widen --start and --end")
    _require_overlap(ours, live.trades, wanted, "the live run")
    # a backtest that traded nothing at all is an answer; one of another time is a mistake
    _require_overlap(theirs, backtest.trades, wanted, "the backtest")
    result = TradeMatcher().match(ours, theirs)
    metrics = calculate_metrics(result, tolerances)
    told = [*live.warnings, *backtest.warnings, *warnings]
    if not metrics.matched:
        told.append(
            "no order of the backtest has the id of a live one: look whether strat_id, symbol and"
            " tick size of both configurations are the same"
        )
    more = sorted(set(backtest.trades.symbols()) - set(chosen))
    if more:
        told.append(f"the backtest also traded {', '.join(more)}, which is left out")
    outside = outside_partners(result, live.trades, backtest.trades, wanted)
    evidence = _evidence(result, metrics, reader, wanted, chosen)
    marks = {symbol: _marks(symbol, result, wanted, reader) for symbol in chosen}
    backtest_start = _sizes_before(backtest.trades, wanted, chosen)
    live_start = None if reader is None else reader.starting_legs(ours, wanted)
    if live_start is None:
        live_start = backtest_start
        told.append(
            "no position snapshot tells what the live legs held at the start; they are taken to"
            " hold what the backtest held"
        )
    split = split_pnl(
        result,
        Circumstances(
            marks=marks,
            live_funding=select_funding(live.funding, *span, chosen),
            backtest_funding=select_funding(backtest.funding, *span, chosen),
            live_start=live_start,
            backtest_start=backtest_start,
            outside_live=outside[ours.source],
            outside_backtest=outside[theirs.source],
        ),
    )
    curves = curves or Curves()
    return Comparison(
        wanted=wanted,
        symbols=tuple(chosen),
        result=result,
        metrics=metrics,
        split=split,
        marks=marks,
        explanations=explain(result, evidence, outside, (live_start, backtest_start)),
        notes=breach_notes(result, metrics, evidence),
        equity=EquityComparator().compare(curves.live, curves.backtest),
        tolerances=tolerances,
        warnings=tuple(told),
        facts=dict(facts or {}),
    )


def _require_overlap(chosen: TradeTable, loaded: TradeTable, wanted: TimeRange, who: str) -> None:
    if len(chosen) or not len(loaded):
        return
    times = loaded.ts_us
    there = f"{utc_text(int(times[0]))} to {utc_text(int(times[-1]))}"
    raise ComparatorError(
        f"{who} has no trade from {wanted} of what is compared; it has"
        f" {len(loaded):,} of {', '.join(loaded.symbols())} from {there}"
    )


def _evidence(
    result: MatchResult,
    metrics: ValidationMetrics,
    reader: EvidenceReader | None,
    wanted: TimeRange,
    symbols: Sequence[str],
) -> Evidence:
    """Read what explains the differences; nothing where there are none."""
    rows = [
        result.live.frame[result.live_only_rows],
        result.backtest.frame[result.backtest_only_rows],
    ]
    ids = {name for frame in rows for name in frame["client_order_id"]}
    unmatched = {name for frame in rows for name in frame["symbol"]}
    ids |= {breach.client_order_id for breach in metrics.breaches}
    if reader is None or not ids:
        return no_evidence()
    return reader.read(wanted, [name for name in symbols if name in unmatched], ids)


def _marks(
    symbol: str, result: MatchResult, wanted: TimeRange, reader: EvidenceReader | None
) -> SymbolMarks:
    """Return the prices at the start and the end: recorded ones, else those of fills."""
    start = end = None
    if reader is not None:
        start = reader.price_before(symbol, wanted.start_us)
        start = start or reader.price_after(symbol, wanted.start_us)
        end = reader.price_before(symbol, wanted.end_us)
    fills: list[tuple[int, Decimal]] = []
    for table in (result.live, result.backtest):
        of_symbol = table.frame["symbol"] == symbol
        rows = of_symbol.arg_true()
        for row in [int(rows[0]), int(rows[-1])] if len(rows) else []:
            price = table.exact("price").value(row)
            if price is not None:
                fills.append((int(table.ts_us[row]), price))
    if not fills and (start is None or end is None):
        return SymbolMarks(start or end or Decimal(0), end or start or Decimal(0))
    return SymbolMarks(
        start if start is not None else min(fills)[1], end if end is not None else max(fills)[1]
    )


def _sizes_before(
    trades: TradeTable, wanted: TimeRange, symbols: Sequence[str]
) -> dict[Leg, Decimal]:
    """Return what the legs of a backtest held at the start; its first trade found them empty."""
    earlier = trades.select(0, wanted.start_us, symbols)
    return {
        (symbol, leg): net_size(earlier.select(0, wanted.start_us, [symbol]), leg)
        for symbol in earlier.symbols()
        for leg in DirectionType
    }
