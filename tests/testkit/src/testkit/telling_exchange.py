"""A local exchange over real sockets that moves by the clock and remembers what it told.

Two accounts, three symbols. For tests of whoever has to keep all that an exchange says.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from bybit_adapter import Environment
from exchange_model.account.simulated_account import FeeRates
from exchange_model.rules.codes import RefusalError
from gridcore import SideType
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.book.order_request import parse_order
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.assembly import Assembly, assemble, serve
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.host.server import PaperServer
from paper_exchange.market.depth import Depth
from paper_exchange.market.market import FeedTrade, Market
from paper_exchange.rest.rate_limits import RateLimits
from paper_exchange.rest.rows import position_frame_rows
from testkit.paper import paper_listing

T = TypeVar("T")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
STARTS = {"BTCUSDT": 60_000, "ETHUSDT": 3_000, "LTCUSDT": 90}


@dataclass(slots=True)
class Said:
    """What the exchange told its listeners, whoever was connected."""

    trades: dict[tuple[str, str], int] = field(default_factory=dict)  # -> ms
    executions: dict[str, set[str]] = field(default_factory=dict)
    # (account, order, updated ms) -> status, the last one of that moment
    orders: dict[tuple[str, str, int], str] = field(default_factory=dict)
    positions: dict[tuple[str, str, int, int], str] = field(default_factory=dict)
    wallets: dict[tuple[str, int], str] = field(default_factory=dict)


class Listening:
    """Writes down what a hub would send. A listener of the exchange."""

    def __init__(self, parts: Assembly, said: Said) -> None:
        self._exchange = parts.exchange
        self._said = said

    def on_order(self, account: PaperAccount, order: Any) -> None:
        key = (account.name, order.order_id, order.updated_ms)
        self._said.orders[key] = order.status.value

    def on_execution(self, account: PaperAccount, execution: Any) -> None:
        self._said.executions.setdefault(account.name, set()).add(execution.exec_id)

    def on_position(self, account: PaperAccount, symbol: str, legs: Any) -> None:
        market = self._exchange.markets[symbol]
        for row in position_frame_rows(account, market, legs):
            moment = int(row["updatedTime"]) or self._exchange.now_ms
            key = (account.name, symbol, row["positionIdx"], moment)
            self._said.positions[key] = row["size"]

    def on_wallet(self, account: PaperAccount) -> None:
        self._said.wallets[account.name, self._exchange.now_ms] = str(account.money.wallet)

    def on_trade(self, market: Market, trade: Any) -> None:
        self._said.trades[market.symbol, trade.trade_id] = trade.ts_ms

    def on_market(self, market: Market) -> None:
        """Tickers are thinned by the exchange itself."""


class TellingExchange:
    """A local exchange on its own thread. Two accounts, three symbols; the market runs by the
    clock, `per_s` trades a second of it, times `speed`."""

    def __init__(self, *, per_s: float = 100, speed: float = 1.0, seed: int = 1) -> None:
        self.said = Said()
        self._ready = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._per_s = per_s
        self._speed = speed
        self._random = random.Random(seed)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        now = wall_ms()
        markets = [
            Market(paper_listing(symbol), Depth(Decimal(20_000), 7), Decimal(0))
            for symbol in SYMBOLS
        ]
        accounts = [
            PaperAccount(
                name,
                uid,
                Decimal(1_000_000),
                FeeRates(),
                Decimal(10),
                (ApiKey(key=f"{name}-key", secret=f"{name}-secret"),),
            )
            for uid, name in enumerate(("alice", "bob"), 1001)
        ]
        self.parts = assemble(markets, accounts, start_ms=now, limits=RateLimits(0, 10**9))
        self.parts.exchange.listen(Listening(self.parts, self.said))
        self.server: PaperServer = serve(self.parts, self._feed(now), speed=self._speed)
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        await self.server.start()
        self._ready.set()
        await self._stopping.wait()
        await self.server.stop()

    def _feed(self, start_ms: int) -> Iterator[FeedTrade]:
        prices = {name: float(price) for name, price in STARTS.items()}
        chance = random.Random(5)
        number = 0
        while True:
            number += 1
            symbol = SYMBOLS[number % 3]
            prices[symbol] *= 1 + chance.gauss(0, 0.0004)
            yield FeedTrade(
                symbol=symbol,
                ts_ms=start_ms + int(number * 1000 / self._per_s),
                price=Decimal(str(round(prices[symbol], 2))),
                qty=Decimal(chance.randint(1, 900)) / 100,
                side=chance.choice((SideType.BUY, SideType.SELL)),
                trade_id=f"t{number:09d}",
            )

    @property
    def url(self) -> str:
        return self.server.base_url

    @property
    def environment(self) -> Environment:
        return Environment.local(self.server.port)

    def call(self, work: Callable[[], T]) -> T:
        """Run something on the exchange's thread and return its result."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(10)

    def trade_some(self, orders: int = 5) -> None:
        """Let both accounts place, fill and cancel orders."""
        self.call(lambda: self._trade_some(orders))

    def _trade_some(self, orders: int) -> None:
        exchange, chance = self.parts.exchange, self._random
        self.server.driver.catch_up()
        for account in exchange.accounts.values():
            for _ in range(orders):
                market = exchange.markets[chance.choice(SYMBOLS)]
                if market.last_ticks is None:
                    continue
                side = chance.choice(("Buy", "Sell"))
                offset = chance.choice((-40, -3, -1, 1))
                ticks = market.last_ticks + (offset if side == "Buy" else -offset)
                params = {
                    "symbol": market.symbol,
                    "side": side,
                    "orderType": chance.choice(("Limit", "Limit", "Market")),
                    "qty": {"BTCUSDT": "0.01", "ETHUSDT": "0.1", "LTCUSDT": "1"}[market.symbol],
                    "price": str(market.price(ticks)),
                    "positionIdx": chance.choice((1, 2)),
                }
                try:
                    exchange.place(account, parse_order(params, market.listing, hedge_mode=True))
                except RefusalError:
                    continue
            if chance.random() < 0.5 and account.open_orders:
                exchange.cancel_all(account, [chance.choice(SYMBOLS)])
        self.server.driver.catch_up()

    def rest_order(self, name: str) -> str:
        """Place an order that does not fill; return its id."""
        exchange = self.parts.exchange

        def place() -> str:
            market = exchange.markets["BTCUSDT"]
            params = {
                "symbol": "BTCUSDT",
                "side": "Buy",
                "orderType": "Limit",
                "qty": "0.01",
                "price": str(market.price((market.last_ticks or 1) - 5_000)),
                "positionIdx": 1,
            }
            request = parse_order(params, market.listing, hedge_mode=True)
            return exchange.place(exchange.accounts[name], request).order_id

        return self.call(place)

    def fault(self, kind: str, **settings: Any) -> None:
        """Put a fault of the wire into force."""
        rule = FaultRule(kind=FaultKind(kind), **settings)
        self.call(lambda: self.parts.faults.add(rule))

    def cut(self, channel: str, seconds: float) -> None:
        """Break the connections of a channel (public, private) and refuse new ones for a while."""
        self.fault("refuse", channel=channel, duration_s=seconds)
        self.call(lambda: self.server.disconnect(channel, reset=True))

    def halt(self) -> None:
        """Stop all trading, so that what was said stays as it is."""
        exchange = self.parts.exchange
        for symbol in SYMBOLS:
            self.call(partial(exchange.operator.halt, symbol, halted=True))
        time.sleep(0.05)
        self.call(self.server.driver.catch_up)
        end = time.monotonic() + 10
        while any(one.waiting for one in tuple(self.server.connections.values())):
            assert time.monotonic() < end, "clients do not take their frames"
            time.sleep(0.02)
        time.sleep(0.2)

    def stop(self) -> None:
        if self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(5)
