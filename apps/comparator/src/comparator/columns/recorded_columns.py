"""Recorded executions and orders of one run as columns, through the session of one tenant.

A million rows as records would cost more than the whole comparison, so the queries read texts and
numbers, in blocks. The condition on the user is part of every statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import polars as pl
from sqlalchemy import BigInteger, ColumnElement, Select, Text, cast, extract, select, type_coerce
from sqlalchemy.orm import Session

from grid_db.models import OrderRow, PrivateExecutionRow

_BLOCK_ROWS: Final = 50_000

EXECUTION_TEXTS: Final = (
    "order_id", "order_link_id", "symbol", "exec_type", "side", "direction", "fee_currency",
)  # fmt: skip
EXECUTION_DECIMALS: Final = (
    "exec_price", "exec_qty", "exec_fee", "fee_rate", "closed_pnl", "closed_size",
)  # fmt: skip
ORDER_TEXTS: Final = (
    "order_id", "order_link_id", "symbol", "status", "reject_reason", "cancel_type",
)  # fmt: skip
ORDER_DECIMALS: Final = ("price", "cum_exec_qty")


def read_executions(
    session: Session, user_id: str, run_id: str, start: datetime | None, end: datetime | None
) -> pl.DataFrame:
    """Return the run's executions with start <= exchange_ts < end, oldest first.

    Columns are EXECUTION_TEXTS, EXECUTION_DECIMALS (as texts) and exchange_ts (us UTC); null is
    what the exchange did not say. `session` serves the user already (`grid_db.TenantScope`).
    """
    reader = _Reader(session, user_id, run_id)
    return reader.read(
        PrivateExecutionRow, EXECUTION_TEXTS, EXECUTION_DECIMALS, ("exchange_ts",), start, end
    )


def read_orders(
    session: Session, user_id: str, run_id: str, end: datetime | None = None
) -> pl.DataFrame:
    """Return the run's order states before `end`, oldest first.

    Columns are ORDER_TEXTS, ORDER_DECIMALS (as texts), exchange_ts and created_ts (us UTC).
    """
    reader = _Reader(session, user_id, run_id)
    times = ("exchange_ts", "created_ts")
    return reader.read(OrderRow, ORDER_TEXTS, ORDER_DECIMALS, times, None, end)


class _Reader:
    """Reads rows of one run of one user."""

    def __init__(self, session: Session, user_id: str, run_id: str) -> None:
        self._session = session
        self._user_id = user_id
        self._run_id = run_id
        self._sqlite = session.get_bind().dialect.name == "sqlite"

    def read(
        self,
        row_type: type[PrivateExecutionRow | OrderRow],
        texts: Sequence[str],
        decimals: Sequence[str],
        times: Sequence[str],
        start: datetime | None,
        end: datetime | None,
    ) -> pl.DataFrame:
        columns = row_type.__table__.columns
        wanted: list[ColumnElement[Any]] = [
            *[type_coerce(columns[name], Text) for name in texts],
            *[self._decimal_text(columns[name]) for name in decimals],
            *[self._microseconds(columns[name]) for name in times],
        ]
        query: Select[Any] = select(*wanted)
        query = query.where(columns.user_id == self._user_id, columns.run_id == self._run_id)
        if start is not None:
            query = query.where(columns.exchange_ts >= start)
        if end is not None:
            query = query.where(columns.exchange_ts < end)
        schema = {
            **dict.fromkeys((*texts, *decimals), pl.String),
            **dict.fromkeys(times, pl.Int64),
        }
        return self._frame(query.order_by(columns.exchange_ts, columns.id), schema)

    def _frame(self, query: Select[Any], schema: dict[str, Any]) -> pl.DataFrame:
        result = self._session.execute(query.execution_options(yield_per=_BLOCK_ROWS))
        blocks = [
            pl.DataFrame([tuple(row) for row in block], schema=schema, orient="row")
            for block in result.partitions()
        ]
        return pl.concat(blocks) if blocks else pl.DataFrame(schema=schema)

    def _decimal_text(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return type_coerce(column, Text) if self._sqlite else cast(column, Text)

    def _microseconds(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        if self._sqlite:
            return type_coerce(column, BigInteger)
        return cast(extract("epoch", column) * 1_000_000, BigInteger)
