"""The state of an account over the rows of a run: what changed when, and values at every row.

Between two changes equity is one line in the price. So a run notes its changes only, and every
value at every row, sampled or at an extreme, is computed from them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.simulated_account import SimulatedAccount
from backtest.timeline import Timeline

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
        order_margin = sum((pair.order_margin for pair in pairs), ZERO)
        if self._seen == (account.version, order_margin):
            return
        self._seen = account.version, order_margin
        low, high = account.liquidation_range(self._symbol)
        lines = [pair.initial_line() for pair in pairs]
        state = AccountState(
            row,
            ts_us,
            account.wallet,
            sum((pair.net_size for pair in pairs), ZERO),
            sum((pair.net_cost for pair in pairs), ZERO),
            sum((pair.long.size for pair in pairs), ZERO),
            sum((pair.short.size for pair in pairs), ZERO),
            sum((fixed for fixed, _ in lines), order_margin),
            sum((per_price for _, per_price in lines), ZERO),
            low,
            high,
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


CHUNK = 1 << 20  # rows looked at together, so that memory stays small


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
        return times, [
            self.states[at].equity(self.price(row))
            for row, at in zip(rows.tolist(), holds.tolist(), strict=True)
        ]

    def _chunks(self) -> Iterator[tuple[int, Floats, NDArray[np.int64]]]:
        """Yield (first row, prices in USDT, number of the state at each row)."""
        total = len(self.timeline)
        tick = float(self.tick_size)
        for start in range(0, total, CHUNK):
            end = min(total, start + CHUNK)
            prices = np.multiply(self.timeline.price_ticks[start:end], tick, dtype=np.float64)
            low = int(np.searchsorted(self.first_rows, start, side="right")) - 1
            high = int(np.searchsorted(self.first_rows, end))
            borders = np.clip(self.first_rows[low:high], start, end)
            lengths = np.diff(np.append(borders, end))
            yield start, prices, np.repeat(np.arange(low, high), lengths)

    def drawdown(self) -> Drawdown:
        """Return the drawdowns over all rows; a time below a peak ends when equity is back at it,
        or with the run.
        """
        offsets = np.array([float(s.wallet - s.cost) for s in self.states])
        nets = np.array([float(s.net) for s in self.states])
        peak, peak_row = -np.inf, 0
        deepest, deepest_rows = -1.0, (0, 0)
        largest, largest_rows = -1.0, (0, 0)
        longest_us = 0
        ts = self.timeline.ts_us
        for start, prices, holds in self._chunks():
            equity = offsets[holds] + nets[holds] * prices
            peaks = np.maximum.accumulate(equity)
            np.maximum(peaks, peak, out=peaks)
            new = np.flatnonzero(equity >= peaks)  # rows that are at the peak
            falls = peaks - equity
            at = int(falls.argmax())
            if falls[at] > deepest:
                deepest = float(falls[at])
                deepest_rows = self._peak_row(new, at, start, peak_row), start + at
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.where(peaks > 0, falls / peaks, 0.0)
            at = int(shares.argmax())
            if shares[at] > largest:
                largest = float(shares[at])
                largest_rows = self._peak_row(new, at, start, peak_row), start + at
            if len(new):
                known = np.concatenate(([ts[peak_row]], ts[start + new]))
                longest_us = max(longest_us, int(np.diff(known).max()))
                peak, peak_row = float(peaks[-1]), start + int(new[-1])
        longest_us = max(longest_us, int(ts[-1]) - int(ts[peak_row]))
        fall_from, fall_to = deepest_rows
        top, bottom = (self.equity(row) for row in largest_rows)
        return Drawdown(
            self.equity(fall_from) - self.equity(fall_to),
            (top - bottom) / top if top > 0 else ZERO,
            fall_from,
            fall_to,
            longest_us,
        )

    @staticmethod
    def _peak_row(new: NDArray[np.int64], at: int, start: int, before: int) -> int:
        """Return the newest row at the peak, at or before a row of this chunk."""
        place = int(np.searchsorted(new, at, side="right")) - 1
        return start + int(new[place]) if place >= 0 else before

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
        for ticks in self._extreme_prices():
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
        lowest, highest = self._extreme_prices()
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
