"""Trades of both sides, loaded into one form."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy.orm import Session

from backtest.quality import utc_text
from backtest.session import BacktestSession
from backtest.time_range import TimeRange
from backtest.trades import moment
from comparator.backtest_file import read_funding, read_trades
from comparator.errors import ComparatorError
from comparator.exact import Exact, of_decimals, of_texts
from comparator.funding import FundingPaid, of_payments, per_unit
from comparator.grouping import trades_of_fills
from comparator.recorded_columns import read_executions
from comparator.trades import GRID_KIND, Source, TradeTable
from gridcore import DirectionType, SideType
from gridcore.intents import extract_client_order_prefix

# executions that change a position; everything else that is no funding is counted and left out
FILLS: Final = frozenset(
    {"Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition", "Delivery"}
)
FUNDING: Final = "Funding"
FOREIGN: Final = "foreign"
LEG: Final = {side.value: side for side in SideType}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side did: its trades, what it paid, and what its records lack (sentences)."""

    trades: TradeTable
    funding: list[FundingPaid]
    warnings: list[str] = field(default_factory=list)


class LiveTradeLoader:
    """Loads the executions of one run of the tenant that the session serves."""

    def __init__(self, session: Session, user_id: str) -> None:
        self._session = session
        self._user_id = user_id

    def load(self, run_id: str, wanted: TimeRange) -> Side:
        """Return the run's trades and funding within the range; empty without executions.

        Partial fills of one order are one trade. The leg is the recorded one, else follows from
        the closed size; rows with neither are judged by their realised profit and counted.
        """
        executions = read_executions(
            self._session,
            self._user_id,
            run_id,
            moment(wanted.start_us),
            moment(wanted.end_us),
        )
        known = [*FILLS, FUNDING]
        fills = executions.filter(pl.col("exec_type").is_in(list(FILLS)))
        paid = executions.filter(pl.col("exec_type") == FUNDING)
        others = executions.filter(~pl.col("exec_type").is_in(known))
        trades = _live_trades(fills)
        return Side(
            trades=trades,
            funding=_live_funding(paid),
            warnings=[*_warnings(trades), *_left_out(others)],
        )


class BacktestTradeLoader:
    """Loads the trades of a backtest from its session or from the files that it exported."""

    def of_session(self, session: BacktestSession) -> Side:
        """Return what a session traded and paid."""
        rows = session.trades
        frame = pl.DataFrame(
            {
                "client_order_id": [t.client_order_id for t in rows],
                "order_id": [t.order_id for t in rows],
                "symbol": [t.symbol for t in rows],
                "side": [t.side.value for t in rows],
                "direction": [t.direction.value for t in rows],
                "kind": [t.kind.value for t in rows],
                "ts_us": [t.ts_us for t in rows],
            },
            schema={
                **dict.fromkeys(
                    ("client_order_id", "order_id", "symbol", "side", "direction", "kind"),
                    pl.String,
                ),
                "ts_us": pl.Int64,
            },
        )
        exact = {
            "price": of_decimals([t.price for t in rows]),
            "qty": of_decimals([t.qty for t in rows]),
            "fee": of_decimals([t.fee for t in rows]),
            "realized_pnl": of_decimals([t.realised_pnl for t in rows]),
        }
        table = trades_of_fills(Source.BACKTEST, with_names(frame), exact)
        return Side(trades=table, funding=of_payments(session.funding_payments))

    def of_file(self, path: Path) -> Side:
        """Return the trades of a CSV or Parquet file, and the funding of the file beside it.

        Raises ComparatorError that names the missing columns or the row that cannot be read.
        """
        frame, exact = read_trades(path)
        table = trades_of_fills(Source.BACKTEST, with_names(frame), exact)
        funding = read_funding(path)
        warnings = _warnings(table)
        if funding is None:
            warnings.append(
                f"{path.name}: no funding file beside it, so the backtest is taken to have paid"
                " none; keep funding.csv of the export in the same folder"
            )
        return Side(trades=table, funding=funding or [], warnings=warnings)


def with_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Return fills whose orders all have a name to be joined by.

    What is no order of the strategy (a liquidation, somebody's own order) has no client order id;
    it is named by kind, symbol and order, so that no two of them are taken for one.
    """
    name = pl.concat_str([pl.col("kind"), pl.col("symbol"), pl.col("order_id")], separator=":")
    nameless = pl.col("client_order_id").fill_null("") == ""
    return frame.with_columns(
        client_order_id=pl.when(nameless).then(name).otherwise(pl.col("client_order_id"))
    )


def _live_trades(executions: pl.DataFrame) -> TradeTable:
    links = executions["order_link_id"].unique().to_list()
    ours = {link: prefix for link in links if (prefix := extract_client_order_prefix(link))}
    prefixes = executions["order_link_id"].replace_strict(
        ours, default=None, return_dtype=pl.String
    )
    pnl = of_texts(executions["closed_pnl"], "closed_pnl")
    closed = of_texts(executions["closed_size"], "closed_size")
    trade = pl.col("exec_type") == "Trade"
    frame = executions.with_columns(
        prefix=prefixes,
        kind=pl.when(trade & prefixes.is_not_null())
        .then(pl.lit(GRID_KIND))
        .when(trade)
        .then(pl.lit(FOREIGN))
        .otherwise(pl.col("exec_type")),
        pnl=pnl.units,
        closed=closed.units,
    )
    # a liquidation of the exchange may carry the link id of the order that it ended
    frame = frame.with_columns(
        client_order_id=pl.when(pl.col("kind") == GRID_KIND).then(pl.col("prefix")),
        ts_us=pl.col("exchange_ts"),
    )
    recorded = pl.col("direction").is_not_null()
    closing = (
        pl.when(recorded)
        .then(pl.col("direction") != _leg(opened_by=pl.col("side")))
        .when(pl.col("closed").is_not_null())
        .then(pl.col("closed") != 0)
    )
    # one fill that says it tells the leg of the whole order
    per_order = closing.drop_nulls().first().over("order_id", "symbol", "side")
    told = pl.coalesce(closing, per_order)
    frame = frame.with_columns(told=told).with_columns(
        closing=pl.coalesce(
            pl.col("told"),
            (pl.col("pnl").fill_null(0) != 0).any().over("order_id", "symbol", "side"),
        )
    )
    leg = _leg(opened_by=pl.col("side"))
    frame = frame.with_columns(
        direction=pl.when(~pl.col("closing")).then(leg).otherwise(_other(leg)),
        # an opening fill realises nothing, whether or not the exchange says so
        pnl=pl.when(~pl.col("closing")).then(pl.col("pnl").fill_null(0)).otherwise(pl.col("pnl")),
    )
    exact = {
        "price": of_texts(executions["exec_price"], "exec_price"),
        "qty": of_texts(executions["exec_qty"], "exec_qty"),
        "fee": of_texts(executions["exec_fee"], "exec_fee"),
        "realized_pnl": Exact(frame["pnl"], pnl.places),
    }
    inferred = frame.filter(pl.col("told").is_null())["order_id"].n_unique()
    return trades_of_fills(Source.LIVE, with_names(frame), exact, inferred)


def _leg(*, opened_by: pl.Expr) -> pl.Expr:
    """Return the leg that an opening order of this side enlarges."""
    return (
        pl.when(opened_by == SideType.BUY.value)
        .then(pl.lit(DirectionType.LONG.value))
        .otherwise(pl.lit(DirectionType.SHORT.value))
    )


def _other(leg: pl.Expr) -> pl.Expr:
    return (
        pl.when(leg == DirectionType.LONG.value)
        .then(pl.lit(DirectionType.SHORT.value))
        .otherwise(pl.lit(DirectionType.LONG.value))
    )


def _live_funding(executions: pl.DataFrame) -> list[FundingPaid]:
    paid = of_texts(executions["exec_fee"], "exec_fee").decimals()
    marks = of_texts(executions["exec_price"], "exec_price").decimals()
    rates = of_texts(executions["fee_rate"], "fee_rate").decimals()
    found = []
    for row, fee, mark, rate in zip(
        executions.iter_rows(named=True), paid, marks, rates, strict=True
    ):
        if fee is None:
            raise ComparatorError(
                f"the funding of {row['symbol']} at {utc_text(row['exchange_ts'])} was recorded"
                " without its amount; repair the recording from its raw JSON"
            )
        # the row of a settlement carries the side of its leg
        leg = row["direction"] or (
            DirectionType.LONG if row["side"] == SideType.BUY.value else DirectionType.SHORT
        )
        direction = DirectionType(leg)
        each = None if rate is None or mark is None else per_unit(direction, mark, abs(rate))
        if each is not None and (each < 0) != (fee < 0):
            each = -each  # the sign of a recorded rate is the payer's view; the amount decides
        found.append(FundingPaid(row["exchange_ts"], row["symbol"], direction, fee, each))
    return found


def _warnings(trades: TradeTable) -> list[str]:
    found = []
    side = trades.source.value
    if trades.inferred:
        found.append(
            f"{trades.inferred:,} {side} orders were recorded without leg and closed size; their"
            " leg is inferred from the realised profit, which cannot tell a break-even close"
        )
    for name, what in (("fee", "fee"), ("realized_pnl", "realised profit")):
        missing = trades.frame[name].null_count()
        if missing:
            found.append(
                f"{missing:,} {side} trades were recorded without their {what}, which is left out"
                " of the sums"
            )
    return found


def _left_out(executions: pl.DataFrame) -> list[str]:
    kinds = executions.group_by("exec_type").len().sort("exec_type").rows()
    return [
        f"{count:,} live executions of type {kind} are no trades: left out" for kind, count in kinds
    ]
