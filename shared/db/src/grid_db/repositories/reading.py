"""What repositories share: records out of rows, and the tenant in every statement."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from grid_db.models import Base
from grid_db.repositories.ownership import Ownership

Record = TypeVar("Record")

_STREAMED_ROWS = 5_000


class RowRange(NamedTuple):
    """The first and the last moment of something, both included, aware UTC."""

    first: datetime
    last: datetime


class RowReader(Generic[Record]):
    """Reads one table as records. With a user, it has no statement without that user."""

    def __init__(
        self,
        session: Session,
        row_type: type[Base],
        record_type: type[Record],
        user_id: str | None = None,
    ) -> None:
        table = row_type.__table__
        assert isinstance(table, Table)  # noqa: S101 - narrows the declared type for the checker
        self.session = session
        self.table = table
        self.columns = table.columns
        self._record = record_type
        self._names = [field.name for field in fields(record_type)]  # type: ignore[arg-type]  # all records are dataclasses
        self._mine = [] if user_id is None else [table.columns.user_id == user_id]

    def select(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Return the query for the rows that meet `conditions`."""
        wanted = [self.columns[name] for name in self._names]
        return select(*wanted).where(*self._mine, *conditions)

    def all(self, query: Select[Any]) -> list[Record]:
        """Return the records of a query."""
        return [self._record(**row._mapping) for row in self.session.execute(query)]

    def first(self, query: Select[Any]) -> Record | None:
        """Return the first record of a query, None if there is none."""
        row = self.session.execute(query.limit(1)).first()
        return None if row is None else self._record(**row._mapping)

    def stream(self, query: Select[Any], moment: str) -> Iterator[Record]:
        """Yield the records of a query by the column `moment`, then as stored, in bounded memory.

        On SQLite each page is a statement of its own that is read to its end at once, so that no
        snapshot is held while the caller works: the write-ahead log could not be emptied. Rows
        that are stored meanwhile appear where they are later than the last one of the page
        before. PostgreSQL, where a reader does not hold the log, reads with one cursor.
        """
        when, number = self.columns[moment], self.columns.id
        ordered = query.order_by(when, number)
        if self.session.get_bind().dialect.name != "sqlite":
            for row in self.session.execute(ordered.execution_options(yield_per=_STREAMED_ROWS)):
                yield self._record(**row._mapping)
            return
        page = pages = ordered.add_columns(number).limit(_STREAMED_ROWS)
        place = self._names.index(moment)
        while rows := self.session.execute(page).all():
            for row in rows:
                yield self._record(**dict(zip(self._names, row, strict=False)))
            if len(rows) < _STREAMED_ROWS:
                return
            last, last_number = rows[-1][place], rows[-1][-1]
            # the first condition is what the index is searched by
            page = pages.where(when >= last, or_(when > last, number > last_number))

    def scalar(self, what: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Any:
        """Return one value over the rows that meet `conditions`."""
        return self.session.scalar(select(what).where(*self._mine, *conditions))

    def values(self, what: ColumnElement[Any], *conditions: ColumnElement[bool]) -> set[Any]:
        """Return the different values over the rows that meet `conditions`."""
        return set(self.session.scalars(select(what).where(*self._mine, *conditions)))

    def exists(self, *conditions: ColumnElement[bool]) -> bool:
        """Tell whether a row meets `conditions`."""
        query = select(self.columns.id).where(*self._mine, *conditions).limit(1)
        return self.session.execute(query).first() is not None

    def update(self, values: dict[str, Any], *conditions: ColumnElement[bool]) -> int:
        """Change the rows that meet `conditions`; return how many they were."""
        statement = update(self.table).where(*self._mine, *conditions).values(**values)
        return int(self.session.connection().execute(statement).rowcount)

    def delete(self, *conditions: ColumnElement[bool]) -> int:
        """Delete the rows that meet `conditions`; return how many they were."""
        statement = delete(self.table).where(*self._mine, *conditions)
        return int(self.session.connection().execute(statement).rowcount)

    def insert_new(self, values: dict[str, Any], key: list[str]) -> bool:
        """Insert a row unless its key is taken; tell whether it was inserted."""
        dialect = sqlite if self.session.get_bind().dialect.name == "sqlite" else postgresql
        statement = dialect.insert(self.table).values(**values)
        result = self.session.connection().execute(
            statement.on_conflict_do_nothing(index_elements=key).returning(self.columns[key[0]])
        )
        # the count of affected rows is unknown on PostgreSQL, so the row itself tells
        return result.first() is not None

    def within(
        self, column: str, start: datetime | None, end: datetime | None
    ) -> list[ColumnElement[bool]]:
        """Return the conditions start <= column < end; None leaves that side open."""
        moment = self.columns[column]
        conditions: list[ColumnElement[bool]] = []
        if start is not None:
            conditions.append(moment >= start)
        if end is not None:
            conditions.append(moment < end)
        return conditions


class TenantRepository(Generic[Record]):
    """Base of the repositories of private rows, bound to one user for life.

    The caller owns the transaction. A row of another user is absent here: it is not read, not
    changed, not counted, and asking for it answers like asking for one that never was.
    """

    def __init__(
        self,
        session: Session,
        user_id: str | UUID,
        row_type: type[Base],
        record_type: type[Record],
    ) -> None:
        self._ownership = Ownership(session, user_id)
        self._user_id = self._ownership.user_id
        self._session = session
        self._rows = RowReader(session, row_type, record_type, self._user_id)
