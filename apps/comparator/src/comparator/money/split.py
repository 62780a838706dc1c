"""The difference in profit between live and backtest, split into causes that add up to it.

Profit is what a side's fills earned until the end of the range, valued there at one price for
both sides: over all fills, sign x (qty x end price - notional) - fee, plus the change in value of
what was held at the start, less funding. That is the change of equity, so it does not depend on how
an exchange rounds its average entry.

missed fills: profit of live trades that the backtest does not have, after their fees
phantom fills: less the profit of the backtest's trades that did not take place
timing: the same of trades whose partner filled just outside the range; and funding of pairs that
    filled on different sides of a settlement
quantity: sign x (live qty - backtest qty) x (end price - live price)
price: sign x backtest qty x (backtest price - live price)
fees: backtest's - live fees of pairs
funding: backtest's - live funding, but for what is timing
starting position: change in value of what live held at the start, less that of the backtest

sign is +1 for a Buy, -1 for a Sell. All arithmetic is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import polars as pl

from comparator.columns.errors import ComparatorError, SplitError
from comparator.columns.exact import Exact, Rows, exact_sum, negated, of_decimals
from comparator.columns.trades import TradeTable
from comparator.match.matcher import MatchResult
from comparator.money.funding import FundingPaid, total
from gridcore import DirectionType

ZERO = Decimal(0)
NO_ROWS: Rows = np.empty(0, dtype=np.int64)

Leg = tuple[str, DirectionType]


class SplitCause(StrEnum):
    """Why live and backtest earned differently."""

    MISSED_FILLS = "missed fills"
    PHANTOM_FILLS = "phantom fills"
    PRICE = "price"
    QUANTITY = "quantity"
    FEES = "fees"
    FUNDING = "funding"
    TIMING = "timing"
    STARTING_POSITION = "starting position"


class SymbolMarks(NamedTuple):
    """Prices of one symbol at the start and at the end of the range, USDT."""

    start: Decimal
    end: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What else decides the profit of both sides.

    `live_start` and `backtest_start` are sizes of legs at the start, base coin; a leg left out held
    nothing. `outside_live` and `outside_backtest` are unmatched rows whose partner filled outside
    the range.
    """

    marks: Mapping[str, SymbolMarks]
    live_funding: Sequence[FundingPaid] = ()
    backtest_funding: Sequence[FundingPaid] = ()
    live_start: Mapping[Leg, Decimal] = field(default_factory=dict)
    backtest_start: Mapping[Leg, Decimal] = field(default_factory=dict)
    outside_live: Rows = field(default_factory=lambda: NO_ROWS)
    outside_backtest: Rows = field(default_factory=lambda: NO_ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PnlSplit:
    """Profit of both sides in USDT, and what each cause adds to live - backtest."""

    live: Decimal
    backtest: Decimal
    causes: Mapping[SplitCause, Decimal]

    @property
    def delta(self) -> Decimal:
        """Return live - backtest."""
        return exact_sum([self.live, negated(self.backtest)])

    @property
    def residue(self) -> Decimal:
        """Return what the causes leave unexplained; zero, or the split is wrong."""
        return exact_sum([self.delta, *(negated(worth) for worth in self.causes.values())])


def split_pnl(result: MatchResult, given: Circumstances) -> PnlSplit:
    """Return the split of the difference. Raises SplitError if the causes do not add up to it.

    Raises ComparatorError for a symbol without marks.
    """
    live, backtest = _values(result.live, given.marks), _values(result.backtest, given.marks)
    live_only = np.setdiff1d(result.live_only_rows, given.outside_live)
    backtest_only = np.setdiff1d(result.backtest_only_rows, given.outside_backtest)
    quantity, price = _pairs(result, given.marks)
    live_fee, backtest_fee = (column.known() for column in result.pairs("fee"))
    shift = _funding_shift(result, given)
    live_start = _start_value(given.live_start, given.marks)
    backtest_start = _start_value(given.backtest_start, given.marks)
    live_paid, backtest_paid = total(given.live_funding), total(given.backtest_funding)
    funding = exact_sum([backtest_paid, negated(live_paid)])
    edges = [
        live.take(given.outside_live).total(),
        negated(backtest.take(given.outside_backtest).total()),
    ]
    split = PnlSplit(
        live=exact_sum([live.total(), live_start, negated(live_paid)]),
        backtest=exact_sum([backtest.total(), backtest_start, negated(backtest_paid)]),
        causes={
            SplitCause.MISSED_FILLS: live.take(live_only).total(),
            SplitCause.PHANTOM_FILLS: negated(backtest.take(backtest_only).total()),
            SplitCause.PRICE: price,
            SplitCause.QUANTITY: quantity,
            SplitCause.FEES: (backtest_fee - live_fee).total(),
            SplitCause.FUNDING: exact_sum([funding, negated(shift)]),
            SplitCause.TIMING: exact_sum([*edges, shift]),
            SplitCause.STARTING_POSITION: exact_sum([live_start, negated(backtest_start)]),
        },
    )
    if split.residue:
        raise SplitError(
            f"the causes add up to {exact_sum(split.causes.values())} USDT, the difference is"
            f" {split.delta} USDT: {split.residue} USDT are left over; please report this"
        )
    return split


def _end_prices(table: TradeTable, marks: Mapping[str, SymbolMarks]) -> Exact:
    symbols = table.symbols()
    missing = [symbol for symbol in symbols if symbol not in marks]
    if missing:
        raise ComparatorError(f"{', '.join(missing)}: there is no price to value the legs with")
    ends = of_decimals([marks[symbol].end for symbol in symbols])
    if not symbols:
        return ends
    units = table.frame.select("symbol").join(
        pl.DataFrame({"symbol": symbols, "end": ends.units}),
        on="symbol",
        how="left",
        maintain_order="left",
    )["end"]
    return Exact(units, ends.places)


def _values(table: TradeTable, marks: Mapping[str, SymbolMarks]) -> Exact:
    """Return what each trade earned until the end, after its fee."""
    ends = _end_prices(table, marks)
    gain = (table.exact("qty") * ends - table.exact("notional")).signed(table.is_buy)
    return gain - table.exact("fee").known()


def _pairs(result: MatchResult, marks: Mapping[str, SymbolMarks]) -> tuple[Decimal, Decimal]:
    """Return what differences of quantity and of price are worth over all pairs."""
    ends = _end_prices(result.live, marks).take(result.live_rows)
    is_buy = result.live.is_buy.gather(result.live_rows)
    more = result.delta("qty")
    live_price, _ = result.pairs("price")
    quantity = (more * (ends - live_price)).signed(is_buy)
    both = (more * ends - result.delta("notional")).signed(is_buy)
    # the average price of several fills is rounded, their notional is not: the rest is the price's
    return quantity.total(), (both - quantity).total()


def _start_value(sizes: Mapping[Leg, Decimal], marks: Mapping[str, SymbolMarks]) -> Decimal:
    values = []
    for (symbol, leg), size in sizes.items():
        if not size:
            continue
        if symbol not in marks:
            raise ComparatorError(f"{symbol}: there is no price to value the starting legs with")
        mark = marks[symbol]
        change = of_decimals([size]) * of_decimals([exact_sum([mark.end, negated(mark.start)])])
        worth = change.total()
        values.append(worth if leg is DirectionType.LONG else negated(worth))
    return exact_sum(values)


def _funding_shift(result: MatchResult, given: Circumstances) -> Decimal:
    """Return the funding of pairs that filled on different sides of a settlement.

    A trade that took place at the moment of a settlement was not there yet.
    """
    rates = _rates(given)
    if not rates or not len(result.live_rows):
        return ZERO
    times = np.array(sorted({ts_us for _, _, ts_us in rates}), dtype=np.int64)
    live_ts = result.live.ts_us[result.live_rows]
    backtest_ts = result.backtest.ts_us[result.backtest_rows]
    # number of the first settlement that finds the trade done
    first_live = np.searchsorted(times, live_ts, side="right")
    first_backtest = np.searchsorted(times, backtest_ts, side="right")
    shifted_pairs = np.flatnonzero(first_live != first_backtest)
    rows = result.backtest_rows[shifted_pairs]
    parts = []
    for pair, trade in zip(shifted_pairs, result.backtest.take(rows).trades(), strict=True):
        early, late = sorted((int(first_live[pair]), int(first_backtest[pair])))
        size = negated(trade.qty) if trade.closing else trade.qty
        if first_live[pair] > first_backtest[pair]:
            size = negated(size)  # the live leg was without it at these settlements
        for ts_us in times[early:late].tolist():
            rate = rates.get((trade.symbol, trade.direction, ts_us))
            if rate is not None:
                parts.append(negated((of_decimals([size]) * of_decimals([rate])).total()))
    return exact_sum(parts)


def _rates(given: Circumstances) -> dict[tuple[str, DirectionType, int], Decimal]:
    """Return what one unit of a leg paid at each settlement; the backtest's record comes first."""
    return {
        (paid.symbol, paid.direction, paid.ts_us): paid.per_unit
        for paid in (*given.live_funding, *given.backtest_funding)
        if paid.per_unit is not None
    }
