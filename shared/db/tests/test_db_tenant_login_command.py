"""`python -m grid_db.tenant_login` as an administrator types it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from grid_db import (
    DatabaseFactory,
    TenantScope,
    UserRepository,
    init_db,
    login_actions,
    migrate,
    tenant_login,
)
from grid_db.enums import AccountEnvironment
from grid_db.errors import DatabaseConfigError
from grid_db.testing import EmbeddedPostgres, settings_for

Output = pytest.CaptureFixture[str]
Say = Callable[..., str]
pytestmark = pytest.mark.integration


@pytest.fixture
def url(postgres_server: EmbeddedPostgres) -> Iterator[URL]:
    made = postgres_server.create_database(with_tables=True)
    yield made
    with DatabaseFactory(settings_for(made)) as database, database.transaction() as connection:
        query = text("SELECT rolname FROM pg_roles WHERE rolname LIKE :ours")
        logins = list(connection.scalars(query, {"ours": f"%{made.database}%"}))
    postgres_server.drop_database(made)
    for login in logins:
        postgres_server.run(f"DROP ROLE {login}")


@pytest.fixture
def login(url: URL) -> str:
    return f"bob_{url.database}"


@pytest.fixture
def say(url: URL, capsys: Output) -> Say:
    """Run the command as the superuser; return what it says, and check its exit code."""

    def run(*arguments: object, code: int = 0, of: URL = url) -> str:
        plain = of.render_as_string(hide_password=False)
        assert tenant_login.main(["--database-url", plain, *map(str, arguments)]) == code
        printed = capsys.readouterr()
        assert not (printed.out and printed.err)
        return (printed.out + printed.err).strip()

    return run


def test_a_login_from_its_making_to_its_end(url: URL, say: Say, login: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    assert "no tenant has a login of its own" in say("list")
    told = say("create", "bob", login, "--password-file", file)
    assert told.startswith(f"made the login {login} for user 'bob' (new)")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    password = file.read_text().strip()
    assert len(password) >= 32
    assert password not in told
    assert say("list") == f"{login}  bob"
    again = say("create", "bob", login, "--password-file", file)
    assert again.startswith(f"kept the login {login} for user 'bob' in")
    assert file.read_text().strip() == password
    own = url.set(username=login, password=None)
    with DatabaseFactory(settings_for(own)) as database:
        with database.get_session() as session:
            user = UserRepository(session).get_or_create("bob")
        with database.get_session() as session:
            TenantScope(session, user.id).accounts.get_or_create("main", AccountEnvironment.TESTNET)
    assert f"dropped the login {login} of user 'bob'" in say("drop", login)
    assert "no tenant has a login" in say("list")
    with DatabaseFactory(settings_for(url)) as database, database.get_session() as session:
        scope = TenantScope(session, user.id)
        assert [account.name for account in scope.accounts.list_all()] == ["main"]


def test_the_password_is_the_one_of_the_file_and_can_be_changed(
    url: URL, say: Say, login: str, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    say("create", "bob", login, "--password-file", first)
    stored = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{login}'"
    with DatabaseFactory(settings_for(url)) as database, database.looking() as connection:
        assert str(connection.scalar(text(stored))).startswith("SCRAM-SHA-256$")
    access = postgres_server.folder / "pg_hba.conf"
    before = access.read_text()
    access.write_text(f"local all {login} scram-sha-256\n{before}")
    postgres_server.run("SELECT pg_reload_conf(), pg_sleep(0.5)")

    def open_with(file: Path) -> None:
        settings = settings_for(url.set(username=login, password=file.read_text().strip()))
        with DatabaseFactory(settings) as database:
            database.check_schema()

    try:
        open_with(first)
        assert "another password" in say("password", login, "--password-file", second)
        open_with(second)
        with pytest.raises(DatabaseConfigError, match="check user and password"):
            open_with(first)
    finally:
        access.write_text(before)
        postgres_server.run("SELECT pg_reload_conf(), pg_sleep(0.5)")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        ("CREATE ROLE {} LOGIN SUPERUSER", "is a superuser"),
        ("CREATE ROLE {} LOGIN BYPASSRLS", "has BYPASSRLS"),
        ("CREATE ROLE {} LOGIN CREATEROLE", "has CREATEROLE"),
        ("CREATE ROLE {} LOGIN REPLICATION", "has REPLICATION"),
        ("CREATE ROLE {} LOGIN IN ROLE grid_db_app", "is a member of grid_db_app"),
        ("CREATE ROLE {} LOGIN IN ROLE grid_db_admin", "is a member of grid_db_admin"),
        ("CREATE ROLE {} LOGIN IN ROLE pg_read_all_data", "is a member of pg_read_all_data"),
    ],
)
def test_a_login_that_reaches_beyond_one_user_is_refused_and_listed(
    say: Say, login: str, postgres_server: EmbeddedPostgres, make: str, problem: str
) -> None:
    postgres_server.run(make.format(login))
    refusal = say("create", "bob", login, "--keep-password", code=1)
    assert f"the login {login} {problem}" in refusal
    assert "which reaches beyond one user; choose another name, or take that from it" in refusal
    postgres_server.run(f"DROP ROLE {login}")
    postgres_server.run(f"CREATE ROLE {login} LOGIN")
    say("create", "bob", login, "--keep-password")
    postgres_server.run(f"DROP ROLE {login}")
    postgres_server.run(make.format(login))
    assert f"PROBLEM: it {problem}" in say("list")


def test_what_cannot_be_is_said_in_a_sentence(
    url: URL, say: Say, login: str, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    file = tmp_path / "password"
    file.write_text("short")
    assert "fewer than 12 characters" in say(
        "create", "bob", login, "--password-file", file, code=1
    )
    file.unlink()
    assert "No such file or directory; name another file" in say(
        "create", "bob", login, "--password-file", tmp_path / "no" / "where", code=1
    )
    assert "nobody to ask for a password; give --password-file" in say(
        "create", "bob", login, code=1
    )
    assert "is new and has no password" in say("create", "bob", login, "--keep-password", code=1)
    assert "is reserved" in say("create", "bob", "grid_db_x", "--password-file", file, code=1)
    assert "is no name of a login" in say("create", "bob", "b" * 64, "--password-file", file,
                                          code=1)  # fmt: skip
    assert "give a non-empty text" in say("create", " ", login, "--password-file", file, code=1)
    assert "serves no user of this database" in say("drop", login, code=1)
    assert "serves no user of this database" in say(
        "password", login, "--password-file", file, code=1
    )
    say("create", "bob", login, "--password-file", file)
    assert f"the login {login} serves user 'bob'" in say(
        "create", "alice", login, "--password-file", file, code=1
    )
    with psycopg.connect(
        url.set(drivername="postgresql", username=login).render_as_string(hide_password=False)
    ) as own:
        own.execute("SELECT lo_create(0)")
    assert f"run DROP OWNED BY {login} in the databases" in say("drop", login, code=1)
    assert say("list") == f"{login}  bob"  # nothing of it was done
    own_url = url.set(username=login, password=None)
    other = f"eve_{login}"[:60]
    refusal = say("create", "eve", other, "--password-file", file, code=1, of=own_url)
    assert f"the login {login} serves user 'bob' alone, not 'eve'" in refusal
    with DatabaseFactory(settings_for(url)) as database, database.transaction() as connection:
        connection.execute(text(f"DROP OWNED BY {login}"))


def test_a_database_where_every_login_may_create_is_refused(
    url: URL, say: Say, login: str, tmp_path: Path
) -> None:
    with DatabaseFactory(settings_for(url)) as database, database.transaction() as connection:
        connection.execute(text("GRANT CREATE ON SCHEMA public TO PUBLIC"))
    refusal = say("create", "bob", login, "--password-file", tmp_path / "p", code=1)
    assert "run REVOKE CREATE ON SCHEMA public FROM PUBLIC" in refusal
    with DatabaseFactory(settings_for(url)) as database, database.transaction() as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    say("create", "bob", login, "--password-file", tmp_path / "p")


def test_a_login_that_was_dropped_by_other_means_is_listed(
    say: Say, login: str, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    say("create", "bob", login, "--password-file", tmp_path / "p")
    postgres_server.run(f"DROP ROLE {login}")
    assert "PROBLEM: the server has no such login" in say("list")
    say("drop", login)


def test_a_login_of_a_user_who_was_deleted_reaches_nothing(
    url: URL, say: Say, login: str, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    say("create", "bob", login, "--password-file", tmp_path / "p")
    with DatabaseFactory(settings_for(url)) as database, database.get_session() as session:
        users = UserRepository(session)
        user = users.get_or_create("bob")
        assert users.delete(user.id)
    assert f"{login}  -  PROBLEM: serves no user of this database" in say("list")
    with (
        DatabaseFactory(settings_for(url.set(username=login, password=None))) as own,
        pytest.raises(DatabaseConfigError, match="is no tenant's and no member of grid_db_app"),
        own.get_session() as session,
    ):
        TenantScope(session, user.id).accounts.list_all()


def test_sqlite_says_that_it_has_no_logins(say: Say, tmp_path: Path) -> None:
    file = URL.create("sqlite", database=str(tmp_path / "x.db"))
    assert init_db.main(["--database-url", str(file)]) == 0
    say_file = tmp_path / "p"
    with DatabaseFactory(settings_for(file)) as database, pytest.raises(DatabaseConfigError):
        login_actions.create(database, "bob", "bob", None, 1)
    assert not say_file.exists()


def test_an_owner_who_is_no_superuser_migrates_and_makes_logins(
    say: Say, login: str, tmp_path: Path, postgres_server: EmbeddedPostgres, capsys: Output
) -> None:
    owner = f"owner_{login}"[:60]
    postgres_server.run(f"CREATE ROLE {owner} LOGIN CREATEROLE")
    for role in ("grid_db_app", "grid_db_admin", "grid_db_tenant"):
        # the roles are the server's, made here by an earlier test's superuser
        postgres_server.run(f"GRANT {role} TO {owner} WITH ADMIN OPTION")
    made = postgres_server.create_database(with_tables=False)
    postgres_server.run(f'ALTER DATABASE "{made.database}" OWNER TO {owner}')
    theirs = made.set(username=owner, password=None)
    plain = ["--database-url", theirs.render_as_string(hide_password=False)]
    try:
        assert migrate.main([*plain, "upgrade", "0003"]) == 0
        assert migrate.main([*plain, "upgrade"]) == 0
        capsys.readouterr()
        say("create", "bob", login, "--password-file", tmp_path / "p", of=theirs)
        own = theirs.set(username=login)
        with DatabaseFactory(settings_for(own)) as database, database.get_session() as session:
            user = UserRepository(session).get_or_create("bob")
            assert user.name == "bob"
        with DatabaseFactory(settings_for(own)) as database, database.get_session() as session:
            scope = TenantScope(session, user.id)
            assert scope.accounts.get_or_create("main", AccountEnvironment.DEMO).name == "main"
        say("drop", login, of=theirs)
        assert migrate.main([*plain, "downgrade", "0003"]) == 0
    finally:
        postgres_server.drop_database(made)
        postgres_server.run(f"DROP ROLE IF EXISTS {login}")
        postgres_server.run(f"DROP ROLE {owner}")
