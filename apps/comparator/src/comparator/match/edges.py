"""Trades whose partner filled just outside the compared range."""

from __future__ import annotations

from typing import Final

import numpy as np

from comparator.columns.exact import Rows
from comparator.columns.trades import Source, TradeTable
from comparator.match.matcher import MatchResult
from market_data.basics.time_range import TimeRange

MARGIN_US: Final = 600_000_000  # how far outside a partner is looked for


def outside_partners(
    result: MatchResult, live: TradeTable, backtest: TradeTable, wanted: TimeRange
) -> dict[Source, Rows]:
    """Return the unmatched rows of both sides whose partner lies within ten minutes outside.

    `live` and `backtest` hold what was loaded, the surroundings of the range included. A trade
    outside is a partner only if the other side has none like it there.
    """
    around = {
        Source.LIVE: _outside(live, wanted),
        Source.BACKTEST: _outside(backtest, wanted),
    }
    return {
        Source.LIVE: _rows(
            result.live, result.live_only_rows, around[Source.BACKTEST], around[Source.LIVE], wanted
        ),
        Source.BACKTEST: _rows(
            result.backtest,
            result.backtest_only_rows,
            around[Source.LIVE],
            around[Source.BACKTEST],
            wanted,
        ),
    }


def _outside(table: TradeTable, wanted: TimeRange) -> dict[tuple[str, bool], int]:
    """Count the trades outside by (client order id, whether after the end)."""
    found: dict[tuple[str, bool], int] = {}
    ts_us = table.ts_us
    before = (ts_us >= wanted.start_us - MARGIN_US) & (ts_us < wanted.start_us)
    after = (ts_us >= wanted.end_us) & (ts_us < wanted.end_us + MARGIN_US)
    names = table.frame["client_order_id"]
    for flags, is_after in ((before, False), (after, True)):
        for name in names.gather(np.flatnonzero(flags)):
            found[name, is_after] = found.get((name, is_after), 0) + 1
    return found


def _rows(
    table: TradeTable,
    unmatched: Rows,
    partners: dict[tuple[str, bool], int],
    own: dict[tuple[str, bool], int],
    wanted: TimeRange,
) -> Rows:
    spare = {key: count - own.get(key, 0) for key, count in partners.items()}
    found = []
    ts_us = table.ts_us
    names = table.frame["client_order_id"]
    for row in unmatched.tolist():
        for is_after, distance in (
            (False, ts_us[row] - wanted.start_us),
            (True, wanted.end_us - ts_us[row]),
        ):
            key = names[row], is_after
            if distance <= MARGIN_US and spare.get(key, 0) > 0:
                spare[key] -= 1
                found.append(row)
                break
    return np.array(found, dtype=np.int64)
