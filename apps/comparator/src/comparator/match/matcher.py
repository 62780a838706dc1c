"""Which live trade is which backtest trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from comparator.columns.exact import Exact, Rows
from comparator.columns.trades import NormalizedTrade, Source, TradeTable, numbered
from comparator.match.occurrence import align

KEY = ("client_order_id", "occurrence")
SAME = ("symbol", "side")


class MatchedTrade(NamedTuple):
    """One trade as both sides have it."""

    live: NormalizedTrade
    backtest: NormalizedTrade


@dataclass(frozen=True)
class MatchResult:
    """Pairs and what has no partner, as rows of both tables; each trade is in exactly one place.

    `live_rows[i]` and `backtest_rows[i]` are one pair, in the live side's time order.
    """

    live: TradeTable
    backtest: TradeTable
    live_rows: Rows
    backtest_rows: Rows

    @cached_property
    def live_only_rows(self) -> Rows:
        """Return the live rows without a partner, in time order."""
        return np.setdiff1d(np.arange(len(self.live)), self.live_rows, assume_unique=True)

    @cached_property
    def backtest_only_rows(self) -> Rows:
        """Return the backtest's rows without a partner, in time order."""
        rows = np.arange(len(self.backtest))
        return np.setdiff1d(rows, self.backtest_rows, assume_unique=True)

    def pairs(self, name: str) -> tuple[Exact, Exact]:
        """Return an exact column of the matched trades: live, backtest."""
        return (
            self.live.exact(name).take(self.live_rows),
            self.backtest.exact(name).take(self.backtest_rows),
        )

    def delta(self, name: str) -> Exact:
        """Return live - backtest of an exact column of the matched trades; null if unknown."""
        live, backtest = self.pairs(name)
        return live - backtest

    @cached_property
    def time_delta_us(self) -> Rows:
        """Return live - backtest time of the matched trades."""
        return self.live.ts_us[self.live_rows] - self.backtest.ts_us[self.backtest_rows]

    @cached_property
    def matched(self) -> list[MatchedTrade]:
        """Return the pairs as records; for a million of them use the columns."""
        live = self.live.take(self.live_rows).trades()
        backtest = self.backtest.take(self.backtest_rows).trades()
        return [MatchedTrade(*pair) for pair in zip(live, backtest, strict=True)]

    @cached_property
    def live_only(self) -> list[NormalizedTrade]:
        """Return the live trades that the backtest does not have, as records."""
        return self.live.take(self.live_only_rows).trades()

    @cached_property
    def backtest_only(self) -> list[NormalizedTrade]:
        """Return the backtest's trades that did not take place, as records."""
        return self.backtest.take(self.backtest_only_rows).trades()


class TradeMatcher:
    """Joins both sides on (client order id, occurrence).

    Rows of one id that are not of one symbol and side are not the same order and no pair.
    """

    def match(
        self,
        live: TradeTable | Sequence[NormalizedTrade],
        backtest: TradeTable | Sequence[NormalizedTrade],
    ) -> MatchResult:
        """Return the pairs and the rest. Both sides hold the same symbols and range.

        Occurrences are counted here, and aligned in time where the sides have not the same number.
        """
        if not isinstance(live, TradeTable):
            live = TradeTable.of_trades(Source.LIVE, live)
        if not isinstance(backtest, TradeTable):
            backtest = TradeTable.of_trades(Source.BACKTEST, backtest)
        live_frame, backtest_frame = align(numbered(live.frame), numbered(backtest.frame))
        live = TradeTable(live.source, live_frame, live.places, live.inferred)
        backtest = TradeTable(backtest.source, backtest_frame, backtest.places, backtest.inferred)
        pairs = (
            live_frame.select(*KEY, *SAME)
            .with_row_index("live_row")
            .join(
                backtest_frame.select(*KEY, *SAME).with_row_index("backtest_row"),
                on=[*KEY, *SAME],
                how="inner",
                maintain_order="left",
            )
        )
        return MatchResult(live, backtest, _rows(pairs["live_row"]), _rows(pairs["backtest_row"]))


def _rows(column: pl.Series) -> Rows:
    return column.cast(pl.Int64).to_numpy().astype(np.int64)
