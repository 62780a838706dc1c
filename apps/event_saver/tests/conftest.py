"""Both databases, a spool, and a local exchange over real sockets that remembers what it said."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr
from sqlalchemy import event, text

from bybit_adapter import Environment, StreamTiming
from event_saver.accounts.contexts import AccountContext
from event_saver.reconcile.reconciler import Patience
from event_saver.saver import EventSaver
from event_saver.settings.config import EventSaverConfig
from event_saver.spool.spool import Spool
from exchange_model.account.simulated_account import FeeRates
from exchange_model.rules.codes import RefusalError
from grid_db import (
    DatabaseFactory,
    MarketGapRepository,
    PublicTradeRepository,
    RunType,
    TenantScope,
    TickerSnapshotRepository,
    UserRepository,
)
from grid_db import Environment as StoredEnvironment
from grid_db.testing import settings_for
from gridcore import SideType
from market_data.rules.instrument_info import default_rules
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.book.order_request import parse_order
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.assembly import Assembly, assemble, serve
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.host.server import PaperServer
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import listing_of_rules
from paper_exchange.market.market import FeedTrade, Market
from paper_exchange.rest.rate_limits import RateLimits
from paper_exchange.rest.rows import position_frame_rows
from testkit.children import Children

T = TypeVar("T")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT")
STARTS = {"BTCUSDT": 60_000, "ETHUSDT": 3_000, "LTCUSDT": 90}
QUICK = StreamTiming(
    ping_interval_s=5.0,
    ping_timeout_s=4.0,
    socket_check_s=0.2,
    silence_s=20.0,
    attempt_s=3.0,
    first_pause_s=0.05,
    longest_pause_s=0.3,
)


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


class Exchange:
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
            Market(listing_of_rules(default_rules(symbol)), Depth(Decimal(20_000), 7), Decimal(0))
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
        self.call(lambda: [exchange.operator.halt(symbol, halted=True) for symbol in SYMBOLS])
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


@pytest.fixture
def start_exchange() -> Iterator[Callable[..., Exchange]]:
    """Start local exchanges; they end with the test."""
    started: list[Exchange] = []

    def start(**options: Any) -> Exchange:
        started.append(Exchange(**options))
        return started[-1]

    yield start
    for exchange in started:
        exchange.stop()


class Stored:
    """Reads what the database has, in the form of `Said`."""

    def __init__(self, database: DatabaseFactory, contexts: list[AccountContext]) -> None:
        self._database = database
        self._contexts = contexts

    def trades(self) -> list[tuple[str, str]]:
        with self._database.get_session() as session:
            return [
                (symbol, trade.trade_id)
                for symbol in SYMBOLS
                for trade in PublicTradeRepository(session).iterate(symbol)
            ]

    def tickers(self) -> int:
        with self._database.get_session() as session:
            return sum(TickerSnapshotRepository(session).count(symbol) for symbol in SYMBOLS)

    def executions(self) -> dict[str, list[str]]:
        return self._private(
            lambda scope, account: [
                one.exec_id for one in scope.executions.iterate_by_account(account)
            ]
        )

    def orders(self) -> dict[tuple[str, str, int], str]:
        found: dict[tuple[str, str, int], str] = {}
        for name, runs in self._private(
            lambda scope, _: [
                one
                for run in scope.runs.get_by_user_id()
                for one in scope.orders.get_by_run_range(run.id)
            ]
        ).items():
            for one in runs:
                key = (name, one.order_id, _ms(one.exchange_ts))
                assert key not in found
                found[key] = one.status
        return found

    def positions(self) -> dict[tuple[str, str, int, int], str]:
        legs = {"long": 1, "short": 2}
        found: dict[tuple[str, str, int, int], str] = {}
        for name, rows in self._private(
            lambda scope, account: [
                one
                for symbol in SYMBOLS
                for one in scope.positions.get_by_account_range(account, symbol)
                if "entryPrice" in (one.raw_json or "")  # of the stream, not of REST
            ]
        ).items():
            for one in rows:
                key = (name, one.symbol, legs[one.direction], _ms(one.exchange_ts))
                found[key] = str(one.size)
        return found

    def wallets(self) -> dict[tuple[str, int], str]:
        return {
            (name, _ms(one.exchange_ts)): str(one.wallet_balance)
            for name, rows in self._private(
                lambda scope, account: scope.wallets.get_by_account_range(account)
            ).items()
            for one in rows
        }

    def closing(self, context: AccountContext) -> list[Any]:
        """Return the executions that closed something."""
        with self._database.get_session() as session:
            scope = TenantScope(session, context.user_id)
            found = list(scope.executions.iterate_by_account(context.account_id))
        return [one for one in found if one.closed_size]

    def gaps(self) -> list[Any]:
        with self._database.get_session() as session:
            found = list(MarketGapRepository(session).find())
        for rows in self._private(lambda scope, _: scope.capture_gaps.find()).values():
            found += rows
        return found

    def _private(self, read: Callable[[TenantScope, Any], Any]) -> dict[str, Any]:
        found = {}
        for context in self._contexts:
            with self._database.get_session() as session:
                name = context.api_key.removesuffix("-key")
                found[name] = read(TenantScope(session, context.user_id), context.account_id)
        return found


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@pytest.fixture
def make_contexts() -> Callable[..., list[AccountContext]]:
    """Create both accounts of a local exchange in a database, each with a run."""

    def make(
        database: DatabaseFactory, exchange: Exchange, *, with_run: bool = True
    ) -> list[AccountContext]:
        contexts = []
        for name in ("alice", "bob"):
            with database.get_session() as session:
                user = UserRepository(session).get_or_create(name)
            with database.get_session() as session:
                scope = TenantScope(session, user.id)
                account = scope.accounts.get_or_create("main", StoredEnvironment.PAPER)
                run = scope.runs.create(RunType.RECORDING, datetime.now(UTC), account_id=account.id)
            contexts.append(
                AccountContext(
                    account.id,
                    user.id,
                    run.id if with_run else None,
                    f"{name}-key",
                    f"{name}-secret",
                    exchange.environment,
                    SYMBOLS,
                )
            )
        return contexts

    return make


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., EventSaverConfig]:
    """Return settings for a local exchange and a database."""

    def make(database: DatabaseFactory, exchange: Exchange, **changes: Any) -> EventSaverConfig:
        url = database.engine.url.render_as_string(hide_password=False)
        values: dict[str, Any] = {
            "symbols": ",".join(SYMBOLS),
            "environment": exchange.url,
            "database_url": SecretStr(url),
            "spool_dir": tmp_path / "spool",
            "flush_interval": 0.2,
            "gap_threshold_seconds": 2.0,
            "metrics_port": None,
        }
        return EventSaverConfig(**{**values, **changes})

    return make


@contextmanager
def _outage(database: DatabaseFactory) -> Iterator[None]:
    """Keep the database from taking anything: errors on both, as a stopped server gives them."""
    if database.dialect == "sqlite":

        def impatient(connection: object, *_: object) -> None:
            connection.execute("PRAGMA busy_timeout = 20")  # type: ignore[attr-defined]  # sqlite3's

        event.listen(database.engine, "checkout", impatient)
        with database.engine.connect() as other:
            other.exec_driver_sql("BEGIN EXCLUSIVE")
            yield
            other.rollback()
        event.remove(database.engine, "checkout", impatient)
        return
    name = database.engine.url.database
    with DatabaseFactory(settings_for(database.engine.url.set(database="postgres"))) as admin:
        engine = admin.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"),
                {"n": name},
            )
            yield
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))


@contextmanager
def _hanging(database: DatabaseFactory, seconds: float) -> Iterator[None]:
    """Let statements hang: another connection holds what they need."""
    with database.engine.connect() as other:
        if database.dialect == "sqlite":
            other.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            other.exec_driver_sql("LOCK TABLE public_trades IN ACCESS EXCLUSIVE MODE")
        timer = threading.Timer(seconds, lambda: None)
        timer.start()
        yield
        timer.join()
        other.rollback()


@pytest.fixture
def outage() -> Callable[..., AbstractContextManager[None]]:
    """How to keep a database from taking anything for a while."""
    return _outage


@pytest.fixture
def hanging() -> Callable[..., AbstractContextManager[None]]:
    """How to let statements hang for a while."""
    return _hanging


@pytest.fixture
def make_stored() -> type[Stored]:
    """How to read what is stored."""
    return Stored


@pytest.fixture
async def make_saver(
    database: DatabaseFactory, make_config: Any
) -> AsyncIterator[Callable[..., EventSaver]]:
    """Return a daemon that is not started; it is stopped with the test."""
    made: list[EventSaver] = []

    def make(exchange: Exchange, patience: Patience | None = None, **changes: Any) -> EventSaver:
        settings = make_config(database, exchange, **changes)
        patience = patience or Patience(settle_s=0.3, pauses_s=(), overlap_s=1.0)
        made.append(EventSaver(settings, database, timing=QUICK, patience=patience))
        return made[-1]

    yield make
    for saver in made:
        await saver.stop()


@pytest.fixture
def world(
    database: DatabaseFactory,
    start_exchange: Any,
    make_contexts: Any,
    make_saver: Any,
) -> Callable[..., Any]:
    """Return an exchange, a daemon on it that is not started, and a reader of the database."""

    def make(*, with_run: bool = True, config: dict[str, Any] | None = None, **options: Any) -> Any:
        exchange = start_exchange(**options)
        contexts = make_contexts(database, exchange, with_run=with_run)
        return (
            exchange,
            make_saver(exchange, **(config or {})),
            contexts,
            Stored(database, contexts),
        )

    return make


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool."""
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


@pytest.fixture
def open_spool() -> Iterator[Callable[..., Spool]]:
    """Open spools as `Spool(...)` does; all are closed at the end."""
    opened: list[Spool] = []

    def open_one(*args: Any, **options: Any) -> Spool:
        opened.append(Spool(*args, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[..., Path]:
    """Write settings as a file of NAME=value lines."""

    def write(database: DatabaseFactory, exchange: Any, **changes: Any) -> Path:
        values = {
            "SYMBOLS": "BTCUSDT,ETHUSDT,LTCUSDT",
            "ENVIRONMENT": exchange.url,
            "DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
            "SPOOL_DIR": tmp_path / "spool",
            "FLUSH_INTERVAL": "0.3",
            "METRICS_PORT": "",
            "USER": "alice",
            "API_KEY": "alice-key",
            "API_SECRET": "alice-secret",
            **changes,
        }
        file = tmp_path / "saver.env"
        file.write_text("".join(f"EVENTSAVER_{name}={value}\n" for name, value in values.items()))
        return file

    return write


@pytest.fixture
def children() -> Iterator[Children]:
    with Children("event_saver.main") as made:
        yield made
