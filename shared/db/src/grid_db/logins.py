"""Logins of tenants on a PostgreSQL server: made, listed, taken back.

Each serves one user of one database, which the database itself checks; see `grid_db.rls`. Whoever
does this is an administrator: a member of grid_db_admin who may create roles and give
grid_db_tenant away, as whoever ran the migrations as a superuser or with CREATEROLE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.errors import DependentObjectsStillExist
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from grid_db import rls
from grid_db.errors import ConstraintError, DatabaseConfigError, InvalidValueError
from grid_db.repositories.users import UserRepository
from grid_db.values import utc_now

LONGEST_NAME = 63  # bytes, of anything that PostgreSQL names
SHORTEST_PASSWORD = 12

# What makes a login more than one tenant's: each of these reaches beyond the policies
_FLAWS = text(
    "WITH beyond AS (SELECT r.oid, r.rolname AS name, CASE"
    " WHEN r.rolsuper THEN 'is a superuser' WHEN r.rolbypassrls THEN 'has BYPASSRLS'"
    " WHEN r.rolcreaterole THEN 'has CREATEROLE' WHEN r.rolreplication THEN 'has REPLICATION'"
    " WHEN EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid"
    " AND c.relnamespace = 'public'::regnamespace) THEN 'owns tables'"
    " WHEN r.rolname IN (:app, :admin) OR starts_with(r.rolname, 'pg_') THEN '' END AS flaw"
    " FROM pg_roles r)"
    " SELECT CASE WHEN b.oid = l.oid THEN b.flaw ELSE 'is a member of ' || b.name END"
    " FROM pg_roles l, beyond b WHERE l.rolname = :login AND b.flaw IS NOT NULL"
    " AND (b.oid = l.oid OR NOT l.rolsuper AND pg_has_role(l.oid, b.oid, 'MEMBER'))"
    " ORDER BY 1"
)


@dataclass(frozen=True, slots=True)
class LoginState:
    """One login as it stands. problem is None for one that works and keeps to its user."""

    login: str
    user_name: str | None  # None: a member of grid_db_tenant that serves nobody here
    problem: str | None


@dataclass(frozen=True, slots=True)
class MadeLogin:
    """What `create` did."""

    login: str
    user_name: str
    user_is_new: bool
    login_is_new: bool


def create(
    session: Session, user_name: str, login: str, password: SecretStr | None, connections: int
) -> MadeLogin:
    """Make `login` the one of user `user_name`, both made now if need be.

    password is None for a login that is there already and keeps its own, or that proves itself in
    another way. `connections` is the most that it may have at a time, -1 for any number. Raises
    InvalidValueError for a name or a password that cannot be, ConstraintError for a login that
    serves somebody else, DatabaseConfigError where the database would not keep it to its user.
    """
    _check_names(login, password)
    connection = _on_postgresql(session)
    _check_schema_is_closed(connection)
    users = UserRepository(session)
    is_new_user = users.get_by_name(user_name) is None
    user = users.get_or_create(user_name)
    known = _user_of(connection, login)
    if known is not None and known != user.name:
        raise ConstraintError(
            f"the login {login} serves user {known!r}; choose another name, or drop it first"
        )
    is_new = not _exists(connection, login)
    flaws = list(_flaws(connection, login))
    if flaws:
        raise DatabaseConfigError(
            f"the login {login} {', '.join(flaws)}, which reaches beyond one user; choose another"
            " name, or take that from it"
        )
    if is_new and password is None:
        raise InvalidValueError(f"the login {login} is new and has no password; give one")
    if is_new:
        _run(connection, "CREATE ROLE {login} LOGIN", login)
    if password is not None:
        set_password(session, login, password)
    _run(connection, "ALTER ROLE {login} LOGIN CONNECTION LIMIT {limit}", login, limit=connections)
    _run(connection, f"GRANT {rls.TENANT_ROLE} TO {{login}}", login)
    if known is None:
        connection.execute(
            text(
                f"INSERT INTO {rls.LOGINS} (login, user_id, user_name, created_at)"  # noqa: S608 - a name of our own
                " VALUES (:login, :user_id, :user_name, :now)"
            ),
            {"login": login, "user_id": user.id, "user_name": user.name, "now": utc_now()},
        )
    return MadeLogin(login, user.name, user_is_new=is_new_user, login_is_new=is_new)


def set_password(session: Session, login: str, password: SecretStr) -> None:
    """Give a login another password; the server is sent its SCRAM verifier, never the password.

    Raises ConstraintError if there is no such login here.
    """
    _check_names(login, password)
    connection = _on_postgresql(session)
    if not _exists(connection, login):
        raise ConstraintError(f"there is no login {login}")
    driver: Any = connection.connection.dbapi_connection
    verifier = driver.pgconn.encrypt_password(
        password.get_secret_value().encode(), login.encode(), b"scram-sha-256"
    )
    _run(connection, "ALTER ROLE {login} PASSWORD {verifier}", login, verifier=verifier.decode())


def list_all(session: Session) -> list[LoginState]:
    """Return the logins of tenants by name, and what is wrong with them."""
    connection = _on_postgresql(session)
    served = {
        row.login: row.user_name
        for row in connection.execute(text(f"SELECT login, user_name FROM {rls.LOGINS}"))  # noqa: S608 - a name of our own
    }
    members = connection.scalars(
        text(
            "SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member"
            " JOIN pg_roles r ON r.oid = a.roleid WHERE r.rolname = :tenant"
        ),
        {"tenant": rls.TENANT_ROLE},
    )
    return [
        LoginState(login, served.get(login), _problem(connection, login, login in served))
        for login in sorted({*served, *members})
    ]


def drop(session: Session, login: str) -> str:
    """Remove a login from the database and the server; return whose it was. Its rows stay.

    Raises ConstraintError for one that serves nobody here.
    """
    connection = _on_postgresql(session)
    user_name = _user_of(connection, login)
    if user_name is None:
        raise ConstraintError(f"the login {login} serves no user of this database")
    connection.execute(
        text(f"DELETE FROM {rls.LOGINS} WHERE login = :login"),  # noqa: S608 - a name of our own
        {"login": login},
    )
    if _exists(connection, login):
        try:
            _run(connection, "DROP ROLE {login}", login)
        except DependentObjectsStillExist as error:
            raise ConstraintError(
                f"the login {login} cannot be dropped: {error.diag.message_detail}; run DROP OWNED"
                f" BY {login} in the databases where it has something, then drop it again"
            ) from None
    return user_name


def _problem(connection: Connection, login: str, serves: bool) -> str | None:
    if not _exists(connection, login):
        return "the server has no such login; create it again, or drop it"
    flaws = list(_flaws(connection, login))
    if flaws:
        return f"it {', '.join(flaws)}, which reaches beyond one user"
    if not serves:
        return "serves no user of this database"
    is_member = connection.scalar(
        text("SELECT pg_has_role(CAST(:login AS name), :tenant, 'MEMBER')"),
        {"login": login, "tenant": rls.TENANT_ROLE},
    )
    return None if is_member else f"is no member of {rls.TENANT_ROLE}; create it again"


def _on_postgresql(session: Session) -> Connection:
    if session.get_bind().dialect.name != "postgresql":
        raise DatabaseConfigError(
            "SQLite has no logins: whoever may open the file reads all of it; tenants that must be"
            " kept apart need PostgreSQL, or a file each"
        )
    return session.connection()


def _check_names(login: str, password: SecretStr | None) -> None:
    if not login or len(login.encode()) > LONGEST_NAME or not login.isprintable():
        raise InvalidValueError(
            f"{login!r} is no name of a login; give 1 to {LONGEST_NAME} printable characters"
        )
    if login.startswith(("pg_", "grid_db_")) or login in ("public", "none"):
        raise InvalidValueError(f"the name {login} is reserved; choose another one")
    if password is not None and len(password.get_secret_value()) < SHORTEST_PASSWORD:
        raise InvalidValueError(f"the password has fewer than {SHORTEST_PASSWORD} characters")


def _check_schema_is_closed(connection: Connection) -> None:
    """Refuse where every login may create what others would then call by mistake."""
    is_open = connection.scalar(
        text("SELECT has_schema_privilege(:tenant, 'public', 'CREATE')"),
        {"tenant": rls.TENANT_ROLE},
    )
    if is_open:
        raise DatabaseConfigError(
            "every login may create functions and tables in the schema public, which another"
            " user's statements could then call; run REVOKE CREATE ON SCHEMA public FROM PUBLIC as"
            " the owner of the database first"
        )


def _user_of(connection: Connection, login: str) -> str | None:
    found: str | None = connection.scalar(
        text(f"SELECT user_name FROM {rls.LOGINS} WHERE login = :login"),  # noqa: S608 - a name of our own
        {"login": login},
    )
    return found


def _exists(connection: Connection, login: str) -> bool:
    query = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :login)")
    return bool(connection.scalar(query, {"login": login}))


def _flaws(connection: Connection, login: str) -> Iterator[str]:
    roles = {"app": rls.APP_ROLE, "admin": rls.ADMIN_ROLE}
    yield from connection.scalars(_FLAWS, {"login": login, **roles})


def _run(connection: Connection, statement: str, login: str, **values: str | int) -> None:
    # roles are no parameters, so names are quoted by the driver
    driver: Any = connection.connection.dbapi_connection
    composed = sql.SQL(statement).format(
        login=sql.Identifier(login), **{name: sql.Literal(value) for name, value in values.items()}
    )
    driver.execute(composed)
