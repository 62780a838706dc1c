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
from paper_exchange.market.quotes import PremiumAverage, Quotes

KEPT_TRADES = 1_000


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
        self.quotes = Quotes(depth, spread_ticks, listing.instrument)
        self.last_ticks: int | None = None
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
        self._premium = PremiumAverage()

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
        return self.quotes.bid_ticks is not None

    def next_seq(self) -> int:
        """Return the next cross sequence of the symbol."""
        self.seq += 1
        return self.seq

    def price(self, ticks: int) -> Decimal:
        """Return ticks in USDT."""
        return self.listing.instrument.to_price(ticks)

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
        self.quotes.follow(ticks, side)
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

    def apply_quote(self, quote: FeedQuote) -> None:
        """Take in what a feed says beside trades. A bid at or above the ask is not believed."""
        self.ts_ms = quote.ts_ms
        if quote.last_price is not None:
            self.last_ticks = self._ticks(quote.last_price)
            if quote.bid1_price is None and quote.ask1_price is None and not self.is_open:
                self.quotes.follow(self.last_ticks, SideType.BUY)
        self.quotes.show(
            None if quote.bid1_price is None else self._ticks(quote.bid1_price),
            None if quote.ask1_price is None else self._ticks(quote.ask1_price),
            quote.bid1_size,
            quote.ask1_size,
        )
        if quote.mark_price is not None:
            self.mark, self._mark_is_fed = _shifted(quote.mark_price, self.factor), True
        elif not self._mark_is_fed and self.last_ticks is not None:
            self.mark = self.price(self.last_ticks)
        if quote.index_price is not None:
            self.index, self._index_is_fed = _shifted(quote.index_price, self.factor), True
        elif not self._index_is_fed:
            self.index = self.mark
        if quote.funding_rate is not None:
            cap = self.listing.funding_cap
            self.funding_rate = max(-cap, min(cap, quote.funding_rate))
        self._sample_premium(quote.ts_ms)

    def _ticks(self, price: Decimal) -> int:
        one = self.listing.instrument
        return max(1, one.to_ticks(one.round_price(_shifted(price, self.factor))))

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
            self.quotes.instrument = one
            return

        def converted(ticks: int) -> int:
            return max(1, one.to_ticks(one.round_price(old.to_price(ticks))))

        if self.last_ticks is not None:
            self.last_ticks = converted(self.last_ticks)
        self.quotes.use(one, converted)
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
        ticks = self.quotes.best(side.opposite)
        return None if ticks is None else self.price(ticks)

    # price limits

    def _sample_premium(self, ts_ms: int) -> None:
        bid, ask = self.quotes.bid_ticks, self.quotes.ask_ticks
        if self.mark is None or bid is None or ask is None:
            return
        if self._premium.is_due(ts_ms):
            self._premium.sample(ts_ms, self.price(bid), self.price(ask), self.mark)

    def premium(self) -> Decimal:
        """Return the average over 30 s of (bid + ask) / 2 - mark, USDT."""
        return self._premium.usdt

    def price_limits(self) -> tuple[int, int] | None:
        """Return (highest Buy, lowest Sell) in ticks; None without a market."""
        return price_limits(self, self.listing.limits, self.listing.instrument.tick_size)


def _guessed_side(ticks: int, before: int | None) -> SideType:
    return SideType.SELL if before is not None and ticks < before else SideType.BUY


def _shifted(price: Decimal, factor: Decimal) -> Decimal:
    return price if factor == 1 else (price * factor).quantize(price)
