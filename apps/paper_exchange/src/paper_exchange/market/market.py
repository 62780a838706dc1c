"""One market: prices, quotes, trades, candles, funding. A feed drives it; it decides nothing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from exchange_model.rules.codes import RetCode
from exchange_model.rules.prices import price_limits
from gridcore import SideType
from paper_exchange.market.candles import CandleSeries
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import ContractStatus, Listing

ZERO = Decimal(0)
KEPT_TRADES = 1_000
PREMIUM_WINDOW_MS = 30_000
PREMIUM_SAMPLE_MS = 500
MIN_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTrade:
    """A trade of the market; `side` is the taker's, None where it is not known."""

    symbol: str
    ts_ms: int
    price: Decimal  # USDT
    qty: Decimal  # base coin
    side: SideType | None
    trade_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedQuote:
    """What else a feed may say of a market. None is unchanged."""

    symbol: str
    ts_ms: int
    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    bid1_price: Decimal | None = None
    ask1_price: Decimal | None = None
    bid1_size: Decimal | None = None
    ask1_size: Decimal | None = None
    funding_rate: Decimal | None = None


FeedEvent = FeedTrade | FeedQuote


class PublicTrade(NamedTuple):
    """A trade as it is published."""

    ts_ms: int
    ticks: int
    qty: Decimal
    side: SideType
    trade_id: str
    tick_direction: str
    seq: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Trading stands still: new orders get `code` and `why`; prices of the feed move or not."""

    code: RetCode
    why: str
    prices_move: bool = False


NOT_LIVE = Pause(RetCode.NOT_LIVE, "This contract is not live")


class Market:
    """State of one symbol. Prices are None before the first event of its feed."""

    def __init__(
        self, listing: Listing, depth: Depth, funding_rate: Decimal, spread_ticks: int = 1
    ) -> None:
        self.listing = listing
        self.depth = depth
        self.spread_ticks = spread_ticks
        self.last_ticks: int | None = None
        self.bid_ticks: int | None = None
        self.ask_ticks: int | None = None
        self.bid_size: Decimal | None = None
        self.ask_size: Decimal | None = None
        self.mark: Decimal | None = None  # USDT
        self.index: Decimal | None = None  # USDT
        self.funding_rate = funding_rate
        self.next_funding_ms: int | None = None
        self.pause: Pause | None = None  # a halt, or a settlement in progress
        self.closes_ms: int | None = None  # when a delivered contract becomes Closed
        self.is_changed = False  # its listing is not what it began with
        self.factor = Decimal(1)  # on every price of the feed
        self.ts_ms = 0
        self.seq = 0
        self.updates = 1  # u of the order book; 1 means a fresh start
        self.trades: deque[PublicTrade] = deque(maxlen=KEPT_TRADES)
        self.settled: deque[tuple[int, str]] = deque(maxlen=KEPT_TRADES)  # (ms, funding rate)
        self.candles = CandleSeries()
        self.tick_direction = "ZeroPlusTick"
        self._mark_is_fed = self._index_is_fed = False
        self._premiums: deque[tuple[int, Decimal]] = deque()

    @property
    def symbol(self) -> str:
        """The contract's name."""
        return self.listing.symbol

    @property
    def status(self) -> str:
        """Where the contract is in its life."""
        return self.listing.status

    @property
    def stopped(self) -> Pause | None:
        """Why nothing trades now, None while the contract trades."""
        status = self.status
        if status == ContractStatus.TRADING:
            return self.pause
        return self.pause if self.is_settling else NOT_LIVE

    @property
    def halted(self) -> bool:
        """Whether a contract that is listed is halted."""
        return self.pause is not None and self.status == ContractStatus.TRADING

    @property
    def is_settling(self) -> bool:
        """Whether the settlement is in progress."""
        if self.pause is None or self.is_delivered:
            return False
        return self.status == ContractStatus.DELIVERING

    @property
    def is_delivered(self) -> bool:
        """Whether the contract has ended."""
        return self.closes_ms is not None or self.status == ContractStatus.CLOSED

    @property
    def is_open(self) -> bool:
        """Whether there is a price to trade at."""
        return self.bid_ticks is not None and self.ask_ticks is not None

    def next_seq(self) -> int:
        """Return the next cross sequence of the symbol."""
        self.seq += 1
        return self.seq

    def price(self, ticks: int) -> Decimal:
        """Return ticks in USDT."""
        return self.listing.instrument.to_price(ticks)

    def set_next_funding(self, now_ms: int) -> None:
        """Let funding fall due at the next whole interval after a moment, counted from midnight."""
        interval = self.listing.funding_interval_min * MIN_MS
        self.next_funding_ms = now_ms - now_ms % interval + interval

    def apply_trade(self, trade: FeedTrade) -> PublicTrade:
        """Take in a trade; quotes follow it unless a feed gives them."""
        # a feed may come from a venue with a finer tick and a finer step
        ticks = self._ticks(trade.price)
        before = self.last_ticks
        side = trade.side or _guessed_side(ticks, before)
        if before is not None and ticks != before:
            self.tick_direction = "PlusTick" if ticks > before else "MinusTick"
        elif self.tick_direction in ("PlusTick", "MinusTick"):
            self.tick_direction = f"Zero{self.tick_direction}"
        self.last_ticks, self.ts_ms = ticks, trade.ts_ms
        self._quote_around(ticks, side)
        price, step = self.price(ticks), self.listing.instrument.qty_step
        qty = max(step, trade.qty // step * step)
        if not self._mark_is_fed:
            self.mark = price
        if not self._index_is_fed:
            self.index = self.mark
        self.candles.add(trade.ts_ms, ticks, qty, price)
        public = PublicTrade(
            trade.ts_ms, ticks, qty, side, trade.trade_id, self.tick_direction, self.next_seq(),
        )  # fmt: skip
        self.trades.append(public)
        self._sample_premium(trade.ts_ms)
        return public

    def _quote_around(self, ticks: int, side: SideType) -> None:
        if side is SideType.BUY:
            self.ask_ticks = ticks
            self.bid_ticks = max(1, ticks - self.spread_ticks)
        else:
            self.bid_ticks = ticks
            self.ask_ticks = ticks + self.spread_ticks
        self.bid_size = self.ask_size = None

    def apply_quote(self, quote: FeedQuote) -> None:
        """Take in what a feed says beside trades. A bid at or above the ask is not believed."""
        self.ts_ms = quote.ts_ms
        if quote.last_price is not None:
            self.last_ticks = self._ticks(quote.last_price)
            if quote.bid1_price is None and quote.ask1_price is None and self.bid_ticks is None:
                self._quote_around(self.last_ticks, SideType.BUY)
        bid = self.bid_ticks if quote.bid1_price is None else self._ticks(quote.bid1_price)
        ask = self.ask_ticks if quote.ask1_price is None else self._ticks(quote.ask1_price)
        if bid is not None and ask is not None and bid < ask:
            self.bid_ticks, self.ask_ticks = bid, ask
            self.bid_size = quote.bid1_size or self.bid_size
            self.ask_size = quote.ask1_size or self.ask_size
        if quote.mark_price is not None:
            self.mark, self._mark_is_fed = self._shifted(quote.mark_price), True
        elif not self._mark_is_fed and self.last_ticks is not None:
            self.mark = self.price(self.last_ticks)
        if quote.index_price is not None:
            self.index, self._index_is_fed = self._shifted(quote.index_price), True
        elif not self._index_is_fed:
            self.index = self.mark
        if quote.funding_rate is not None:
            cap = self.listing.funding_cap
            self.funding_rate = max(-cap, min(cap, quote.funding_rate))
        self._sample_premium(quote.ts_ms)

    def _shifted(self, price: Decimal) -> Decimal:
        return price if self.factor == 1 else (price * self.factor).quantize(price)

    def _ticks(self, price: Decimal) -> int:
        one = self.listing.instrument
        return max(1, one.to_ticks(one.round_price(self._shifted(price))))

    def shift_by(self, factor: Decimal) -> None:
        """Multiply every price of the feed from now on, mark and index included."""
        self.factor *= factor
        if self.mark is not None:
            self.mark = (self.mark * factor).quantize(self.mark)
        if self.index is not None:
            self.index = (self.index * factor).quantize(self.index)

    def use(self, listing: Listing) -> None:
        """Take other rules; prices that fall between two new ticks are rounded."""
        old, one = self.listing.instrument, listing.instrument
        self.listing = listing
        self.is_changed = True
        if one.tick_size == old.tick_size:
            return

        def converted(ticks: int) -> int:
            return max(1, one.to_ticks(one.round_price(old.to_price(ticks))))

        for name in ("last_ticks", "bid_ticks", "ask_ticks"):
            ticks = getattr(self, name)
            if ticks is not None:
                setattr(self, name, converted(ticks))
        if self.bid_ticks is not None and self.ask_ticks is not None:
            self.ask_ticks = max(self.ask_ticks, self.bid_ticks + 1)
        self.candles.convert(converted)
        self.trades = deque(
            (trade._replace(ticks=converted(trade.ticks)) for trade in self.trades),
            maxlen=KEPT_TRADES,
        )

    # quotes

    @property
    def last(self) -> Decimal | None:
        """The last price in USDT."""
        return None if self.last_ticks is None else self.price(self.last_ticks)

    def opposite(self, side: SideType) -> Decimal | None:
        """Return the quote in USDT at which an order of a side takes."""
        ticks = self.ask_ticks if side is SideType.BUY else self.bid_ticks
        return None if ticks is None else self.price(ticks)

    def best_size(self, side: SideType) -> Decimal:
        """Return the visible size of the best bid (Buy) or ask (Sell) in base coin."""
        ticks = self.bid_ticks if side is SideType.BUY else self.ask_ticks
        known = self.bid_size if side is SideType.BUY else self.ask_size
        if known is not None:
            return known
        if ticks is None:
            return ZERO
        return self.depth.size_at(self.listing.instrument, side, ticks)

    def levels(self, side: SideType, count: int) -> list[tuple[int, Decimal]]:
        """Return (ticks, size) of the visible book, the best first."""
        best = self.bid_ticks if side is SideType.BUY else self.ask_ticks
        if best is None:
            return []
        levels = self.depth.levels(self.listing.instrument, side, best, count)
        levels[0] = best, self.best_size(side)
        return levels

    def visible_at(self, side: SideType, ticks: int) -> Decimal:
        """Return the size that others show at a price, nothing between the quotes."""
        best = self.bid_ticks if side is SideType.BUY else self.ask_ticks
        if best is None or (ticks > best if side is SideType.BUY else ticks < best):
            return ZERO
        if ticks == best:
            return self.best_size(side)
        return self.depth.size_at(self.listing.instrument, side, ticks)

    # price limits

    def _sample_premium(self, ts_ms: int) -> None:
        if self.mark is None or self.bid_ticks is None or self.ask_ticks is None:
            return
        if self._premiums and ts_ms - self._premiums[-1][0] < PREMIUM_SAMPLE_MS:
            return
        middle = (self.price(self.bid_ticks) + self.price(self.ask_ticks)) / 2
        self._premiums.append((ts_ms, middle - self.mark))
        while ts_ms - self._premiums[0][0] > PREMIUM_WINDOW_MS:
            self._premiums.popleft()

    def premium(self) -> Decimal:
        """Return the average over 30 s of (bid + ask) / 2 - mark, USDT."""
        count = len(self._premiums)
        return sum((p for _, p in self._premiums), ZERO) / count if count else ZERO

    def price_limits(self) -> tuple[int, int] | None:
        """Return (highest Buy, lowest Sell) in ticks; None without a market."""
        return price_limits(self, self.listing.limits, self.listing.instrument.tick_size)


def _guessed_side(ticks: int, before: int | None) -> SideType:
    return SideType.SELL if before is not None and ticks < before else SideType.BUY
