"""The loop over rows: every one of them, or only those at which something can happen.

Per row, in this order: commands that arrive, funding if due, fills of all runners, liquidation,
the account's value, then decisions of all runners. An order placed at a row fills at the next one
at the earliest. Both ways make the same trades; the jumping one asks the strategies where nothing
changes and looks for the next row outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from backtest.result.timeline import Range, Timeline
from backtest.result.track import AccountTrack
from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.funding import FundingSimulator, Settlement
from exchange_model.gateway.runner import BacktestRunner
from exchange_model.trades import Liquidation, TradeKind
from gridcore.grid import UNBOUNDED
from gridcore.instrument import floor_ceil_ticks
from gridcore.moments import moment, to_us

NEVER_US: Final = 1 << 62
WALLET_REFRESH_US: Final = 300_000_000  # a live bot reads its wallet at least this often
EXACT_BLOCK: Final = 1 << 16  # rows turned into Python numbers at a time
PROGRESS_EVERY: Final = 1 << 16  # rows
ZERO = Decimal(0)

Progress = Callable[[int, int], None]


class Simulation:
    """Runners of one symbol on one account, over the rows of a timeline."""

    def __init__(
        self,
        account: SimulatedAccount,
        runners: Sequence[BacktestRunner],
        timeline: Timeline,
        funding: FundingSimulator | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.account = account
        self.runners = runners
        self.timeline = timeline
        self.visits = 0
        self.liquidation: Liquidation | None = None
        self.symbol = runners[0].config.symbol
        self.track = AccountTrack(account, self.symbol)
        self._tick_size = runners[0].config.instrument.tick_size
        self._progress = progress
        self._next_report = PROGRESS_EVERY
        self._settlements: list[Settlement] = []
        if funding is not None and len(timeline):
            first, last = int(timeline.ts_us[0]), int(timeline.ts_us[-1])
            self._settlements = list(funding.settlements(first, last))
        self._next_funding = 0
        self._refreshed = -1  # number of the wallet refresh interval that was reported last
        self._deadly: Range = (0, UNBOUNDED)  # prices in ticks at or beyond which the account dies
        self._deadly_version = self._reported_version = -1
        self._fill_low, self._fill_high, self._due_us = 1, UNBOUNDED, NEVER_US
        self._next_us, self._next_row = NEVER_US, len(timeline)  # a time, and the first row from it
        self._check_us = [
            int(r.config.position_check_interval.total_seconds() * 1_000_000) for r in runners
        ]

    def run_exact(self) -> None:
        """Walk every row."""
        if not len(self.timeline):
            return
        self._start()
        for start in range(0, len(self.timeline), EXACT_BLOCK):
            stop = start + EXACT_BLOCK
            times = self.timeline.ts_us[start:stop].tolist()
            prices = self.timeline.price_ticks[start:stop].tolist()
            for row, (ts_us, ticks) in enumerate(zip(times, prices, strict=True), start):
                self._visit(row, ts_us, ticks)
                if self.liquidation is not None:
                    return

    def run_jumping(self) -> None:
        """Visit only the rows at which something can happen."""
        total = len(self.timeline)
        if not total:
            return
        self._start()
        row, last = 0, -1
        while row < total:
            if row - last > 1:
                self._catch_up(last, row)
            self._visit(row, *self.timeline.at(row))
            if self.liquidation is not None:
                return
            last, row = row, self._next(row)
        if total - last > 1:
            self._catch_up(last, total)

    def close_all(self) -> None:
        """Close every leg at the last price, as taker."""
        if self.liquidation is not None or not len(self.timeline):
            return
        last = len(self.timeline) - 1
        ts_us, ticks = self.timeline.at(last)
        price = self._mark(ticks)
        for runner in self.runners:
            runner.close_legs(ts_us, price, self.account.fees.taker, TradeKind.WIND_DOWN)
        self.track.note(last, ts_us)

    # one row

    def _start(self) -> None:
        ts_us, ticks = self.timeline.at(0)
        self._mark(ticks)
        for runner in self.runners:
            runner.start(ts_us)
        self._look_ahead()
        self.track.note(0, ts_us)

    def _mark(self, price_ticks: int) -> Decimal:
        """Value all legs at a price; the last price stands for the mark price."""
        price = self._tick_size * price_ticks
        for runner in self.runners:
            runner.pair.mark_price = price
        return price

    def _look_ahead(self) -> None:
        """Note where the next fill or liquidation is, and when something falls due."""
        low, high = self._deadly_ticks()
        low, high = low + 1, high - 1
        due = NEVER_US
        for runner in self.runners:
            quiet_low, quiet_high = runner.fill_model.quiet_range(runner.orders)
            low, high = max(low, quiet_low), min(high, quiet_high)
            arrival = runner.executor.next_arrival_us
            if arrival is not None:
                due = min(due, arrival)
        if self._next_funding < len(self._settlements):
            due = min(due, self._settlements[self._next_funding].ts_us)
        self._fill_low, self._fill_high, self._due_us = low, high, due

    def _visit(self, row: int, ts_us: int, ticks: int) -> None:
        self.visits += 1
        price = self._mark(ticks)
        happened = False
        if ts_us >= self._due_us:
            happened = True
            self._let_arrive(ts_us, ticks)
        if not self._fill_low <= ticks <= self._fill_high and self.timeline.is_trade(row):
            happened = True
            self._fill(row, ts_us, ticks)
        if happened:
            if self.account.version != self._reported_version:
                self._report(ts_us)
            if self.timeline.is_trade(row) and self._is_deadly(ticks):
                self._liquidate(row, ts_us, ticks)
                return
        if self.timeline.decides(row) and self._decide(ts_us, price, ticks):
            happened = True
        if happened:
            self._look_ahead()
            self.track.note(row, ts_us)
        if self._progress is not None and row >= self._next_report:
            self._next_report = row + PROGRESS_EVERY
            self._progress(row, len(self.timeline))

    def _let_arrive(self, ts_us: int, ticks: int) -> None:
        """Let commands arrive and funding be settled that are due by now."""
        for runner in self.runners:
            runner.arrive(ts_us, ticks)
        self._settle_funding(ts_us, ticks)
        self._look_ahead()

    def _fill(self, row: int, ts_us: int, ticks: int) -> None:
        trade = None
        for runner in self.runners:
            low, high = runner.fill_model.quiet_range(runner.orders)
            if not low <= ticks <= high:
                trade = trade or self.timeline.trade(row)
                if trade is not None:
                    runner.fill(ts_us, trade)

    def _report(self, ts_us: int) -> None:
        """Tell every strategy of the account what it holds."""
        self._reported_version = self.account.version
        for runner in self.runners:
            runner.report_account(ts_us)

    def _decide(self, ts_us: int, price: Decimal, ticks: int) -> bool:
        self._refresh_wallet(ts_us)
        wanted = False
        for runner in self.runners:
            if runner.decide(ts_us, price, ticks):
                wanted = True
        return wanted

    def _refresh_wallet(self, ts_us: int) -> None:
        interval = ts_us // WALLET_REFRESH_US
        if interval != self._refreshed:
            self._refreshed = interval
            self._report(ts_us)

    def _settle_funding(self, ts_us: int, ticks: int) -> None:
        while self._next_funding < len(self._settlements):
            due_us, rate = self._settlements[self._next_funding]
            if due_us > ts_us:
                return
            marks = self.timeline.columns.mark
            mark = marks.at(due_us) if marks is not None else None
            if mark is None:
                mark = self._tick_size * ticks
            for runner in self.runners:
                runner.settle_funding(ts_us, mark, rate)
            self._next_funding += 1

    # the end of an account

    def _deadly_ticks(self) -> Range:
        """Return (low, high): at or below low, at or above high, the account is liquidated."""
        if self._deadly_version != self.account.version:
            self._deadly_version = self.account.version
            low, high = self.account.liquidation_range(self.symbol)
            low_ticks = 0 if low is None else floor_ceil_ticks(low, self._tick_size)[0]
            high_ticks = UNBOUNDED if high is None else floor_ceil_ticks(high, self._tick_size)[1]
            if (
                low is None
                and high is None
                and not any(runner.pair.net_size for runner in self.runners)
                and self.account.is_liquidatable()
            ):
                low_ticks = UNBOUNDED  # legs that cancel out, on a wallet that is used up
            self._deadly = low_ticks, high_ticks
        return self._deadly

    def _is_deadly(self, ticks: int) -> bool:
        low, high = self._deadly_ticks()
        return ticks <= low or ticks >= high

    def _liquidate(self, row: int, ts_us: int, ticks: int) -> None:
        account, price = self.account, self._tick_size * ticks
        low, high = account.liquidation_range(self.symbol)
        taken_at = account.bankruptcy_price(self.symbol) or price
        before = account.equity()
        for runner in self.runners:
            runner.close_legs(ts_us, taken_at, ZERO, TradeKind.LIQUIDATION)
        dying_low = low is not None and price <= low
        self.liquidation = Liquidation(
            ts_us,
            self.symbol,
            price,
            low if dying_low else high,
            taken_at,
            before - account.wallet,
        )
        self.track.note(row, ts_us)

    # where nothing happens

    def _next(self, row: int) -> int:
        """Return the next row at which something can happen; the number of rows for none."""
        start, timeline = row + 1, self.timeline
        low, high = 1, UNBOUNDED
        next_us = self._due_us
        for runner in self.runners:
            strategy = runner.strategy
            band = strategy.quiet_band()
            if band is None:
                return start
            low, high = max(low, band.low_ticks), min(high, band.high_ticks)
            if band.until is not None:
                next_us = min(next_us, to_us(band.until))
            if band.check_matters:
                next_us = min(next_us, to_us(strategy.next_position_check))
            if band.wallet_matters:
                next_us = min(next_us, (self._refreshed + 1) * WALLET_REFRESH_US)
        end = len(timeline)
        if next_us < NEVER_US:
            if next_us != self._next_us:  # mostly the next funding, for many rows in a row
                self._next_us, self._next_row = next_us, timeline.first_at(next_us)
            end = max(start, self._next_row)
        return timeline.first_outside(start, end, (self._fill_low, self._fill_high), (low, high))

    def _catch_up(self, last: int, row: int) -> None:
        """Tell the strategies what they would have learned at the skipped rows between two visits.

        Only the newest wallet report, the newest position check and the newest price have an
        effect, because none of the skipped rows led to anything.
        """
        timeline = self.timeline
        newest = timeline.last_deciding(last, row)
        if newest is None:
            return
        ts_us, ticks = timeline.at(newest)
        earlier: dict[int, bool] = {}  # rows, and whether strategies decide there
        interval = ts_us // WALLET_REFRESH_US
        if interval != self._refreshed:
            earlier[timeline.first_deciding(interval * WALLET_REFRESH_US, last, row)] = False
        now = moment(ts_us)
        for runner, check_us in zip(self.runners, self._check_us, strict=True):
            if now >= runner.strategy.next_position_check:
                due_us = ts_us // check_us * check_us
                earlier[timeline.first_deciding(due_us, last, row)] = True
        for visit in sorted(earlier):
            if visit < newest:
                at_us, at_ticks = timeline.at(visit)
                price = self._mark(at_ticks)
                if earlier[visit]:
                    self._decide(at_us, price, at_ticks)
                else:
                    self._refresh_wallet(at_us)
        self._decide(ts_us, self._mark(ticks), ticks)
