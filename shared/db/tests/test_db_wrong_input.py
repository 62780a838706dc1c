"""Settings that cannot work and databases that do not answer: one sentence, no secret."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import URL

from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    PublicTradeRepository,
    account_id_for,
    init_db,
    migrate,
    redact_db_url,
    strategy_id_for,
    user_id_for,
)
from grid_db.errors import (
    DatabaseConfigError,
    DatabaseUnavailableError,
    GridDbError,
    InvalidValueError,
)
from grid_db.testing import EmbeddedPostgres

AWKWARD = "p@ss:w/rd#%41 ?&"


def refusal(url: str) -> GridDbError:
    """Return the error of trying to use a database."""
    with (
        pytest.raises(GridDbError) as caught,
        DatabaseFactory(DatabaseSettings(database_url=SecretStr(url))) as database,
        database.get_session() as session,
    ):
        PublicTradeRepository(session).count("BTCUSDT")
    return caught.value


def everything_told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://me:s3cret@host/name", "names 'mysql'; write sqlite:///gridbot.db or"),
        ("sqlite+aiosqlite:///x.db", "names the driver 'aiosqlite'"),
        ("postgresql+asyncpg://me:s3cret@host/name", "names the driver 'asyncpg'"),
        ("postgresql://me:s3cret@host", "names no database"),
        ("postgresql://me:s3cret@host:port/name", "cannot be read"),
        ("sqlite://here.db", "write sqlite:///here.db"),
        ("", "cannot be read"),
        ("gridbot.db", "cannot be read"),
    ],
)
def test_a_url_that_cannot_work_is_refused_at_once(url: str, says: str) -> None:
    with pytest.raises(DatabaseConfigError) as caught:
        DatabaseFactory(DatabaseSettings(database_url=SecretStr(url)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in everything_told(caught.value)


def test_an_unreachable_server(capfd: pytest.CaptureFixture[str]) -> None:
    port = closed_port()
    url = f"postgresql://me:{quote(AWKWARD, safe='')}@127.0.0.1:{port}/name"
    error = refusal(url)
    assert isinstance(error, DatabaseUnavailableError)
    assert f"postgresql+psycopg://me:***@127.0.0.1:{port}/name" in str(error)
    assert "check that the server runs" in str(error)
    assert "\n" not in str(error)
    assert AWKWARD not in everything_told(error)
    for main, arguments in ((init_db.main, []), (migrate.main, ["upgrade"])):
        assert main(["--database-url", url, *arguments]) == 1
        captured = capfd.readouterr()
        assert captured.err.count("\n") == 1
        assert "check that the server runs" in captured.err
        assert AWKWARD not in captured.err + captured.out
        assert quote(AWKWARD, safe="") not in captured.err


def test_a_wrong_password_with_awkward_characters(postgres_server: EmbeddedPostgres) -> None:
    """The server asks this one user for a password; the right one works, encoded or alone."""
    rules = postgres_server.folder / "pg_hba.conf"
    before = rules.read_text()
    url = postgres_server.create_database(with_tables=True)
    socket_folder = str(url.query["host"])
    escaped = AWKWARD.replace("'", "''")
    postgres_server.run("DROP ROLE IF EXISTS asked")
    postgres_server.run(f"CREATE ROLE asked LOGIN SUPERUSER PASSWORD '{escaped}'")
    rules.write_text("local all asked scram-sha-256\n" + before)
    postgres_server.run("SELECT pg_reload_conf()")
    try:
        folder, encoded = quote(socket_folder, safe=""), quote(AWKWARD, safe="")
        right = f"postgresql://asked:{encoded}@/{url.database}?host={folder}"
        with DatabaseFactory(DatabaseSettings(database_url=SecretStr(right))) as database:
            with database.get_session() as session:
                assert PublicTradeRepository(session).count("BTCUSDT") == 0
            assert AWKWARD not in repr(database) + database.redacted_url
        wrong = right.replace("asked:", "asked:x")
        error = refusal(wrong)
        assert isinstance(error, DatabaseConfigError)
        assert "password authentication failed" in str(error)
        assert "check user and password" in str(error)
        assert "\n" not in str(error)
        for secret in (AWKWARD, "x" + AWKWARD, quote(AWKWARD, safe="")):
            assert secret not in everything_told(error)
        missing = right.replace(f"/{url.database}?", "/nowhere?")
        error = refusal(missing)
        assert 'database "nowhere" does not exist' in str(error)
        assert "create it or correct the name" in str(error)
    finally:
        rules.write_text(before)
        postgres_server.run("SELECT pg_reload_conf()")
        postgres_server.drop_database(url)
        postgres_server.run("DROP ROLE asked")


def test_a_file_that_cannot_be_written(tmp_path: Path, sqlite_template: Path) -> None:
    file = tmp_path / "ro.db"
    file.write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///file:{file}?mode=ro&uri=true"
    with (
        pytest.raises(GridDbError) as caught,
        DatabaseFactory(DatabaseSettings(database_url=SecretStr(url))) as database,
        database.get_session() as session,
    ):
        session.connection().exec_driver_sql("DELETE FROM users")
    assert isinstance(caught.value, DatabaseUnavailableError)
    assert "readonly" in str(caught.value)
    assert "make the file and its folder writable" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_file_without_permission(tmp_path: Path, sqlite_template: Path) -> None:
    file = tmp_path / "ro.db"
    file.write_bytes(sqlite_template.read_bytes())
    file.chmod(stat.S_IREAD)
    error = refusal(f"sqlite:///{file}")
    assert "writable" in str(error)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "no" / "x.db", "does not exist; create it or correct the path"),
        (lambda folder: folder, "is a folder; name a file in it"),
        (lambda folder: garbage(folder / "x.db"), "no intact SQLite database"),
        (lambda folder: folder / "empty.db", "create the tables with python -m grid_db.init_db"),
        (lambda folder: foreign(folder / "f.db"), "create the tables"),
    ],
)
def test_files_that_are_no_database_of_ours(tmp_path: Path, make: object, says: str) -> None:
    error = refusal(f"sqlite:///{make(tmp_path)}")  # type: ignore[operator]
    assert says in str(error)
    assert "\n" not in str(error)


def garbage(path: Path) -> Path:
    path.write_bytes(b"this is no database " * 200)
    return path


def foreign(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE something (id INTEGER)")
    connection.close()
    return path


def test_a_driver_that_is_not_installed(tmp_path: Path) -> None:
    """In a process in which psycopg cannot be found."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'psycopg':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}')\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from grid_db.urls import parse_url\n"
        "try:\n"
        "    parse_url('postgresql://me:s3cret@host/name')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    told = done.stdout + done.stderr
    assert "psycopg" in told
    assert "s3cret" not in told


# settings


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("GRIDBOT_"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_settings_from_the_environment(clean_environment: pytest.MonkeyPatch) -> None:
    values = {
        "DB_TYPE": "postgresql",
        "DB_NAME": "na/me",
        "DB_HOST": "db.local",
        "DB_PORT": "5433",
        "DB_USER": "me@home",
        "DB_PASSWORD": AWKWARD,
    }
    for name, value in values.items():
        clean_environment.setenv(f"GRIDBOT_{name}", value)
    settings = DatabaseSettings()
    url = settings.url()
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "me@home",
        AWKWARD,
        "db.local",
        5433,
        "na/me",
    )
    written = url.render_as_string(hide_password=False)
    assert quote(AWKWARD, safe=" ") in written or "p%40ss%3Aw%2Frd%23%2541" in written
    assert ":5433/" in written
    assert AWKWARD not in repr(settings) + str(settings)
    clean_environment.setenv("GRIDBOT_DATABASE_URL", "sqlite:///wins.db")
    assert DatabaseSettings().url().database == "wins.db"


def test_the_default_is_a_file_here(clean_environment: pytest.MonkeyPatch) -> None:
    url = DatabaseSettings().url()
    assert (url.get_backend_name(), url.database) == ("sqlite", "gridbot.db")


def test_postgresql_needs_a_user(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("GRIDBOT_DB_TYPE", "postgresql")
    with pytest.raises(DatabaseConfigError, match="set GRIDBOT_DB_USER"):
        DatabaseSettings().url()


def test_a_port_that_is_no_number(
    clean_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clean_environment.setenv("GRIDBOT_DB_PORT", "many")
    with pytest.raises(ValidationError):
        DatabaseSettings()
    assert init_db.main([]) == 1
    assert "GRIDBOT_DB_PORT: " in capsys.readouterr().err


def test_a_factory_takes_settings_and_shows_how() -> None:
    with pytest.raises(TypeError, match=r"DatabaseFactory\(DatabaseSettings\(database_url="):
        DatabaseFactory("sqlite:///x.db")  # type: ignore[arg-type]


@given(
    user=st.text("abc@:/#%é ", min_size=1, max_size=8),
    password=st.text(min_size=4, max_size=20).filter(lambda p: "*" not in p and p.isprintable()),
    host=st.sampled_from(["h", "db.local", "[::1]", "127.0.0.1:5432"]),
)
def test_no_password_survives_redaction(user: str, password: str, host: str) -> None:
    prefix = f"postgresql://{quote(user, safe='')}"
    for written in (password, quote(password, safe="")):
        shown = redact_db_url(f"{prefix}:{written}@{host}/name")
        assert shown == f"{prefix}:***@{host}/name"
    url = URL.create("postgresql", user, password, "h", 1, "n")
    assert redact_db_url(url).endswith(":***@h:1/n")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("postgresql://h/d?password=s3cret&x=1", "postgresql://h/d?password=***&x=1"),
        ("postgresql://h/d?sslpassword=s3cret", "postgresql://h/d?sslpassword=***"),
        ("me:s3cret@host", "***@host"),
        ("", ""),
    ],
)
def test_redaction_of_other_forms(url: str, shown: str) -> None:
    assert redact_db_url(url) == shown


# identity


def test_identities_are_the_same_for_ever() -> None:
    user = user_id_for("alice")
    account = account_id_for(user, "main")
    assert user == "ac670949-0b97-5f6f-9e66-74cc676e14f0"
    assert account == "028486a4-7937-5c0a-a3d7-e4a085c6aae7"
    assert strategy_id_for(account, "btc") == "4b482b70-2e11-54ee-9195-5a3426e68d7c"
    kinds = {user, account, strategy_id_for(account, "main"), user_id_for("Alice")}
    kinds |= {account_id_for(user, "a/b"), account_id_for(user_id_for("bob"), "main")}
    assert len(kinds) == 6


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_a_name_is_not_empty(name: object) -> None:
    with pytest.raises(InvalidValueError, match="give a non-empty text"):
        user_id_for(name)  # type: ignore[arg-type]


def test_names_of_any_script_have_an_identity() -> None:
    assert len({user_id_for(name) for name in ("алиса", "愛麗絲", "é", "e\u0301")}) == 4
