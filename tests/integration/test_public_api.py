"""The names of the packages, as somebody who uses them writes them down."""

from __future__ import annotations

import importlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from grid_db import AccountEnvironment, DatabaseFactory, DatabaseSettings
from gridcore import DirectionType, SideType

IMPORTS = [
    "from grid_db import DatabaseFactory, DatabaseSettings, TenantScope, RunType, RunStatus",
    "from grid_db import User, BybitAccount, ApiCredential, Strategy, Run",
    "from grid_db import PublicTrade, TickerSnapshot, PrivateExecution, Order",
    "from grid_db import PositionSnapshot, WalletSnapshot, CaptureGap, GridSnapshot, Alert",
    "from grid_db import Instrument, RiskLimitTier, FundingRate, Kline",
    "from grid_db import UserRepository, BybitAccountRepository, StrategyRepository, RunRepository",
    "from grid_db import ApiCredentialRepository, CaptureGapRepository, OrderRepository",
    "from grid_db import PublicTradeRepository, TickerSnapshotRepository",
    "from grid_db import PrivateExecutionRepository, WalletSnapshotRepository",
    "from grid_db import PositionSnapshotRepository, redact_db_url",
    "from grid_db.settings import DatabaseSettings",
    "from grid_db.enums import RunStatus, RunType",
    "from grid_db.database import DatabaseFactory",
    "from backtest import BacktestEngine, BacktestConfig, BacktestStrategyConfig, WindDownMode",
    "from backtest import BacktestSession, BacktestTrade, BacktestMetrics, BacktestReporter",
    "from backtest import HistoricalDataProvider, InMemoryDataProvider, ArchiveDataProvider",
    "from backtest.config import BacktestConfig, BacktestStrategyConfig, WindDownMode",
    "from backtest.fill_simulator import TradeThroughFillSimulator",
    "from backtest.position_tracker import BacktestPositionTracker",
    "from backtest.order_manager import BacktestOrderManager",
    "from backtest.executor import BacktestExecutor",
    "from backtest.runner import BacktestRunner",
    "from backtest.engine import BacktestEngine, FundingSimulator",
    "from backtest.session import BacktestSession, BacktestTrade, BacktestMetrics",
    "from backtest.data_provider import HistoricalDataProvider, InMemoryDataProvider",
    "from backtest.data_provider import ArchiveDataProvider",
    "from backtest.instrument_info import InstrumentInfoProvider",
    "from backtest.reporter import BacktestReporter",
    "from comparator import TradeMatcher, calculate_metrics, EquityComparator, ComparatorReporter",
    "from comparator import NormalizedTrade, LiveTradeLoader, BacktestTradeLoader, MatchResult",
    "from comparator import ValidationMetrics",
    "from comparator.loader import NormalizedTrade, LiveTradeLoader, BacktestTradeLoader",
    "from comparator.matcher import TradeMatcher, MatchResult",
    "from comparator.metrics import calculate_metrics, ValidationMetrics",
    "from comparator.equity import EquityComparator",
    "from comparator.reporter import ComparatorReporter",
    "from gridbot import Orchestrator, GridbotConfig",
    "from gridbot.config import GridbotConfig",
    "from gridbot.orchestrator import Orchestrator",
    "from gridbot.executor import IntentExecutor",
    "from gridbot.retry_queue import RetryQueue",
    "from gridbot.runner import StrategyRunner",
    "from gridbot.reconciler import Reconciler",
    "from gridbot.notifier import Notifier",
    "import gridbot.status, gridbot.metrics",
    "from paper_exchange import PaperExchange, PaperConfig, PaperServer",
    "from bybit_adapter import BybitRestClient, BybitAsyncClient, Environment, EventQueue",
    "from bybit_adapter import PublicWebSocketClient, PrivateWebSocketClient, BybitNormalizer",
    "from bybit_adapter import RateLimited, AuthError, ClockSkew, InsufficientBalance",
    "from bybit_adapter import ReduceOnlyRejected, DuplicateOrderLinkId, OrderNotFound",
    "from bybit_adapter import OrderRejected, ExchangeUnavailable, AmbiguousResult, MalformedFrame",
    "from bybit_adapter.environment import Environment",
    "from bybit_adapter.rest_client import BybitRestClient",
    "from bybit_adapter.async_client import BybitAsyncClient",
    "from bybit_adapter.errors import AmbiguousResult",
    "from bybit_adapter.rate_limiter import RateLimiter",
    "from bybit_adapter.normalizer import BybitNormalizer",
    "from bybit_adapter.ws_client import PublicWebSocketClient, PrivateWebSocketClient",
    "from bybit_adapter.link_id import make_order_link_id",
]


@pytest.mark.parametrize("line", IMPORTS)
def test_an_import_works_as_it_is_written(line: str) -> None:
    exec(line, {})  # noqa: S102  # the line is one of those above


@pytest.mark.parametrize(
    "package",
    ["grid_db", "backtest", "comparator", "gridbot", "paper_exchange", "bybit_adapter", "gridcore"],
)
def test_every_name_that_a_package_lists_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", ["backtest", "comparator", "gridbot", "paper_exchange"])
def test_names_are_loaded_when_they_are_used(package: str) -> None:
    code = f"import sys, {package}; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(shown.stdout.split()) & {"polars", "numpy", "aiohttp", "pydantic", "sqlalchemy"}


def test_the_short_names_of_the_database_are_its_records(tmp_path: Path) -> None:
    from grid_db import (  # noqa: PLC0415  # as a user writes it
        BybitAccount,
        Run,
        RunRepository,
        RunType,
        Strategy,
        TenantScope,
        User,
        UserRepository,
    )

    settings = DatabaseSettings(database_url=f"sqlite:///{tmp_path / 'x.db'}")
    with DatabaseFactory(settings) as database:
        database.create_tables()
        with database.get_session() as session:
            user = UserRepository(session).get_or_create("alice")
        with database.get_session() as session:
            scope = TenantScope(session, user.id)
            account = scope.accounts.get_or_create("main", AccountEnvironment.TESTNET)
            strategy = scope.strategies.save(account.id, "first", "BTCUSDT", {"grid_count": 50})
            run = scope.runs.create(RunType.LIVE, datetime.now(UTC), strategy_id=strategy.id)
        with database.get_session() as session:
            (found,) = RunRepository(session, user.id).get_by_user_id()
    assert isinstance(user, User)
    assert isinstance(account, BybitAccount)
    assert isinstance(strategy, Strategy)
    assert isinstance(run, Run)
    assert found == run  # a value, that outlives its session


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("x.db", "sqlite:///x.db"),
        (Path("var/x.db"), "sqlite:///var/x.db"),
        (Path("/var/x.db"), "sqlite:////var/x.db"),
        ("postgresql://me:aK1@host/name", "postgresql://me:***@host/name"),
        ("me:aK1@host/name", "sqlite:///gridbot.db"),
        (None, "sqlite:///gridbot.db"),
    ],
)
def test_a_database_that_is_given_without_settings_is_told_the_call(
    given: object, right: str
) -> None:
    with pytest.raises(TypeError) as caught:
        DatabaseFactory(given)  # type: ignore[arg-type]
    assert f'DatabaseFactory(DatabaseSettings(database_url="{right}"))' in str(caught.value)
    assert "aK1" not in str(caught.value)
    assert DatabaseSettings.__name__ in str(caught.value)


def test_figures_of_a_comparison_have_the_names_of_the_page() -> None:
    from comparator.loader import Source  # noqa: PLC0415

    from comparator import NormalizedTrade, TradeMatcher, calculate_metrics  # noqa: PLC0415

    start = datetime(2025, 1, 1, tzinfo=UTC)

    def trade(number: int, source: Source, price: str) -> NormalizedTrade:
        at = start + timedelta(minutes=number)
        return NormalizedTrade(
            client_order_id=f"{number:016x}",
            symbol="BTCUSDT",
            side=SideType.BUY,
            price=Decimal(price),
            qty=Decimal("0.01"),
            fee=Decimal("0.12"),
            realized_pnl=Decimal(0),
            ts_us=int(at.timestamp() * 1_000_000),
            source=source,
            direction=DirectionType.LONG,
        )

    live = [trade(1, Source.LIVE, "60000"), trade(2, Source.LIVE, "60010")]
    backtest = [trade(1, Source.BACKTEST, "60001"), trade(3, Source.BACKTEST, "60020")]
    result = TradeMatcher().match(live, backtest)
    metrics = calculate_metrics(result)
    assert len(result.matched) == metrics.matched == 1
    assert len(result.live_only) == metrics.live_only == 1
    assert len(result.backtest_only) == metrics.backtest_only == 1
    assert metrics.match_rate == metrics.phantom_rate == Decimal("0.5")
    assert metrics.price is not None
    assert metrics.price.mean == metrics.price.median == metrics.price.maximum == Decimal(1)
    assert metrics.price.p95 == Decimal(1)
    assert metrics.quantity is not None
    assert metrics.quantity.maximum == metrics.fee_delta == metrics.pnl_delta == 0
    assert metrics.time_us is not None
    assert metrics.time_us.mean == 0
    assert metrics.live_volume == Decimal("1200.10")
    assert metrics.legs[DirectionType.LONG].matched == 1
    assert metrics.breaches == (("0000000000000001", 1),)
