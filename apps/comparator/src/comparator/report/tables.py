"""The results as CSV files, exact to the last digit.

FOLDER/matched.csv        one row per pair: both sides and the deltas (live - backtest)
FOLDER/live_only.csv      live trades without a partner, each with its cause
FOLDER/backtest_only.csv  the backtest's trades without a partner, likewise
FOLDER/metrics.csv        metric, value
FOLDER/split.csv          cause, usdt: the split of the difference in profit
FOLDER/breaches.csv       pairs beyond a tolerance, with a sentence each
FOLDER/equity.csv         ts, ts_us, live, backtest, divergence; where both curves are known

Times are ISO 8601 UTC with microseconds, and `ts_us` microseconds since 1970. A file appears whole
or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import polars as pl

from backtest.report.export import value_text
from comparator.causes.causes import Explanation
from comparator.columns.exact import Exact, Rows
from comparator.columns.trades import TradeTable
from comparator.comparison import Comparison
from comparator.match.matcher import MatchResult
from comparator.money.equity import write_equity
from comparator.money.metrics import Breach, BreachKind, LegMetrics, ValidationMetrics
from comparator.money.spread import Spread
from gridcore import DirectionType
from market_data.basics.csv_cells import csv_of
from market_data.files.column_folder import write_atomically

NAMES = ("client_order_id", "occurrence", "symbol", "side", "direction")
DELTAS = ("price", "qty", "fee", "realized_pnl")
EXTRA = ("kind", "order_id", "fills", "fee_coin")


def write_tables(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write all files; return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    result, explained = comparison.result, comparison.explanations
    split = comparison.split
    money = [(cause.value, value_text(worth)) for cause, worth in split.causes.items()]
    money += [("delta", value_text(split.delta)), ("live", value_text(split.live))]
    money += [("backtest", value_text(split.backtest)), ("residue", value_text(split.residue))]
    kinds = _kinds(comparison.metrics)
    breaches = [
        (*breach, " ".join(kinds[breach]), comparison.notes.get(breach, ""))
        for breach in comparison.metrics.breaches
    ]
    tables = {
        "matched": matched_frame(result),
        "live_only": _unmatched(result.live, result.live_only_rows, explained.live_only),
        "backtest_only": _unmatched(
            result.backtest, result.backtest_only_rows, explained.backtest_only
        ),
        "metrics": _frame(("metric", "value"), metric_values(comparison.metrics)),
        "split": _frame(("cause", "usdt"), money),
        "breaches": _frame(("client_order_id", "occurrence", "differs_in", "note"), breaches),
    }
    written = []
    for name, frame in tables.items():
        path = folder / f"{name}.csv"
        write_atomically(path, csv_of(frame))
        written.append(path)
    if comparison.equity is not None:
        path = folder / "equity.csv"
        write_equity(path, comparison.equity)
        written.append(path)
    return written


def matched_frame(result: MatchResult) -> pl.DataFrame:
    """Return the pairs with both sides' values and the deltas, as exact texts."""
    live = result.live.frame[result.live_rows]
    backtest = result.backtest.frame[result.backtest_rows]
    columns: dict[str, pl.Series] = {name: live[name] for name in NAMES}
    for side, frame in (("live", live), ("backtest", backtest)):
        columns[f"{side}_ts"] = _iso(frame["ts_us"])
        columns[f"{side}_ts_us"] = frame["ts_us"]
    for name in DELTAS:
        ours, theirs = result.pairs(name)
        columns[f"live_{name}"] = ours.texts()
        columns[f"backtest_{name}"] = theirs.texts()
        columns[f"{name}_delta"] = (ours - theirs).texts()
    columns["time_delta_us"] = pl.Series(result.time_delta_us)
    columns["live_order_id"] = live["order_id"]
    columns["backtest_order_id"] = backtest["order_id"]
    columns["live_fee_coin"] = live["fee_coin"]
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])


def _unmatched(table: TradeTable, rows: Rows, explanations: Sequence[Explanation]) -> pl.DataFrame:
    frame = table.frame[rows]
    columns: dict[str, pl.Series] = {"ts": _iso(frame["ts_us"]), "ts_us": frame["ts_us"]}
    columns |= {name: frame[name] for name in NAMES}
    columns |= {name: Exact(frame[name], table.places[name]).texts() for name in DELTAS}
    columns |= {name: frame[name] for name in EXTRA}
    columns["cause"] = pl.Series([one.cause.value for one in explanations], dtype=pl.String)
    columns["detail"] = pl.Series([one.detail for one in explanations], dtype=pl.String)
    parted = pl.Series([one.parted_us for one in explanations], dtype=pl.Int64)
    columns["parted_ts"] = _iso(parted)
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])


def metric_values(metrics: ValidationMetrics) -> list[tuple[str, str]]:
    """Return every figure by name with its exact text; what does not exist is an empty text."""
    found: list[tuple[str, str]] = []
    for one in fields(metrics):
        value = getattr(metrics, one.name)
        if one.name in ("price", "quantity", "fee", "pnl", "time_us"):
            found += _spread_values(one.name, value)
        elif one.name == "legs":
            found += _leg_values(value)
        elif one.name == "breach_kinds":
            found += [
                (f"{kind.value}_breaches", str(len(value.get(kind, ())))) for kind in BreachKind
            ]
        elif one.name == "breaches":
            found.append(("breaches", str(len(value))))
        else:
            found.append((one.name, value_text(value)))
    return found


def _spread_values(name: str, spread: Spread | None) -> list[tuple[str, str]]:
    names = [one.name for one in fields(Spread)]
    if spread is None:
        return [(f"{name}_{part}", "") for part in (*names, "shape")]
    values = [(f"{name}_{part}", value_text(getattr(spread, part))) for part in names]
    return [*values, (f"{name}_shape", spread.shape.value)]


def _leg_values(legs: Mapping[DirectionType, LegMetrics]) -> list[tuple[str, str]]:
    return [
        (f"{leg.value}_{name}", value_text(value))
        for leg, of_leg in legs.items()
        for name, value in of_leg._asdict().items()
    ]


def _kinds(metrics: ValidationMetrics) -> dict[Breach, list[str]]:
    found: dict[Breach, list[str]] = {}
    for kind, breaches in metrics.breach_kinds.items():
        for breach in breaches:
            found.setdefault(breach, []).append(kind.value)
    return found


def _frame(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: [str(row[at]) for row in rows] for at, name in enumerate(columns)},
        schema=dict.fromkeys(columns, pl.String),
    )


def _iso(ts_us: pl.Series) -> pl.Series:
    return ts_us.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
