"""Grid states and alerts of one user's strategies."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.models import AlertRow, GridSnapshotRow
from grid_db.records import AlertRecord, GridSnapshotRecord
from grid_db.repositories.ownership import OwnedTable
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text

_GRIDS = OwnedTable(
    BulkTable(GridSnapshotRow, GridSnapshotRecord, ("strategy_id", "exchange_ts"), owned=True)
)


class GridSnapshotRepository(TenantRepository[GridSnapshotRecord]):
    """States of the user's grids, unique by (strategy, exchange_ts)."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, GridSnapshotRow, GridSnapshotRecord)

    def bulk_upsert(self, snapshots: Iterable[GridSnapshotRecord]) -> int:
        """Store the states, the later one of a moment staying; return how many are new."""
        return _GRIDS.upsert_for(self._ownership, snapshots)

    def get_latest(self, strategy_id: str | UUID) -> GridSnapshotRecord | None:
        """Return the strategy's newest state, None if it has none."""
        columns = self._rows.columns
        query = self._rows.select(columns.strategy_id == id_text(strategy_id, "strategy_id"))
        return self._rows.first(query.order_by(columns.exchange_ts.desc()))

    def get_by_range(
        self,
        strategy_id: str | UUID,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[GridSnapshotRecord]:
        """Return the states with start <= exchange_ts < end, in time order."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.strategy_id == id_text(strategy_id, "strategy_id"),
            *self._rows.within("exchange_ts", start, end),
        )
        return self._rows.all(query.order_by(columns.exchange_ts))

    def delete_before(self, strategy_id: str | UUID, moment: datetime) -> int:
        """Delete the strategy's states older than `moment`; return how many they were."""
        columns = self._rows.columns
        return self._rows.delete(
            columns.strategy_id == id_text(strategy_id, "strategy_id"),
            columns.exchange_ts < moment,
        )


class AlertRepository(TenantRepository[AlertRecord]):
    """The user's alerts."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, AlertRow, AlertRecord)

    def add(self, alert: AlertRecord) -> AlertRecord:
        """Store the alert; return it with its id. Raises ConstraintError if it names an account,
        a strategy or a run that is not one of the user's.
        """
        self._ownership.of_all([alert])
        values = {**asdict(alert), "user_id": self._user_id}
        values.pop("id")
        result = self._session.connection().execute(insert(self._rows.table).values(**values))
        key = result.inserted_primary_key
        return AlertRecord(**{**asdict(alert), "id": None if key is None else key[0]})

    def list_recent(self, limit: int = 100) -> list[AlertRecord]:
        """Return the newest alerts, newest first."""
        columns = self._rows.columns
        query = self._rows.select().order_by(columns.raised_at.desc(), columns.id.desc())
        return self._rows.all(query.limit(limit))

    def get_undelivered(self) -> list[AlertRecord]:
        """Return the alerts that nobody was told yet, oldest first."""
        columns = self._rows.columns
        query = self._rows.select(columns.delivered_at.is_(None))
        return self._rows.all(query.order_by(columns.raised_at, columns.id))

    def mark_delivered(self, alert_id: int, at: datetime) -> bool:
        """Note when somebody was told; False if the user has no such alert still untold."""
        columns = self._rows.columns
        changed = self._rows.update(
            {"delivered_at": at}, columns.id == alert_id, columns.delivered_at.is_(None)
        )
        return bool(changed)
