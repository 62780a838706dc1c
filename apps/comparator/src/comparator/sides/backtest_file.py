"""Files that a backtest exported (or that have the same columns), read as columns.

Needed: client_order_id, symbol, side, direction, price, qty, fee, realised_pnl (or realized_pnl)
and a time: ts_us (microseconds UTC), or ts or timestamp (ISO 8601; without an offset it is UTC).
order_id and kind are used where they are there.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from comparator.columns.errors import ComparatorError
from comparator.columns.exact import Exact, of_column
from comparator.money.funding import FundingPaid, per_unit
from exchange_model.trades import TradeKind
from gridcore import DirectionType, SideType
from market_data.basics.csv_cells import plain_frame

NAMES: Final = ("client_order_id", "symbol", "side", "direction")
NUMBERS: Final = ("price", "qty", "fee", "realized_pnl")
TIMES: Final = ("ts_us", "ts", "timestamp")
SIDES: Final = tuple(side.value for side in SideType)
LEGS: Final = tuple(leg.value for leg in DirectionType)
USED: Final = frozenset(
    {
        *(*NAMES, *NUMBERS, *TIMES),
        *("realised_pnl", "kind", "order_id", "strat_id"),
        *("mark_price", "rate", "paid", "equity"),
    }
)
_OFFSET: Final = r"(Z|z|[+-]\d{2}:?\d{2})$"


def read_trades(path: str | Path) -> tuple[pl.DataFrame, dict[str, Exact]]:
    """Return the fills of a file: names, kind and ts_us as a frame, and the exact columns.

    Raises ComparatorError that names the missing columns, or the row and the value that is wrong.
    """
    path = Path(path)
    frame = _read(path).rename({"realised_pnl": "realized_pnl"}, strict=False)
    missing = [name for name in (*NAMES, *NUMBERS) if name not in frame.columns]
    if not any(name in frame.columns for name in TIMES):
        missing.append("ts_us")
    if missing:
        raise ComparatorError(
            f"{path.name}: no trades of a backtest: without {', '.join(missing)};"
            " give the trades.csv or trades.parquet of an export"
        )
    if not len(frame):
        raise ComparatorError(f"{path.name}: the file holds no trade to compare with")
    ts_us = times_us(frame, path.name)
    _require_among(frame["side"], SIDES, path.name)
    _require_among(frame["direction"], LEGS, path.name)
    exact = {name: _numbers(frame[name], path.name, name) for name in NUMBERS}
    for name in ("price", "qty"):
        _require_positive(exact[name], path.name, name)
    kind = frame["kind"] if "kind" in frame.columns else pl.lit(TradeKind.GRID.value)
    order = frame["order_id"] if "order_id" in frame.columns else frame["client_order_id"]
    single = "order_id" not in frame.columns
    fills = frame.select(*NAMES).with_columns(
        kind=kind,
        # without order ids every row stands for itself
        order_id=pl.int_range(pl.len()).cast(pl.String) if single else order,
        ts_us=ts_us,
    )
    if "strat_id" in frame.columns:
        fills = fills.with_columns(strat_id=frame["strat_id"])
    return fills, exact


def read_funding(trades: str | Path) -> list[FundingPaid] | None:
    """Return the funding exported beside a trades file, None where there is no such file."""
    trades = Path(trades)
    path = trades.with_name(f"funding{trades.suffix}")
    if path.name == trades.name or not path.is_file():
        return None
    frame = _read(path)
    needed = ("symbol", "direction", "mark_price", "rate", "paid")
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ComparatorError(
            f"{path.name}: no funding of a backtest: without {', '.join(missing)}"
        )
    if not len(frame):
        return []
    _require_among(frame["direction"], LEGS, path.name)
    values = {
        name: _numbers(frame[name], path.name, name).decimals()
        for name in ("mark_price", "rate", "paid")
    }
    found = []
    for at, ts_us in enumerate(times_us(frame, path.name)):
        direction = DirectionType(frame["direction"][at])
        mark, rate = _known(values["mark_price"][at]), _known(values["rate"][at])
        paid = _known(values["paid"][at])
        each = per_unit(direction, mark, rate)
        found.append(FundingPaid(ts_us, frame["symbol"][at], direction, paid, each))
    return found


def read_equity(path: str | Path) -> list[tuple[int, Decimal]]:
    """Return (us UTC, equity in USDT) of an exported equity curve, in time order."""
    path = Path(path)
    frame = _read(path)
    if "equity" not in frame.columns or not any(name in frame.columns for name in TIMES):
        raise ComparatorError(
            f"{path.name}: no equity curve of a backtest: it needs ts_us and equity"
        )
    equity = _numbers(frame["equity"], path.name, "equity").decimals()
    curve = zip(times_us(frame, path.name), map(_known, equity), strict=True)
    return sorted(curve)


def times_us(frame: pl.DataFrame, file: str) -> pl.Series:
    """Return the times of a file's rows in microseconds UTC."""
    name = next(name for name in TIMES if name in frame.columns)
    column = frame[name]
    if name == "ts_us":
        ts_us = column.cast(pl.Int64, strict=False)
    elif isinstance(column.dtype, pl.Datetime):
        ts_us = column.dt.timestamp("us")
    else:
        ts_us = _iso_us(column.cast(pl.String).str.strip_chars())
    wrong = ts_us.is_null().arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise ComparatorError(
            f"{file}: {name} of row {row + 1} is {column[row]!r}, no time; write ts_us"
            " (microseconds UTC) or 2025-01-31T12:00:00+00:00"
        )
    return ts_us.alias("ts_us")


def _iso_us(texts: pl.Series) -> pl.Series:
    offsets = texts.str.extract(_OFFSET, 1).fill_null("Z").str.replace(":", "")
    known = offsets.str.contains(r"^[+-]")
    minutes = (
        offsets.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0) * 60
        + offsets.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0)
    ) * known.cast(pl.Int64)
    signs = pl.select(pl.when(offsets.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    bodies = texts.str.replace(_OFFSET, "").str.replace(" ", "T", literal=True)
    local = bodies.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    return local.dt.timestamp("us") - minutes * signs * 60_000_000


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        names = pl.read_csv(path, infer_schema=False, n_rows=0).columns
        # an export has more columns than are compared
        wanted = [name for name in names if name in USED]
        return plain_frame(pl.read_csv(path, infer_schema=False, columns=wanted or None))
    except FileNotFoundError:
        raise ComparatorError(f"{path}: there is no such file") from None
    except pl.exceptions.NoDataError:
        raise ComparatorError(f"{path.name}: the file is empty") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise ComparatorError(f"{path.name}: cannot be read: {first}") from None


def _numbers(column: pl.Series, file: str, name: str) -> Exact:
    found = of_column(column, f"{file}: {name}")
    empty = found.units.is_null().arg_true()
    if len(empty):
        raise ComparatorError(
            f"{file}: {name} of row {int(empty[0]) + 1} is empty; correct the file"
        )
    return found


def _require_positive(column: Exact, file: str, name: str) -> None:
    wrong = (column.units <= 0).arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise ComparatorError(
            f"{file}: {name} of row {row + 1} is {column.value(row)}; it is above zero"
        )


def _require_among(column: pl.Series, allowed: tuple[str, ...], file: str) -> None:
    wrong = (~column.is_in(list(allowed)).fill_null(False)).arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise ComparatorError(
            f"{file}: {column.name} of row {row + 1} is {column[row]!r}; it is"
            f" {' or '.join(allowed)}"
        )


def _known(value: Decimal | None) -> Decimal:
    assert value is not None  # noqa: S101 - _numbers refuses empty values
    return value
