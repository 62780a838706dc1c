"""Results as files: trades, funding, equity curve and metrics, CSV and Parquet of the same.

FOLDER/SYMBOL/trades.csv    one row per fill: see TRADE_COLUMNS
FOLDER/SYMBOL/funding.csv   one row per leg and settlement: see FUNDING_COLUMNS
FOLDER/SYMBOL/equity.csv    ts, ts_us, equity (USDT)
FOLDER/SYMBOL/metrics.csv   metric, value
FOLDER/SYMBOL/run.json      settings, data used with its fingerprint, versions

Numbers are exact decimal text in CSV, where no text is a formula (see `csv_cells`). In Parquet they
are decimals of 18 places; a column with a value that needs more is text. Times are ISO 8601 UTC
with microseconds, and `ts_us` microseconds since 1970. A file appears whole or not at all.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtest.result.metrics import BacktestMetrics
from backtest.result.session import BacktestSession
from exchange_model.trades import BacktestTrade, FundingPayment, TradeKind
from gridcore import DirectionType, SideType
from gridcore.moments import moment
from market_data.basics.csv_cells import SafeWriter, plain_cell
from market_data.basics.data_errors import UnreadableFileError
from market_data.basics.quality import quality_to_json
from market_data.files.column_folder import write_atomically

TRADE_COLUMNS: Final = ("ts", *BacktestTrade._fields)
FUNDING_COLUMNS: Final = ("ts", *FundingPayment._fields)
PARQUET_PLACES: Final = 18

TABLE_ENDINGS: Final = (".csv", ".parquet")
FILE_ENDINGS: Final = (*TABLE_ENDINGS, ".json", ".html", ".htm", ".xlsx", ".txt", ".zip", ".gz")

Row = Sequence[object]
Table = tuple[Sequence[str], list[Row]]  # names of the columns, rows


def check_folder(folder: str | Path) -> None:
    """Raise ValueError where a file stands, or is meant, in the place of an exported folder."""
    folder = Path(folder)
    if folder.suffix.lower() in FILE_ENDINGS or folder.is_file():
        raise ValueError(
            f"{folder}: an export is a folder, with CSV and Parquet files of each symbol; name one,"
            f" for example {folder.with_name(f'{folder.stem}-export')}"
        )


def check_page(path: str | Path) -> None:
    """Raise ValueError where a folder stands in the place of a report."""
    if Path(path).is_dir():
        raise ValueError(
            f"{path} is a folder; a report is one file, for example {path}/report.html"
        )


def export_session(session: BacktestSession, folder: str | Path) -> list[Path]:
    """Write all files of one session into FOLDER/SYMBOL; return their paths.

    Raises ValueError for a folder that is named like a file, or is one.
    """
    folder = Path(folder)
    check_folder(folder)
    target = folder / session.symbol
    target.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Table] = {
        "trades": trades_table([session]),
        "funding": funding_table([session]),
        "equity": _without_symbol(equity_table([session])),
        "metrics": _without_symbol(metrics_table([session])),
    }
    written = [
        write_table(target / f"{name}{ending}", table)
        for name, table in tables.items()
        for ending in TABLE_ENDINGS
    ]
    path = target / "run.json"
    write_atomically(path, json.dumps(run_facts(session), indent=2, default=str).encode())
    return [*written, path]


def write_table(path: str | Path, table: Table) -> Path:
    """Write one table, CSV or Parquet by the ending; return its path.

    Raises ValueError for another ending.
    """
    path, (columns, rows) = Path(path), table
    if path.suffix.lower() == ".csv":
        write_atomically(path, _csv(columns, rows).encode())
    elif path.suffix.lower() == ".parquet":
        write_atomically(path, _parquet(columns, rows))
    else:
        raise ValueError(f"{path}: the name of a table ends with {' or '.join(TABLE_ENDINGS)}")
    return path


def trades_table(sessions: Sequence[BacktestSession]) -> Table:
    """Return every fill: see TRADE_COLUMNS."""
    return TRADE_COLUMNS, [(_iso(t.ts_us), *t) for one in sessions for t in one.trades]


def funding_table(sessions: Sequence[BacktestSession]) -> Table:
    """Return every settlement of a leg: see FUNDING_COLUMNS."""
    return FUNDING_COLUMNS, [(_iso(p.ts_us), *p) for one in sessions for p in one.funding_payments]


def equity_table(sessions: Sequence[BacktestSession]) -> Table:
    """Return the equity curves: symbol, ts, ts_us, equity (USDT)."""
    return ("symbol", "ts", "ts_us", "equity"), [
        (one.symbol, _iso(ts_us), ts_us, equity)
        for one in sessions
        for ts_us, equity in zip(one.equity.ts_us, one.equity.equity, strict=True)
    ]


def metrics_table(sessions: Sequence[BacktestSession]) -> Table:
    """Return the metrics: symbol, metric, value."""
    return ("symbol", "metric", "value"), [
        (one.symbol, *row) for one in sessions for row in metric_values(one.metrics)
    ]


def _without_symbol(table: Table) -> Table:
    columns, rows = table
    return columns[1:], [row[1:] for row in rows]


def metric_values(metrics: BacktestMetrics) -> list[tuple[str, str]]:
    """Return every metric with its exact text; what does not exist is an empty text."""
    return [(f.name, value_text(getattr(metrics, f.name))) for f in fields(metrics)]


def value_text(value: object) -> str:
    """Return a value as exact text: no exponent, no rounding, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def run_facts(session: BacktestSession) -> dict[str, Any]:
    """Return what is needed to repeat a run, ready for JSON."""
    data = session.data
    return {
        "symbol": session.symbol,
        "mode": session.mode,
        "settings": dict(session.settings),
        "rules": session.rules,
        "unchecked": list(session.unchecked),
        "funding": session.funding,
        "warnings": list(session.warnings),
        "liquidation": (
            {k: value_text(v) for k, v in session.liquidation._asdict().items()}
            if session.liquidation
            else None
        ),
        "data": {
            "rows": data.rows,
            "tickers": data.tickers,
            "first": _iso(data.first_ts_us),
            "last": _iso(data.last_ts_us),
            "tick_size": value_text(data.tick_size),
            "fingerprint": data.fingerprint,
            "quality": quality_to_json(data.quality),
        },
        "contracts": {
            outcome.strat_id: {
                k: value_text(v) for k, v in asdict(outcome.config.instrument).items()
            }
            for outcome in session.strategies
        },
        "versions": dict(session.versions),
    }


def read_trades(path: str | Path) -> list[BacktestTrade]:
    """Return the trades of a file that `export_session` wrote, CSV or Parquet.

    Raises UnreadableFileError that names the missing columns or the row that cannot be read.
    """
    path = Path(path)
    rows = _rows_of(path)
    found = []
    for number, row in enumerate(rows, 1):
        missing = [name for name in BacktestTrade._fields if name not in row]
        if missing:
            raise UnreadableFileError(
                f"{path.name}: no trades of a backtest: without {', '.join(missing)}"
            )
        try:
            found.append(_trade(row))
        except (ValueError, ArithmeticError) as error:
            raise UnreadableFileError(
                f"{path.name}: trade {number} cannot be read: {error}"
            ) from error
    return found


def _rows_of(path: Path) -> list[dict[str, str]]:
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            return [
                {name: value_text(value) for name, value in row.items()}
                for row in frame.iter_rows(named=True)
            ]
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            # a short row has None for what is missing
            rows = [
                {name: plain_cell(text) for name, text in row.items() if isinstance(text, str)}
                for row in reader
            ]
            columns = set(reader.fieldnames or ())
    except FileNotFoundError:
        raise UnreadableFileError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError) as error:
        raise UnreadableFileError(f"{path.name}: cannot be read: {error}") from error
    missing = [name for name in BacktestTrade._fields if name not in columns]
    if missing:
        raise UnreadableFileError(
            f"{path.name}: no trades of a backtest: without {', '.join(missing)}"
        )
    return rows


def _trade(row: dict[str, str]) -> BacktestTrade:
    def flag(name: str) -> bool:
        if row[name] not in ("true", "false"):
            raise ValueError(f"{name} is {row[name]!r}; it is true or false")
        return row[name] == "true"

    return BacktestTrade(
        ts_us=int(row["ts_us"]),
        symbol=row["symbol"],
        strat_id=row["strat_id"],
        exec_id=row["exec_id"],
        order_id=row["order_id"],
        client_order_id=row["client_order_id"],
        direction=DirectionType(row["direction"]),
        side=SideType(row["side"]),
        price=Decimal(row["price"]),
        qty=Decimal(row["qty"]),
        fee=Decimal(row["fee"]),
        realised_pnl=Decimal(row["realised_pnl"]),
        leaves_qty=Decimal(row["leaves_qty"]),
        size_after=Decimal(row["size_after"]),
        closing=flag("closing"),
        is_maker=flag("is_maker"),
        kind=TradeKind(row["kind"]),
    )


def _iso(ts_us: int) -> str:
    return moment(ts_us).isoformat(timespec="microseconds")


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = SafeWriter(text)
    writer.row(columns)
    for row in rows:
        writer.row(value_text(value) for value in row)
    return text.getvalue()


def _parquet(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    series = [_series(name, [row[at] for row in rows]) for at, name in enumerate(columns)]
    buffer = io.BytesIO()
    pl.DataFrame(series).write_parquet(buffer)
    return buffer.getvalue()


def _series(name: str, values: Sequence[object]) -> pl.Series:
    decimals = [value for value in values if isinstance(value, Decimal)]
    if decimals and len(decimals) == len(values):
        if all(-int(value.as_tuple().exponent) <= PARQUET_PLACES for value in decimals):
            return pl.Series(name, decimals, dtype=pl.Decimal(38, PARQUET_PLACES))
        return pl.Series(name, [value_text(value) for value in decimals], dtype=pl.String)
    if values and all(isinstance(value, bool) for value in values):
        return pl.Series(name, values, dtype=pl.Boolean)
    if values and all(type(value) is int for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    return pl.Series(name, [value_text(value) for value in values], dtype=pl.String)
