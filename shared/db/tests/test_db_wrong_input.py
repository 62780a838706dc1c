"""Wrong settings, files and servers: one sentence, what to do, and never the password."""

import logging
import socket
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import sleep
from urllib.parse import quote
from uuid import uuid4

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import text
from sqlalchemy.engine import URL

from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    DatabaseType,
    PublicTradeRepository,
    TenantScope,
    init_db,
    migrate,
)
from grid_db.errors import (
    ConstraintError,
    DatabaseConfigError,
    DatabaseUnavailableError,
    GridDbError,
    InvalidValueError,
    SchemaError,
)
from grid_db.testing import EmbeddedPostgres, settings_for
from grid_db.testing_rows import NOW, SYMBOL, Tenant, after, trade

# Every sign that means something in a URL. What is left when one of them ends the password early
# would still be seen, because each part between them is searched for.
SECRET = "aK1@bK2:cK3/dK4#eK5%fK6?gK7&hK8=iK9 jK0"
PARTS = ["aK1", "bK2", "cK3", "dK4", "eK5", "fK6", "gK7", "hK8", "iK9", "jK0"]
Output = pytest.CaptureFixture[str]
Log = pytest.LogCaptureFixture


def settings(url: str) -> DatabaseSettings:
    return DatabaseSettings(database_url=SecretStr(url))


def using(make: DatabaseSettings) -> Callable[[], None]:
    """Return what opens the database and writes to it, as far as it goes."""

    def use() -> None:
        with DatabaseFactory(make) as database:
            database.create_tables()
            insert(database)

    return use


def insert(database: DatabaseFactory, count: int = 1, before: str | None = None) -> None:
    """Insert trades, after one statement of raw SQL if need be."""
    with database.get_session() as session:
        if before is not None:
            session.execute(text(before))
        PublicTradeRepository(session).bulk_insert(map(trade, range(count)))


def said_by(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error, and every error behind it, tells anybody who looks."""
    if error is not None:
        yield "".join(traceback.format_exception(error))
    while error is not None:
        yield from (str(error), repr(error), repr(error.args))
        error = error.__cause__ or error.__context__


def assert_tells(error: GridDbError, *sentences: str) -> None:
    assert len(str(error).splitlines()) == 1
    for sentence in sentences:
        assert sentence in str(error)
    for said in said_by(error):
        for part in [*PARTS, quote(SECRET, safe="")]:
            assert part not in said


UNREADABLE = {
    # scheme and driver
    "mysql://me:aK1@host/name": "names 'mysql'; write sqlite:///",
    "mysql+pymysql://me:aK1@host/name": "names 'mysql'",
    "mongodb://me:aK1@host/name": "names 'mongodb'",
    "postgresql+asyncpg://me:aK1@host/name": "names the driver 'asyncpg'; write postgresql://",
    "postgresql+psycopg2://me:aK1@host/name": "names the driver 'psycopg2'",
    "sqlite+aiosqlite:///x.db": "names the driver 'aiosqlite'; write sqlite:///",
    # no URL
    "": "the database URL '' cannot be read; write sqlite:///gridbot.db or postgresql://",
    "nonsense": "'nonsense' cannot be read",
    "host=localhost user=me password='aK1 bK2'": "'***' cannot be read",
    "postgresql:/me:aK1@host/name": "'***' cannot be read",
    "password = aK1": "'***' cannot be read",
    # a password that was not encoded, or has nothing behind it
    "postgresql://me:aK1@bK2@host/name": "percent-encode the password",
    "postgresql://me:aK1:bK2@cK3@host/name": "me:***@host/name has one @ too many",
    "postgresql://me@work:aK1@host/name": "me@work:***@host/name has one @ too many",
    "postgresql://do/main:aK1@host/name": "do/main:***@host/name has one @ too many, or a / before",
    "postgresql://me:aK1": "'postgresql://me:***' cannot be read",
    "postgresql://me:aK1/name": "'postgresql://me:***' cannot be read",
    "postgresql://me:aK1@host:54x/name": "'postgresql://me:***@host:54x/name' cannot be read",
    # parts that are missing, or that the driver would take for something else
    "postgresql://me:aK1@host": "names no database",
    "postgresql://me:aK1@host:70000/name": "names no port from 1 to 65535",
    "postgresql://me:aK1@host:0/name": "names no port from 1 to 65535",
    "postgresql://me:aK1%00bK2@host/name": "the password of the database has a NUL",
    "postgresql://me:aK1@host/na%00me": "the name of the database has a NUL",
    "postgresql://me:aK1@host/name?options=%00": "the parameter 'options' of the database has a",
    "postgresql://me:aK1@ho st/name": "the host of the database is 'ho st'; give a name",
    "sqlite://file.db": "has two slashes; write sqlite:///file.db for a file",
    "sqlite://me:aK1@/file.db": "sqlite://me:***@/file.db names a user or a port",
    "sqlite:///file.db?mode=ro": "which only a file: URI takes; write sqlite:///file:",
    "sqlite:///file:file.db?timeout=long&uri=true": "parameters that cannot be read",
}


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_cannot_work_is_refused_before_anything_connects(url: str) -> None:
    with pytest.raises(DatabaseConfigError) as caught:
        DatabaseFactory(settings(url))
    assert_tells(caught.value, UNREADABLE[url])


def test_a_string_in_place_of_settings_is_answered_with_the_right_call() -> None:
    with pytest.raises(TypeError) as caught:
        DatabaseFactory(f"postgresql://me:{SECRET}@host/name")  # type: ignore[arg-type]
    assert 'DatabaseFactory(DatabaseSettings(database_url="sqlite:///' in str(caught.value)
    assert not any(part in str(caught.value) for part in PARTS)


def test_a_wrong_setting_does_not_quote_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDBOT_DB_PASSWORD", SECRET)
    monkeypatch.setenv("GRIDBOT_DB_PORT", PARTS[0])
    with pytest.raises(ValidationError) as caught:
        DatabaseSettings(database_url=SECRET.encode())  # type: ignore[arg-type]
    for said in said_by(caught.value):
        assert not any(part in said for part in PARTS)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DB_TYPE": "mysql"}, "GRIDBOT_DB_TYPE: Input should be 'sqlite' or 'postgresql'"),
        ({"DB_TYPE": "postgresql"}, "there is no user; set GRIDBOT_DB_USER"),
        ({"DB_PORT": "many"}, "GRIDBOT_DB_PORT: Input should be a valid integer"),
        ({"DB_NAME": ""}, "GRIDBOT_DB_NAME is empty"),
        ({"DATABASE_URL": ""}, "the database URL '' cannot be read"),
    ],
)
def test_wrong_environment_variables_are_named(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("GRIDBOT_DB_PASSWORD", SECRET)
    for name, value in variables.items():
        monkeypatch.setenv(f"GRIDBOT_{name}", value)
    assert_command_says(lambda: init_db.main([]), capsys, sentence)


@pytest.mark.parametrize("part", ["db_user", "db_password", "db_name", "db_host"])
def test_bytes_that_are_no_text_are_refused(part: str) -> None:
    """An environment variable may hold any byte; Python keeps those as lone surrogates."""
    parts = {"db_user": "me", part: "\udcff"}
    with pytest.raises(DatabaseConfigError, match="no UTF-8 text; correct it"):
        DatabaseFactory(DatabaseSettings(db_type=DatabaseType.POSTGRESQL, **parts))


# -- SQLite files --


def file_url(file: Path | str, **parameters: str) -> DatabaseSettings:
    return settings_for(URL.create("sqlite", database=str(file), query=parameters))


def expect(
    kind: type[GridDbError], action: Callable[[], object], *sentences: str, log: Log | None = None
) -> None:
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert_tells(caught.value, *sentences)
    if log is not None:
        assert not any(part in log.text for part in PARTS)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_text("not a database, but long enough to have a header. " * 50)
    shown = f"sqlite:///{tmp_path}"
    for file, sentence in {
        tmp_path / "no" / "x.db": f"{shown}/no/x.db: the folder {tmp_path}/no does not exist",
        tmp_path: f"{shown}: {tmp_path} is a folder; name a file in it",
        garbage: f"{shown}/garbage.db: file is not a database; the file is no intact SQLite",
        garbage / "x.db": f"the folder {garbage} does not exist",
    }.items():
        expect(DatabaseUnavailableError, using(file_url(file)), sentence)
    too_long = file_url(tmp_path / ("x" * 300))
    expect(DatabaseConfigError, using(too_long), "File name too long; name another path")


def test_a_file_opened_for_reading_is_read_and_not_written(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    using(file_url(file))()
    reading = file_url(f"file:{file}", mode="ro", uri="true")
    with DatabaseFactory(reading) as database:
        database.check_schema()
        with database.get_session() as session:
            assert PublicTradeRepository(session).exists_by_trade_id(SYMBOL, "t0")
        sentence = f"{database.redacted_url}: attempt to write a readonly database; make the file"
        expect(DatabaseUnavailableError, lambda: insert(database), sentence)
    expect(DatabaseUnavailableError, using(reading), "attempt to write a readonly database")
    missing = file_url(f"file:{tmp_path}/no.db", mode="ro", uri="true")
    expect(
        DatabaseUnavailableError, using(missing), "unable to open database file; the folder must"
    )
    unknown = file_url(f"file:{file}", mode="sometimes", uri="true")
    expect(
        DatabaseConfigError,
        using(unknown),
        "no such access mode: sometimes; correct the parameters",
    )


def test_a_full_disk(tmp_path: Path) -> None:
    using(file_url(tmp_path / "x.db"))()
    with DatabaseFactory(file_url(tmp_path / "x.db")) as database:
        # SQLite takes the size that the file has now
        full = "PRAGMA max_page_count = 1"
        expect(
            DatabaseUnavailableError,
            lambda: insert(database, 20_000, before=full),
            "database or disk is full; free some space on the disk and try again",
        )
        with database.get_session() as session:
            assert PublicTradeRepository(session).count(SYMBOL) == 1


def test_a_file_that_another_program_keeps_locked(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    using(file_url(file))()
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        DatabaseFactory(file_url(file)) as database,
    ):
        other.execute("BEGIN IMMEDIATE")
        # a minute of patience is too long for a test
        impatient = "PRAGMA busy_timeout = 50"
        expect(
            DatabaseUnavailableError,
            lambda: insert(database, before=impatient),
            "database is locked; another process has been writing for too long; end it or try",
        )


# -- PostgreSQL servers --


def reload_access(server: EmbeddedPostgres) -> None:
    """Have the server read pg_hba.conf, and wait until connections from now on obey it."""
    before = load_time(server)
    server.run("SELECT pg_reload_conf()")
    while load_time(server) == before:
        sleep(0.01)


def load_time(server: EmbeddedPostgres) -> object:
    with DatabaseFactory(settings_for(server.url)) as database, database.looking() as connection:
        return connection.execute(text("SELECT pg_conf_load_time()")).scalar()


@pytest.fixture
def login(postgres_server: EmbeddedPostgres) -> Iterator[URL]:
    """The URL of a new user whom the server asks for SECRET."""
    name = f"login_{uuid4().hex}"
    access = postgres_server.folder / "pg_hba.conf"
    before = access.read_text()
    postgres_server.run(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{SECRET}'")
    access.write_text(f"local all {name} scram-sha-256\n{before}")
    reload_access(postgres_server)
    url = postgres_server.create_database(with_tables=True)
    try:
        yield url.set(username=name, password=SECRET)
    finally:
        access.write_text(before)
        reload_access(postgres_server)
        postgres_server.drop_database(url)
        postgres_server.run(f"DROP ROLE {name}")


@pytest.fixture
def all_logs(caplog: Log) -> Log:
    """Everything that is logged, SQLAlchemy's and psycopg's chatter included."""
    for name in (None, "sqlalchemy", "sqlalchemy.pool", "sqlalchemy.engine", "psycopg", "alembic"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def test_the_right_password_opens_and_is_shown_nowhere(login: URL, all_logs: Log) -> None:
    with DatabaseFactory(settings_for(login)) as database:
        database.check_schema()
        with database.get_session() as session:
            assert PublicTradeRepository(session).bulk_insert([trade()]) == 1
            shown = [repr(database), str(database), repr(database.engine), repr(session)]
            shown += [database.redacted_url, str(database.engine.url), repr(database.engine.url)]
    assert ":***@" in database.redacted_url
    assert str(login.username) in all_logs.text  # it is logged that and how we connect
    for said in [*shown, all_logs.text]:
        assert not any(part in said for part in PARTS)


def test_the_parts_of_the_settings_need_no_encoding(login: URL) -> None:
    folder = login.query["host"]
    assert isinstance(folder, str)
    parts = DatabaseSettings(
        db_type=DatabaseType.POSTGRESQL,
        db_host=folder,
        db_name=str(login.database),
        db_user=login.username,
        db_password=SecretStr(SECRET),
    )
    using(parts)()


def postgres_url(password: str | None, **parts: object) -> DatabaseSettings:
    given = {"username": "me", "database": "name", "host": "127.0.0.1", **parts}
    return settings_for(URL.create("postgresql", password=password, **given))  # type: ignore[arg-type]


@pytest.mark.parametrize("password", [f"{SECRET}x", "x", None])
def test_a_wrong_password(login: URL, password: str | None, all_logs: Log) -> None:
    place = {"username": login.username, "database": login.database, "query": login.query}
    expect(
        DatabaseConfigError,
        using(postgres_url(password, host=None, **place)),
        f"postgresql+psycopg://{login.username}:***@/" if password else login.database or "",
        "check user and password (GRIDBOT_DB_PASSWORD takes it as it is",
        log=all_logs,
    )


def test_a_database_or_a_user_that_is_not_there(
    postgres_server: EmbeddedPostgres, all_logs: Log
) -> None:
    place = {"host": None, "query": postgres_server.url.query}
    expect(
        DatabaseConfigError,
        using(postgres_url(SECRET, username="postgres", database="nowhere", **place)),
        'database "nowhere" does not exist; create it or correct the name',
        log=all_logs,
    )
    expect(
        DatabaseConfigError,
        using(postgres_url(SECRET, username="nobody", database="postgres", **place)),
        'role "nobody" does not exist; create it or correct the name',
        log=all_logs,
    )


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_server_that_does_not_answer(closed_port: int, all_logs: Log) -> None:
    for host in ("127.0.0.1", "localhost"):
        expect(
            DatabaseUnavailableError,
            using(postgres_url(SECRET, host=host, port=closed_port)),
            f"postgresql+psycopg://me:***@{host}:{closed_port}/name: ",
            "Connection refused; check that the server runs, its host and port, and try again",
            log=all_logs,
        )


@pytest.mark.parametrize(
    "parameters", [{"sslmode": "perhaps"}, {"connect_timeout": "soon"}, {"no_such_thing": "1"}]
)
def test_parameters_that_the_driver_does_not_know(
    parameters: dict[str, str], closed_port: int
) -> None:
    make = postgres_url(SECRET, port=closed_port, query=parameters)
    expect(
        DatabaseConfigError,
        using(make),
        next(iter(parameters)),
        "correct the parameters of the URL",
    )


def test_a_password_among_the_parameters_is_a_password(login: URL) -> None:
    """libpq takes it there, and so a URL with one is as secret as any other."""
    query = {**login.query, "password": SECRET}
    given = URL.create("postgresql", username=login.username, database=login.database, query=query)
    with DatabaseFactory(settings_for(given)) as database:
        database.check_schema()
        assert not any(part in repr(database.engine) for part in PARTS)


# -- what goes wrong later --


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


# -- the commands --


def assert_command_says(command: Callable[[], int], capsys: Output, sentence: str) -> None:
    assert command() == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not any(part in captured.err for part in PARTS)


@pytest.mark.parametrize("url", UNREADABLE)
def test_commands_answer_a_wrong_url_in_one_line(url: str, capsys: Output) -> None:
    for command, arguments in ((init_db.main, []), (migrate.main, ["status"])):
        line = ["--database-url", url, *arguments]
        assert_command_says(lambda c=command, a=line: c(a), capsys, UNREADABLE[url])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["grid_db.init_db"], 1, "init_db: postgresql+psycopg://me:***@127.0.0.1:"),
        (["grid_db.migrate", "upgrade"], 1, "migrate: postgresql+psycopg://me:***@127.0.0.1:"),
        (["grid_db.migrate"], 2, "the following arguments are required: COMMAND"),
    ],
)
def test_commands_as_programs(
    arguments: list[str], code: int, sentence: str, closed_port: int
) -> None:
    url = URL.create("postgresql", "me", SECRET, "127.0.0.1", closed_port, "name")
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={"GRIDBOT_DATABASE_URL": url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(part in done.stderr for part in PARTS)
    if code == 1:
        assert len(done.stderr.splitlines()) == 1


def test_an_init_that_fails_leaves_nothing(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
    url = f"sqlite:///{file}"
    sentence = "(users) that carry no revision; name an empty database, or drop them"
    assert_command_says(lambda: init_db.main(["--database-url", url]), capsys, sentence)
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]
