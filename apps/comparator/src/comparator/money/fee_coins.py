"""Fees that were paid in other coins, valued in USDT at prices that were recorded.

A fee in MNT is no number of USDT. It becomes one by the price of MNTUSDT that was recorded last
before the fill, at most a minute old; where there is none it stays unknown, and so does every
figure that would need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
from sqlalchemy.orm import Session

from comparator.columns.exact import Exact, Rows, of_texts
from grid_db import DecimalColumn, PublicTradeRepository, TickerSnapshotRepository
from gridcore.moments import moment

USDT: Final = "USDT"
OLDEST_PRICE: Final = timedelta(minutes=1)


class FeeValuer:
    """Values the fees of executions with the ticks that the session's database has."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.warnings: list[str] = []

    def fees(self, executions: pl.DataFrame) -> Exact:
        """Return the fees in USDT, null where they are not known; `warnings` tell of those.

        `executions` has exec_fee (texts), fee_currency (null is USDT) and exchange_ts (us UTC).
        """
        fees = of_texts(executions["exec_fee"], "exec_fee")
        coins = executions["fee_currency"].fill_null(USDT)
        is_other = (coins != USDT) & (fees.units != pl.Series([0], dtype=pl.Int128))
        others = np.asarray(is_other.fill_null(False).to_numpy(), dtype=np.bool_)
        if not others.any():
            return fees
        times = np.asarray(executions["exchange_ts"].to_numpy(), dtype=np.int64)
        units: list[int | None] = [1] * len(fees)
        places = [0] * len(fees)
        for coin in sorted(set(coins.filter(pl.Series(others)).to_list())):
            rows = np.flatnonzero(others & (coins == coin).to_numpy())
            found = self._prices(f"{coin}{USDT}", times[rows])
            for row, price in zip(rows.tolist(), found, strict=True):
                units[row], places[row] = (None, 0) if price is None else price
            unknown = np.array([n for n, price in enumerate(found) if price is None], np.int64)
            self._tell(coin, fees.take(rows), fees.take(rows[unknown]))
        most = max(places)
        scaled = [
            None if unit is None else unit * 10 ** (most - place)
            for unit, place in zip(units, places, strict=True)
        ]
        return (fees * Exact(pl.Series("price", scaled, dtype=pl.Int128), most)).narrow()

    def _prices(self, symbol: str, times: Rows) -> list[tuple[int, int] | None]:
        """Return the last price before each time as (units, places); None without one."""
        found: list[tuple[int, int] | None] = [None] * len(times)
        for ticks, prices in self._recorded(symbol, times):
            at = np.searchsorted(ticks, times, side="right") - 1
            for number, row in enumerate(at.tolist()):
                if found[number] is not None or row < 0:
                    continue
                age = timedelta(microseconds=int(times[number] - ticks[row]))
                if age <= OLDEST_PRICE:
                    found[number] = int(prices.unscaled[row]), prices.scale
        return found

    def _recorded(self, symbol: str, times: Rows) -> Iterator[tuple[Rows, DecimalColumn]]:
        first = moment(int(times.min())) - OLDEST_PRICE
        last = moment(int(times.max())) + timedelta(microseconds=1)
        trades = PublicTradeRepository(self._session).read_columns(symbol, first, last)
        yield trades.exchange_ts_us, trades.price
        tickers = TickerSnapshotRepository(self._session).read_columns(symbol, first, last)
        yield tickers.exchange_ts_us, tickers.last_price

    def _tell(self, coin: str, paid: Exact, unknown: Exact) -> None:
        valued = len(paid) - len(unknown)
        if valued:
            self.warnings.append(
                f"{valued:,} live fills paid their fee in {coin}; it is valued at recorded prices"
                f" of {coin}{USDT}"
            )
        if len(unknown):
            self.warnings.append(
                f"{len(unknown):,} live fills paid {unknown.total():f} {coin} in fees, and no price"
                f" of {coin}{USDT} was recorded within a minute before: these fees are unknown in"
                " USDT, and so is what they differ by; the split of the profit holds the"
                " backtest's fees of them alone"
            )
