"""Rows for tests: one valid record of each kind, and tenants that own some.

Every function returns a complete record at `NOW`; keyword arguments change single fields.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from grid_db.crypto import CredentialCipher, generate_key
from grid_db.database import DatabaseFactory
from grid_db.enums import (
    AccountEnvironment,
    AlertSeverity,
    CaptureStream,
    PriceKind,
    RunType,
    SnapshotSource,
)
from grid_db.records import (
    AlertRecord,
    CaptureGapRecord,
    FundingRateRecord,
    GridSnapshotRecord,
    InstrumentRecord,
    KlineRecord,
    OrderRecord,
    PositionSnapshotRecord,
    PrivateExecutionRecord,
    PublicTradeRecord,
    RiskLimitTierRecord,
    TickerSnapshotRecord,
    WalletSnapshotRecord,
)
from grid_db.repositories import TenantScope, UserRepository
from gridcore import DirectionType, SideType

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
SYMBOL = "BTCUSDT"
NOBODY = "00000000-0000-4000-8000-000000000000"  # an id that no row has


def after(seconds: float) -> datetime:
    """Return the moment that many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def trade(number: int = 0, **changes: Any) -> PublicTradeRecord:
    """Return the trade `number`, that many milliseconds after NOW."""
    record = PublicTradeRecord(
        symbol=SYMBOL,
        trade_id=f"t{number}",
        exchange_ts=NOW + timedelta(milliseconds=number),
        side=SideType.BUY if number % 3 else SideType.SELL,
        price=Decimal(600_000 + number) / 10,
        size=Decimal(number % 7 + 1) / 1000,
    )
    return replace(record, **changes)


def ticker(number: int = 0, **changes: Any) -> TickerSnapshotRecord:
    """Return the ticker `number`, that many milliseconds after NOW."""
    record = TickerSnapshotRecord(
        symbol=SYMBOL,
        exchange_ts=NOW + timedelta(milliseconds=number),
        last_price=Decimal(600_000 + number) / 10,
    )
    return replace(record, **changes)


def instrument(**changes: Any) -> InstrumentRecord:
    """Return the rules of one contract."""
    record = InstrumentRecord(
        symbol=SYMBOL,
        base_coin="BTC",
        quote_coin="USDT",
        status="Trading",
        tick_size=Decimal("0.1"),
        qty_step=Decimal("0.001"),
        min_qty=Decimal("0.001"),
        max_qty=Decimal(100),
        min_notional=Decimal(5),
        updated_at=NOW,
    )
    return replace(record, **changes)


def risk_tier(**changes: Any) -> RiskLimitTierRecord:
    """Return the first tier of one contract."""
    record = RiskLimitTierRecord(
        symbol=SYMBOL,
        risk_id=1,
        risk_limit_value=Decimal(2_000_000),
        maintenance_margin_ratio=Decimal("0.005"),
        initial_margin_ratio=Decimal("0.01"),
        max_leverage=Decimal(100),
        updated_at=NOW,
    )
    return replace(record, **changes)


def funding_rate(**changes: Any) -> FundingRateRecord:
    """Return one settled funding rate."""
    record = FundingRateRecord(symbol=SYMBOL, funding_ts=NOW, funding_rate=Decimal("0.0001"))
    return replace(record, **changes)


def kline(**changes: Any) -> KlineRecord:
    """Return one bar of a minute that is over."""
    record = KlineRecord(
        symbol=SYMBOL,
        price_kind=PriceKind.LAST,
        interval_s=60,
        open_ts=NOW,
        open_price=Decimal(60_000),
        high_price=Decimal(60_010),
        low_price=Decimal(59_990),
        close_price=Decimal(60_005),
        is_closed=True,
    )
    return replace(record, **changes)


def market_gap(**changes: Any) -> CaptureGapRecord:
    """Return a minute without trades from the exchange."""
    record = CaptureGapRecord(
        stream=CaptureStream.TRADES,
        symbol=SYMBOL,
        gap_start=NOW,
        gap_end=after(60),
        reason="disconnected",
        detected_at=after(61),
    )
    return replace(record, **changes)


def execution(account_id: str, run_id: str, **changes: Any) -> PrivateExecutionRecord:
    """Return a fill of one account."""
    record = PrivateExecutionRecord(
        account_id=account_id,
        run_id=run_id,
        symbol=SYMBOL,
        exec_id="e1",
        order_id="o1",
        exec_type="Trade",
        side=SideType.BUY,
        exec_price=Decimal("60000.1"),
        exec_qty=Decimal("0.001"),
        exchange_ts=NOW,
        local_ts=NOW,
    )
    return replace(record, **changes)


def order(account_id: str, run_id: str, **changes: Any) -> OrderRecord:
    """Return a new order of one account."""
    record = OrderRecord(
        account_id=account_id,
        run_id=run_id,
        symbol=SYMBOL,
        order_id="o1",
        side=SideType.BUY,
        order_type="Limit",
        status="New",
        price=Decimal("60000.1"),
        qty=Decimal("0.001"),
        reduce_only=False,
        exchange_ts=NOW,
        local_ts=NOW,
    )
    return replace(record, **changes)


class Tenant:
    """One user with an account, a strategy and a run, and records that are its own."""

    def __init__(self, database: DatabaseFactory, name: str) -> None:
        self.cipher = CredentialCipher([generate_key()])
        with database.get_session() as session:
            self.user_id = UserRepository(session).get_or_create(name).id
        with database.get_session() as session:
            scope = TenantScope(session, self.user_id)
            self.account = scope.accounts.get_or_create("main", AccountEnvironment.TESTNET)
            config = {"grid_step": "0.2", "api_secret": "hidden"}
            self.strategy = scope.strategies.save(self.account.id, "btc", SYMBOL, config)
            self.run = scope.runs.create(
                RunType.LIVE, NOW, account_id=self.account.id, strategy_id=self.strategy.id
            )

    def execution(self, exec_id: str = "e1", **changes: Any) -> PrivateExecutionRecord:
        """Return a fill of this tenant."""
        return execution(self.account.id, self.run.id, **{"exec_id": exec_id, **changes})

    def order(self, status: str = "New", **changes: Any) -> OrderRecord:
        """Return an order of this tenant."""
        return order(self.account.id, self.run.id, **{"status": status, **changes})

    def position(self, **changes: Any) -> PositionSnapshotRecord:
        """Return a long leg of this tenant."""
        record = PositionSnapshotRecord(
            account_id=self.account.id,
            symbol=SYMBOL,
            direction=DirectionType.LONG,
            source=SnapshotSource.LIVE,
            size=Decimal("0.001"),
            exchange_ts=NOW,
            local_ts=NOW,
        )
        return replace(record, **changes)

    def wallet(self, **changes: Any) -> WalletSnapshotRecord:
        """Return the USDT of this tenant."""
        record = WalletSnapshotRecord(
            account_id=self.account.id,
            coin="USDT",
            wallet_balance=Decimal("10000.00000001"),
            exchange_ts=NOW,
            local_ts=NOW,
        )
        return replace(record, **changes)

    def gap(self, **changes: Any) -> CaptureGapRecord:
        """Return a minute without executions of this tenant."""
        record = market_gap(account_id=self.account.id, stream=CaptureStream.EXECUTIONS)
        return replace(record, **changes)

    def grid_snapshot(self, **changes: Any) -> GridSnapshotRecord:
        """Return a state of this tenant's grid."""
        record = GridSnapshotRecord(
            strategy_id=self.strategy.id, exchange_ts=NOW, snapshot_json='{"levels": 1}'
        )
        return replace(record, **changes)

    def alert(self, **changes: Any) -> AlertRecord:
        """Return an alert of this tenant."""
        record = AlertRecord(
            severity=AlertSeverity.WARNING, alert_key="margin", message="low", raised_at=NOW
        )
        return replace(record, **changes)

    def fill(self, database: DatabaseFactory) -> None:
        """Store one row of everything that a tenant owns."""
        with database.get_session() as session:
            scope = TenantScope(session, self.user_id)
            scope.executions.bulk_insert([self.execution()])
            scope.orders.bulk_upsert([self.order()])
            scope.positions.bulk_insert([self.position()])
            scope.wallets.bulk_insert([self.wallet()])
            scope.capture_gaps.save(self.gap())
            scope.grid_snapshots.bulk_upsert([self.grid_snapshot()])
            scope.alerts.add(self.alert())
            scope.credentials(self.cipher).store(self.account.id, "key", "secret")
