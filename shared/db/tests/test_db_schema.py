"""create_tables() and the migrations make the same tables, and changing them keeps the data."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import inspect, text

from grid_db import (
    FundingRateRepository,
    InstrumentRepository,
    KlineRepository,
    MarketGapRepository,
    PublicTradeRepository,
    RiskLimitTierRepository,
    TenantScope,
    TickerSnapshotRepository,
    UserRepository,
)
from grid_db.database import DatabaseFactory
from grid_db.enums import AccountEnvironment
from grid_db.errors import SchemaError
from grid_db.migrations import runner
from grid_db.models import Base
from grid_db.schema import head_revision
from grid_db.testing_rows import (
    Tenant,
    funding_rate,
    instrument,
    kline,
    market_gap,
    risk_tier,
    ticker,
    trade,
)

FIXED = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def _index(index: Any) -> str:
    """Return an index as text, the condition of a partial one included."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return repr({**index, "dialect_options": options})


def shape(database: DatabaseFactory) -> dict[str, Any]:
    """Return everything that makes the tables what they are, as the database itself tells it."""
    looked = inspect(database.engine)
    tables: dict[str, Any] = {}
    for name in looked.get_table_names():
        tables[name] = {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in looked.get_columns(name)
            ],
            "primary key": looked.get_pk_constraint(name),
            "unique": sorted(map(repr, looked.get_unique_constraints(name))),
            "foreign": sorted(map(repr, looked.get_foreign_keys(name))),
            "indexes": sorted(map(_index, looked.get_indexes(name))),
            "checks": sorted(map(repr, looked.get_check_constraints(name))),
        }
    if database.dialect == "postgresql":
        with database.transaction() as connection:
            for what, query in {
                "policies": "SELECT tablename, policyname, roles::text, cmd, qual, with_check"
                " FROM pg_policies ORDER BY 1, 2",
                "security": "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
                "grants": "SELECT grantee, table_name, privilege_type"
                " FROM information_schema.role_table_grants WHERE grantee LIKE 'grid_db%'"
                " ORDER BY 1, 2, 3",
                "grants of columns": "SELECT grantee, table_name, column_name, privilege_type"
                " FROM information_schema.column_privileges WHERE grantee = 'grid_db_tenant'"
                " ORDER BY 1, 2, 3, 4",
                "numbers": "SELECT table_name, column_name, identity_generation"
                " FROM information_schema.columns WHERE is_identity = 'YES'"
                " AND table_schema = 'public' ORDER BY 1, 2",
                "sequences": "SELECT relname, relacl::text FROM pg_class WHERE relkind = 'S'"
                " ORDER BY 1",
            }.items():
                tables[what] = [tuple(row) for row in connection.execute(text(query))]
    return tables


def test_created_and_migrated_tables_are_the_same(empty_database: DatabaseFactory) -> None:
    created = empty_database.create_tables()
    assert len(created.tables) == created.total == len(Base.metadata.tables)
    by_create = shape(empty_database)
    runner.downgrade(empty_database, "base")
    assert set(shape(empty_database)) <= {
        "alembic_version",
        "policies",
        "security",
        "grants",
        "grants of columns",
        "numbers",
        "sequences",
    }
    applied = runner.upgrade(empty_database)
    assert [step.id for step in applied] == [step.id for step in runner.revisions()]
    differences = runner.differences(empty_database)
    assert not differences, (
        f"a model has what no migration brings: {differences}; add a revision to"
        " grid_db/migrations/versions"
    )
    by_steps = shape(empty_database)
    for what, created in by_create.items():
        if isinstance(created, list):
            differs = sorted(map(str, set(created) ^ set(by_steps[what])))
            assert not differs, f"{what}: the migrations and create_tables differ by {differs}"
    assert by_steps == by_create


def test_every_step_down_and_up_keeps_the_data(database: DatabaseFactory) -> None:
    with database.get_session() as session:
        user = UserRepository(session).get_or_create("alice")
    with database.get_session() as session:
        scope = TenantScope(session, user.id)
        account = scope.accounts.get_or_create("main", AccountEnvironment.TESTNET)
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO public_trades (symbol, trade_id, side, price, size, exchange_ts,"
                " local_ts) SELECT 'BTCUSDT', 't1', 'Buy', :price, :size, :ts, :ts"
            ),
            _trade(database),
        )
    for step in reversed(runner.revisions()[:-1]):
        runner.downgrade(database, step.id)
    runner.upgrade(database)
    with database.get_session() as session:
        assert TenantScope(session, user.id).accounts.get_by_id(account.id) == account
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM public_trades")).scalar() == 1


def test_every_row_of_every_table_survives_the_way_from_the_first_revision(
    database: DatabaseFactory,
) -> None:
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    alice.fill(database)
    bob.fill(database)
    with database.get_session() as session:
        PublicTradeRepository(session).bulk_insert([trade()])
        TickerSnapshotRepository(session).bulk_insert([ticker()])
        InstrumentRepository(session).upsert([instrument()])
        RiskLimitTierRepository(session).replace("BTCUSDT", [risk_tier()])
        FundingRateRepository(session).bulk_insert([funding_rate()])
        KlineRepository(session).bulk_upsert([kline()])
        MarketGapRepository(session).save(market_gap())
    paid = (("e2", "MNT"), ("e3", ""), ("e4", None))
    with database.get_session() as session:
        rows = [
            alice.execution(one, raw_json="{}" if coin is None else f'{{"feeCurrency":"{coin}"}}')
            for one, coin in paid
        ]
        assert TenantScope(session, alice.user_id).executions.bulk_insert(rows) == 3
    before = _all_rows(database)
    assert all(before.values()), [name for name, rows in before.items() if not rows]
    runner.downgrade(database, "0001")
    runner.upgrade(database)
    after = _all_rows(database)
    assert {name: rows for name, rows in after.items() if name != "private_executions"} == {
        name: rows for name, rows in before.items() if name != "private_executions"
    }
    with database.get_session() as session:
        scope = TenantScope(session, alice.user_id)
        found = scope.executions.get_by_run_range(alice.run.id)
        coins = {one.exec_id: one.fee_currency for one in found}
        # the raw form tells the coin of rows from before the column
        assert coins == {"e1": None, "e2": "MNT", "e3": None, "e4": None}
        # numbering goes on, keys hold, and what hangs on an account goes with it
        more = [alice.execution("e1"), alice.execution("e5")]
        assert scope.executions.bulk_insert(more) == 1
        assert scope.accounts.delete(alice.account.id)
    left = _all_rows(database)
    assert len(left["private_executions"]) == len(left["orders"]) == len(left["runs"]) == 1
    assert len(left["users"]) == 2


def test_what_somebody_made_on_our_tables_stays(database: DatabaseFactory) -> None:
    alice = Tenant(database, "alice")
    alice.fill(database)
    runner.downgrade(database, "0003")
    is_sqlite = database.dialect == "sqlite"
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE told (n integer)"))
        connection.execute(text("CREATE VIEW fills AS SELECT exec_id FROM private_executions"))
        if is_sqlite:
            connection.execute(
                text(
                    "CREATE TRIGGER tell AFTER INSERT ON private_executions BEGIN"
                    " INSERT INTO told VALUES (1); END"
                )
            )
    runner.upgrade(database)
    with database.get_session() as session:
        more = [alice.execution("e2")]
        assert TenantScope(session, alice.user_id).executions.bulk_insert(more) == 1
    with database.looking() as connection:
        assert connection.scalar(text("SELECT count(*) FROM fills")) == 2
        assert connection.scalar(text("SELECT count(*) FROM told")) == int(is_sqlite)


def _all_rows(database: DatabaseFactory) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with database.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            names = ", ".join(sorted(column.name for column in table.columns))
            rows = connection.execute(text(f"SELECT {names} FROM {table.name}"))
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found


def _trade(database: DatabaseFactory) -> dict[str, object]:
    if database.dialect == "sqlite":
        return {"price": "60000.1", "size": "0.001", "ts": int(FIXED.timestamp() * 1_000_000)}
    return {"price": Decimal("60000.1"), "size": Decimal("0.001"), "ts": FIXED}


def test_foreign_tables_are_left_alone(empty_database: DatabaseFactory) -> None:
    with empty_database.transaction() as connection:
        connection.execute(text("CREATE TABLE users (mine integer)"))
    for action in (empty_database.create_tables, lambda: runner.upgrade(empty_database)):
        with pytest.raises(SchemaError, match="carry no revision"):
            action()


def test_a_program_says_which_revision_it_needs(empty_database: DatabaseFactory) -> None:
    with pytest.raises(SchemaError, match="init_db"):
        empty_database.check_schema()
    runner.upgrade(empty_database, "0002")
    with pytest.raises(
        SchemaError, match=f"at revision 0002, this program needs {head_revision()}"
    ):
        empty_database.check_schema()
    runner.upgrade(empty_database)
    empty_database.check_schema()
