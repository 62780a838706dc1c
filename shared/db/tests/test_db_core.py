"""What every other package relies on: exact values, no double rows, tenants apart, nothing left."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from grid_db import (
    DatabaseFactory,
    PublicTradeRecord,
    PublicTradeRepository,
    TenantScope,
    UserRepository,
)
from grid_db.crypto import CredentialCipher
from grid_db.enums import AccountEnvironment, RunStatus
from grid_db.errors import ConstraintError, GridDbError, SecretKeyError, TenantError
from grid_db.models import Base
from gridcore import SideType
from testkit.tenants import NOW, Tenant


def rows_of(database: DatabaseFactory, user_id: str) -> dict[str, int]:
    """Count every table's rows of one user, below the library and below its policies."""
    found = {}
    with database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            column = "id" if table.name == "users" else "user_id"
            if column in table.columns:
                query = text(f"SELECT count(*) FROM {table.name} WHERE {column} = :user")
                found[table.name] = connection.execute(query, {"user": user_id}).scalar() or 0
    return found


def test_another_tenants_rows_look_like_missing_ones(database: DatabaseFactory) -> None:
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    alice.fill(database)
    with database.get_session() as session:
        scope = TenantScope(session, bob.user_id)
        theirs, nobodys = alice.account.id, "00000000-0000-0000-0000-000000000000"
        for account_id in (theirs, nobodys):
            assert scope.accounts.get_by_id(account_id) is None
            assert not scope.accounts.delete(account_id)
            assert scope.strategies.list_by_account(account_id) == []
            assert not scope.executions.exists_by_exec_id(account_id, "e1")
            assert scope.executions.get_last_execution_ts(account_id) is None
            assert scope.orders.get_latest(account_id, "o1") is None
            assert scope.orders.get_open_orders(account_id) == []
            assert scope.positions.get_latest_by_account_symbol(account_id, "BTCUSDT") == {}
            assert scope.wallets.get_latest_by_account_coin(account_id, "USDT") is None
        for run_id in (alice.run.id, nobodys):
            assert scope.runs.get_by_id(run_id) is None
            assert scope.executions.get_by_run_range(run_id) == []
            assert not scope.runs.finish(run_id, RunStatus.COMPLETED, NOW)
        assert scope.strategies.get_by_id(alice.strategy.id) is None
        assert scope.grid_snapshots.get_latest(alice.strategy.id) is None
        assert scope.alerts.list_recent() == []
        assert [run.id for run in scope.runs.get_by_user_id()] == [bob.run.id]


def test_a_row_cannot_hang_on_another_tenants_account(database: DatabaseFactory) -> None:
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    with (
        pytest.raises(GridDbError),
        database.get_session() as session,
    ):
        TenantScope(session, bob.user_id).executions.bulk_insert([alice.execution()])
    assert rows_of(database, bob.user_id)["private_executions"] == 0


def test_a_session_serves_one_tenant(database: DatabaseFactory) -> None:
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    with database.get_session() as session:
        TenantScope(session, alice.user_id)
        with pytest.raises(TenantError):
            TenantScope(session, bob.user_id)
        with pytest.raises(TenantError):
            UserRepository(session)


def test_deleting_a_user_leaves_nothing(database: DatabaseFactory) -> None:
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    alice.fill(database)
    bob.fill(database)
    before = rows_of(database, bob.user_id)
    assert all(count for name, count in before.items() if name != "capture_gaps")
    with database.get_session() as session:
        assert UserRepository(session).delete(alice.user_id)
        assert not UserRepository(session).delete(alice.user_id)
    assert set(rows_of(database, alice.user_id).values()) == {0}
    assert rows_of(database, bob.user_id) == before


def test_raw_sql_of_the_application_role_sees_its_own_rows_only(database: DatabaseFactory) -> None:
    if database.dialect != "postgresql":
        pytest.skip("SQLite has no row-level security; the scope is the only guard there")
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    alice.fill(database)
    query = text("SELECT count(*) FROM private_executions")
    for user_id, seen in ((alice.user_id, 1), (bob.user_id, 0), ("", 0)):
        with database.engine.connect() as connection:
            connection.execute(text("SET LOCAL ROLE grid_db_app"))
            user = {"user": user_id}
            connection.execute(text("SELECT set_config('grid_db.user_id', :user, true)"), user)
            assert connection.execute(query).scalar() == seen
            connection.execute(text("DELETE FROM private_executions"))
            if user_id != alice.user_id:
                with pytest.raises(ProgrammingError, match=r"row-level security|permission"):
                    connection.execute(
                        text(
                            "INSERT INTO alerts (user_id, severity, alert_key, message, raised_at)"
                            " VALUES (:other, 'warning', 'k', 'm', now())"
                        ),
                        {"other": alice.user_id},
                    )
            connection.rollback()
    assert rows_of(database, alice.user_id)["private_executions"] == 1


YEARS = (datetime(2000, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001  # made aware in the test
exact = st.decimals(
    min_value=Decimal("-1e12"), max_value=Decimal("1e12"), places=8, allow_nan=False
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(exact, exact, st.datetimes(*YEARS))
def test_numbers_and_times_come_back_as_they_went(
    database: DatabaseFactory, pnl: Decimal, fee: Decimal, moment: datetime
) -> None:
    moment = moment.replace(tzinfo=UTC)
    tenant = Tenant(database, "alice")
    exec_id = sha256(f"{pnl}/{fee}/{moment.isoformat()}".encode()).hexdigest()[:32]
    record = tenant.execution(exec_id, closed_pnl=pnl, exec_fee=fee, exchange_ts=moment)
    with database.get_session() as session:
        executions = TenantScope(session, tenant.user_id).executions
        executions.bulk_insert([record])
        end = moment + timedelta(microseconds=1)
        back = executions.get_by_run_range(tenant.run.id, moment, end)
    assert record in back
    found = next(row for row in back if row.exec_id == exec_id)
    assert (found.closed_pnl, found.exec_fee, found.exchange_ts) == (pnl, fee, moment)
    assert found.leaves_qty is None


@pytest.mark.parametrize("number", ["0.1", "1E-8", "12345678901234567890", "-0.00000001", "0"])
def test_awkward_numbers(database: DatabaseFactory, number: str) -> None:
    tenant = Tenant(database, "alice")
    record = tenant.execution(closed_pnl=Decimal(number))
    with database.get_session() as session:
        executions = TenantScope(session, tenant.user_id).executions
        executions.bulk_insert([record])
        assert executions.get_by_run_range(tenant.run.id)[0].closed_pnl == Decimal(number)


@pytest.mark.parametrize(
    "changes",
    [{"exec_price": 0.1}, {"exchange_ts": NOW.replace(tzinfo=None)}, {"exec_qty": Decimal("NaN")}],
)
def test_floats_and_naive_times_are_refused(
    database: DatabaseFactory, changes: dict[str, object]
) -> None:
    tenant = Tenant(database, "alice")
    with database.get_session() as session:
        executions = TenantScope(session, tenant.user_id).executions
        with pytest.raises(GridDbError):
            executions.bulk_insert([tenant.execution(**changes)])


def test_an_order_keeps_its_newest_state(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    later = NOW + timedelta(seconds=1)
    with database.get_session() as session:
        orders = TenantScope(session, tenant.user_id).orders
        orders.bulk_upsert([tenant.order("New"), tenant.order("Filled", exchange_ts=later)])
        orders.bulk_upsert([tenant.order("New")])
        latest = orders.get_latest(tenant.account.id, "o1")
        assert latest is not None
        assert latest.status == "Filled"
        assert orders.get_open_orders(tenant.account.id) == []
        assert orders.get_last_order_ts(tenant.account.id) == later
        orders.bulk_upsert([tenant.order("New", order_id="o2", exchange_ts=later)])
        for since, found in ((None, 1), (later, 1), (later + timedelta(seconds=1), 0)):
            assert len(orders.get_open_orders(tenant.account.id, since=since)) == found


def trades(count: int, first: int = 0) -> list[PublicTradeRecord]:
    return [
        PublicTradeRecord(
            symbol="BTCUSDT",
            trade_id=f"t{number}",
            exchange_ts=NOW + timedelta(milliseconds=number),
            side=SideType.BUY if number % 3 else SideType.SELL,
            price=Decimal(600_000 + number) / 10,
            size=Decimal(number % 7 + 1) / 1000,
        )
        for number in range(first, first + count)
    ]


@pytest.mark.parametrize("count", [0, 1, 3_000, 25_000])
def test_bulk_insert_counts_what_is_new(database: DatabaseFactory, count: int) -> None:
    rows = trades(count)
    with database.get_session() as session:
        repository = PublicTradeRepository(session)
        assert repository.bulk_insert([*rows, *rows[:10]]) == count
        assert repository.bulk_insert([*rows, *trades(5, count)]) == 5
    with database.get_session() as session:
        repository = PublicTradeRepository(session)
        assert repository.count("BTCUSDT") == count + 5
        columns = repository.read_columns("BTCUSDT")
        events = list(repository.iterate_events("BTCUSDT"))
        assert list(columns.exchange_ts_us) == sorted(columns.exchange_ts_us)
        assert columns.price.to_decimals() == [event.price for event in events]
        assert columns.size.to_decimals() == [event.size for event in events]
        assert [event.trade_id for event in events] == [f"t{n}" for n in range(count + 5)]


def test_secrets_are_never_stored_in_plain(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        scope.credentials(CredentialCipher([old])).store(tenant.account.id, "my-key", "my-secret")
    with database.engine.connect() as connection:
        token = connection.execute(text("SELECT token FROM api_credentials")).scalar()
        config = connection.execute(text("SELECT config_json FROM strategies")).scalar()
    assert "my-secret" not in str(token)
    assert "hidden" not in str(config)
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        with pytest.raises(SecretKeyError):
            scope.credentials(CredentialCipher([new])).get(tenant.account.id)
        assert scope.credentials(CredentialCipher([new, old])).rotate() == 1
        stored = scope.credentials(CredentialCipher([new])).get(tenant.account.id)
        assert stored is not None
        assert stored.api_secret.get_secret_value() == "my-secret"
        assert "my-secret" not in repr(stored)


def test_without_a_key_storing_is_refused_with_instructions() -> None:
    with pytest.raises(SecretKeyError, match="GRIDBOT_SECRET_KEY"):
        CredentialCipher.from_environment({})


def test_runs_that_fell_silent_are_closed(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    with database.get_session() as session:
        runs = TenantScope(session, tenant.user_id).runs
        assert runs.close_stale_running_runs(NOW) == 0
        assert runs.close_stale_running_runs(NOW + timedelta(seconds=1)) == 1
        closed = runs.get_by_id(tenant.run.id)
        assert closed is not None
        assert closed.status is RunStatus.STALE
        assert runs.get_running() == []


def test_an_account_of_another_environment_needs_another_name(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        with pytest.raises(ConstraintError, match="another name"):
            scope.accounts.get_or_create("main", AccountEnvironment.MAINNET)
