"""Encrypted API key pairs of one user's accounts."""

from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from grid_db.crypto import CredentialCipher
from grid_db.models import ApiCredentialRow
from grid_db.records import ApiCredential
from grid_db.repositories.ownership import Ownership
from grid_db.tenancy import bind_session
from grid_db.values import id_text, utc_now


class ApiCredentialRepository:
    """One key pair an account. Without a cipher there is no such repository, hence no plaintext."""

    def __init__(self, session: Session, user_id: str | UUID, cipher: CredentialCipher) -> None:
        self._user_id = bind_session(session, user_id)
        self._session = session
        self._cipher = cipher

    def __repr__(self) -> str:
        return f"ApiCredentialRepository(user {self._user_id})"

    def store(
        self, account_id: str | UUID, api_key: str | SecretStr, api_secret: str | SecretStr
    ) -> None:
        """Store the account's key pair, in place of the one it had.

        Raises ConstraintError if the user has no such account.
        """
        account = id_text(account_id, "account_id")
        Ownership(self._session, self._user_id).require("account_id", [account])
        token = self._cipher.encrypt(account, _secret(api_key), _secret(api_secret))
        dialect = sqlite if self._session.get_bind().dialect.name == "sqlite" else postgresql
        statement = dialect.insert(ApiCredentialRow).values(
            id=str(uuid4()), user_id=self._user_id, account_id=account, token=token
        )
        self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["user_id", "account_id"],
                set_={"token": token, "updated_at": utc_now()},
                where=ApiCredentialRow.user_id == self._user_id,
            )
        )

    def get(self, account_id: str | UUID) -> ApiCredential | None:
        """Return the key pair, None if the user has none for that account.

        Raises SecretKeyError if it was encrypted with a key that is not given.
        """
        account = id_text(account_id, "account_id")
        token = self._session.scalar(
            select(ApiCredentialRow.token).where(
                ApiCredentialRow.user_id == self._user_id, ApiCredentialRow.account_id == account
            )
        )
        return None if token is None else self._cipher.decrypt(account, token)

    def delete(self, account_id: str | UUID) -> bool:
        """Delete the key pair; tell whether there was one."""
        row = self._session.scalar(
            select(ApiCredentialRow).where(
                ApiCredentialRow.user_id == self._user_id,
                ApiCredentialRow.account_id == id_text(account_id, "account_id"),
            )
        )
        if row is None:
            return False
        self._session.delete(row)
        self._session.flush()
        return True

    def rotate(self) -> int:
        """Encrypt all the user's key pairs with the newest key; return how many there are.

        A pair stored anew in the meantime stays as it is. Raises SecretKeyError, with nothing
        changed once the session has rolled back, if a pair fits none of the keys.
        """
        rows = self._session.execute(
            select(ApiCredentialRow.id, ApiCredentialRow.token).where(
                ApiCredentialRow.user_id == self._user_id
            )
        ).all()
        for row in rows:
            self._session.execute(
                update(ApiCredentialRow)
                .where(
                    ApiCredentialRow.id == row.id,
                    ApiCredentialRow.user_id == self._user_id,
                    ApiCredentialRow.token == row.token,
                )
                .values(token=self._cipher.rotate(row.token))
            )
        return len(rows)


def _secret(value: str | SecretStr) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(value)
