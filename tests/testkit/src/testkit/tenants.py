"""A user of the database with a row of everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from cryptography.fernet import Fernet

from grid_db import (
    DatabaseFactory,
    OrderRecord,
    PositionSnapshotRecord,
    PrivateExecutionRecord,
    TenantScope,
    UserRepository,
    WalletSnapshotRecord,
)
from grid_db.crypto import CredentialCipher
from grid_db.enums import (
    AlertSeverity,
    CaptureStream,
    Environment,
    RunType,
    SnapshotSource,
)
from grid_db.records import AlertRecord, CaptureGapRecord, GridSnapshotRecord
from gridcore import DirectionType, SideType

NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Tenant:
    """One user with an account, a strategy and a run, and a row of everything."""

    def __init__(self, database: DatabaseFactory, name: str) -> None:
        with database.get_session() as session:
            self.user_id = UserRepository(session).get_or_create(name).id
        with database.get_session() as session:
            scope = TenantScope(session, self.user_id)
            self.account = scope.accounts.get_or_create("main", Environment.TESTNET)
            config = {"grid_step": "0.2", "api_secret": "hidden"}
            self.strategy = scope.strategies.save(self.account.id, "btc", "BTCUSDT", config)
            self.run = scope.runs.create(
                RunType.LIVE, NOW, account_id=self.account.id, strategy_id=self.strategy.id
            )

    def execution(self, exec_id: str = "e1", **changes: object) -> PrivateExecutionRecord:
        record = PrivateExecutionRecord(
            account_id=self.account.id,
            run_id=self.run.id,
            symbol="BTCUSDT",
            exec_id=exec_id,
            order_id="o1",
            exec_type="Trade",
            side=SideType.BUY,
            exec_price=Decimal("60000.1"),
            exec_qty=Decimal("0.001"),
            exchange_ts=NOW,
            local_ts=NOW,
        )
        return replace(record, **changes)  # type: ignore[arg-type]

    def order(self, status: str, **changes: object) -> OrderRecord:
        record = OrderRecord(
            account_id=self.account.id,
            run_id=self.run.id,
            symbol="BTCUSDT",
            order_id="o1",
            side=SideType.BUY,
            order_type="Limit",
            status=status,
            price=Decimal("60000.1"),
            qty=Decimal("0.001"),
            reduce_only=False,
            exchange_ts=NOW,
            local_ts=NOW,
        )
        return replace(record, **changes)  # type: ignore[arg-type]

    def position(self) -> PositionSnapshotRecord:
        return PositionSnapshotRecord(
            account_id=self.account.id,
            symbol="BTCUSDT",
            direction=DirectionType.LONG,
            source=SnapshotSource.LIVE,
            size=Decimal("0.001"),
            exchange_ts=NOW,
            local_ts=NOW,
        )

    def wallet(self) -> WalletSnapshotRecord:
        return WalletSnapshotRecord(
            account_id=self.account.id,
            coin="USDT",
            wallet_balance=Decimal("10000.00000001"),
            exchange_ts=NOW,
            local_ts=NOW,
        )

    def gap(self) -> CaptureGapRecord:
        return CaptureGapRecord(
            account_id=self.account.id,
            stream=CaptureStream.EXECUTIONS,
            gap_start=NOW,
            gap_end=NOW,
            reason="disconnected",
            detected_at=NOW,
        )

    def fill(self, database: DatabaseFactory) -> None:
        with database.get_session() as session:
            scope = TenantScope(session, self.user_id)
            assert scope.executions.bulk_insert([self.execution(), self.execution()]) == 1
            assert scope.orders.bulk_upsert([self.order("New")]) == 1
            assert scope.positions.bulk_insert([self.position()]) == 1
            assert scope.wallets.bulk_insert([self.wallet()]) == 1
            snapshot = GridSnapshotRecord(
                strategy_id=self.strategy.id, exchange_ts=NOW, snapshot_json="{}"
            )
            scope.grid_snapshots.bulk_upsert([snapshot])
            alert = AlertRecord(
                severity=AlertSeverity.WARNING, alert_key="k", message="m", raised_at=NOW
            )
            self.alert_id = scope.alerts.add(alert).id
            self.gap_id = scope.capture_gaps.save(self.gap()).id
            self.cipher = CredentialCipher([Fernet.generate_key().decode()])
            scope.credentials(self.cipher).store(self.account.id, "key", "secret")
