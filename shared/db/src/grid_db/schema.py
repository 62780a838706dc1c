"""Tables as a whole: made, recognised, and changed in one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from grid_db import rls
from grid_db.errors import ConstraintError, SchemaError
from grid_db.models import Base

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"

# Any number that no other program locks: the first 8 digits of the identity namespace.
_SCHEMA_LOCK = 0x6F1D3A52


def is_of_models(_item: object, name: str | None, *_: object) -> bool:
    """Tell whether a thing in the database is one that the models describe."""
    return name != rls.LOGINS_TABLE


@dataclass(frozen=True, slots=True)
class Created:
    """What `create` found and did."""

    tables: tuple[str, ...]  # those made now, none if they were there
    revision: str
    total: int


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for the revisions inside this package."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head_revision() -> str:
    """Return the newest revision."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise SchemaError(f"there are no revisions in {MIGRATIONS}; reinstall grid-db")
    return head


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the tables, None if there are none or they are not ours."""
    return MigrationContext.configure(connection).get_current_revision()


def our_tables(connection: Connection) -> list[str]:
    """Return which of this library's tables exist."""
    ours = Base.metadata.tables
    return sorted(name for name in inspect(connection).get_table_names() if name in ours)


def create(connection: Connection) -> Created:
    """Create what `DatabaseFactory.create_tables` says, inside the caller's transaction."""
    head = head_revision()
    there = found(connection)
    if there is not None:
        return there
    Base.metadata.create_all(connection)
    MigrationContext.configure(connection).stamp(
        ScriptDirectory.from_config(alembic_config(connection)), head
    )
    if connection.dialect.name == "postgresql":
        for statement in row_level_security():
            connection.execute(text(statement))
    made = tuple(our_tables(connection))
    return Created(tables=made, revision=head, total=len(Base.metadata.tables))


def found(connection: Connection) -> Created | None:
    """Return what there is; None without tables. Raises SchemaError like `check`."""
    if not our_tables(connection):
        return None
    check(connection)
    return Created(tables=(), revision=head_revision(), total=len(Base.metadata.tables))


def check(connection: Connection) -> None:
    """Raise SchemaError unless the tables are there, at the newest revision."""
    head, revision = head_revision(), current_revision(connection)
    if revision == head:
        return
    if revision is not None:
        raise SchemaError(
            f"the tables are at revision {revision}, this program needs {head};"
            " run python -m grid_db.migrate upgrade"
        )
    if our_tables(connection):
        raise SchemaError(
            f"there are tables named like this library's ({', '.join(our_tables(connection))})"
            " that carry no revision; name an empty database, or drop them"
        )
    raise SchemaError("there are no tables; run python -m grid_db.init_db")


def row_level_security() -> Iterator[str]:
    """Yield the statements that protect all tables at the newest revision."""
    yield from rls.create_roles()
    yield rls.create_tenant_role()
    yield from rls.know_logins()
    shared = [VERSION_TABLE]
    for table in Base.metadata.sorted_tables:
        if table.name == "users":
            yield from rls.protect_table("users", "id")
            yield from rls.know_user()
        elif "user_id" not in table.columns:
            shared.append(table.name)
        else:
            yield from rls.protect_table(table.name, "user_id")
            names = table.columns.keys()
            numbered = table.columns.id.identity is not None
            yield from rls.give_to_logins(table.name, names, numbered=numbered)
    yield from rls.share_tables(shared)
    yield from rls.show_to_logins(shared)
    yield from rls.read_only(["users", VERSION_TABLE])
    yield rls.share_unowned("capture_gaps", "user_id")
    yield rls.show_unowned("capture_gaps")


@contextmanager
def whole_transaction(connection: Connection) -> Iterator[None]:
    """Run a block that may change tables: all of it or nothing, one process at a time.

    SQLite rebuilds a table by copying and dropping it, and a drop deletes like any DELETE: with
    foreign keys on, it would take the rows of every dependent table along. They are off inside
    the block and checked before it commits.
    """
    if connection.dialect.name != "sqlite":
        with connection.begin():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            yield
        return
    driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    level = driver.isolation_level
    # sqlite3 commits before it changes a table unless it leaves transactions to us
    driver.isolation_level = None
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        with connection.begin():
            driver.execute("BEGIN IMMEDIATE")
            yield
            _check_foreign_keys(driver)
    finally:
        driver.execute("PRAGMA foreign_keys = ON")
        driver.isolation_level = level


def _check_foreign_keys(driver: sqlite3.Connection) -> None:
    broken = driver.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        table, _, parent, _ = broken[0]
        raise ConstraintError(
            f"{len(broken)} rows point at nothing, for example in {table} at {parent};"
            " nothing was changed"
        )
