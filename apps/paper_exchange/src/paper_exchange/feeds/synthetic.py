"""A made-up market without end; the same seed gives the same events."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from gridcore import InstrumentInfo, SideType
from paper_exchange.feeds.arrivals import Arrivals
from paper_exchange.feeds.feed import trade_ids
from paper_exchange.feeds.synthetic_settings import HIGHEST_PRICE, SyntheticSettings, WalkKind
from paper_exchange.feeds.walks import Diffusion, Jumps, Reversion, Sine, Underlying, Walk
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

QUOTE_EVERY_MS = 1_000
DEEPER_CHANCE = 0.25  # that the next trade of an order is one tick worse
MOST_LEVELS = 3  # ticks that one order eats into the book
FOLLOWING = 0.45  # how much a move tilts the chance of a buy away from one half


class SyntheticFeed:
    """Trades around an underlying price, with mark, index and quotes each second.

    Orders come in clusters, mostly in the direction in which the price moved; each is one or
    several trades of one moment, which buy at the ask or sell at the bid and may eat into the
    book. Sizes are exponential. The first quote is at the start, the first trade with it.
    """

    def __init__(self, instrument: InstrumentInfo, settings: SyntheticSettings) -> None:
        self._instrument = instrument
        self._settings = settings
        self.name = f"synthetic {settings.kind} {instrument.symbol}"
        self.symbols = (instrument.symbol,)

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield events for ever; but for trade ids and times they do not depend on the start."""
        fair = self._underlying()
        orders = _Orders(self._instrument, self._settings, start_ms)
        arrivals = Arrivals(self._chance("arrivals"), self._settings.trades_per_s)
        price = fair.at(0.0)
        yield self._quote(price, start_ms, self._settings.funding_rate)
        quotes, order_ms = 1, 0
        while True:
            yield from orders.trades(price, start_ms + order_ms, arrivals.prints())
            order_s = arrivals.next_s()
            order_ms = math.floor(order_s * 1_000)
            while quotes * QUOTE_EVERY_MS <= order_ms:
                due_ms = quotes * QUOTE_EVERY_MS
                yield self._quote(fair.at(due_ms / 1_000), start_ms + due_ms)
                quotes += 1
            price = fair.at(order_s)

    def _chance(self, what: str) -> Random:
        return _chance(self._instrument.symbol, self._settings.seed, what)

    def _underlying(self) -> Underlying:
        one, tick = self._settings, float(self._instrument.tick_size)
        walks: list[Walk] = []
        for kind in one.kinds():
            # a stream of its own, so that a walk is the same whatever it is added to
            chance = self._chance(kind)
            match kind:
                case WalkKind.GBM:
                    walks.append(Diffusion(chance, one.volatility))
                case WalkKind.MEAN_REVERSION:
                    walks.append(
                        Reversion(
                            chance,
                            one.volatility,
                            one.reversion_half_life_s,
                            one.reversion_band_ratio,
                        )
                    )
                case WalkKind.JUMPS:
                    walks.append(Jumps(chance, one.jumps_per_day, one.jump_ratio))
                case WalkKind.SINE:
                    walks.append(Sine(one.sine_amplitude_ratio, one.sine_period_s))
        return Underlying(float(one.start_price) / tick, float(HIGHEST_PRICE) / tick, walks)

    def _quote(self, fair: float, ts_ms: int, funding_rate: Decimal | None = None) -> FeedQuote:
        bid, ask = _bid_ask(fair, self._settings.spread_ticks)
        price = self._instrument.to_price(max(1, round(fair)))
        return FeedQuote(
            symbol=self._instrument.symbol,
            ts_ms=ts_ms,
            mark_price=price,
            index_price=price,
            bid1_price=self._instrument.to_price(bid),
            ask1_price=self._instrument.to_price(ask),
            funding_rate=funding_rate,
        )


class _Orders:
    """Turns the moments of taker orders into trades."""

    def __init__(
        self, instrument: InstrumentInfo, settings: SyntheticSettings, start_ms: int
    ) -> None:
        self._instrument = instrument
        self._settings = settings
        self._chance = _chance(instrument.symbol, settings.seed, "orders")
        self._ids = trade_ids(f"synthetic {instrument.symbol} {settings.seed}", start_ms)
        self._most_steps = int(instrument.max_qty / instrument.qty_step)
        self._before: float | None = None  # fair price of the order before, ticks

    def trades(self, fair: float, ts_ms: int, count: int) -> Iterator[FeedTrade]:
        """Yield the trades of one order at a fair price in ticks."""
        side = self._side(fair)
        bid, ask = _bid_ask(fair, self._settings.spread_ticks)
        level = 0
        for _ in range(count):
            ticks = ask + level if side is SideType.BUY else max(1, bid - level)
            yield FeedTrade(
                symbol=self._instrument.symbol,
                ts_ms=ts_ms,
                price=self._instrument.to_price(ticks),
                qty=self._qty(fair),
                side=side,
                trade_id=next(self._ids),
            )
            if level < MOST_LEVELS and self._chance.random() < DEEPER_CHANCE:
                level += 1

    def _side(self, fair: float) -> SideType:
        move = 0.0 if self._before is None else fair - self._before
        self._before = fair
        buys = 0.5 + FOLLOWING * math.tanh(move)
        return SideType.BUY if self._chance.random() < buys else SideType.SELL

    def _qty(self, fair: float) -> Decimal:
        step_usdt = fair * float(self._instrument.tick_size * self._instrument.qty_step)
        usdt = self._chance.expovariate(1 / self._settings.qty_mean_usdt)
        steps = min(self._most_steps, max(1, round(min(usdt / step_usdt, self._most_steps))))
        return self._instrument.qty_step * steps


def _bid_ask(fair: float, spread_ticks: int) -> tuple[int, int]:
    bid = max(1, round(fair - spread_ticks / 2))
    return bid, bid + spread_ticks


def _chance(symbol: str, seed: int, what: str) -> Random:
    # text as a seed goes through SHA-512, not through hash(), which differs between processes
    return Random(f"{symbol} {seed} {what}")  # noqa: S311 - a made-up market, no secret
