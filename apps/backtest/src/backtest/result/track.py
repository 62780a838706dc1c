"""The state of an account over the rows of a run: what changed when, and values at every row.

Between two changes equity is one line in the price. So a run notes its changes only, and every
value at every row, sampled or at an extreme, is computed from them afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.result.timeline import Timeline
from exchange_model.account.simulated_account import SimulatedAccount

ZERO = Decimal(0)

Floats = NDArray[np.float64]


class AccountState(NamedTuple):
    """The account from row `row` on, until the next state. Money in USDT, sizes in base coin.

    equity = wallet - cost + net x price; initial margin = margin_fixed + margin_per_price x price,
    resting orders included. Liquidation prices are USDT, None where no price liquidates.
    """

    row: int
    ts_us: int
    wallet: Decimal
    net: Decimal
    cost: Decimal
    long_size: Decimal
    short_size: Decimal
    margin_fixed: Decimal
    margin_per_price: Decimal
    liquidation_low: Decimal | None
    liquidation_high: Decimal | None

    def equity(self, price: Decimal) -> Decimal:
        """Return wallet balance plus unrealised profit in USDT at a price."""
        return self.wallet - self.cost + self.net * price


class AccountTrack:
    """States of one account over one run, oldest first."""

    def __init__(self, account: SimulatedAccount, symbol: str) -> None:
        self.states: list[AccountState] = []
        self._account = account
        self._symbol = symbol
        self._seen = -1, ZERO

    def note(self, row: int, ts_us: int) -> None:
        """Take the state after everything that happened at a row (time in us), if it changed."""
        account = self._account
        pairs = account.pairs.values()
        order_margin = ZERO
        for pair in pairs:
            order_margin += pair.order_margin
        if self._seen == (account.version, order_margin):
            return
        self._seen = account.version, order_margin
        net = cost = long_size = short_size = per_price = ZERO
        fixed = order_margin
        for pair in pairs:
            net += pair.net_size
            cost += pair.net_cost
            long_size += pair.long.size
            short_size += pair.short.size
            pair_fixed, pair_per_price = pair.initial_line()
            fixed += pair_fixed
            per_price += pair_per_price
        state = AccountState(
            row,
            ts_us,
            account.wallet,
            net,
            cost,
            long_size,
            short_size,
            fixed,
            per_price,
            *account.liquidation_range(self._symbol),
        )
        if self.states and self.states[-1].row == row:
            self.states[-1] = state
        else:
            self.states.append(state)


class Drawdown(NamedTuple):
    """The falls of equity from its highest point so far, judged at every row."""

    usdt: Decimal  # the largest one
    share: Decimal  # the largest share of the peak before it, 0-1; may be another fall
    from_row: int  # peak of the largest one in USDT
    to_row: int  # trough of the largest one in USDT
    longest_us: int  # longest time below a peak


class _PeakSearch:
    """Walks through equity from peak to peak, in parts; remembers rows, not values."""

    def __init__(self, ts_us: NDArray[np.int64]) -> None:
        self.peak = -np.inf
        self.peak_row = 0
        self.longest_us = 0
        self.deepest_rows = self.largest_rows = (0, 0)
        self._ts_us = ts_us
        self._deepest = self._largest = -1.0
        # falls found in a whole state, whose row is looked for at the end: (peak row, state)
        self._deepest_state: tuple[int, int] | None = None
        self._largest_state: tuple[int, int] | None = None

    def below(self, state: int, lowest: float) -> None:
        """Take a state in which equity stayed at or below the peak."""
        fall = self.peak - lowest
        if fall > self._deepest:
            self._deepest, self._deepest_state = fall, (self.peak_row, state)
        if self.peak > 0 and fall / self.peak > self._largest:
            self._largest, self._largest_state = fall / self.peak, (self.peak_row, state)

    def rows(self, first: int, equity: Floats) -> None:
        """Take rows from `first` on, at some of which equity is at or above the peak."""
        peaks = np.maximum(np.maximum.accumulate(equity), self.peak)
        new = np.flatnonzero(equity >= peaks)
        falls = peaks - equity
        at = int(falls.argmax())
        if falls[at] > self._deepest:
            self._deepest, self._deepest_state = float(falls[at]), None
            self.deepest_rows = self._peak_before(new, at, first), first + at
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(peaks > 0, falls / peaks, 0.0)
        at = int(shares.argmax())
        if shares[at] > self._largest:
            self._largest, self._largest_state = float(shares[at]), None
            self.largest_rows = self._peak_before(new, at, first), first + at
        at_peak = np.concatenate(([self.peak_row], first + new))
        below = np.flatnonzero(np.diff(at_peak) > 1)  # a row between two peaks was below
        if len(below):
            spans = self._ts_us[at_peak[below + 1]] - self._ts_us[at_peak[below]]
            self.longest_us = max(self.longest_us, int(spans.max()))
        self.peak, self.peak_row = float(peaks[-1]), first + int(new[-1])

    def finish(self, lowest_row: Callable[[int], int]) -> None:
        """Look for the rows that were left open, and end the last time below a peak."""
        if self._deepest_state is not None:
            peak_row, state = self._deepest_state
            self.deepest_rows = peak_row, lowest_row(state)
        if self._largest_state is not None:
            peak_row, state = self._largest_state
            self.largest_rows = peak_row, lowest_row(state)
        # a run that ends at its peak adds nothing
        last_us = int(self._ts_us[-1]) - int(self._ts_us[self.peak_row])
        self.longest_us = max(self.longest_us, last_us)

    def _peak_before(self, new: NDArray[np.int64], at: int, first: int) -> int:
        place = int(np.searchsorted(new, at, side="right")) - 1
        return first + int(new[place]) if place >= 0 else self.peak_row


class TrackedValues:
    """Values of a track at the rows of its timeline.

    Rows of interest are found with floats over all rows; every figure is then computed in Decimal
    at that row.
    """

    def __init__(self, states: list[AccountState], timeline: Timeline, tick_size: Decimal) -> None:
        self.states = states
        self.timeline = timeline
        self.tick_size = tick_size
        self.first_rows = np.array([state.row for state in states], dtype=np.int64)

    def state_at(self, row: int) -> AccountState:
        """Return the state that holds at a row."""
        return self.states[int(np.searchsorted(self.first_rows, row, side="right")) - 1]

    def price(self, row: int) -> Decimal:
        """Return the price in USDT at a row."""
        return int(self.timeline.price_ticks[row]) * self.tick_size

    def equity(self, row: int) -> Decimal:
        """Return the equity in USDT at a row."""
        return self.state_at(row).equity(self.price(row))

    def sample(self, interval_us: int) -> tuple[list[int], list[Decimal]]:
        """Return times (us) and equity (USDT) at the first row, at every multiple of the interval
        since 1970 within the run, and at the last row. A sample is the equity at the newest row at
        or before its time.
        """
        ts = self.timeline.ts_us
        first, last = int(ts[0]), int(ts[-1])
        start = (first // interval_us + 1) * interval_us
        inner = np.arange(start, last, interval_us, dtype=np.int64)
        times = [first, *inner.tolist()]
        if last > times[-1]:
            times.append(last)
        rows = np.searchsorted(ts, times, side="right") - 1
        holds = np.searchsorted(self.first_rows, rows, side="right") - 1
        prices = self.timeline.price_ticks[rows].tolist()
        return times, [
            self.states[at].equity(self.tick_size * ticks)
            for ticks, at in zip(prices, holds.tolist(), strict=True)
        ]

    def drawdown(self) -> Drawdown:
        """Return the drawdowns over all rows; a time below a peak ends when equity is back at it,
        or with the run.

        While a state holds, equity is lowest and highest at the extremes of the price. Only where
        it comes back to the highest peak so far the rows are looked at one by one.
        """
        ts, ticks = self.timeline.ts_us, self.timeline.price_ticks
        tick = float(self.tick_size)
        offsets = np.array([float(s.wallet - s.cost) for s in self.states])
        nets = np.array([float(s.net) for s in self.states])
        ends = np.append(self.first_rows[1:], len(ts))
        at_extremes = [offsets + nets * (prices * tick) for prices in self._extreme_prices]
        lowest, highest = np.minimum(*at_extremes), np.maximum(*at_extremes)
        search = _PeakSearch(ts)
        for number in range(len(self.states)):
            first, end = int(self.first_rows[number]), int(ends[number])
            if highest[number] >= search.peak:
                equity = offsets[number] + nets[number] * (ticks[first:end] * tick)
                search.rows(first, equity)
            else:
                search.below(number, float(lowest[number]))
        search.finish(self._lowest_row)
        fall_from, fall_to = search.deepest_rows
        top, bottom = (self.equity(row) for row in search.largest_rows)
        return Drawdown(
            self.equity(fall_from) - self.equity(fall_to),
            (top - bottom) / top if top > 0 else ZERO,
            fall_from,
            fall_to,
            search.longest_us,
        )

    def _lowest_row(self, number: int) -> int:
        """Return the row at which equity was lowest while a state held."""
        first = int(self.first_rows[number])
        end = int(self.first_rows[number + 1]) if number + 1 < len(self.states) else None
        prices = self.timeline.price_ticks[first:end]
        return first + int(prices.argmin() if self.states[number].net > 0 else prices.argmax())

    @cached_property
    def _extreme_prices(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the lowest and the highest price, in ticks, while each state held."""
        prices = self.timeline.price_ticks
        return (
            np.minimum.reduceat(prices, self.first_rows),
            np.maximum.reduceat(prices, self.first_rows),
        )

    def margin_used(self) -> tuple[Decimal, Decimal | None]:
        """Return the largest initial margin in USDT, and its largest share of equity.

        Both grow or fall steadily with the price while a state holds, so they are largest at its
        lowest or highest price. The share is None when equity was not above zero there.
        """
        fixed = np.array([float(s.margin_fixed) for s in self.states])
        per_price = np.array([float(s.margin_per_price) for s in self.states])
        offsets = np.array([float(s.wallet - s.cost) for s in self.states])
        nets = np.array([float(s.net) for s in self.states])
        best: list[tuple[float, int, int]] = []
        rates: list[tuple[float, int, int]] = []
        for ticks in self._extreme_prices:
            prices = ticks * float(self.tick_size)
            margin, equity = fixed + per_price * prices, offsets + nets * prices
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = np.where(equity > 0, margin / equity, 0.0)
            for values, found in ((margin, best), (rate, rates)):
                at = int(values.argmax())
                found.append((float(values[at]), at, int(ticks[at])))
        margin_at_most, _ = self._margin_and_equity(max(best))
        margin_at_highest, equity_at_highest = self._margin_and_equity(max(rates))
        if equity_at_highest <= 0:
            return margin_at_most, None
        return margin_at_most, margin_at_highest / equity_at_highest

    def _margin_and_equity(self, found: tuple[float, int, int]) -> tuple[Decimal, Decimal]:
        _, at, ticks = found
        state, price = self.states[at], ticks * self.tick_size
        return state.margin_fixed + state.margin_per_price * price, state.equity(price)

    def liquidation_distance(self) -> Decimal | None:
        """Return the smallest |price - liquidation price| / price; None where none existed."""
        lowest, highest = self._extreme_prices
        nearest: Decimal | None = None
        for edges, ticks in (
            ([s.liquidation_low for s in self.states], lowest),
            ([s.liquidation_high for s in self.states], highest),
        ):
            known = np.array([float(edge) if edge is not None else np.nan for edge in edges])
            away = np.abs(ticks * float(self.tick_size) - known) / (ticks * float(self.tick_size))
            if np.isnan(away).all():
                continue
            at = int(np.nanargmin(away))
            price, edge = int(ticks[at]) * self.tick_size, edges[at]
            if edge is not None:
                distance = abs(price - edge) / price
                nearest = distance if nearest is None else min(nearest, distance)
        return nearest

    def time_in_market_us(self) -> int:
        """Return for how long either leg held something."""
        ts = self.timeline.ts_us
        ends = np.append(self.first_rows[1:], len(ts) - 1)
        spans = ts[ends] - ts[self.first_rows]
        open_now = np.array([bool(s.long_size or s.short_size) for s in self.states])
        return int(spans[open_now].sum())
