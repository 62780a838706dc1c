"""Private executions of one user's accounts."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.models import PrivateExecutionRow
from grid_db.records import PrivateExecutionRecord
from grid_db.repositories.ownership import OwnedTable
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text

EXECUTION_TABLE = OwnedTable(
    BulkTable(PrivateExecutionRow, PrivateExecutionRecord, ("account_id", "exec_id"), owned=True)
)

_MOST_IDS = 500  # of one statement; SQLite takes 32,766 parameters, and plans grow with them


class PrivateExecutionRepository(TenantRepository[PrivateExecutionRecord]):
    """The user's executions, unique by (account, exec_id)."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, PrivateExecutionRow, PrivateExecutionRecord)

    def bulk_insert(self, executions: Iterable[PrivateExecutionRecord]) -> int:
        """Insert what is not there yet; return how many rows that were.

        Raises ConstraintError if an account or a run is not one of the user's.
        """
        return EXECUTION_TABLE.insert_for(self._ownership, executions)

    def bulk_replace(self, executions: Iterable[PrivateExecutionRecord]) -> int:
        """Store the executions in place of what is there, for a repair from their raw JSON.

        Returns how many of them were not stored before.
        """
        return EXECUTION_TABLE.upsert_for(self._ownership, executions)

    def exists_by_exec_id(self, account_id: str | UUID, exec_id: str) -> bool:
        """Tell whether the execution is stored."""
        columns = self._rows.columns
        account = id_text(account_id, "account_id")
        return self._rows.exists(columns.account_id == account, columns.exec_id == exec_id)

    def get_known(self, account_id: str | UUID, exec_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are stored."""
        columns = self._rows.columns
        account = id_text(account_id, "account_id")
        known: set[str] = set()
        for first in range(0, len(exec_ids), _MOST_IDS):
            wanted = columns.exec_id.in_(exec_ids[first : first + _MOST_IDS])
            known |= self._rows.values(columns.exec_id, columns.account_id == account, wanted)
        return known

    def get_last_execution_ts(
        self, account_id: str | UUID, symbol: str | None = None
    ) -> datetime | None:
        """Return the exchange time of the account's newest execution, None if there is none."""
        columns = self._rows.columns
        conditions = [columns.account_id == id_text(account_id, "account_id")]
        if symbol is not None:
            conditions.append(columns.symbol == symbol)
        last: datetime | None = self._rows.scalar(func.max(columns.exchange_ts), *conditions)
        return last

    def get_by_run_range(
        self,
        run_id: str | UUID,
        start: datetime | None = None,
        end: datetime | None = None,
        symbol: str | None = None,
    ) -> list[PrivateExecutionRecord]:
        """Return the run's executions with start <= exchange_ts < end, in time order."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.run_id == id_text(run_id, "run_id"),
            *self._rows.within("exchange_ts", start, end),
        )
        if symbol is not None:
            query = query.where(columns.symbol == symbol)
        return self._rows.all(query.order_by(columns.exchange_ts, columns.id))

    def iterate_by_account(
        self,
        account_id: str | UUID,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[PrivateExecutionRecord]:
        """Yield the account's executions with start <= exchange_ts < end, in time order.

        In bounded memory; rows that are stored meanwhile may appear where they are later.
        """
        columns = self._rows.columns
        query = self._rows.select(
            columns.account_id == id_text(account_id, "account_id"),
            *self._rows.within("exchange_ts", start, end),
        )
        return self._rows.stream(query, "exchange_ts")
