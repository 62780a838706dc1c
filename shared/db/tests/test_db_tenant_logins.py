"""A tenant with a login of its own, who runs any SQL there, against another tenant's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from grid_db import DatabaseFactory, TenantError, TenantScope, UserRepository, tenant_login
from grid_db.enums import AccountEnvironment
from grid_db.errors import DatabaseConfigError
from grid_db.identity import NAMESPACE, account_id_for
from grid_db.models import Base
from grid_db.testing import EmbeddedPostgres, settings_for
from testkit.tenants import NOW, Tenant

Rows = list[tuple[Any, ...]]
DENIED = "permission denied"
POLICY = "violates row-level security policy"


class World:
    """Alice with a row of everything, bob likewise and with a login of his own."""

    def __init__(self, server: EmbeddedPostgres, folder: Path) -> None:
        self.url = server.create_database(with_tables=True)
        self.database = DatabaseFactory(settings_for(self.url))
        self.alice, self.bob = Tenant(self.database, "alice"), Tenant(self.database, "bob")
        self.alice.fill(self.database)
        self.bob.fill(self.database)
        # logins belong to the server, which tests share
        self.logins = {name: f"{name}_{self.url.database}" for name in ("alice", "bob")}
        for name, login in self.logins.items():
            made = self.command("create", name, login, "--password-file", f"{folder}/{name}")
            assert made == 0

    def command(self, *arguments: str) -> int:
        url = self.url.render_as_string(hide_password=False)
        return tenant_login.main(["--database-url", url, *arguments])

    def url_of(self, name: str) -> URL:
        return self.url.set(username=self.logins[name], password=None)

    def attack(self, *statements: str) -> Rows:
        """Run statements as bob, committed; return what the last one gives."""
        plain = self.url_of("bob").set(drivername="postgresql")
        with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def rows_of(self, tenant: Tenant) -> dict[str, Rows]:
        found = {}
        with self.database.engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                if "user_id" in table.columns:
                    query = text(f"SELECT * FROM {table.name} WHERE user_id = :u ORDER BY 1")
                    rows = connection.execute(query, {"u": tenant.user_id})
                    found[table.name] = [tuple(row) for row in rows]
        return found

    def inserting(self, table: str, **changes: str) -> str:
        """Return an INSERT of bob's row of `table` again, some columns changed."""
        owned = Base.metadata.tables[table].columns
        names = [c.name for c in owned if c.name != "id" or c.identity is None]
        given = [f"'{changes[name]}'" if name in changes else name for name in names]
        return (
            f"INSERT INTO {table} ({', '.join(names)})"
            f" SELECT {', '.join(given)} FROM {table} WHERE user_id = '{self.bob.user_id}' LIMIT 1"
        )


@pytest.fixture(scope="module")
def world(
    postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    made = World(postgres_server, tmp_path_factory.mktemp("passwords"))
    yield made
    made.database.dispose()
    postgres_server.drop_database(made.url)
    for login in made.logins.values():
        postgres_server.run(f"DROP ROLE {login}")


pytestmark = pytest.mark.integration
OWNED = [table.name for table in Base.metadata.sorted_tables if "user_id" in table.columns]
PRIVATE = [*OWNED, "tenant_logins"]
SHARED = [
    table.name
    for table in Base.metadata.sorted_tables
    if "user_id" not in table.columns and table.name != "users"
]
TEMPORARY_WITH_KEY = (
    "CREATE TABLE pg_temp.t (a text, b text, FOREIGN KEY (a, b) REFERENCES public.runs (user_id,"
    " id))"
)
NUMBERED_BY_HIM = (
    "INSERT INTO alerts (id, user_id, severity, alert_key, message, raised_at)"
    " VALUES (4242, '{bob}', 'info', 'k', 'm', now())"
)
GAP_OF_ALL = (
    "INSERT INTO capture_gaps (stream, symbol, gap_start, gap_end, status, reason, attempts,"
    " detected_at) VALUES ('trades', 'X', now(), now(), 'open', 'r', 0, now())"
)
FUNCTION_OF_HIS = (
    "CREATE FUNCTION pg_temp.session_user() RETURNS text LANGUAGE sql AS $$ SELECT '{}' $$"
)
# ways to become somebody else, each to be followed by a query of private rows
DISGUISES: dict[str, Callable[[World], list[str]]] = {
    "nothing": lambda w: [],
    "the setting of trusted logins": lambda w: [
        f"SELECT set_config('grid_db.user_id', '{w.alice.user_id}', false)"
    ],
    "the role": lambda w: [
        "SET ROLE grid_db_tenant",
        f"SELECT set_config('grid_db.user_id', '{w.alice.user_id}', false)",
    ],
    "no role": lambda w: ["RESET ROLE"],
    "a shadow of the logins": lambda w: [
        "CREATE TEMP TABLE tenant_logins (login text, user_id text)",
        f"INSERT INTO tenant_logins VALUES ('{w.logins['bob']}', '{w.alice.user_id}')",
        "SET search_path = pg_temp, public",
    ],
    "a function of his": lambda w: [
        FUNCTION_OF_HIS.format(w.logins["alice"]),
        "SET search_path = pg_temp, public",
    ],
}


@pytest.mark.parametrize("table", PRIVATE)
@pytest.mark.parametrize("disguise", DISGUISES)
def test_only_ones_own_rows_are_seen(world: World, table: str, disguise: str) -> None:
    query = f"SELECT DISTINCT user_id FROM public.{table}"
    if table == "capture_gaps":
        query += " WHERE user_id IS NOT NULL"
    found = world.attack(*DISGUISES[disguise](world), query)
    assert found == [(world.bob.user_id,)]


def test_only_ones_own_user_is_seen_and_not_by_name(world: World) -> None:
    assert world.attack("SELECT id FROM users") == [(world.bob.user_id,)]
    with pytest.raises(psycopg.Error, match=DENIED):
        world.attack("SELECT name FROM users")


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("SET ROLE grid_db_app", DENIED),
        ("SET ROLE grid_db_admin", DENIED),
        ("SET ROLE {alice_login}", DENIED),
        ("SET SESSION AUTHORIZATION {alice_login}", DENIED),
        ("SET row_security = off; SELECT * FROM api_credentials", "query would be affected by row"),
        ("ALTER ROLE {bob_login} RENAME TO {alice_login}_2", "session user cannot be renamed"),
        ("ALTER ROLE {bob_login} CREATEROLE", DENIED),
        ("ALTER ROLE {alice_login} PASSWORD 'known to bob'", DENIED),
        ("GRANT grid_db_app TO {bob_login}", DENIED),
        ("CREATE ROLE another", DENIED),
        ("UPDATE tenant_logins SET user_id = '{alice}'", DENIED),
        ("INSERT INTO tenant_logins VALUES ('x', '{alice}', 'alice', now())", DENIED),
        ("ALTER TABLE api_credentials DISABLE ROW LEVEL SECURITY", "must be owner"),
        ("DROP POLICY login ON api_credentials", "must be owner"),
        ("CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", DENIED),
        ("CREATE TABLE public.mine (id int)", DENIED),
        (TEMPORARY_WITH_KEY, "constraints on temporary tables may reference only temporary"),
        ("CREATE SCHEMA mine", DENIED),
        ("CREATE EXTENSION IF NOT EXISTS dblink", "(?s)(permission denied|not available)"),
        ("COPY (SELECT 1) TO PROGRAM 'id'", DENIED),
        ("COPY api_credentials TO '/tmp/taken'", DENIED),
        ("SELECT pg_read_file('pg_hba.conf')", DENIED),
        ("COPY private_executions (user_id) FROM STDIN", "not supported with row-level security"),
        ("SELECT setval('private_executions_id_seq', 1)", DENIED),
        ("SELECT nextval('private_executions_id_seq')", DENIED),
        ("SELECT last_value FROM private_executions_id_seq", DENIED),
        ("SELECT * FROM pg_statistic", DENIED),
        ("TRUNCATE private_executions", DENIED),
        ("LOCK TABLE private_executions IN ACCESS EXCLUSIVE MODE", DENIED),
        ("INSERT INTO users (id, name, created_at) VALUES ('x', 'x', now())", DENIED),
        ("DELETE FROM users", DENIED),
        ("UPDATE users SET name = 'x'", DENIED),
        ("UPDATE alerts SET user_id = '{alice}'", DENIED),
        ("UPDATE capture_gaps SET user_id = NULL, account_id = NULL", DENIED),
        ("UPDATE private_executions SET id = 1", DENIED),
        (NUMBERED_BY_HIM, DENIED),
        (GAP_OF_ALL, POLICY),
        ("UPDATE alembic_version SET version_num = '0001'", DENIED),
        ("SELECT lo_get({large_object_of_alice})", DENIED),
    ],
)  # fmt: skip
def test_statements_that_are_refused(world: World, statement: str, refusal: str) -> None:
    before = world.rows_of(world.alice)
    plain = world.url_of("alice").set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as hers:
        (oid,) = hers.execute("SELECT lo_from_bytea(0, 'hers')").fetchone() or (0,)
    names = {
        "alice": world.alice.user_id,
        "bob": world.bob.user_id,
        "alice_login": world.logins["alice"],
        "bob_login": world.logins["bob"],
        "large_object_of_alice": oid,
    }
    with pytest.raises(psycopg.Error, match=refusal):
        world.attack(*statement.format(**names).split("; "))
    assert world.rows_of(world.alice) == before
    with psycopg.connect(plain.render_as_string(hide_password=False)) as hers:
        hers.execute("SELECT lo_unlink(%s)", [oid])


@pytest.mark.parametrize("table", SHARED)
@pytest.mark.parametrize("change", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET symbol = 'X'",
                                    "INSERT INTO {} SELECT * FROM {}",
                                    "LOCK TABLE {} IN SHARE MODE"])  # fmt: skip
def test_what_all_share_is_read_and_not_changed(world: World, table: str, change: str) -> None:
    world.attack(f"SELECT * FROM {table}")
    with pytest.raises(psycopg.Error, match=DENIED):
        world.attack(change.replace("{}", table))


@pytest.mark.parametrize("table", OWNED)
def test_nothing_of_anothers_is_changed_or_removed(world: World, table: str) -> None:
    before = world.rows_of(world.alice)
    column = next(
        c.name for c in Base.metadata.tables[table].columns if c.name not in ("id", "user_id")
    )
    change = f"UPDATE {table} SET {column} = {column} WHERE user_id = '{world.alice.user_id}'"
    assert world.attack(f"{change} RETURNING user_id") == []
    with suppress(psycopg.errors.InsufficientPrivilege):
        world.attack(f"DELETE FROM {table} WHERE user_id = '{world.alice.user_id}'")
    assert world.rows_of(world.alice) == before


CONFLICTS = ["", " ON CONFLICT DO NOTHING"]
# table -> the columns of a key, and what they are at alice; what nobody has comes from the second
KEYS: dict[str, Callable[[World], dict[str, str]]] = {
    "bybit_accounts": lambda w: {"id": w.alice.account.id, "name": "probe"},
    "strategies": lambda w: {"id": w.alice.strategy.id, "name": "probe"},
    "runs": lambda w: {"id": w.alice.run.id},
    "private_executions": lambda w: {"account_id": w.alice.account.id, "exec_id": "e1"},
    "orders": lambda w: {"account_id": w.alice.account.id, "order_id": "o1"},
    "position_snapshots": lambda w: {"account_id": w.alice.account.id},
    "wallet_snapshots": lambda w: {"account_id": w.alice.account.id},
    "capture_gaps": lambda w: {"account_id": w.alice.account.id},
    "grid_snapshots": lambda w: {"strategy_id": w.alice.strategy.id},
    "api_credentials": lambda w: {
        "account_id": w.alice.account.id,
        "id": str(uuid5(NAMESPACE, "of the probe")),
    },
}


def answer(world: World, statement: str, *ids: str) -> str:
    """Return what bob learns of a statement that is undone: rows or refusal, no id in it."""
    plain = world.url_of("bob").set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        try:
            learned = f"{connection.execute(statement).rowcount} rows"
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            learned = f"{error.sqlstate} {error}"
        connection.rollback()
    for one in ids:
        learned = learned.replace(one, "ID")
    return learned


@pytest.mark.parametrize("suffix", CONFLICTS)
@pytest.mark.parametrize("table", KEYS)
def test_a_key_of_anothers_answers_like_one_of_nobodys(
    world: World, table: str, suffix: str
) -> None:
    theirs = KEYS[table](world)
    nobody = str(UUID(int=7))
    ids = {world.alice.account.id, world.alice.strategy.id, world.alice.run.id}
    nobodys = {name: nobody if value in ids else value for name, value in theirs.items()}
    hers = answer(world, world.inserting(table, **theirs) + suffix, *ids)
    assert hers == answer(world, world.inserting(table, **nobodys) + suffix, nobody)
    as_hers = {**theirs, "user_id": world.alice.user_id}
    assert POLICY in answer(world, world.inserting(table, **as_hers) + suffix)


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ("private_executions", "account_id = '{account}'"),
        ("private_executions", "account_id = '{account}' AND exec_id = 'e1'"),
        ("private_executions", "account_id = '{account}' AND symbol = 'BTCUSDT'"),
        ("private_executions", "run_id = '{run}'"),
        ("orders", "account_id = '{account}' AND order_id = 'o1'"),
        ("orders", "run_id = '{run}'"),
        ("position_snapshots", "account_id = '{account}'"),
        ("position_snapshots", "run_id = '{run}'"),
        ("wallet_snapshots", "account_id = '{account}'"),
        ("grid_snapshots", "strategy_id = '{strategy}'"),
        ("alerts", "account_id = '{account}'"),
        ("bybit_accounts", "id = '{account}'"),
        ("strategies", "id = '{strategy}'"),
        ("strategies", "account_id = '{account}'"),
        ("runs", "id = '{run}'"),
        ("runs", "strategy_id = '{strategy}'"),
        ("api_credentials", "account_id = '{account}'"),
        ("users", "id = '{user}'"),
    ],
)
def test_a_plan_does_not_tell_how_many_rows_of_others_were_passed_over(
    world: World, table: str, condition: str
) -> None:
    filled = condition.format(
        account=world.alice.account.id,
        run=world.alice.run.id,
        strategy=world.alice.strategy.id,
        user=world.alice.user_id,
    )
    ((plan,),) = world.attack(
        "SET enable_seqscan = off",
        "SET enable_bitmapscan = off",
        f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1 FROM {table} WHERE {filled}",
    )
    searched = plan[0]["Plan"]
    if searched["Node Type"] == "Result":  # nothing is searched at all: two ids contradict
        return
    assert "user_id" in searched["Index Cond"]
    own = len(world.rows_of(world.bob)[table])
    assert searched.get("Rows Removed by Filter", 0) <= own


def test_a_function_that_tells_what_it_is_given_is_given_ones_own_rows_only(world: World) -> None:
    plain = world.url_of("bob").set(drivername="postgresql")
    told: list[str] = []
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        connection.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
        connection.execute(
            "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
        )
        connection.execute("SELECT * FROM api_credentials WHERE pg_temp.tell(user_id)")
    assert told == [world.bob.user_id]


def test_statistics_tell_nothing(world: World) -> None:
    with world.database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    private = ", ".join(f"'{name}'" for name in PRIVATE)
    assert world.attack(f"SELECT * FROM pg_stats WHERE tablename IN ({private})") == []


def test_what_other_logins_do_at_the_moment_is_hidden(world: World) -> None:
    with DatabaseFactory(settings_for(world.url_of("alice"))) as hers, hers.get_session() as busy:
        busy.execute(text("SELECT 'a secret of hers'"))
        seen = world.attack("SELECT query FROM pg_stat_activity")
    assert not [query for (query,) in seen if "a secret of hers" in (query or "")]


# the library with such a login


def own_session(world: World) -> DatabaseFactory:
    return DatabaseFactory(settings_for(world.url_of("bob")))


def test_the_library_works_with_a_tenants_own_login(world: World) -> None:
    with own_session(world) as database:
        assert database.create_tables().tables == ()
        with database.get_session() as session:
            users = UserRepository(session)
            assert users.get_or_create("bob").id == world.bob.user_id
            assert [user.name for user in users.list_all()] == ["bob"]
            assert users.get_by_name("alice") is None
            assert users.get_by_id(world.alice.user_id) is None
            with pytest.raises(TenantError, match="may not delete users"):
                users.delete(world.bob.user_id)
        with database.get_session() as session:
            scope = TenantScope(session, world.bob.user_id)
            second = scope.accounts.get_or_create("second", AccountEnvironment.DEMO)
            assert [one.name for one in scope.accounts.list_all()] == ["main", "second"]
            many = [
                world.bob.execution(f"many-{number}", account_id=account)
                for number in range(700)  # more than is written without COPY
                for account in (second.id, world.bob.account.id)
            ]
            assert scope.executions.bulk_insert(many) == len(many)
            assert scope.executions.bulk_replace(many[:3]) == 0
            assert scope.orders.bulk_upsert([world.bob.order("Filled", local_ts=NOW)]) == 0
            assert scope.credentials(world.bob.cipher).get(world.bob.account.id) is not None
            assert scope.accounts.delete(second.id)


def test_a_tenants_login_serves_no_other_user(world: World) -> None:
    with own_session(world) as database:
        with (
            pytest.raises(TenantError, match=f"serves user {world.bob.user_id} alone"),
            database.get_session() as session,
        ):
            TenantScope(session, world.alice.user_id).accounts.list_all()
        with (
            pytest.raises(TenantError, match="serves user 'bob' alone, not 'alice'"),
            database.get_session() as session,
        ):
            UserRepository(session).get_or_create("alice")


def test_a_lock_of_a_tenants_does_not_hold_up_the_start_of_others(world: World) -> None:
    plain = world.url_of("bob").set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        connection.execute("SELECT pg_advisory_lock(x'6F1D3A52'::bigint)")
        with DatabaseFactory(settings_for(world.url_of("alice"))) as hers:
            assert hers.create_tables().tables == ()


def test_a_login_of_nobody_is_told_what_it_lacks(
    world: World, postgres_server: EmbeddedPostgres
) -> None:
    name = f"nobody_{world.url.database}"
    postgres_server.run(f"CREATE ROLE {name} LOGIN IN ROLE grid_db_tenant")
    url = world.url.set(username=name, password=None)
    try:
        with (
            DatabaseFactory(settings_for(url)) as database,
            pytest.raises(DatabaseConfigError, match="is no tenant's and no member of grid_db_app"),
            database.get_session() as session,
        ):
            TenantScope(session, world.bob.user_id).accounts.list_all()
    finally:
        postgres_server.run(f"DROP ROLE {name}")


def test_the_ids_that_bob_guesses_are_the_real_ones(world: World) -> None:
    """The probes above would prove nothing with ids that alice does not have."""
    assert account_id_for(world.alice.user_id, "main") == world.alice.account.id
