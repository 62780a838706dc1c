"""Orders of one user's accounts."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.models import OrderRow
from grid_db.records import OrderRecord
from grid_db.repositories.ownership import OwnedTable
from grid_db.repositories.reading import TenantRepository
from grid_db.values import id_text
from gridcore import ExchangeOrderStatus

_LIVE = [status.value for status in ExchangeOrderStatus if status.is_live]
_FINAL = ", ".join(f"'{status}'" for status in ExchangeOrderStatus if not status.is_live)


def _age(row: str) -> str:
    # one moment of the exchange may carry several states: more filled is newer, then final, then
    # received later
    return (
        f"(coalesce({row}.cum_exec_qty, '-1') {{numeric}},"
        f" CASE WHEN {row}.status IN ({_FINAL}) THEN 1 ELSE 0 END, {row}.local_ts)"
    )


_NEWER = f"{_age('excluded')} > {_age('orders')}"
_BULK = BulkTable(OrderRow, OrderRecord, ("account_id", "order_id", "exchange_ts"), owned=True)

ORDER_TABLE = OwnedTable(_BULK, _NEWER)
_REPAIRED = OwnedTable(_BULK)


class OrderRepository(TenantRepository[OrderRecord]):
    """States of the user's orders: one a moment of the exchange, unique by (account, order_id,
    exchange_ts).
    """

    def __init__(self, session: Session, user_id: str | UUID) -> None:
        super().__init__(session, user_id, OrderRow, OrderRecord)

    def bulk_upsert(self, orders: Iterable[OrderRecord]) -> int:
        """Insert new states, replace a stored one of the same moment if it is older.

        Newer is: more executed, else final instead of live, else received later. Returns how many
        rows were inserted. The session raises ConstraintError if an account or a run is not one
        of the user's.
        """
        return ORDER_TABLE.upsert_for(self._ownership, orders)

    def bulk_replace(self, orders: Iterable[OrderRecord]) -> int:
        """Store the states in place of what is there, for a repair from their raw JSON.

        Returns how many of them were not stored before.
        """
        return _REPAIRED.upsert_for(self._ownership, orders)

    def get_latest(self, account_id: str | UUID, order_id: str) -> OrderRecord | None:
        """Return the newest state of an order, None if the user has no such order."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.account_id == id_text(account_id, "account_id"), columns.order_id == order_id
        )
        return self._rows.first(query.order_by(columns.exchange_ts.desc()))

    def get_open_orders(
        self,
        account_id: str | UUID,
        symbol: str | None = None,
        since: datetime | None = None,
    ) -> list[OrderRecord]:
        """Return the orders whose newest state is live (and not before `since`), oldest first.

        Without `since` all states that were ever stored are looked at.
        """
        columns = self._rows.columns
        later = self._rows.table.alias("later")
        superseded = (
            select(later.c.id)
            .where(
                later.c.user_id == columns.user_id,
                later.c.account_id == columns.account_id,
                later.c.order_id == columns.order_id,
                later.c.exchange_ts > columns.exchange_ts,
            )
            .exists()
        )
        query = self._rows.select(
            columns.account_id == id_text(account_id, "account_id"),
            columns.status.in_(_LIVE),
            ~superseded,
            *self._rows.within("exchange_ts", since, None),
        )
        if symbol is not None:
            query = query.where(columns.symbol == symbol)
        return self._rows.all(query.order_by(columns.exchange_ts, columns.id))

    def get_last_order_ts(
        self, account_id: str | UUID, symbol: str | None = None
    ) -> datetime | None:
        """Return the exchange time of the account's newest order state, None if there is none."""
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
    ) -> list[OrderRecord]:
        """Return the run's order states with start <= exchange_ts < end, in time order."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.run_id == id_text(run_id, "run_id"),
            *self._rows.within("exchange_ts", start, end),
        )
        if symbol is not None:
            query = query.where(columns.symbol == symbol)
        return self._rows.all(query.order_by(columns.exchange_ts, columns.id))
