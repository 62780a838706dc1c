"""The tenant scope: the only way to private rows."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session, SessionTransaction

from grid_db import rls
from grid_db.errors import DatabaseConfigError, TenantError
from grid_db.values import id_text

_USER = "grid_db_user_id"

# One statement a transaction. Who logged in decides: `session_user` is what no statement of a
# tenant changes, while role and settings are anybody's to set.
_LOGIN = (
    f"SELECT (SELECT user_id FROM {rls.LOGINS} WHERE login = session_user::text) AS user_id,"  # noqa: S608 - names of our own
    " pg_has_role(session_user, CAST(:role AS name), 'MEMBER') AS is_trusted OFFSET 0"
)
_TAKE_ON = text(
    "SELECT own.user_id, own.is_trusted, session_user::text,"  # noqa: S608 - the query above
    " set_config('role', CASE WHEN own.user_id IS NULL AND own.is_trusted"
    " THEN :role ELSE 'none' END, true),"
    f" set_config(:setting, :user_id, true) FROM ({_LOGIN}) AS own"
)
_OWN_USER = text(
    f"SELECT user_id, user_name, login FROM {rls.LOGINS} WHERE login = session_user::text"  # noqa: S608 - a name of our own
)


@dataclass(frozen=True, slots=True)
class TenantLogin:
    """The login of a session that serves one user and can serve no other."""

    login: str
    user_id: str
    user_name: str


def tenant_login_of(session: Session) -> TenantLogin | None:
    """Return the tenant whose login the session has; None for a trusted one, and on SQLite."""
    if session.get_bind().dialect.name != "postgresql":
        return None
    row = session.execute(_OWN_USER).first()
    return None if row is None else TenantLogin(row.login, row.user_id, row.user_name)


def require_shared_writer(session: Session, what: str) -> None:
    """Raise TenantError if the session's login is a tenant's, which may not write `what`."""
    own = tenant_login_of(session)
    if own is not None:
        raise TenantError(
            f"the login {own.login} serves user {own.user_name!r} alone and only reads {what},"
            " which all users share; let a trusted login (a member of grid_db_app) write it"
        )


def bind_session(session: Session, user_id: str | UUID) -> str:
    """Make `session` one of this user; return the id as text.

    On PostgreSQL every transaction of the session, the running one included, is the user's until it
    ends: with a tenant's own login by what the database knows of that login, with a trusted one by
    taking on the application role. Raises TenantError if the session or its login is another
    user's, DatabaseConfigError for a login that is neither a tenant's nor trusted.
    """
    user = id_text(user_id, "user_id")
    bound = session.info.get(_USER)
    if bound == user:
        return user
    if bound is not None:
        raise TenantError(f"this session serves user {bound}; open another session for user {user}")
    session.info[_USER] = user
    if session.get_bind().dialect.name == "postgresql":
        event.listen(session, "after_begin", _take_on_role)
        if session.in_transaction():
            _take_on(session.connection(), user)
    return user


def _take_on_role(session: Session, _: SessionTransaction, connection: Connection) -> None:
    _take_on(connection, session.info[_USER])


def _take_on(connection: Connection, user: str) -> None:
    parameters = {"role": rls.APP_ROLE, "setting": rls.USER_SETTING, "user_id": user}
    own, is_trusted, login, *_ = connection.execute(_TAKE_ON, parameters).one()
    if own is None and not is_trusted:
        raise DatabaseConfigError(
            f"the login {login} is no tenant's and no member of {rls.APP_ROLE}; make it a tenant's"
            f" with python -m grid_db.tenant_login create, or GRANT {rls.APP_ROLE} TO {login}"
        )
    if own is not None and own != user:
        raise TenantError(f"the login {login} serves user {own} alone, not user {user}")


def is_bound(session: Session) -> bool:
    """Tell whether the session serves one user."""
    return _USER in session.info
