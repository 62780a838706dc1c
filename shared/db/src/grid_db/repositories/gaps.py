"""Capture gaps: of a user's private streams, and of market data that belongs to nobody."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from grid_db.enums import CaptureStream, GapStatus
from grid_db.errors import ConstraintError, InvalidValueError
from grid_db.models import CaptureGapRow
from grid_db.records import CaptureGapRecord
from grid_db.repositories.ownership import Ownership
from grid_db.repositories.reading import RowReader
from grid_db.values import id_text


class _Gaps:
    """Gaps that meet `scope`; what private and market gaps share."""

    def __init__(
        self, rows: RowReader[CaptureGapRecord], key: list[str], scope: ColumnElement[bool]
    ) -> None:
        self._rows = rows
        self._key = key
        self._scope = scope

    def save(self, gap: CaptureGapRecord, user_id: str | None) -> CaptureGapRecord:
        values: dict[str, Any] = {**asdict(gap), "user_id": user_id}
        values.pop("id")
        session, columns = self._rows.session, self._rows.columns
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        dialect = sqlite if is_sqlite else postgresql
        statement = dialect.insert(self._rows.table).values(**values)
        later = func.max if is_sqlite else func.greatest
        # the gap was seen before: it can only turn out to be longer
        statement = statement.on_conflict_do_update(
            index_elements=self._key,
            index_where=literal_column(
                "account_id IS NULL" if user_id is None else "account_id IS NOT NULL"
            ),
            set_={"gap_end": later(columns.gap_end, statement.excluded.gap_end)},
            where=self._scope,
        )
        session.connection().execute(statement)
        saved = self._rows.first(
            self._rows.select(
                self._scope,
                columns.stream == gap.stream,
                columns.symbol == gap.symbol,
                columns.gap_start == gap.gap_start,
                *([] if gap.account_id is None else [columns.account_id == gap.account_id]),
            )
        )
        if saved is None:
            raise ConstraintError("the gap's account is not one of the user's; create it first")
        return saved

    def find(
        self,
        start: datetime | None,
        end: datetime | None,
        stream: CaptureStream | None,
        symbol: str | None,
        status: GapStatus | None,
        *more: ColumnElement[bool],
    ) -> list[CaptureGapRecord]:
        columns = self._rows.columns
        query = self._rows.select(self._scope, *more)
        if start is not None:
            query = query.where(columns.gap_end >= start)
        if end is not None:
            query = query.where(columns.gap_start < end)
        if stream is not None:
            query = query.where(columns.stream == CaptureStream(stream))
        if symbol is not None:
            query = query.where(columns.symbol == symbol)
        if status is not None:
            query = query.where(columns.status == GapStatus(status))
        return self._rows.all(query.order_by(columns.gap_start, columns.id))

    def attempted(self, gap_id: int, status: GapStatus, reason: str, at: datetime) -> bool:
        columns = self._rows.columns
        values = {
            "status": GapStatus(status),
            "reason": reason,
            "attempts": columns.attempts + 1,
            "last_attempt_at": at,
        }
        return bool(self._rows.update(values, columns.id == gap_id, self._scope))


class CaptureGapRepository:
    """Gaps of the user's private streams, unique by (account, stream, symbol, start)."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        self._ownership = Ownership(session, user_id)
        self._user_id = self._ownership.user_id
        rows = RowReader(session, CaptureGapRow, CaptureGapRecord, self._user_id)
        self._columns = rows.columns
        self._gaps = _Gaps(
            rows,
            ["user_id", "account_id", "stream", "symbol", "gap_start"],
            rows.columns.user_id == self._user_id,
        )

    def save(self, gap: CaptureGapRecord) -> CaptureGapRecord:
        """Store the gap, or lengthen the one that starts at the same moment; return it.

        Raises InvalidValueError without an account, ConstraintError if it is not the user's.
        """
        if gap.account_id is None:
            raise InvalidValueError(
                "a private gap has an account; gaps of market data go to MarketGapRepository"
            )
        self._ownership.require("account_id", [gap.account_id])
        return self._gaps.save(gap, self._user_id)

    def find(
        self,
        account_id: str | UUID | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        stream: CaptureStream | None = None,
        symbol: str | None = None,
        status: GapStatus | None = None,
    ) -> list[CaptureGapRecord]:
        """Return the gaps that overlap [start, end), oldest first; None leaves a filter out."""
        account = (
            []
            if account_id is None
            else [self._columns.account_id == id_text(account_id, "account_id")]
        )
        return self._gaps.find(start, end, stream, symbol, status, *account)

    def attempted(self, gap_id: int, status: GapStatus, reason: str, at: datetime) -> bool:
        """Note one more attempt and what came of it; False if the user has no such gap."""
        return self._gaps.attempted(gap_id, status, reason, at)


class MarketGapRepository:
    """Gaps of market data, unique by (stream, symbol, start). Shared by all tenants."""

    def __init__(self, session: Session) -> None:
        rows = RowReader(session, CaptureGapRow, CaptureGapRecord)
        self._gaps = _Gaps(rows, ["stream", "symbol", "gap_start"], rows.columns.user_id.is_(None))

    def save(self, gap: CaptureGapRecord) -> CaptureGapRecord:
        """Store the gap, or lengthen the one that starts at the same moment; return it.

        Raises InvalidValueError if it names an account.
        """
        if gap.account_id is not None:
            raise InvalidValueError(
                "a gap of market data has no account; private gaps go to TenantScope.capture_gaps"
            )
        return self._gaps.save(gap, None)

    def find(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        stream: CaptureStream | None = None,
        symbol: str | None = None,
        status: GapStatus | None = None,
    ) -> list[CaptureGapRecord]:
        """Return the gaps that overlap [start, end), oldest first; None leaves a filter out."""
        return self._gaps.find(start, end, stream, symbol, status)

    def attempted(self, gap_id: int, status: GapStatus, reason: str, at: datetime) -> bool:
        """Note one more attempt and what came of it; False if there is no such market gap."""
        return self._gaps.attempted(gap_id, status, reason, at)
