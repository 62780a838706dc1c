"""Both databases, a spool, and a local exchange over real sockets that remembers what it said."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event, text

from bybit_adapter import StreamTiming
from event_saver.accounts.contexts import AccountContext
from event_saver.reconcile.reconciler import Patience
from event_saver.saver import EventSaver
from event_saver.settings.config import EventSaverConfig
from event_saver.spool.spool import Spool
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
from testkit.children import Children
from testkit.telling_exchange import SYMBOLS, TellingExchange

QUICK = StreamTiming(
    ping_interval_s=5.0,
    ping_timeout_s=4.0,
    socket_check_s=0.2,
    silence_s=20.0,
    attempt_s=3.0,
    first_pause_s=0.05,
    longest_pause_s=0.3,
)


@pytest.fixture
def start_exchange() -> Iterator[Callable[..., TellingExchange]]:
    """Start local exchanges; they end with the test."""
    started: list[TellingExchange] = []

    def start(**options: Any) -> TellingExchange:
        started.append(TellingExchange(**options))
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
        database: DatabaseFactory, exchange: TellingExchange, *, with_run: bool = True
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

    def make(
        database: DatabaseFactory, exchange: TellingExchange, **changes: Any
    ) -> EventSaverConfig:
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

    def make(
        exchange: TellingExchange, patience: Patience | None = None, **changes: Any
    ) -> EventSaver:
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
