"""Runs of one user: one start of a strategy or of a capture session each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, insert
from sqlalchemy.orm import Session

from grid_db.enums import RunStatus, RunType
from grid_db.errors import ConstraintError, InvalidValueError
from grid_db.models import RunRow
from grid_db.records import RunRecord
from grid_db.redact import config_json
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text


class RunRepository(TenantRepository[RunRecord]):
    """The user's runs. A run is RUNNING until it is finished or found stale."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, RunRow, RunRecord)

    def create(
        self,
        run_type: RunType,
        started_at: datetime,
        *,
        account_id: str | UUID | None = None,
        strategy_id: str | UUID | None = None,
        symbol: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """Store a run that starts now and return it, with a new random id.

        Secrets in `config` are stored as ***. Raises ConstraintError if the account or the
        strategy is not one of the user's.
        """
        self._ownership.require("account_id", [account_id])
        self._ownership.require("strategy_id", [strategy_id])
        run_id = str(uuid4())
        statement = insert(RunRow).values(
            id=run_id,
            user_id=self._user_id,
            account_id=None if account_id is None else id_text(account_id, "account_id"),
            strategy_id=None if strategy_id is None else id_text(strategy_id, "strategy_id"),
            run_type=RunType(run_type),
            status=RunStatus.RUNNING,
            symbol=symbol,
            started_at=started_at,
            config_json=None if config is None else config_json(config),
        )
        self._session.execute(statement)
        run = self.get_by_id(run_id)
        if run is None:
            raise ConstraintError(f"run {run_id} was deleted at this moment; try again")
        return run

    def get_by_id(self, run_id: str | UUID) -> RunRecord | None:
        """Return the run, None if the user has none of that id."""
        query = self._rows.select(self._rows.columns.id == id_text(run_id, "run_id"))
        return self._rows.first(query)

    def get_by_user_id(self, limit: int = 100) -> list[RunRecord]:
        """Return the newest runs of the scope's user, newest first."""
        columns = self._rows.columns
        newest = self._rows.select().order_by(columns.started_at.desc(), columns.id)
        return self._rows.all(newest.limit(limit))

    def get_latest_by_type(
        self, run_type: RunType, strategy_id: str | UUID | None = None
    ) -> RunRecord | None:
        """Return the newest run of that type, of that strategy if one is named."""
        columns = self._rows.columns
        query = self._rows.select(columns.run_type == RunType(run_type))
        if strategy_id is not None:
            query = query.where(columns.strategy_id == id_text(strategy_id, "strategy_id"))
        return self._rows.first(query.order_by(columns.started_at.desc(), columns.id))

    def get_running(self) -> list[RunRecord]:
        """Return the runs that have no end, oldest first."""
        columns = self._rows.columns
        query = self._rows.select(columns.status == RunStatus.RUNNING)
        return self._rows.all(query.order_by(columns.started_at, columns.id))

    def heartbeat(self, run_id: str | UUID, at: datetime) -> bool:
        """Note that the run was alive at that moment; False if no such run is running."""
        columns = self._rows.columns
        changed = self._rows.update(
            {"heartbeat_at": at},
            columns.id == id_text(run_id, "run_id"),
            columns.status == RunStatus.RUNNING,
        )
        return bool(changed)

    def finish(
        self,
        run_id: str | UUID,
        status: RunStatus,
        ended_at: datetime,
        error_message: str | None = None,
    ) -> bool:
        """End a running run; False if no such run is running. Raises for status RUNNING."""
        if RunStatus(status) is RunStatus.RUNNING:
            raise InvalidValueError("a finished run is completed, failed or stale, not running")
        columns = self._rows.columns
        changed = self._rows.update(
            {"status": RunStatus(status), "ended_at": ended_at, "error_message": error_message},
            columns.id == id_text(run_id, "run_id"),
            columns.status == RunStatus.RUNNING,
        )
        return bool(changed)

    def close_stale_running_runs(
        self, silent_since: datetime, strategy_id: str | UUID | None = None
    ) -> int:
        """End as STALE the running runs without a sign of life since `silent_since`.

        A run's last sign of life is its heartbeat, else its start; that becomes its end. Only the
        strategy's runs if one is named. Returns how many were closed.
        """
        columns = self._rows.columns
        last_sign = func.coalesce(columns.heartbeat_at, columns.started_at)
        conditions = [columns.status == RunStatus.RUNNING, last_sign < silent_since]
        if strategy_id is not None:
            conditions.append(columns.strategy_id == id_text(strategy_id, "strategy_id"))
        return self._rows.update({"status": RunStatus.STALE, "ended_at": last_sign}, *conditions)
