"""Public topics: what is pushed, and how often. Source: docs/exchange.md, "Public topics".

A topic with subscribers pushes when its market changes, at most once per interval. Frames are made
once per topic, however many listen.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol
from zlib import crc32

import orjson

from gridcore import SideType
from paper_exchange.basics.wire import Row
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.market.candles import INTERVALS, Candle, period
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import Market, PublicTrade
from paper_exchange.market.market_rows import (
    candle_frame_row,
    level_rows,
    ticker_row,
    trade_frame_row,
)

TICKER_MS = 100
BOOK_MS = {1: 10, 50: 20, 200: 100, 1000: 200}
KLINE_MS = 1_000
PRICE_LIMIT_MS = 300
RESEND_TOP_MS = 3_000
MOST_TRADES = 1_024
Push = Callable[[bytes, int], None]  # a frame, and how many rows it has


class PublicTopic(Protocol):
    """One topic of one market."""

    def snapshot(self) -> list[bytes]:
        """Return what a new subscriber gets first."""

    def market_changed(self) -> None:
        """Take note that the market changed."""

    def traded(self, trade: PublicTrade) -> None:
        """Take note of a trade."""


class _Throttled:
    """Pushes at most once per interval after a change."""

    interval_ms = 100

    def __init__(self, topic: str, market: Market, exchange: PaperExchange, push: Push) -> None:
        self.topic = topic
        self.market = market
        self.exchange = exchange
        self.push = push
        self._planned = False
        self._pushed_ms = -self.interval_ms

    def snapshot(self) -> list[bytes]:
        return []

    def traded(self, trade: PublicTrade) -> None:
        pass

    def market_changed(self) -> None:
        if self._planned:
            return
        self._planned = True
        self.exchange.schedule.at(self.next_push_ms(), self._due)

    def next_push_ms(self) -> int:
        """Return when a change of now is pushed."""
        return max(self.exchange.now_ms, self._pushed_ms + self.interval_ms)

    def _due(self) -> None:
        self._planned = False
        self._pushed_ms = self.exchange.now_ms
        self.publish()

    def publish(self) -> None:
        raise NotImplementedError

    def frame(self, kind: str, data: object, **more: object) -> bytes:
        """Return the bytes of a frame."""
        return orjson.dumps(
            {"topic": self.topic, "type": kind, "data": data, "ts": self.exchange.now_ms, **more}
        )


class TickerTopic(_Throttled):
    """`tickers.{symbol}`: a snapshot, then what changed, ten times a second.

    Every symbol has moments of its own, as in recorded frames: there those of one symbol lie whole
    tenths of a second apart, and those of two never fall on the same millisecond. A change is told
    after its trade, by 1 to 100 ms: who decides on tickers knows of a fill before the price that
    made it, as a rule.
    """

    interval_ms = TICKER_MS

    def __init__(self, topic: str, market: Market, exchange: PaperExchange, push: Push) -> None:
        super().__init__(topic, market, exchange, push)
        self._row: Row | None = None
        self._seq = 0
        self._phase_ms = crc32(market.symbol.encode()) % self.interval_ms

    def next_push_ms(self) -> int:
        """Return the symbol's next moment."""
        now = self.exchange.now_ms
        return now - (now - self._phase_ms) % self.interval_ms + self.interval_ms

    def snapshot(self) -> list[bytes]:
        if self._row is None:
            self._row = ticker_row(self.market, self.exchange.now_ms)
            self._seq = self.market.seq
        return [self.frame("snapshot", self._row, cs=self._seq)]

    def publish(self) -> None:
        if self._row is None:
            return  # nobody has a snapshot to apply a delta to
        row, before = ticker_row(self.market, self.exchange.now_ms), self._row
        changed = {name: value for name, value in row.items() if value != before[name]}
        if not changed:
            return
        # quotes and sizes go together, as recorded frames do
        for side in ("bid1", "ask1"):
            if f"{side}Price" in changed or f"{side}Size" in changed:
                changed[f"{side}Price"] = row[f"{side}Price"]
                changed[f"{side}Size"] = row[f"{side}Size"]
        self._row, self._seq = row, self.market.seq
        data = {"symbol": self.market.symbol, **changed}
        self.push(self.frame("delta", data, cs=self._seq), 1)


class TradeTopic(_Throttled):
    """`publicTrade.{symbol}`: every trade, those of one moment in one frame."""

    interval_ms = 0

    def __init__(self, topic: str, market: Market, exchange: PaperExchange, push: Push) -> None:
        super().__init__(topic, market, exchange, push)
        self._rows: list[Row] = []

    def market_changed(self) -> None:
        pass

    def traded(self, trade: PublicTrade) -> None:
        self._rows.append(trade_frame_row(self.market, trade))
        super().market_changed()

    def publish(self) -> None:
        rows, self._rows = self._rows, []
        for start in range(0, len(rows), MOST_TRADES):
            part = rows[start : start + MOST_TRADES]
            self.push(self.frame("snapshot", part), len(part))


Levels = dict[int, Decimal]


class BookTopic(_Throttled):
    """`orderbook.{depth}.{symbol}`: a snapshot, then levels that changed; depth 1 snapshots only.

    Level 1 is sent again after three quiet seconds, with the same `u`.
    """

    def __init__(
        self, topic: str, market: Market, exchange: PaperExchange, push: Push, depth: int
    ) -> None:
        self.interval_ms = BOOK_MS[depth]
        super().__init__(topic, market, exchange, push)
        self._depth = depth
        self._shown: dict[SideType, Levels] | None = None
        self._tick_size = market.listing.instrument.tick_size
        self._update = 0
        self._seq = 0
        self._cts = 0
        self._resends = False

    def snapshot(self) -> list[bytes]:
        if self._shown is None:
            self._look()
        shown = self._shown or {}
        return [self._frame("snapshot", shown)]

    def _look(self) -> None:
        self._shown = {
            side: dict(self.market.quotes.levels(side, self._depth)) for side in SideType
        }
        self.market.updates += 1
        self._update, self._seq = self.market.updates, self.market.seq
        self._cts = self.market.ts_ms
        self._tick_size = self.market.listing.instrument.tick_size

    def _frame(self, kind: str, levels: dict[SideType, Levels]) -> bytes:
        data = {
            "s": self.market.symbol,
            "b": level_rows(
                self.market, sorted(levels.get(SideType.BUY, {}).items(), reverse=True)
            ),
            "a": level_rows(self.market, sorted(levels.get(SideType.SELL, {}).items())),
            "u": self._update,
            "seq": self._seq,
        }
        return self.frame(kind, data, cts=self._cts)

    def publish(self) -> None:
        before = self._shown
        if before is None:
            return
        now = {side: dict(self.market.quotes.levels(side, self._depth)) for side in SideType}
        is_other_grid = self._tick_size != self.market.listing.instrument.tick_size
        if now == before and not is_other_grid:
            return
        self._look()
        if self._depth == 1 or is_other_grid:
            self.push(self._frame("snapshot", now), 1)
            if self._depth == 1:
                self._plan_resend()
            return
        changed: dict[SideType, Levels] = {}
        for side in SideType:
            old, new = before[side], now[side]
            changed[side] = {t: size for t, size in new.items() if old.get(t) != size}
            changed[side] |= {ticks: Decimal(0) for ticks in old if ticks not in new}
        self.push(self._frame("delta", changed), 1)

    def _plan_resend(self) -> None:
        if not self._resends:
            self._resends = True
            self.exchange.after(RESEND_TOP_MS, self._resend)

    def _resend(self) -> None:
        self._resends = False
        if self.exchange.now_ms - self._pushed_ms >= RESEND_TOP_MS and self._shown:
            self.push(self._frame("snapshot", self._shown), 1)


class KlineTopic(_Throttled):
    """`kline.{interval}.{symbol}`: the unfinished candle once a second, then the finished one."""

    interval_ms = KLINE_MS

    def __init__(
        self, topic: str, market: Market, exchange: PaperExchange, push: Push, interval: str
    ) -> None:
        super().__init__(topic, market, exchange, push)
        self._interval = interval
        self._current: int | None = None  # start of the candle that was last shown unfinished

    def publish(self) -> None:
        now = self.exchange.now_ms
        for candle in reversed(self._unseen()):
            _, end = period(self._interval, candle.start_ms)
            row = candle_frame_row(self.market, candle, self._interval, end, now)
            self.push(self.frame("snapshot", [row]), 1)
            self._current = None if row["confirm"] else candle.start_ms
            if not row["confirm"]:
                self.exchange.schedule.at(end, self._finish)

    def _unseen(self) -> list[Candle]:
        """Return the newest candle, and the one shown before it unless it was finished."""
        found: list[Candle] = []
        for candle in self.market.candles.newest_first(self._interval):
            if found and (self._current is None or candle.start_ms < self._current):
                break
            found.append(candle)
            if self._current is None:
                break
        return found

    def _finish(self) -> None:
        if (
            self._current is not None
            and self.exchange.now_ms >= period(self._interval, self._current)[1]
        ):
            self.publish()


class PriceLimitTopic(_Throttled):
    """`priceLimit.{symbol}`."""

    interval_ms = PRICE_LIMIT_MS

    def snapshot(self) -> list[bytes]:
        return self._frames()

    def publish(self) -> None:
        for frame in self._frames():
            self.push(frame, 1)

    def _frames(self) -> list[bytes]:
        limits = self.market.price_limits()
        if limits is None:
            return []
        highest, lowest = (
            self.market.listing.price_text(self.market.price(ticks)) for ticks in limits
        )
        data = {"symbol": self.market.symbol, "buyLmt": highest, "sellLmt": lowest}
        return [orjson.dumps({"topic": self.topic, "ts": self.exchange.now_ms, "data": data})]


def make_topic(name: str, exchange: PaperExchange, push: Push) -> PublicTopic | None:
    """Return the topic of a name, None for one that does not exist."""
    kind, _, rest = name.partition(".")
    option, _, symbol = rest.rpartition(".")
    market = exchange.markets.get(symbol)
    if market is None or market.status == ContractStatus.CLOSED:
        return None
    if not option:
        plain = {
            "tickers": TickerTopic,
            "publicTrade": TradeTopic,
            "priceLimit": PriceLimitTopic,
        }.get(kind)
        return plain(name, market, exchange, push) if plain is not None else None
    if kind == "orderbook" and option.isdecimal() and int(option) in BOOK_MS:
        return BookTopic(name, market, exchange, push, int(option))
    if kind == "kline" and option in INTERVALS:
        return KlineTopic(name, market, exchange, push, option)
    return None
