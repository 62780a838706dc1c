"""Whether what a row hangs on belongs to the user who writes it.

Foreign keys and policies refuse a row that hangs on another tenant's account. They cannot refuse a
row whose key is taken there already: an insert that skips known keys would skip it in silence, and
by that tell that the key exists. So every write asks first, and what is another's is refused with
the same words as what never was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.bulk.write import BulkWriter
from grid_db.errors import ConstraintError
from grid_db.models import BybitAccountRow, RunRow, StrategyRow
from grid_db.tenancy import bind_session
from grid_db.values import id_text

Record = TypeVar("Record")

_PARENTS: dict[str, tuple[str, Any]] = {
    "account_id": ("account", BybitAccountRow),
    "strategy_id": ("strategy", StrategyRow),
    "run_id": ("run", RunRow),
}


class Ownership:
    """Knows which accounts, strategies and runs are the user's; asks once for each.

    The session serves that user from here on, see `bind_session`.
    """

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        self.user_id = bind_session(session, user_id)
        self.session = session
        self._own: set[tuple[str, str]] = set()

    def of_all(self, records: Iterable[Record]) -> list[Record]:
        """Return the records. Raises ConstraintError if one hangs on what is not the user's."""
        found = list(records)
        for column in _PARENTS:
            named = {getattr(record, column, None) for record in found}
            self.require(column, named)
        return found

    def require(self, column: str, ids: Iterable[Any]) -> None:
        """Raise ConstraintError unless each id (None is no id) is one of the user's."""
        word, row_type = _PARENTS[column]
        asked = {id_text(value, column) for value in ids if value is not None}
        unknown = {value for value in asked if (column, value) not in self._own}
        if not unknown:
            return
        found = set(
            self.session.scalars(
                select(row_type.id).where(
                    row_type.user_id == self.user_id, row_type.id.in_(unknown)
                )
            )
        )
        self._own |= {(column, value) for value in found}
        missing = sorted(unknown - found)
        if missing:
            raise ConstraintError(f"{word} {missing[0]} is not one of the user's; create it first")


class OwnedTable:
    """One table of users' rows, as batches are written to it, with what each hangs on checked.

    Made once for a table; the caller owns the transaction. Raises ConstraintError if an account, a
    strategy or a run is not one of the user's.
    """

    def __init__(self, table: BulkTable, newer: str | None = None) -> None:
        """See BulkWriter for `newer`: when a stored row is replaced."""
        self._writer = BulkWriter(table, newer)

    def insert(self, session: Session, user_id: str | UUID, records: Iterable[Any]) -> int:
        """Insert what is not there yet; return how many rows that were."""
        return self.insert_for(Ownership(session, user_id), records)

    def upsert(self, session: Session, user_id: str | UUID, records: Iterable[Any]) -> int:
        """Insert what is new, replace what is older; return how many rows were inserted."""
        return self.upsert_for(Ownership(session, user_id), records)

    def insert_for(self, owner: Ownership, records: Iterable[Any]) -> int:
        """Insert for somebody of whom it is known what is theirs."""
        return self._writer.insert(owner.session, owner.of_all(records), owner.user_id)

    def upsert_for(self, owner: Ownership, records: Iterable[Any]) -> int:
        """Upsert for somebody of whom it is known what is theirs."""
        return self._writer.upsert(owner.session, owner.of_all(records), owner.user_id)
