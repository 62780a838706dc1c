"""Equity of the live account against that of the backtest, on a common grid of hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from backtest.report.export import value_text
from comparator.columns.exact import Rows, exact_sum, negated, of_decimals
from comparator.money.metrics import correlation
from grid_db import WalletSnapshotRecord
from gridcore.moments import moment, to_us
from market_data.basics.csv_cells import csv_of
from market_data.files.column_folder import write_atomically

GRID_US: Final = 3_600_000_000

Point = tuple[int, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityComparison:
    """Both curves at the same moments (us UTC), USDT; divergence is live - backtest.

    `start_offset` is the divergence at the first moment: other deposits or another initial
    balance. `maximum` and `mean` are of the absolute divergence, `*_of_change` of what it changed
    by since the first moment.
    """

    ts_us: tuple[int, ...]
    live: tuple[Decimal, ...]
    backtest: tuple[Decimal, ...]
    start_offset: Decimal
    maximum: Decimal
    mean: Decimal
    maximum_of_change: Decimal
    mean_of_change: Decimal
    correlation: float | None

    @property
    def divergence(self) -> list[Decimal]:
        """Return live - backtest at each moment."""
        pairs = zip(self.live, self.backtest, strict=True)
        return [exact_sum([one, negated(other)]) for one, other in pairs]


class EquityComparator:
    """Compares two equity curves; each holds its last value until the next one."""

    def __init__(self, interval_us: int = GRID_US) -> None:
        self._interval_us = interval_us

    def compare(self, live: Sequence[Point], backtest: Sequence[Point]) -> EquityComparison | None:
        """Return the comparison at every full interval that both curves reach.

        Both are in time order. None where they have no full interval in common.
        """
        if not live or not backtest:
            return None
        first = max(live[0][0], backtest[0][0])
        last = min(live[-1][0], backtest[-1][0])
        start = -(-first // self._interval_us) * self._interval_us
        times = np.arange(start, last + 1, self._interval_us, dtype=np.int64)
        if not len(times):
            return None
        ours, theirs = _held(live, times), _held(backtest, times)
        divergence = of_decimals(ours) - of_decimals(theirs)
        offset = divergence.value(0) or Decimal(0)
        change = divergence - of_decimals([offset])
        count = len(times)
        return EquityComparison(
            ts_us=tuple(times.tolist()),
            live=tuple(ours),
            backtest=tuple(theirs),
            start_offset=offset,
            maximum=_maximum(divergence.abs().decimals()),
            mean=divergence.abs().total() / count,
            maximum_of_change=_maximum(change.abs().decimals()),
            mean_of_change=change.abs().total() / count,
            correlation=correlation(
                np.array([float(value) for value in ours]),
                np.array([float(value) for value in theirs]),
            ),
        )


def wallet_curve(snapshots: Iterable[WalletSnapshotRecord]) -> list[Point]:
    """Return (us UTC, equity) of wallet snapshots in time order.

    Without a recorded equity it is balance + unrealised profit; a snapshot that lacks these too
    is left out.
    """
    found = []
    for snapshot in snapshots:
        equity, balance, unrealised = (
            snapshot.equity,
            snapshot.wallet_balance,
            snapshot.unrealised_pnl,
        )
        if equity is None and balance is not None and unrealised is not None:
            equity = exact_sum([balance, unrealised])
        if equity is not None:
            found.append((_us(snapshot), equity))
    return sorted(found, key=lambda point: point[0])


def write_equity(path: str | Path, comparison: EquityComparison) -> None:
    """Write ts, ts_us, live, backtest, divergence as CSV; the file appears whole or not at all."""
    path = Path(path)
    divergence = comparison.divergence
    frame = pl.DataFrame(
        {
            "ts": [moment(ts_us).isoformat() for ts_us in comparison.ts_us],
            "ts_us": list(comparison.ts_us),
            "live": [value_text(value) for value in comparison.live],
            "backtest": [value_text(value) for value in comparison.backtest],
            "divergence": [value_text(value) for value in divergence],
        }
    )
    write_atomically(path, csv_of(frame))


def _held(curve: Sequence[Point], times: Rows) -> list[Decimal]:
    """Return the last value at or before each moment."""
    known = np.array([ts_us for ts_us, _ in curve], dtype=np.int64)
    rows = np.searchsorted(known, times, side="right") - 1
    return [curve[row][1] for row in rows.tolist()]


def _maximum(values: Sequence[Decimal | None]) -> Decimal:
    return max(value for value in values if value is not None)


def _us(snapshot: WalletSnapshotRecord) -> int:
    return to_us(snapshot.exchange_ts)
