"""From single fills to trades: all fills of one order are one trade.

Groups are (client order id, order id, symbol, side). The price is notional / quantity: exact where
all fills have one price, else rounded half up to 12 places; the notional itself stays exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from comparator.columns.exact import Exact
from comparator.columns.trades import Source, TradeTable
from comparator.money.fee_coins import USDT

AVERAGE_PLACES: Final = 12
SEVERAL: Final = "several"  # coins paid the fees of one order
KEY: Final = ("client_order_id", "order_id", "symbol", "side", "direction", "kind")


def trades_of_fills(
    source: Source, fills: pl.DataFrame, exact: Mapping[str, Exact], inferred: int = 0
) -> TradeTable:
    """Return fills as trades.

    `fills` has the columns of KEY, ts_us and, if any fee was not paid in USDT, fee_coin; `exact`
    has price, qty, fee and realized_pnl. A fee or a profit that one fill of an order lacks is
    unknown for the whole trade.
    """
    if "fee_coin" not in fills.columns:
        fills = fills.with_columns(fee_coin=pl.lit(USDT))
    price, qty = exact["price"], exact["qty"]
    notional = price * qty
    for column in (notional, qty, exact["fee"], exact["realized_pnl"]):
        column.total()  # refuses what would not fit once summed
    frame = fills.select(*KEY, "ts_us", "fee_coin").with_columns(
        price=price.units,
        qty=qty.units,
        notional=notional.units,
        fee=exact["fee"].units,
        realized_pnl=exact["realized_pnl"].units,
    )
    trades = frame.group_by(*KEY, maintain_order=True).agg(
        pl.col("price").first(),
        pl.col("price").n_unique().alias("prices"),
        pl.col("qty").sum(),
        pl.col("notional").sum(),
        _sum_if_known("fee"),
        _sum_if_known("realized_pnl"),
        pl.col("ts_us").max(),
        pl.len().cast(pl.Int64).alias("fills"),
        pl.when(pl.col("fee_coin").min() == pl.col("fee_coin").max())
        .then(pl.col("fee_coin").first())
        .otherwise(pl.lit(SEVERAL))
        .alias("fee_coin"),
    )
    summed = {
        "price": Exact(trades["price"], price.places),
        "qty": Exact(trades["qty"], qty.places),
        "notional": Exact(trades["notional"], notional.places),
        "fee": Exact(trades["fee"], exact["fee"].places),
        "realized_pnl": Exact(trades["realized_pnl"], exact["realized_pnl"].places),
    }
    summed["price"] = _average(trades["prices"] > 1, summed)
    return TradeTable.of_frame(source, trades.drop("prices"), summed, inferred)


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


def _sum_if_known(name: str) -> pl.Expr:
    column = pl.col(name)
    return pl.when(column.is_null().any()).then(None).otherwise(column.sum()).alias(name)


def _average(several: pl.Series, columns: Mapping[str, Exact]) -> Exact:
    """Return the prices, with the average put in where an order filled at several."""
    price = columns["price"]
    if not several.any():
        return price
    places = max(price.places, AVERAGE_PLACES)
    average = columns["notional"].rounded_quotient(columns["qty"], places)
    units = pl.select(pl.when(several).then(average.units).otherwise(price.at(places).units))
    return Exact(units.to_series(), places)
