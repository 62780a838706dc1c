"""The one door to a database: engine, sessions, tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from grid_db import schema
from grid_db.errors import DatabaseConfigError, DatabaseUnavailableError
from grid_db.settings import DatabaseSettings
from grid_db.translate import translate_error
from grid_db.types import DECIMAL_COLLATION, compare_decimal_texts
from grid_db.urls import is_memory, redact_db_url, sqlite_file

# Longer than any one batch takes to write, so that a second writer waits instead of failing.
SQLITE_BUSY_TIMEOUT_MS = 60_000
# The unique index of trades is visited in random order; it has to fit in memory to stay fast.
_SQLITE_CACHE_KIB = 64 * 1024
# The write-ahead log: SQLite empties it by itself, unless a reader still needs what it has; then it
# grows, and afterwards the file is cut to this.
JOURNAL_BOUND_BYTES = 64 << 20
_CONNECT_TIMEOUT_S = 10
_WAL_RETRY_S = 0.01


@dataclass(frozen=True, slots=True)
class JournalState:
    """SQLite's write-ahead log: how large its file is, and whether a reader keeps it."""

    size: int  # bytes
    is_held: bool


class DatabaseFactory:
    """Makes sessions on the database that `settings` names. Nothing connects before the first one.

    Usable from several threads, each with its own session. Raises DatabaseConfigError at once for
    a URL that cannot work.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        if not isinstance(settings, DatabaseSettings):
            raise TypeError(
                f"DatabaseFactory takes settings, not {type(settings).__name__}; call"
                f' DatabaseFactory(DatabaseSettings(database_url="{_url_meant_by(settings)}"))'
            )
        url = settings.url()
        self._engine = _make_engine(url)
        # SQLAlchemy's URL tells its password to whoever makes a text of it
        self._url = make_url(redact_db_url(url))
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)

    def __repr__(self) -> str:
        return f"DatabaseFactory({self.redacted_url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.dispose()

    @property
    def redacted_url(self) -> str:
        """The URL without its password, for log lines."""
        return redact_db_url(self._url)

    @property
    def dialect(self) -> str:
        """'sqlite' or 'postgresql'."""
        return self._engine.dialect.name

    @property
    def engine(self) -> Engine:
        """The engine, for migrations and for tests that go below the repositories."""
        return self._engine

    @contextmanager
    def get_session(self) -> Iterator[Session]:
        """Give a session that commits when the block ends and rolls back when it raises.

        Errors of the database leave the block as this library's own: DatabaseUnavailableError for
        what may work later, ConstraintError for a row that contradicts another, SchemaError for
        missing tables, DatabaseConfigError for a wrong login. Other exceptions pass unchanged.
        """
        session = self._sessions()
        try:
            with self.errors_translated():
                try:
                    yield session
                    session.commit()
                except BaseException:
                    session.rollback()
                    raise
        finally:
            session.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection in one transaction that also covers changes of tables."""
        with (
            self.errors_translated(),
            self._engine.connect() as connection,
            schema.whole_transaction(connection),
        ):
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """Give a connection that waits for no writer; what it changes is not kept."""
        with self.errors_translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def errors_translated(self) -> Iterator[None]:
        """Raise errors of the database as this library's own."""
        try:
            yield
        except Exception as error:  # translate_error says which ones are ours; the rest go on
            ours = translate_error(error, self._url)
            if ours is None or ours is error:
                raise
            raise ours from error

    def create_tables(self) -> schema.Created:
        """Create all tables at the newest revision, and row-level security on PostgreSQL.

        Harmless on a database that has them. Raises SchemaError when the tables are of another
        revision (run the migrations) or not this library's. Two processes at once are safe.
        """
        with self.looking() as connection:
            found = schema.found(connection)
        if found is not None:  # without the lock, which anybody who may connect can hold
            return found
        with self.transaction() as connection:
            return schema.create(connection)

    def check_schema(self) -> None:
        """Raise SchemaError unless the tables are there, at the newest revision."""
        with self.looking() as connection:
            schema.check(connection)

    def trim_journal(self) -> JournalState | None:
        """Look at SQLite's write-ahead log, and empty it where it is beyond its bound.

        Waits for nobody: what a reader still needs stays, and is_held says so. None for a database
        that has no such file. Raises DatabaseUnavailableError.
        """
        file = sqlite_file(self._url) if self._url.get_backend_name() == "sqlite" else None
        if file is None:
            return None
        log = file.with_name(file.name + "-wal")
        size = _size_of(log)
        if size <= JOURNAL_BOUND_BYTES:
            return JournalState(size, is_held=False)
        with (
            self.errors_translated(),
            closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection,
        ):
            pragma = "PRAGMA wal_checkpoint(TRUNCATE)"
            is_busy, pages, copied = connection.execute(pragma).fetchone()
            if is_busy and pages == copied:  # a writer is at it: all is copied, the cut comes later
                return JournalState(_size_of(log), is_held=False)
        return JournalState(_size_of(log), is_held=bool(is_busy))

    def dispose(self) -> None:
        """Close all connections. A session asked for later opens new ones."""
        self._engine.dispose()


def _url_meant_by(given: object) -> str:
    """Return the URL to write for what was given in place of settings, without its secrets."""
    shown = redact_db_url(given if isinstance(given, URL) else str(given))
    if isinstance(given, Path):
        return f"sqlite:///{given}"
    if not isinstance(given, str | URL) or not given or shown == "***":
        return "sqlite:///gridbot.db"
    return shown if "://" in shown else f"sqlite:///{shown}"


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _make_engine(url: URL) -> Engine:
    # parameters hold tokens and balances, which no error text shows
    options: dict[str, Any] = {"hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": SQLITE_BUSY_TIMEOUT_MS / 1000}
        if is_memory(url):
            options["poolclass"] = StaticPool
            options["connect_args"]["check_same_thread"] = False
        engine = _create_engine(url, options)
        event.listen(engine, "do_connect", lambda *_: _check_folder(url))
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    options["pool_pre_ping"] = True
    if "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": _CONNECT_TIMEOUT_S}
    return _create_engine(url, options)


def _create_engine(url: URL, options: dict[str, Any]) -> Engine:
    try:
        return create_engine(url, **options)
    except (SQLAlchemyError, ValueError) as error:
        raise DatabaseConfigError(
            f"{redact_db_url(url)} has parameters that cannot be read ({error}); correct them"
        ) from None


def _check_folder(url: URL) -> None:
    file = sqlite_file(url)
    if file is None:
        return
    folder = file.parent
    try:
        has_folder, is_folder = folder.is_dir(), file.is_dir()
    except OSError as error:
        raise DatabaseConfigError(
            f"{redact_db_url(url)}: {error.strerror}; name another path"
        ) from None
    if not has_folder:
        raise DatabaseUnavailableError(
            f"{redact_db_url(url)}: the folder {folder} does not exist; create it or correct the"
            " path"
        )
    if is_folder:
        raise DatabaseUnavailableError(
            f"{redact_db_url(url)}: {file} is a folder; name a file in it"
        )


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.create_collation(DECIMAL_COLLATION, compare_decimal_texts)
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys = ON")
        _switch_to_wal(cursor)
        # FULL is SQLite's default, said here because a fill must survive a power cut
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA journal_size_limit = {JOURNAL_BOUND_BYTES}")
        cursor.execute(f"PRAGMA cache_size = -{_SQLITE_CACHE_KIB}")
    finally:
        cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    # SQLite fails at once, whatever the timeout, while another connection writes in the old mode
    deadline = monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(_WAL_RETRY_S)
        else:
            return
