"""Recorded executions as trades and funding: which order, which leg, which kind."""

from __future__ import annotations

from typing import Final

import polars as pl

from comparator.columns.errors import ComparatorError
from comparator.columns.exact import Exact, of_texts
from comparator.columns.recorded_columns import EXECUTION_DECIMALS
from comparator.columns.trades import GRID_KIND, Source, TradeTable
from comparator.money.fee_coins import USDT
from comparator.money.funding import FundingPaid, per_unit
from comparator.sides.grouping import trades_of_fills, with_names
from gridcore import DirectionType, SideType
from market_data.basics.quality import utc_text

FOREIGN: Final = "foreign"
ORDER: Final = ("order_id", "symbol", "side")


def live_trades(executions: pl.DataFrame, fees: Exact) -> TradeTable:
    """Return fills as trades; `executions` is what `recorded_columns.read_executions` returns.

    `fees` are those of the fills in USDT, null where they are not known (`fee_coins.FeeValuer`).
    The leg is the recorded one, else follows from the closed size, else from that of another fill
    of the order. What has none of them is judged by its realised profit, and counted.
    """
    exact = {
        "price": of_texts(executions["exec_price"], "exec_price"),
        "qty": of_texts(executions["exec_qty"], "exec_qty"),
        "fee": fees,
    }
    pnl = of_texts(executions["closed_pnl"], "closed_pnl")
    closed = of_texts(executions["closed_size"], "closed_size")
    # the texts go before anything is built beside them: a million rows fill a lot of memory
    executions = executions.drop(EXECUTION_DECIMALS)
    frame = executions.with_columns(pnl=pnl.units, closed=closed.units)
    frame = _with_kinds(
        frame.rename({"exchange_ts": "ts_us"}).with_columns(
            fee_coin=pl.col("fee_currency").fill_null(USDT)
        )
    )
    frame, inferred = _with_closing(frame)
    leg = (
        # a Buy opens the long leg or closes the short one
        pl.when((pl.col("side") == SideType.BUY.value) != pl.col("closing"))
        .then(pl.lit(DirectionType.LONG.value))
        .otherwise(pl.lit(DirectionType.SHORT.value))
    )
    frame = frame.with_columns(
        direction=leg,
        # an opening fill realises nothing, whether or not the exchange says so
        pnl=pl.when(pl.col("closing")).then(pl.col("pnl")).otherwise(pl.col("pnl").fill_null(0)),
    )
    exact["realized_pnl"] = Exact(frame["pnl"], pnl.places)
    return trades_of_fills(Source.LIVE, with_names(frame), exact, inferred)


def client_order_prefixes(links: pl.Series) -> pl.Series:
    """Return what `gridcore.intents.extract_client_order_prefix` returns, by the column."""
    return links.str.extract(r"^([0-9a-f]{16})(?:-[A-Za-z0-9_-]*)?$", 1)


def _with_kinds(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the kind of each fill, and the client order id of those that the strategy ordered."""
    prefixes = client_order_prefixes(frame["order_link_id"])
    trade = pl.col("exec_type") == "Trade"
    # a liquidation may carry the link id of the order that it ended, and is none of the strategy
    return frame.with_columns(
        kind=pl.when(trade & prefixes.is_not_null())
        .then(pl.lit(GRID_KIND))
        .when(trade)
        .then(pl.lit(FOREIGN))
        .otherwise(pl.col("exec_type")),
        client_order_id=pl.when(trade).then(prefixes),
    )


def _with_closing(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Add whether each fill closes; return how many orders had to be judged by their profit."""
    opens_long = pl.col("side") == SideType.BUY.value
    is_long = pl.col("direction") == DirectionType.LONG.value
    frame = frame.with_columns(
        closing=pl.when(pl.col("direction").is_not_null())
        .then(is_long != opens_long)
        .when(pl.col("closed").is_not_null())
        .then(pl.col("closed") != 0)
    )
    if not frame["closing"].null_count():
        return frame, 0
    told = pl.col("closing").drop_nulls().first().over(*ORDER)
    frame = frame.with_columns(closing=pl.coalesce("closing", told))
    inferred = frame.filter(pl.col("closing").is_null())["order_id"].n_unique()
    earned = (pl.col("pnl").fill_null(0) != 0).any().over(*ORDER)
    return frame.with_columns(closing=pl.coalesce("closing", earned)), inferred


def live_funding(executions: pl.DataFrame) -> list[FundingPaid]:
    """Return the funding among executions. Raises ComparatorError for one without its amount."""
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
        if row["fee_currency"] not in (None, USDT):
            raise ComparatorError(
                f"the funding of {row['symbol']} at {utc_text(row['exchange_ts'])} was recorded in"
                f" {row['fee_currency']}, but is paid in USDT; repair the recording from its raw"
                " JSON"
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
