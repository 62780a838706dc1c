"""What a market shows: its best bid and ask, the sizes behind them, their distance from mark."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal

from gridcore import InstrumentInfo, SideType
from paper_exchange.market.depth import Depth

ZERO = Decimal(0)
PREMIUM_WINDOW_MS = 30_000
PREMIUM_SAMPLE_MS = 500


class Quotes:
    """The visible book of one market. Ticks are None before there is a price."""

    def __init__(self, depth: Depth, spread_ticks: int, instrument: InstrumentInfo) -> None:
        self.depth = depth
        self.spread_ticks = spread_ticks
        self.instrument = instrument
        self.bid_ticks: int | None = None
        self.ask_ticks: int | None = None
        self.bid_size: Decimal | None = None  # base coin, None where no feed says it
        self.ask_size: Decimal | None = None

    def follow(self, ticks: int, taker: SideType) -> None:
        """Let the quotes follow a trade: a buyer took the ask, a seller the bid."""
        if taker is SideType.BUY:
            self.ask_ticks = ticks
            self.bid_ticks = max(1, ticks - self.spread_ticks)
        else:
            self.bid_ticks = ticks
            self.ask_ticks = ticks + self.spread_ticks
        self.bid_size = self.ask_size = None

    def show(
        self,
        bid: int | None,
        ask: int | None,
        bid_size: Decimal | None,
        ask_size: Decimal | None,
    ) -> None:
        """Take quotes in ticks and base coin; None is unchanged, a bid at the ask not believed."""
        bid = self.bid_ticks if bid is None else bid
        ask = self.ask_ticks if ask is None else ask
        if bid is not None and ask is not None and bid < ask:
            self.bid_ticks, self.ask_ticks = bid, ask
            self.bid_size = bid_size or self.bid_size
            self.ask_size = ask_size or self.ask_size

    def use(self, instrument: InstrumentInfo, converted: Callable[[int], int]) -> None:
        """Take another tick size; `converted` makes new ticks of old ones."""
        self.instrument = instrument
        if self.bid_ticks is not None and self.ask_ticks is not None:
            self.bid_ticks = converted(self.bid_ticks)
            self.ask_ticks = max(converted(self.ask_ticks), self.bid_ticks + 1)

    def best(self, side: SideType) -> int | None:
        """Return the best price in ticks at which others offer to buy (Buy) or to sell (Sell)."""
        return self.bid_ticks if side is SideType.BUY else self.ask_ticks

    def best_size(self, side: SideType) -> Decimal:
        """Return the visible size of the best bid (Buy) or ask (Sell) in base coin."""
        ticks = self.best(side)
        known = self.bid_size if side is SideType.BUY else self.ask_size
        if known is not None:
            return known
        return ZERO if ticks is None else self.depth.size_at(self.instrument, side, ticks)

    def levels(self, side: SideType, count: int) -> list[tuple[int, Decimal]]:
        """Return (ticks, size) of the visible book, the best first."""
        best = self.best(side)
        if best is None:
            return []
        levels = self.depth.levels(self.instrument, side, best, count)
        levels[0] = best, self.best_size(side)
        return levels

    def visible_at(self, side: SideType, ticks: int) -> Decimal:
        """Return the size that others show at a price, nothing between the quotes."""
        best = self.best(side)
        if best is None or (ticks > best if side is SideType.BUY else ticks < best):
            return ZERO
        if ticks == best:
            return self.best_size(side)
        return self.depth.size_at(self.instrument, side, ticks)


class PremiumAverage:
    """(bid + ask) / 2 - mark, sampled and averaged over 30 s."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Decimal]] = deque()

    def is_due(self, ts_ms: int) -> bool:
        """Whether the last sample is old enough for the next one."""
        return not self._samples or ts_ms - self._samples[-1][0] >= PREMIUM_SAMPLE_MS

    def sample(self, ts_ms: int, bid: Decimal, ask: Decimal, mark: Decimal) -> None:
        """Take prices in USDT."""
        self._samples.append((ts_ms, (bid + ask) / 2 - mark))
        while ts_ms - self._samples[0][0] > PREMIUM_WINDOW_MS:
            self._samples.popleft()

    @property
    def usdt(self) -> Decimal:
        """The average in USDT, 0 without samples."""
        count = len(self._samples)
        return sum((premium for _, premium in self._samples), ZERO) / count if count else ZERO
