"""Wrong settings, files and servers: one sentence, what to do, and never the password."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import sleep
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
    init_db,
)
from grid_db.errors import (
    DatabaseConfigError,
    DatabaseUnavailableError,
)
from grid_db.testing import EmbeddedPostgres, settings_for
from grid_db.testing_rows import SYMBOL, trade
from testkit.wrong_input import (
    PARTS,
    SECRET,
    UNREADABLE,
    Log,
    Output,
    assert_command_says,
    assert_tells,
    expect,
    insert,
    said_by,
)


def settings(url: str) -> DatabaseSettings:
    return DatabaseSettings(database_url=SecretStr(url))


def using(make: DatabaseSettings) -> Callable[[], None]:
    """Return what opens the database and writes to it, as far as it goes."""

    def use() -> None:
        with DatabaseFactory(make) as database:
            database.create_tables()
            insert(database)

    return use


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_cannot_work_is_refused_before_anything_connects(url: str) -> None:
    with pytest.raises(DatabaseConfigError) as caught:
        DatabaseFactory(settings(url))
    assert_tells(caught.value, UNREADABLE[url])


def test_a_string_in_place_of_settings_is_answered_with_the_right_call() -> None:
    with pytest.raises(TypeError) as caught:
        DatabaseFactory(f"postgresql://me:{SECRET}@host/name")  # type: ignore[arg-type]
    right = 'DatabaseFactory(DatabaseSettings(database_url="postgresql://me:***@host/name"))'
    assert right in str(caught.value)
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


def file_url(file: Path | str, **parameters: str) -> DatabaseSettings:
    return settings_for(URL.create("sqlite", database=str(file), query=parameters))


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
