"""One tenant's own rows: runs, strategies, states over time, alerts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from grid_db import DatabaseFactory, TenantScope, UserRepository
from grid_db.enums import AccountEnvironment, AlertSeverity, RunStatus, RunType, SnapshotSource
from grid_db.errors import ConstraintError, InvalidValueError, TenantError
from grid_db.records import AlertRecord, GridSnapshotRecord
from gridcore import DirectionType
from testkit.tenants import NOW, Tenant

HOUR = timedelta(hours=1)


@pytest.fixture
def tenant(database: DatabaseFactory) -> Tenant:
    return Tenant(database, "alice")


def test_users_are_made_once(database: DatabaseFactory) -> None:
    with database.get_session() as session:
        users = UserRepository(session)
        alice = users.get_or_create("alice")
        assert users.get_or_create("alice") == alice
        assert users.get_by_id(alice.id) == users.get_by_name("alice") == alice
        bob = users.get_or_create("bob")
        assert [user.name for user in users.list_all()] == ["alice", "bob"]
        assert users.get_by_name("carol") is None
        assert users.delete(bob.id)
        assert not users.delete(bob.id)
    with database.get_session() as session:
        TenantScope(session, alice.id)
        with pytest.raises(TenantError, match="in a session of its own"):
            UserRepository(session)


def test_strategies_are_saved_again_with_what_changed(
    database: DatabaseFactory, tenant: Tenant
) -> None:
    with database.get_session() as session:
        strategies = TenantScope(session, tenant.user_id).strategies
        again = strategies.save(tenant.account.id, "btc", "ETHUSDT", {"api_key": "k", "a": 1})
        assert again.id == tenant.strategy.id
        assert again.symbol == "ETHUSDT"
        assert again.config_json == '{"a": 1, "api_key": "***"}'
        assert again.updated_at >= again.created_at
        other = strategies.save(tenant.account.id, "alt", "XRPUSDT", {})
        listed = strategies.list_by_account(tenant.account.id)
        assert [one.name for one in listed] == ["alt", "btc"]
        assert strategies.get_by_name(tenant.account.id, "alt") == other
        assert strategies.delete(other.id)
        assert strategies.get_by_id(other.id) is None


def test_a_run_from_start_to_end(database: DatabaseFactory, tenant: Tenant) -> None:
    with database.get_session() as session:
        runs = TenantScope(session, tenant.user_id).runs
        older = runs.create(RunType.RECORDING, NOW - HOUR, symbol="BTCUSDT", config={"token": "t"})
        assert older.config_json == '{"token": "***"}'
        assert [run.id for run in runs.get_by_user_id()] == [tenant.run.id, older.id]
        assert [run.id for run in runs.get_by_user_id(limit=1)] == [tenant.run.id]
        assert [run.id for run in runs.get_running()] == [older.id, tenant.run.id]
        latest = runs.get_latest_by_type(RunType.LIVE, tenant.strategy.id)
        assert latest is not None
        assert latest.id == tenant.run.id
        assert runs.get_latest_by_type(RunType.SHADOW) is None
        assert runs.heartbeat(older.id, NOW)
        assert runs.finish(older.id, RunStatus.FAILED, NOW, "why")
        ended = runs.get_by_id(older.id)
        assert ended is not None
        assert (ended.status, ended.ended_at, ended.error_message, ended.heartbeat_at) == (
            RunStatus.FAILED,
            NOW,
            "why",
            NOW,
        )
        assert not runs.heartbeat(older.id, NOW)
        assert not runs.finish(older.id, RunStatus.COMPLETED, NOW)
        with pytest.raises(InvalidValueError, match="not running"):
            runs.finish(tenant.run.id, RunStatus.RUNNING, NOW)


def test_executions_by_run_and_by_account(database: DatabaseFactory, tenant: Tenant) -> None:
    executions = [
        tenant.execution(f"e{n}", exchange_ts=NOW + n * HOUR, symbol=("BTCUSDT", "ETHUSDT")[n % 2])
        for n in range(4)
    ]
    with database.get_session() as session:
        repository = TenantScope(session, tenant.user_id).executions
        assert repository.bulk_insert(executions) == 4
        assert repository.exists_by_exec_id(tenant.account.id, "e3")
        ids = [f"e{n}" for n in (*range(1_000, 2_000), 3)]
        assert repository.get_known(tenant.account.id, ids) == {"e3"}
        assert repository.get_last_execution_ts(tenant.account.id) == NOW + 3 * HOUR
        assert repository.get_last_execution_ts(tenant.account.id, "BTCUSDT") == NOW + 2 * HOUR
        assert repository.get_last_execution_ts(tenant.account.id, "XRPUSDT") is None
        span = NOW + HOUR, NOW + 3 * HOUR
        assert repository.get_by_run_range(tenant.run.id, *span) == executions[1:3]
        assert repository.get_by_run_range(tenant.run.id, symbol="ETHUSDT") == executions[1::2]
        assert list(repository.iterate_by_account(tenant.account.id)) == executions
        repaired = replace(executions[0], closed_pnl=Decimal("1.5"))
        assert repository.bulk_replace([repaired]) == 0
        assert repository.get_by_run_range(tenant.run.id)[0] == repaired


def test_an_older_state_of_an_order_never_replaces_a_newer_one(
    database: DatabaseFactory, tenant: Tenant
) -> None:
    partly = tenant.order("PartiallyFilled", cum_exec_qty=Decimal("0.0005"))
    filled = tenant.order("Filled", cum_exec_qty=Decimal("0.001"))
    later = tenant.order("New", order_id="o2", exchange_ts=NOW + HOUR, symbol="ETHUSDT")
    with database.get_session() as session:
        orders = TenantScope(session, tenant.user_id).orders
        assert orders.bulk_upsert([filled]) == 1
        assert orders.bulk_upsert([partly, later]) == 1
        assert orders.get_latest(tenant.account.id, "o1") == filled
        assert orders.get_open_orders(tenant.account.id) == [later]
        assert orders.get_last_order_ts(tenant.account.id) == NOW + HOUR
        assert orders.get_last_order_ts(tenant.account.id, "BTCUSDT") == NOW
        assert orders.get_by_run_range(tenant.run.id) == [filled, later]
        assert orders.get_by_run_range(tenant.run.id, None, NOW + HOUR) == [filled]
        assert orders.get_by_run_range(tenant.run.id, symbol="ETHUSDT") == [later]
        assert orders.bulk_replace([partly]) == 0
        assert orders.get_latest(tenant.account.id, "o1") == partly


def test_positions_and_wallets_over_time(database: DatabaseFactory, tenant: Tenant) -> None:
    long = [replace(tenant.position(), exchange_ts=NOW + n * HOUR) for n in range(3)]
    short = replace(
        tenant.position(), direction=DirectionType.SHORT, source=SnapshotSource.BACKTEST
    )
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        assert scope.positions.bulk_insert([*long, short, short]) == 4
        account = tenant.account.id
        latest = scope.positions.get_latest_by_account_symbol(account, "BTCUSDT")
        assert latest == {DirectionType.LONG: long[2], DirectionType.SHORT: short}
        only = scope.positions.get_latest_by_account_symbol(
            account, "BTCUSDT", SnapshotSource.BACKTEST
        )
        assert only == {DirectionType.SHORT: short}
        ranged = scope.positions.get_by_account_range(
            account, "BTCUSDT", NOW + HOUR, NOW + 2 * HOUR
        )
        assert ranged == [long[1]]
        changed = replace(long[1], size=Decimal(7))
        assert scope.positions.bulk_insert([changed]) == 0
        assert scope.positions.bulk_replace([changed]) == 0
        assert changed in scope.positions.get_by_account_range(account, "BTCUSDT")
        usdt = [replace(tenant.wallet(), exchange_ts=NOW + n * HOUR) for n in range(3)]
        btc = replace(tenant.wallet(), coin="BTC")
        assert scope.wallets.bulk_insert([*usdt, btc]) == 4
        assert scope.wallets.get_latest_by_account_coin(account, "USDT") == usdt[2]
        assert scope.wallets.get_latest_by_account_coin(account, "ETH") is None
        assert len(scope.wallets.get_by_account_range(account)) == 4
        assert scope.wallets.get_by_account_range(account, NOW + HOUR, coin="USDT") == usdt[1:]
        better = replace(usdt[0], wallet_balance=Decimal(1))
        assert scope.wallets.bulk_replace([better]) == 0
        assert scope.wallets.get_by_account_range(account, None, NOW + HOUR, "USDT") == [better]


def test_states_of_a_grid(database: DatabaseFactory, tenant: Tenant) -> None:
    states = [
        GridSnapshotRecord(
            strategy_id=tenant.strategy.id,
            run_id=tenant.run.id,
            exchange_ts=NOW + n * HOUR,
            snapshot_json=f"[{n}]",
        )
        for n in range(3)
    ]
    with database.get_session() as session:
        grids = TenantScope(session, tenant.user_id).grid_snapshots
        assert grids.bulk_upsert(states) == 3
        assert grids.bulk_upsert([replace(states[2], snapshot_json="[9]")]) == 0
        latest = grids.get_latest(tenant.strategy.id)
        assert latest is not None
        assert latest.snapshot_json == "[9]"
        assert grids.get_by_range(tenant.strategy.id, NOW, NOW + 2 * HOUR) == states[:2]
        assert grids.delete_before(tenant.strategy.id, NOW + HOUR) == 1
        assert len(grids.get_by_range(tenant.strategy.id)) == 2


def test_alerts_are_told_once(database: DatabaseFactory, tenant: Tenant) -> None:
    def alert(n: int) -> AlertRecord:
        return AlertRecord(
            account_id=tenant.account.id,
            strategy_id=tenant.strategy.id,
            run_id=tenant.run.id,
            severity=AlertSeverity.CRITICAL,
            alert_key=f"k{n}",
            message="m",
            raised_at=NOW + n * HOUR,
        )

    with database.get_session() as session:
        alerts = TenantScope(session, tenant.user_id).alerts
        first, second = alerts.add(alert(0)), alerts.add(alert(1))
        assert alerts.list_recent() == [second, first]
        assert alerts.list_recent(limit=1) == [second]
        assert alerts.get_undelivered() == [first, second]
        assert first.id is not None
        assert alerts.mark_delivered(first.id, NOW)
        assert not alerts.mark_delivered(first.id, NOW + HOUR)
        assert alerts.get_undelivered() == [second]
        assert alerts.list_recent()[1].delivered_at == NOW


def test_accounts_of_one_user(database: DatabaseFactory, tenant: Tenant) -> None:
    with database.get_session() as session:
        accounts = TenantScope(session, tenant.user_id).accounts
        second = accounts.get_or_create("second", AccountEnvironment.MAINNET)
        assert accounts.get_by_id(second.id) == accounts.get_by_name("second") == second
        assert [one.name for one in accounts.list_all()] == ["main", "second"]
        assert accounts.delete(second.id)
        assert accounts.get_by_name("second") is None
        with pytest.raises(ConstraintError, match="give the other one another name"):
            accounts.get_or_create("main", AccountEnvironment.MAINNET)
