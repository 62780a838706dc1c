"""Market streams: bulk in, and out again in time order, as records or as raw columns."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, Generic
from uuid import uuid4

from sqlalchemy import func
from sqlalchemy.orm import Session

from grid_db.bulk.write import BulkWriter, driver_connection, is_sqlite
from grid_db.models import Base
from grid_db.repositories.reading import Record, RowRange, RowReader
from grid_db.values import checked_utc, timestamp_us

# Small enough for the rows of a block to be converted while they are still in the cache
_BLOCK_ROWS = 2_000


class MarketStream(Generic[Record]):
    """Rows of one market stream, unique within a symbol. Shared by all tenants."""

    def __init__(
        self,
        session: Session,
        row_type: type[Base],
        record_type: type[Record],
        bulk: BulkWriter,
    ) -> None:
        self._session = session
        self._rows = RowReader(session, row_type, record_type)
        self._bulk = bulk

    def _last_ts(self, symbol: str) -> datetime | None:
        columns = self._rows.columns
        last: datetime | None = self._rows.scalar(
            func.max(columns.exchange_ts), columns.symbol == symbol
        )
        return last

    def get_range(self, symbol: str) -> RowRange | None:
        """Return the moments of the symbol's first and last row, None if there is none."""
        columns = self._rows.columns
        first = self._rows.scalar(func.min(columns.exchange_ts), columns.symbol == symbol)
        last = self._last_ts(symbol)
        return None if first is None or last is None else RowRange(first, last)

    def get_symbols(self) -> list[str]:
        """Return the symbols that have rows, in alphabetical order."""
        query = self._rows.select().with_only_columns(self._rows.columns.symbol).distinct()
        return list(self._session.scalars(query.order_by(self._rows.columns.symbol)))

    def count(self, symbol: str, start: datetime | None = None, end: datetime | None = None) -> int:
        """Return how many rows there are with start <= exchange_ts < end."""
        columns = self._rows.columns
        conditions = self._rows.within("exchange_ts", start, end)
        return int(self._rows.scalar(func.count(), columns.symbol == symbol, *conditions))

    def iterate(
        self, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[Record]:
        """Yield the records with start <= exchange_ts < end in time order, in bounded memory.

        Rows of one moment come in the order in which they were stored. On SQLite they are read in
        pages, each a short statement of its own, so that the write-ahead log does not have to wait
        for whoever reads for hours; rows that are stored meanwhile appear where they are later
        than the last one that was read. The session must stay open, and be left alone, until the
        last one.
        """
        columns = self._rows.columns
        query = self._rows.select(
            columns.symbol == symbol, *self._rows.within("exchange_ts", start, end)
        )
        return self._rows.stream(query, "exchange_ts")

    def _blocks(
        self,
        columns: dict[str, str],
        symbol: str,
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield blocks of raw rows in time order; on SQLite a statement each, see `iterate`.

        `columns` maps SQLite's expression to PostgreSQL's; exchange_ts in microseconds is the
        first of every row. The driver's own cursor is used, because at a
        microsecond a row anything between costs as much as the database.
        """
        sqlite = is_sqlite(self._session)
        mark = "?" if sqlite else "%s"
        wanted = ", ".join(columns if sqlite else columns.values())
        moment = "exchange_ts" if sqlite else "(extract(epoch FROM exchange_ts) * 1000000)::bigint"
        conditions, parameters = [f"symbol = {mark}"], [symbol]
        for sign, name, bound in ((">=", "start", start), ("<", "end", end)):
            if bound is not None:
                conditions.append(f"exchange_ts {sign} {mark}")
                exact = timestamp_us(bound, name) if sqlite else checked_utc(bound, name)
                parameters.append(exact)  # type: ignore[arg-type]  # a list of what the driver binds
        query = (
            f"SELECT {moment}, {wanted} FROM {self._rows.table.name}"  # noqa: S608 - names of our own columns
            f" WHERE {' AND '.join(conditions)}"
        )
        order = " ORDER BY exchange_ts, id"
        connection = driver_connection(self._session)
        if not sqlite:
            with closing(connection.cursor(f"stream_{uuid4().hex}")) as cursor:
                cursor.execute(query + order, parameters)
                while rows := cursor.fetchmany(_BLOCK_ROWS):
                    yield rows
            return
        with closing(connection.cursor()) as cursor:
            limit = _BLOCK_ROWS
            page, bounds = query, parameters
            while True:
                rows = cursor.execute(f"{page}{order} LIMIT {limit}", bounds).fetchall()
                if len(rows) < limit:
                    break
                # the last moment may go on behind the page: it is left to the next one
                last, end_of_page = rows[-1][0], len(rows) - 1
                while end_of_page and rows[end_of_page - 1][0] == last:
                    end_of_page -= 1
                if not end_of_page:
                    limit *= 2  # one moment fills the page
                    continue
                yield rows[:end_of_page]
                limit = _BLOCK_ROWS
                page, bounds = f"{query} AND exchange_ts >= ?", [*parameters, last]
            if rows:
                yield rows


def batched(blocks: Iterable[Any], length: int) -> Iterator[list[Any]]:
    """Group blocks until each group holds at least `length` rows."""
    group: list[Any] = []
    rows = 0
    for block in blocks:
        group.append(block)
        rows += len(block)
        if rows >= length:
            yield group
            group, rows = [], 0
    if group:
        yield group
