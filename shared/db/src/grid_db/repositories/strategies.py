"""Configured strategies of one user."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from grid_db.errors import ConstraintError
from grid_db.identity import strategy_id_for
from grid_db.models import StrategyRow
from grid_db.records import StrategyRecord
from grid_db.redact import config_json
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text, utc_now


class StrategyRepository(TenantRepository[StrategyRecord]):
    """The user's strategies; a name is unique within its account."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, StrategyRow, StrategyRecord)

    def save(
        self, account_id: str | UUID, name: str, symbol: str, config: Mapping[str, Any]
    ) -> StrategyRecord:
        """Store the strategy, or its new symbol and configuration if it is there.

        Secrets in `config` are stored as ***. The id comes from the names. Raises ConstraintError
        if the user has no such account.
        """
        account = id_text(account_id, "account_id")
        self._ownership.require("account_id", [account])
        strategy_id = strategy_id_for(account, name)
        content = {"symbol": symbol, "config_json": config_json(config)}
        new = self._rows.insert_new(
            {
                "id": strategy_id,
                "user_id": self._user_id,
                "account_id": account,
                "name": name,
                **content,
            },
            ["user_id", "id"],
        )
        if not new:
            mine = self._rows.columns.id == strategy_id
            self._rows.update({**content, "updated_at": utc_now()}, mine)
        saved = self.get_by_id(strategy_id)
        if saved is None:
            raise ConstraintError(f"the user has no account {account}; create it first")
        return saved

    def get_by_id(self, strategy_id: str | UUID) -> StrategyRecord | None:
        """Return the strategy, None if the user has none of that id."""
        wanted = self._rows.columns.id == id_text(strategy_id, "strategy_id")
        return self._rows.first(self._rows.select(wanted))

    def get_by_name(self, account_id: str | UUID, name: str) -> StrategyRecord | None:
        """Return the account's strategy of that name, None if there is none."""
        columns = self._rows.columns
        account = id_text(account_id, "account_id")
        query = self._rows.select(columns.account_id == account, columns.name == name)
        return self._rows.first(query)

    def list_by_account(self, account_id: str | UUID) -> list[StrategyRecord]:
        """Return the account's strategies, by name."""
        columns = self._rows.columns
        query = self._rows.select(columns.account_id == id_text(account_id, "account_id"))
        return self._rows.all(query.order_by(columns.name))

    def delete(self, strategy_id: str | UUID) -> bool:
        """Delete the strategy and all that hangs on it; tell whether there was one."""
        return bool(self._rows.delete(self._rows.columns.id == id_text(strategy_id, "strategy_id")))
