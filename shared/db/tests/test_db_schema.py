"""create_tables() and the migrations make the same tables, and changing them keeps the data."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import inspect, text

from grid_db import TenantScope, UserRepository
from grid_db.database import DatabaseFactory
from grid_db.enums import Environment
from grid_db.errors import SchemaError
from grid_db.migrations import runner
from grid_db.models import Base

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
            }.items():
                tables[what] = [tuple(row) for row in connection.execute(text(query))]
    return tables


def test_created_and_migrated_tables_are_the_same(empty_database: DatabaseFactory) -> None:
    created = empty_database.create_tables()
    assert len(created.tables) == created.total == len(Base.metadata.tables)
    by_create = shape(empty_database)
    runner.downgrade(empty_database, "base")
    assert set(shape(empty_database)) <= {"alembic_version", "policies", "security", "grants"}
    applied = runner.upgrade(empty_database)
    assert [step.id for step in applied] == [step.id for step in runner.revisions()]
    assert shape(empty_database) == by_create
    assert runner.differences(empty_database) == []


def test_every_step_down_and_up_keeps_the_data(database: DatabaseFactory) -> None:
    with database.get_session() as session:
        user = UserRepository(session).get_or_create("alice")
    with database.get_session() as session:
        scope = TenantScope(session, user.id)
        account = scope.accounts.get_or_create("main", Environment.TESTNET)
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
    with pytest.raises(SchemaError, match="at revision 0002, this program needs 0003"):
        empty_database.check_schema()
    runner.upgrade(empty_database)
    empty_database.check_schema()
