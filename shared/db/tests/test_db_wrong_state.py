"""What a database says that is not as it should be: broken connections, tables, rows."""

import pytest
from sqlalchemy import text

from grid_db import (
    DatabaseFactory,
    PublicTradeRepository,
    TenantScope,
    init_db,
    migrate,
)
from grid_db.errors import (
    ConstraintError,
    DatabaseConfigError,
    DatabaseUnavailableError,
    InvalidValueError,
    SchemaError,
)
from grid_db.testing import settings_for
from grid_db.testing_rows import NOW, SYMBOL, Tenant, after, trade
from testkit.wrong_input import UNREADABLE, Output, assert_command_says, expect, insert


def test_a_connection_that_breaks_is_replaced(database: DatabaseFactory) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite is in this process")
    expect(
        DatabaseUnavailableError,
        lambda: insert(database, before="SELECT pg_terminate_backend(pg_backend_pid())"),
        database.redacted_url,
        "check that the server runs",
    )
    insert(database)
    # one that breaks between two transactions is nothing that anybody hears of
    with DatabaseFactory(settings_for(database.engine.url)) as other:
        everybody = (
            "pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        with other.transaction() as connection:
            connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM {everybody}"))
    insert(database, 2)


def test_a_tenant_has_no_say_about_users(database: DatabaseFactory) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has no permissions")
    alice = Tenant(database, "alice")

    def delete_users() -> None:
        with database.get_session() as session:
            TenantScope(session, alice.user_id)
            session.execute(text("DELETE FROM users"))

    sentence = "permission denied for table users; work through a TenantScope"
    expect(DatabaseConfigError, delete_users, sentence)


def test_tables_that_are_missing(empty_database: DatabaseFactory) -> None:
    advice = "create the tables with python -m grid_db.init_db"
    expect(SchemaError, lambda: insert(empty_database), "public_trades", advice)


def test_a_column_that_is_missing(database: DatabaseFactory) -> None:
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE public_trades RENAME COLUMN size TO amount"))

    def read() -> None:
        with database.get_session() as session:
            list(PublicTradeRepository(session).iterate(SYMBOL))

    for action in (lambda: insert(database), read):
        expect(SchemaError, action, "size", "python -m grid_db.migrate upgrade")


def test_a_row_that_contradicts_another(database: DatabaseFactory) -> None:
    wrong = "INSERT INTO alerts (severity, alert_key, message) VALUES ('info', 'k', 'm')"
    expect(
        ConstraintError,
        lambda: insert(database, before=wrong),
        database.redacted_url,
        "lacks a value",
    )


def test_values_that_are_not_exact(database: DatabaseFactory) -> None:
    """In a query as well as in a batch, small or large, and the transaction leaves nothing."""
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(InvalidValueError, match="without a time zone"):  # noqa: SIM117
        with database.get_session() as session:
            PublicTradeRepository(session).count(SYMBOL, naive)
    for wrong in ({"price": 0.1}, {"local_ts": naive}, {"side": "Both"}, {"trade_id": "x" * 65}):
        for count in (10, 1_000):
            batch = [trade(number) for number in range(count)]
            batch.insert(count // 2, trade(count, **wrong))
            with pytest.raises(InvalidValueError) as caught, database.get_session() as session:
                PublicTradeRepository(session).bulk_insert(batch)
            assert f"public_trades.{next(iter(wrong))} is " in str(caught.value)
    with database.get_session() as session:
        assert PublicTradeRepository(session).count(SYMBOL, end=after(1e6)) == 0


@pytest.mark.parametrize("url", UNREADABLE)
def test_commands_answer_a_wrong_url_in_one_line(url: str, capsys: Output) -> None:
    for command, arguments in ((init_db.main, []), (migrate.main, ["status"])):
        line = ["--database-url", url, *arguments]
        assert_command_says(lambda c=command, a=line: c(a), capsys, UNREADABLE[url])
