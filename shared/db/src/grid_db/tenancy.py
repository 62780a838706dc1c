"""The tenant scope: the only way to private rows."""

from uuid import UUID

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session, SessionTransaction

from grid_db import rls
from grid_db.errors import TenantError
from grid_db.values import id_text

_USER = "grid_db_user_id"
_TAKE_ON = text("SELECT set_config('role', :role, true), set_config(:setting, :user_id, true)")


def bind_session(session: Session, user_id: str | UUID) -> str:
    """Make `session` one of this user; return the id as text.

    On PostgreSQL every transaction of the session, the running one included, takes on the
    application role and the user until it ends. Raises TenantError if it is another user's.
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
    connection.execute(
        _TAKE_ON, {"role": rls.APP_ROLE, "setting": rls.USER_SETTING, "user_id": user}
    )


def is_bound(session: Session) -> bool:
    """Tell whether the session serves one user."""
    return _USER in session.info
