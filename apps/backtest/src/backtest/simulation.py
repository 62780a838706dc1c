"""The loop over ticks: every one of them, or only those at which something can happen.

Per tick, in this order: funding if due, fills, then decisions. An order placed at a tick fills at
the next one at the earliest. Both ways make the same trades; the jumping one asks the strategy
where nothing changes and looks for the next tick outside.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from backtest.runner import EPOCH, BacktestRunner
from backtest.ticks import FundingColumns, TickColumns

WALLET_REFRESH_US: Final = 300_000_000  # a live bot reads its wallet at least this often
FIRST_LOOK: Final = 512  # ticks searched at first; doubled until something is found


class Simulation:
    """One runner over the ticks of one symbol."""

    def __init__(self, runner: BacktestRunner, columns: TickColumns) -> None:
        self.runner = runner
        self.columns = columns
        self.decisions = 0
        self._ts = columns.ts_us
        self._prices = columns.price_ticks
        self._funding = self._settlements(columns.funding)
        self._next_funding = 0
        self._refreshed = -1  # number of the wallet refresh interval that was reported last
        self._check_us = int(runner.config.position_check_interval.total_seconds() * 1_000_000)

    def _settlements(self, funding: FundingColumns | None) -> list[tuple[int, object]]:
        if funding is None or not len(self._ts):
            return []
        return list(funding.settlements(int(self._ts[0]), int(self._ts[-1]) + 1))

    def run_exact(self) -> None:
        """Walk every tick."""
        if not len(self._ts):
            return
        self.runner.start(int(self._ts[0]), int(self._prices[0]))
        for index in range(len(self._ts)):
            self._tick(int(self._ts[index]), int(self._prices[index]))

    def run_jumping(self) -> None:
        """Visit only the ticks at which something can happen."""
        if not len(self._ts):
            return
        self.runner.start(int(self._ts[0]), int(self._prices[0]))
        index, last, total = 0, -1, len(self._ts)
        while index < total:
            if index - last > 1:
                self._catch_up(last, index)
            self._tick(int(self._ts[index]), int(self._prices[index]))
            last, index = index, self._next(index)
        if total - last > 1:
            self._catch_up(last, total)

    def _tick(self, ts_us: int, price_ticks: int) -> None:
        runner = self.runner
        self.decisions += 1
        self._settle_funding(ts_us, price_ticks)
        low, high = runner.fill_model.quiet_range(runner.orders)
        if not low <= price_ticks <= high:
            runner.fill_crossed(ts_us, price_ticks)
        self._refresh(ts_us, price_ticks)
        runner.decide(ts_us, price_ticks)

    def _refresh(self, ts_us: int, price_ticks: int) -> None:
        interval = ts_us // WALLET_REFRESH_US
        if interval != self._refreshed:
            self._refreshed = interval
            self.runner.report_account(ts_us, price_ticks)

    def _settle_funding(self, ts_us: int, price_ticks: int) -> None:
        runner, due = self.runner, False
        while self._next_funding < len(self._funding):
            funding_us, rate = self._funding[self._next_funding]
            if funding_us > ts_us:
                break
            mark = self.columns.mark.at(funding_us) if self.columns.mark is not None else None
            if mark is None:
                mark = runner.config.instrument.to_price(price_ticks)
            runner.account.settle_funding(mark, rate)  # type: ignore[arg-type]
            self._next_funding += 1
            due = True
        if due:
            runner.report_account(ts_us, price_ticks)

    def _next(self, index: int) -> int:
        """Return the next tick at which something can happen; the number of ticks for none."""
        start = index + 1
        band = self.runner.strategy.quiet_band()
        if band is None:
            return start
        low, high = self.runner.fill_model.quiet_range(self.runner.orders)
        low, high = max(low, band.low_ticks), min(high, band.high_ticks)
        end = len(self._ts)
        times = []
        if band.until is not None:
            times.append(self._us(band.until))
        if band.check_matters:
            times.append(self._us(self.runner.strategy.next_position_check))
            times.append((self._refreshed + 1) * WALLET_REFRESH_US)
        if self._next_funding < len(self._funding):
            times.append(self._funding[self._next_funding][0])
        if times:
            end = max(start, int(np.searchsorted(self._ts, min(times))))
        return self._first_outside(start, end, low, high)

    def _first_outside(self, start: int, end: int, low: int, high: int) -> int:
        prices, width = self._prices, FIRST_LOOK
        while start < end:
            part = prices[start : min(end, start + width)]
            outside = (part < low) | (part > high)
            at = int(outside.argmax())
            if outside[at]:
                return start + at
            start += len(part)
            width *= 2
        return end

    def _catch_up(self, last: int, index: int) -> None:
        """Tell the strategy what it would have learned at the skipped ticks between two visits.

        Only the newest wallet report, the newest position check and the newest price have an
        effect, because none of the skipped ticks led to anything.
        """
        newest = index - 1
        ts_us = int(self._ts[newest])
        visits = []
        boundary = ts_us // WALLET_REFRESH_US
        if boundary != self._refreshed:
            visits.append(self._first_at(boundary * WALLET_REFRESH_US, last))
        boundary_us = ts_us // self._check_us * self._check_us
        if boundary_us >= self._us(self.runner.strategy.next_position_check):
            visits.append(self._first_at(boundary_us, last))
        visits.append(newest)
        for visit in sorted(set(visits)):
            self._refresh(int(self._ts[visit]), int(self._prices[visit]))
            self.runner.decide(int(self._ts[visit]), int(self._prices[visit]))

    def _first_at(self, ts_us: int, last: int) -> int:
        return max(last + 1, int(np.searchsorted(self._ts, ts_us)))

    @staticmethod
    def _us(ts: datetime) -> int:
        delta = ts - EPOCH
        return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
