"""Which appearance of a client order id is which, where one side has fewer of them.

An id names side, price and leg, so it comes back whenever the grid comes back to that price. Both
sides count its appearances in time. Where one side lacks one, plain counting would shift every
later pair by one; instead the shorter side takes the numbers for which its times and those of the
other side lie closest together in all (a shortest path; of equal ones the earliest numbers).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

MOST_CELLS: Final = 20_000_000

Ints = NDArray[np.int64]


def align(live: pl.DataFrame, backtest: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both frames with occurrences that pair what belongs together.

    Both are numbered already (`trades.numbered`); ids with the same count on both sides stay so.
    """
    counts = (
        live.group_by("client_order_id")
        .agg(pl.len().cast(pl.Int64).alias("live"))
        .join(
            backtest.group_by("client_order_id").agg(pl.len().cast(pl.Int64).alias("backtest")),
            on="client_order_id",
        )
    )
    uneven = counts.filter(pl.col("live") != pl.col("backtest"))
    if not len(uneven):
        return live, backtest
    return _renumbered(live, backtest, uneven, "live"), _renumbered(
        backtest, live, uneven, "backtest"
    )


def _renumbered(
    own: pl.DataFrame, other: pl.DataFrame, uneven: pl.DataFrame, name: str
) -> pl.DataFrame:
    """Return `own` with new numbers for the ids of which it has fewer than the other side."""
    rival = "backtest" if name == "live" else "live"
    shorter = uneven.filter(pl.col(name) < pl.col(rival))["client_order_id"]
    if not len(shorter):
        return own
    mine = _times_by_id(own, shorter)
    theirs = _times_by_id(other, shorter)
    changed = {key: nearest(times, theirs[key]) for key, times in mine.items()}
    new = pl.DataFrame(
        {
            "client_order_id": [key for key, numbers in changed.items() for _ in numbers],
            "occurrence": [n for numbers in changed.values() for n in range(1, len(numbers) + 1)],
            "aligned": [int(n) for numbers in changed.values() for n in numbers],
        },
        schema={"client_order_id": pl.String, "occurrence": pl.Int64, "aligned": pl.Int64},
    )
    return (
        own.join(new, on=["client_order_id", "occurrence"], how="left", maintain_order="left")
        .with_columns(occurrence=pl.coalesce("aligned", "occurrence"))
        .drop("aligned")
    )


def _times_by_id(frame: pl.DataFrame, ids: pl.Series) -> dict[str, Ints]:
    rows = (
        frame.filter(pl.col("client_order_id").is_in(ids.to_list()))
        .sort("client_order_id", "occurrence")
        .group_by("client_order_id", maintain_order=True)
        .agg("ts_us")
    )
    return {key: np.array(times, dtype=np.int64) for key, times in rows.iter_rows()}


def nearest(fewer: Ints, more: Ints, most_cells: int = MOST_CELLS) -> Ints:
    """Return numbers (from 1, ascending) into `more`, one for each of `fewer`.

    They minimise the sum of |time - time|. Plain counting where the table
    of the search would have more than `most_cells`.
    """
    count, spare = len(fewer), len(more) - len(fewer)
    if count * (spare + 1) > most_cells:
        return np.arange(1, count + 1)
    # best[i]: least cost of the first i times, the last of them `skips` numbers ahead
    best = np.zeros(count + 1, dtype=np.int64)
    switches = np.zeros((spare + 1, count + 1), dtype=np.int32)
    least, at_end = -1, 0
    for skips in range(spare + 1):
        costs = np.zeros(count + 1, dtype=np.int64)
        np.cumsum(np.abs(more[skips : skips + count] - fewer), out=costs[1:])
        if skips:
            ahead = best - costs
            lowest = np.minimum.accumulate(ahead)
            # where the path leaves the level below: of equal ones the latest
            places = np.where(ahead == lowest, np.arange(count + 1), 0)
            switches[skips] = np.maximum.accumulate(places)
            best = lowest + costs
        else:
            best = costs
        if least < 0 or best[count] < least:
            least, at_end = int(best[count]), skips
    numbers = np.arange(1, count + 1, dtype=np.int64)
    stop = count
    for skips in range(at_end, 0, -1):
        start = int(switches[skips, stop])
        numbers[start:stop] += skips
        stop = start
    return numbers
