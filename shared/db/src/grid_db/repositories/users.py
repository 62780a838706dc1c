"""The administrator's door: users, made and removed."""

from uuid import UUID

from sqlalchemy.orm import Session

from grid_db.errors import TenantError
from grid_db.identity import user_id_for
from grid_db.models import UserRow
from grid_db.records import UserRecord
from grid_db.repositories.reading import RowReader
from grid_db.tenancy import is_bound
from grid_db.values import id_text


class UserRepository:
    """All users. On PostgreSQL the login has to be a member of grid_db_admin.

    Raises TenantError on a session that a TenantScope has taken for one user.
    """

    def __init__(self, session: Session) -> None:
        if is_bound(session):
            raise TenantError(
                "this session serves one user; administer users in a session of its own"
            )
        self._session = session
        self._rows = RowReader(session, UserRow, UserRecord)

    def get_or_create(self, name: str) -> UserRecord:
        """Return the user of that name, made now if need be; its id comes from the name."""
        user_id = user_id_for(name)
        self._rows.insert_new({"id": user_id, "name": name}, ["id"])
        user = self.get_by_id(user_id)
        if user is None:
            raise TenantError(f"user {name!r} was deleted at this moment; try again")
        return user

    def get_by_id(self, user_id: str | UUID) -> UserRecord | None:
        """Return the user, None if there is none."""
        query = self._rows.select(self._rows.columns.id == id_text(user_id, "user_id"))
        return self._rows.first(query)

    def get_by_name(self, name: str) -> UserRecord | None:
        """Return the user of that name, None if there is none."""
        return self._rows.first(self._rows.select(self._rows.columns.name == name))

    def list_all(self) -> list[UserRecord]:
        """Return all users, by name."""
        return self._rows.all(self._rows.select().order_by(self._rows.columns.name))

    def delete(self, user_id: str | UUID) -> bool:
        """Delete the user and every row that belongs to it; tell whether there was one."""
        row = self._session.get(UserRow, id_text(user_id, "user_id"))
        if row is None:
            return False
        self._session.delete(row)
        self._session.flush()
        return True
