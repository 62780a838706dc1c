"""The rows that a simulation walks: trades, or trades and tickers merged in time.

With trades alone every row fills and decides. With tickers beside them a trade fills and a ticker
decides, as live; at one moment the trade comes first.
"""

from __future__ import annotations

import numpy as np

from exchange_model.fills.fill_simulator import MarketTrade
from market_data.columns.ticks import Int64s, TickColumns

FIRST_LOOK = 2048  # rows searched at first; doubled until something is found

Range = tuple[int, int]


class Timeline:
    """Times (us) and prices (ticks) of all rows, and what each of them may lead to."""

    def __init__(self, columns: TickColumns) -> None:
        self.columns = columns
        self.trade_rows: Int64s | None = None  # row of the trade, -1 for a ticker
        self.ts_us, self.price_ticks = columns.ts_us, columns.price_ticks
        tickers = columns.tickers
        if tickers is not None and len(tickers):
            times = np.concatenate((columns.ts_us, tickers.ts_us))
            order = np.argsort(times, kind="stable")
            self.ts_us = times[order]
            self.price_ticks = np.concatenate((columns.price_ticks, tickers.price_ticks))[order]
            self.trade_rows = np.where(order < len(columns), order, -1)

    def __len__(self) -> int:
        return len(self.ts_us)

    def at(self, row: int) -> Range:
        """Return time (us) and price (ticks) of a row."""
        return self.ts_us.item(row), self.price_ticks.item(row)

    def trade(self, row: int) -> MarketTrade | None:
        """Return the trade of a row, None for a ticker."""
        columns = self.columns
        if self.trade_rows is not None:
            row = int(self.trade_rows[row])
            if row < 0:
                return None
        size = columns.size.item(row) * columns.size_step
        return MarketTrade(columns.price_ticks.item(row), columns.side.item(row), size, row)

    def is_trade(self, row: int) -> bool:
        """Tell whether orders may fill at a row."""
        return self.trade_rows is None or int(self.trade_rows[row]) >= 0

    def decides(self, row: int) -> bool:
        """Tell whether strategies see a row."""
        return self.trade_rows is None or int(self.trade_rows[row]) < 0

    def last_deciding(self, after: int, before: int) -> int | None:
        """Return the newest row strictly between two rows that strategies see, None for none."""
        if self.trade_rows is None:
            return before - 1 if before - 1 > after else None
        for row in range(before - 1, after, -1):
            if self.trade_rows[row] < 0:
                return row
        return None

    def first_deciding(self, ts_us: int, after: int, before: int) -> int:
        """Return the first row from `ts_us` on that strategies see, of those after row `after`.

        There is one before row `before`.
        """
        start = after + 1
        row = start + int(self.ts_us[start:before].searchsorted(ts_us))
        if self.trade_rows is not None:
            while row < len(self) and self.trade_rows[row] >= 0:
                row += 1
        return row

    def first_at(self, ts_us: int) -> int:
        """Return the first row at or after a time; the number of rows for none."""
        return int(self.ts_us.searchsorted(ts_us))

    def first_outside(self, start: int, end: int, filling: Range, deciding: Range) -> int:
        """Return the first row from `start` on whose price is outside its range; `end` for none.

        `filling` is the closed range of prices in ticks for trades, `deciding` for what strategies
        see; a row that is both has to stay within both.
        """
        both = max(filling[0], deciding[0]), min(filling[1], deciding[1])
        prices, kinds, width = self.price_ticks, self.trade_rows, FIRST_LOOK
        while start < end:
            stop = min(end, start + width)
            part = prices[start:stop]
            if kinds is None:
                outside = (part < both[0]) | (part > both[1])
            else:
                outside = np.where(
                    kinds[start:stop] >= 0,
                    (part < filling[0]) | (part > filling[1]),
                    (part < deciding[0]) | (part > deciding[1]),
                )
            at = int(outside.argmax())
            if outside[at]:
                return start + at
            start = stop
            width *= 2
        return end
