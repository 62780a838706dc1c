"""Positions and wallets of one user's accounts, moment by moment."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.enums import SnapshotSource
from grid_db.models import PositionSnapshotRow, WalletSnapshotRow
from grid_db.records import PositionSnapshotRecord, WalletSnapshotRecord
from grid_db.repositories.ownership import OwnedTable
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text
from gridcore import DirectionType

POSITION_TABLE = OwnedTable(
    BulkTable(
        PositionSnapshotRow,
        PositionSnapshotRecord,
        ("account_id", "symbol", "direction", "exchange_ts"),
        owned=True,
    )
)
WALLET_TABLE = OwnedTable(
    BulkTable(
        WalletSnapshotRow, WalletSnapshotRecord, ("account_id", "coin", "exchange_ts"), owned=True
    )
)


class PositionSnapshotRepository(TenantRepository[PositionSnapshotRecord]):
    """The user's positions, unique by (account, symbol, leg, exchange_ts)."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, PositionSnapshotRow, PositionSnapshotRecord)

    def bulk_insert(self, snapshots: Iterable[PositionSnapshotRecord]) -> int:
        """Insert what is not there yet; return how many rows that were.

        Raises ConstraintError if an account or a run is not one of the user's.
        """
        return POSITION_TABLE.insert_for(self._ownership, snapshots)

    def bulk_replace(self, snapshots: Iterable[PositionSnapshotRecord]) -> int:
        """Store the snapshots in place of what is there, for a repair from their raw JSON.

        Returns how many of them were not stored before.
        """
        return POSITION_TABLE.upsert_for(self._ownership, snapshots)

    def get_latest_by_account_symbol(
        self, account_id: str | UUID, symbol: str, source: SnapshotSource | None = None
    ) -> dict[DirectionType, PositionSnapshotRecord]:
        """Return the newest snapshot of each leg that has one, of that source if one is named."""
        columns = self._rows.columns
        latest = {}
        for direction in DirectionType:
            query = self._rows.select(
                columns.account_id == id_text(account_id, "account_id"),
                columns.symbol == symbol,
                columns.direction == direction,
            )
            if source is not None:
                query = query.where(columns.source == SnapshotSource(source))
            snapshot = self._rows.first(query.order_by(columns.exchange_ts.desc()))
            if snapshot is not None:
                latest[direction] = snapshot
        return latest

    def get_by_account_range(
        self,
        account_id: str | UUID,
        symbol: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[PositionSnapshotRecord]:
        """Return the snapshots of both legs with start <= exchange_ts < end, in time order."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.account_id == id_text(account_id, "account_id"),
            columns.symbol == symbol,
            *self._rows.within("exchange_ts", start, end),
        )
        return self._rows.all(query.order_by(columns.exchange_ts, columns.id))


class WalletSnapshotRepository(TenantRepository[WalletSnapshotRecord]):
    """The user's wallets, unique by (account, coin, exchange_ts)."""

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, WalletSnapshotRow, WalletSnapshotRecord)

    def bulk_insert(self, snapshots: Iterable[WalletSnapshotRecord]) -> int:
        """Insert what is not there yet; return how many rows that were.

        Raises ConstraintError if an account or a run is not one of the user's.
        """
        return WALLET_TABLE.insert_for(self._ownership, snapshots)

    def bulk_replace(self, snapshots: Iterable[WalletSnapshotRecord]) -> int:
        """Store the snapshots in place of what is there, for a repair from their raw JSON.

        Returns how many of them were not stored before.
        """
        return WALLET_TABLE.upsert_for(self._ownership, snapshots)

    def get_latest_by_account_coin(
        self, account_id: str | UUID, coin: str
    ) -> WalletSnapshotRecord | None:
        """Return the newest snapshot of that coin, None if there is none."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.account_id == id_text(account_id, "account_id"), columns.coin == coin
        )
        return self._rows.first(query.order_by(columns.exchange_ts.desc()))

    def get_by_account_range(
        self,
        account_id: str | UUID,
        start: datetime | None = None,
        end: datetime | None = None,
        coin: str | None = None,
    ) -> list[WalletSnapshotRecord]:
        """Return the snapshots with start <= exchange_ts < end in time order, all coins or one."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.account_id == id_text(account_id, "account_id"),
            *self._rows.within("exchange_ts", start, end),
        )
        if coin is not None:
            query = query.where(columns.coin == coin)
        return self._rows.all(query.order_by(columns.exchange_ts, columns.id))
