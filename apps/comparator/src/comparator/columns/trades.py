"""Trades of both sides in one form: one record per order, or a million of them as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np
import polars as pl

from comparator.columns.exact import Exact, Rows, of_decimals
from gridcore import DirectionType, SideType
from gridcore.moments import moment

GRID_KIND: Final = "grid"
EXACT_COLUMNS: Final = ("price", "qty", "notional", "fee", "realized_pnl")
TEXT_COLUMNS: Final = (
    "client_order_id",
    "order_id",
    "symbol",
    "side",
    "direction",
    "kind",
    "fee_coin",
)
ORDER: Final = ("ts_us", "client_order_id", "side")


class Source(StrEnum):
    """Which side a trade comes from."""

    LIVE = "live"
    BACKTEST = "backtest"


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedTrade:
    """All fills of one order within the compared range. Money is USDT, quantities base coin.

    `price` is the volume-weighted average, `ts_us` the time of the last fill (us UTC), `fee` paid
    when positive, `realized_pnl` before fees; None is what was not recorded, or is not known in
    USDT: `fee_coin` is the coin that the fee was paid in. `kind` is `grid` for
    an order of the strategy, else what it was (a liquidation, a foreign order). `occurrence`
    counts the trades of one client order id in time, from 1.
    """

    client_order_id: str
    symbol: str
    side: SideType
    price: Decimal
    qty: Decimal
    fee: Decimal | None
    realized_pnl: Decimal | None
    ts_us: int
    source: Source
    direction: DirectionType
    occurrence: int = 1
    order_id: str = ""
    kind: str = GRID_KIND
    fills: int = 1
    fee_coin: str = "USDT"

    @property
    def timestamp(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return moment(self.ts_us)

    @property
    def closing(self) -> bool:
        """Whether the trade reduces its leg."""
        return self.direction.is_closing(self.side)


@dataclass(frozen=True, slots=True, eq=False)
class TradeTable:
    """Trades of one side as columns, in time order.

    `frame` has the columns of NormalizedTrade; `notional` (price x quantity before any rounding of
    the average price) beside them; exact ones are whole numbers with `places` each. `inferred`
    counts live trades whose leg was told from the realised profit, for want of a better record.
    """

    source: Source
    frame: pl.DataFrame
    places: Mapping[str, int]
    inferred: int = 0

    @classmethod
    def of_frame(
        cls, source: Source, frame: pl.DataFrame, exact: Mapping[str, Exact], inferred: int = 0
    ) -> TradeTable:
        """Return the table of a frame and its exact columns, put into time order and numbered."""
        frame = frame.with_columns(**{name: column.units for name, column in exact.items()})
        places = {name: column.places for name, column in exact.items()}
        return cls(source, numbered(frame), places, inferred)

    @classmethod
    def of_trades(cls, source: Source, trades: Iterable[NormalizedTrade]) -> TradeTable:
        """Return single records as a table; their occurrences are counted anew."""
        rows = list(trades)
        frame = pl.DataFrame(
            {
                **{name: [str(getattr(t, name)) for t in rows] for name in TEXT_COLUMNS},
                "ts_us": [t.ts_us for t in rows],
                "fills": [t.fills for t in rows],
            },
            schema={**dict.fromkeys(TEXT_COLUMNS, pl.String), "ts_us": pl.Int64, "fills": pl.Int64},
        )
        exact = {
            "price": of_decimals([t.price for t in rows]),
            "qty": of_decimals([t.qty for t in rows]),
            "fee": of_decimals([t.fee for t in rows]),
            "realized_pnl": of_decimals([t.realized_pnl for t in rows]),
        }
        exact["notional"] = exact["price"] * exact["qty"]
        return cls.of_frame(source, frame, exact)

    def __len__(self) -> int:
        return len(self.frame)

    def exact(self, name: str) -> Exact:
        """Return one of the exact columns."""
        return Exact(self.frame[name], self.places[name])

    @property
    def ts_us(self) -> Rows:
        """Return the times, ascending."""
        return np.asarray(self.frame["ts_us"].to_numpy(), dtype=np.int64)

    @property
    def is_buy(self) -> pl.Series:
        """Return which trades bought."""
        return self.frame["side"] == SideType.BUY.value

    def symbols(self) -> list[str]:
        """Return the symbols, sorted."""
        return sorted(self.frame["symbol"].unique().to_list())

    def take(self, rows: Rows) -> TradeTable:
        """Return some rows, with the occurrences they have."""
        return TradeTable(self.source, self.frame[rows], self.places, self.inferred)

    def select(self, start_us: int, end_us: int, symbols: Sequence[str] | None) -> TradeTable:
        """Return the trades with start <= t < end of these symbols (None: all), counted anew."""
        wanted = (pl.col("ts_us") >= start_us) & (pl.col("ts_us") < end_us)
        if symbols is not None:
            wanted &= pl.col("symbol").is_in(list(symbols))
        frame = numbered(self.frame.filter(wanted))
        return TradeTable(self.source, frame, self.places, self.inferred)

    def trades(self, most: int | None = None) -> list[NormalizedTrade]:
        """Return the trades, or the first `most`, as records."""
        frame = self.frame if most is None else self.frame.head(most)
        columns = {name: Exact(frame[name], self.places[name]).decimals() for name in EXACT_COLUMNS}
        found = []
        for at, row in enumerate(frame.iter_rows(named=True)):
            price, qty = columns["price"][at], columns["qty"][at]
            assert price is not None  # noqa: S101 - loaders refuse trades without one
            assert qty is not None  # noqa: S101 - likewise
            found.append(
                NormalizedTrade(
                    client_order_id=row["client_order_id"],
                    symbol=row["symbol"],
                    side=SideType(row["side"]),
                    price=price,
                    qty=qty,
                    fee=columns["fee"][at],
                    realized_pnl=columns["realized_pnl"][at],
                    ts_us=row["ts_us"],
                    source=self.source,
                    direction=DirectionType(row["direction"]),
                    occurrence=row["occurrence"],
                    order_id=row["order_id"],
                    kind=row["kind"],
                    fills=row["fills"],
                    fee_coin=row["fee_coin"],
                )
            )
        return found


def numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in time order, each with its number among those of its client order id.

    Ties of time are broken by client order id, then side, so that both sides count alike.
    """
    ordered = frame.sort([*ORDER, "order_id"])
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("client_order_id")
    return ordered.with_columns(occurrence=number)
