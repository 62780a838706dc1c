"""The local exchange as it is measured: markets, accounts and what moves them."""

from __future__ import annotations

import asyncio
import cProfile
import os
import sys
import time
from decimal import Decimal
from itertools import product

from gridcore import SideType
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.assembly import assemble, serve
from paper_exchange.host.server import PaperServer
from paper_exchange.market.market import FeedTrade, Market
from testkit.paper import NO_LIMITS, paper_account, paper_market

ACCOUNTS = 50


SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "DOGEUSDT", "ADAUSDT",
           "LTCUSDT", "LINKUSDT", "AVAXUSDT")  # fmt: skip


LEVELS = int(os.environ.get("BENCH_LEVELS", "40"))


PACED = range(LEVELS // 4)  # orders at RATE


CLOSED = range(PACED.stop, LEVELS)  # orders as fast as they are acknowledged


SWEPT = range(LEVELS // 2)  # fills alone


MIXED = range(SWEPT.stop, LEVELS)  # fills beside orders


BESIDE = range(LEVELS, LEVELS + LEVELS // 8)  # the orders beside them, at RATE


RATE = int(os.environ.get("BENCH_RATE", "1000"))  # orders/s where they are paced


FIRST_TICKS = 100_000


STEP_TICKS = 20  # between two levels


MOST_BACKLOG = 200  # frames that a connection may be behind before the market waits


TOPICS = ("order", "execution", "position", "wallet")


def listed() -> list[Market]:
    """Return the markets; all stand at the same number of ticks."""
    return [paper_market(symbol) for symbol in SYMBOLS]


def key(account: int) -> str:
    """Return the API key of an account, which is its secret too."""
    return f"key-{account:02d}"


async def host(profile: cProfile.Profile | None) -> None:
    """Serve until told to end; asked by `mark` it tells how far it is, by `sweep 0 10` it lets
    the market fall through ten levels before.
    """
    markets = listed()
    accounts = [
        paper_account(f"a{n}", "10000000", key=key(n), secret=key(n), uid=1000 + n)
        for n in range(ACCOUNTS)
    ]
    parts = assemble(markets, accounts, start_ms=wall_ms(), limits=NO_LIMITS)
    server = serve(parts, iter(()))
    await server.start()
    trades = Trades(server, markets)
    for market in markets:
        trades.trade(market, FIRST_TICKS + 1)
    said: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(0, lambda: said.put_nowait(sys.stdin.readline().strip()))
    print(server.port, flush=True)
    if profile is not None:
        profile.enable()
    while (words := (await said.get()).split()) != ["end"]:
        if words[0] == "sweep":
            await trades.sweep(range(int(words[1]), int(words[2])))
        print(parts.hub.subscriptions.frames, time.process_time(), flush=True)
    if profile is not None:
        profile.disable()
    await server.stop()


class Trades:
    """Makes the market trade."""

    def __init__(self, server: PaperServer, markets: list[Market]) -> None:
        self._server = server
        self._markets = markets
        self._count = 0

    def trade(self, market: Market, ticks: int) -> None:
        """Let a market trade now."""
        self._count += 1
        self._server.driver.push(
            FeedTrade(
                symbol=market.symbol,
                ts_ms=0,
                price=market.price(ticks),
                qty=Decimal(1_000_000),
                side=SideType.SELL,
                trade_id=f"t{self._count}",
            )
        )

    async def sweep(self, levels: range) -> None:
        """Let all markets fall through levels; waits for clients that are behind."""
        for level, market in product(levels, self._markets):
            self.trade(market, level_ticks(level) - 1)
            await asyncio.sleep(0)
            # nobody tells when a client has caught up
            while self._server.driver.backlog() > MOST_BACKLOG:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


def level_ticks(level: int) -> int:
    """Return the price of a level."""
    return FIRST_TICKS - level * STEP_TICKS
