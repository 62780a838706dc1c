"""The administrator's door: users, made and removed."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from grid_db.errors import TenantError
from grid_db.identity import user_id_for
from grid_db.models import UserRow
from grid_db.records import UserRecord
from grid_db.repositories.reading import RowReader
from grid_db.tenancy import TenantLogin, is_bound, tenant_login_of
from grid_db.values import id_text


class UserRepository:
    """All users. On PostgreSQL the login has to be a member of grid_db_admin.

    With a tenant's own login there is one user, who can be asked for and not removed. Raises
    TenantError on a session that a TenantScope has taken for one user.
    """

    def __init__(self, session: Session) -> None:
        if is_bound(session):
            raise TenantError(
                "this session serves one user; administer users in a session of its own"
            )
        self._session = session
        self._rows = RowReader(session, UserRow, UserRecord)

    def get_or_create(self, name: str) -> UserRecord:
        """Return the user of that name, made now if need be; its id comes from the name.

        Raises TenantError if the session's login is another user's.
        """
        user_id = user_id_for(name)
        own = tenant_login_of(self._session)
        if own is not None and own.user_id != user_id:
            raise TenantError(
                f"the login {own.login} serves user {own.user_name!r} alone, not {name!r}; take the"
                " login that was made for that user, or correct the user's name"
            )
        if own is None:
            self._rows.insert_new({"id": user_id, "name": name}, ["id"])
        user = self.get_by_id(user_id)
        if user is None:
            raise TenantError(f"user {name!r} was deleted at this moment; try again")
        return user

    def get_by_id(self, user_id: str | UUID) -> UserRecord | None:
        """Return the user, None if there is none."""
        wanted = id_text(user_id, "user_id")
        own = tenant_login_of(self._session)
        if own is not None:
            return self._own_record(own) if own.user_id == wanted else None
        return self._rows.first(self._rows.select(self._rows.columns.id == wanted))

    def get_by_name(self, name: str) -> UserRecord | None:
        """Return the user of that name, None if there is none."""
        own = tenant_login_of(self._session)
        if own is not None:
            return self._own_record(own) if own.user_name == name else None
        return self._rows.first(self._rows.select(self._rows.columns.name == name))

    def list_all(self) -> list[UserRecord]:
        """Return all users, by name."""
        own = tenant_login_of(self._session)
        if own is not None:
            return [self._own_record(own)]
        return self._rows.all(self._rows.select().order_by(self._rows.columns.name))

    def delete(self, user_id: str | UUID) -> bool:
        """Delete the user and every row that belongs to it; tell whether there was one."""
        own = tenant_login_of(self._session)
        if own is not None:
            raise TenantError(f"the login {own.login} may not delete users; an administrator may")
        row = self._session.get(UserRow, id_text(user_id, "user_id"))
        if row is None:
            return False
        self._session.delete(row)
        self._session.flush()
        return True

    def _own_record(self, own: TenantLogin) -> UserRecord:
        """Return the login's user; its name is read from what the login knows of itself."""
        columns = self._rows.columns
        created = self._session.scalar(select(columns.created_at).where(columns.id == own.user_id))
        if created is None:
            raise TenantError(f"user {own.user_name!r} was deleted at this moment; try again")
        return UserRecord(id=own.user_id, name=own.user_name, created_at=created)
