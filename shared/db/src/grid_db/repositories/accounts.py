"""Exchange accounts of one user."""

from uuid import UUID

from sqlalchemy.orm import Session

from grid_db.enums import AccountEnvironment
from grid_db.errors import ConstraintError
from grid_db.identity import account_id_for
from grid_db.models import BybitAccountRow
from grid_db.records import BybitAccountRecord
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text


class BybitAccountRepository(TenantRepository[BybitAccountRecord]):
    """The user's accounts; a name is unique among them."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, BybitAccountRow, BybitAccountRecord)

    def get_or_create(self, name: str, environment: AccountEnvironment) -> BybitAccountRecord:
        """Return the account of that name, made now if need be; its id comes from the names.

        Raises ConstraintError if it is there for another environment: rows of test money and
        rows of real money must not share an account.
        """
        environment = AccountEnvironment(environment)
        self._rows.insert_new(
            {
                "id": account_id_for(self._user_id, name),
                "user_id": self._user_id,
                "name": name,
                "environment": environment,
            },
            ["user_id", "id"],
        )
        account = self.get_by_name(name)
        if account is None:
            raise ConstraintError(f"account {name!r} was deleted at this moment; try again")
        if account.environment is not environment:
            raise ConstraintError(
                f"account {name!r} is of {account.environment}, not of {environment};"
                " give the other one another name"
            )
        return account

    def get_by_id(self, account_id: str | UUID) -> BybitAccountRecord | None:
        """Return the account, None if the user has none of that id."""
        query = self._rows.select(self._rows.columns.id == id_text(account_id, "account_id"))
        return self._rows.first(query)

    def get_by_name(self, name: str) -> BybitAccountRecord | None:
        """Return the account of that name, None if the user has none."""
        return self._rows.first(self._rows.select(self._rows.columns.name == name))

    def list_all(self) -> list[BybitAccountRecord]:
        """Return the user's accounts, by name."""
        return self._rows.all(self._rows.select().order_by(self._rows.columns.name))

    def delete(self, account_id: str | UUID) -> bool:
        """Delete the account and all that hangs on it; tell whether there was one."""
        return bool(self._rows.delete(self._rows.columns.id == id_text(account_id, "account_id")))
