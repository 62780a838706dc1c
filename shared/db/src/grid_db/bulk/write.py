"""Insert or upsert any number of records, with the exact count of rows that are new.

SQLite: one prepared statement run over the batch. PostgreSQL: one INSERT from text arrays for a
small batch; above `COPY_ABOVE` records COPY, which is faster by far and has no limit of
parameters: straight into the table while all rows are new, else into a temporary table and one
INSERT from there. Duplicates are skipped in the database itself, those inside the batch included,
so two writers at once lose nothing and count nothing twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, islice
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.types import DECIMAL_COLLATION

COPY_ABOVE = 500
_BLOCK = 10_000
_DEADLOCK_ATTEMPTS = 5


def _blocks(records: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    iterator = iter(records)
    while block := list(islice(iterator, size)):
        yield block


def driver_connection(session: Session) -> Any:
    """Return the driver's own connection, inside the session's transaction."""
    return session.connection().connection.dbapi_connection


def is_sqlite(session: Session) -> bool:
    """Tell which of the two databases the session is of."""
    return session.get_bind().dialect.name == "sqlite"


class BulkWriter:
    """Writes one table; made once for it.

    `newer` is the SQL condition under which a stored row is replaced.

    In `newer`, the row at hand is `excluded`, the stored one goes by its table's name, and every
    decimal is followed by {numeric}, which lets SQLite compare it by value.
    """

    def __init__(self, table: BulkTable, newer: str | None = None) -> None:
        self._table = table
        self._newer = newer
        self._key = ", ".join(table.key)
        others = [c.name for c in table.codecs if c.name not in (*table.key, "user_id")]
        self._changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        marks = ", ".join("?" for _ in table.codecs)
        self._into_sqlite = (
            f"INSERT INTO {table.name} ({table.columns}) VALUES ({marks})"  # noqa: S608 - names of our own columns
            f" ON CONFLICT ({self._key}) DO NOTHING"
        )

    def insert(self, session: Session, records: Iterable[Any], user_id: str | None = None) -> int:
        """Insert what is not there yet; return how many rows that were."""
        if is_sqlite(session):
            return self._insert_sqlite(session, records, user_id)
        iterator = iter(records)
        first = list(islice(iterator, COPY_ABOVE + 1))
        if not first:
            return 0
        if len(first) <= COPY_ABOVE:
            return self._insert_arrays(session, first, user_id)
        return self._insert_copy(session, chain(first, iterator), user_id)

    def upsert(self, session: Session, records: Iterable[Any], user_id: str | None = None) -> int:
        """Insert what is new, replace what is older; return how many rows were inserted.

        Records of one key inside the batch are applied one after the other, as the same rule says.
        """
        rows = list(records)
        inserted = self.insert(session, rows, user_id)
        if inserted == len(rows):
            return inserted
        sqlite = is_sqlite(session)
        mark, numeric = ("?", f"COLLATE {DECIMAL_COLLATION}") if sqlite else ("%s", "")
        names = [codec.name for codec in self._table.codecs]
        marks = [mark if sqlite else f"%s::{codec.pg_type}" for codec in self._table.codecs]
        condition = "TRUE" if self._newer is None else self._newer.format(numeric=numeric)
        statement = (
            f"INSERT INTO {self._table.name} ({', '.join(names)}) VALUES ({', '.join(marks)})"  # noqa: S608 - names of our own columns
            f" ON CONFLICT ({self._key}) DO UPDATE SET {self._changes} WHERE {condition}"
        )
        cursor = driver_connection(session).cursor()
        with closing(cursor):
            if sqlite:
                cursor.executemany(statement, self._table.sqlite_rows(rows, user_id))
            else:
                columns = self._table.text_columns(rows, user_id)
                run = partial(cursor.executemany, statement, list(zip(*columns, strict=True)))
                _despite_deadlock(cursor, run)
        return inserted

    def _insert_sqlite(self, session: Session, records: Iterable[Any], user_id: str | None) -> int:
        inserted = 0
        with closing(driver_connection(session).cursor()) as cursor:
            for block in _blocks(records, _BLOCK):
                cursor.executemany(self._into_sqlite, self._table.sqlite_rows(block, user_id))
                inserted += cursor.rowcount
        return inserted

    def _insert_arrays(self, session: Session, records: Sequence[Any], user_id: str | None) -> int:
        codecs = self._table.codecs
        arrays = ", ".join("%s::text[]" for _ in codecs)
        typed = ", ".join(f"{codec.name}::{codec.pg_type}" for codec in codecs)
        source = f"SELECT {typed} FROM unnest({arrays}) AS batch ({self._table.columns})"  # noqa: S608 - names of our own columns
        with closing(driver_connection(session).cursor()) as cursor:
            return self._insert_from(cursor, source, self._table.text_columns(records, user_id))

    def _insert_copy(self, session: Session, records: Iterable[Any], user_id: str | None) -> int:
        # rows of users have policies, which COPY cannot be subject to
        all_are_new = not self._table.owned
        inserted = 0
        with closing(driver_connection(session).cursor()) as cursor:
            for block in _blocks(records, _BLOCK):
                text = self._table.copy_text(block, user_id)
                all_are_new = all_are_new and self._copied_at_once(cursor, text)
                inserted += len(block) if all_are_new else self._insert_stage(cursor, text)
        return inserted

    def _copied_at_once(self, cursor: Any, text: str) -> bool:
        """Copy rows straight into the table; False, with nothing done, where one is there already.

        Market data is new but for what overlaps after a break, and this takes half of the time.
        """
        cursor.execute("SAVEPOINT grid_db_copy")
        try:
            with cursor.copy(f"COPY {self._table.name} ({self._table.columns}) FROM STDIN") as copy:
                copy.write(text)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            cursor.execute("ROLLBACK TO SAVEPOINT grid_db_copy")
            return False
        cursor.execute("RELEASE SAVEPOINT grid_db_copy")
        return True

    def _insert_stage(self, cursor: Any, text: str) -> int:
        name, columns = self._table.name, self._table.columns
        stage = f"pg_temp.stage_{name}"
        cursor.execute(
            f"CREATE TEMP TABLE stage_{name} ON COMMIT DROP AS"  # noqa: S608 - names of our own columns
            f" SELECT {columns} FROM {name} WITH NO DATA"
        )
        with cursor.copy(f"COPY {stage} ({columns}) FROM STDIN") as copy:
            copy.write(text)
        inserted = self._insert_from(cursor, f"SELECT {columns} FROM {stage}", None)  # noqa: S608 - names of our own columns
        cursor.execute(f"DROP TABLE {stage}")
        return inserted

    def _insert_from(self, cursor: Any, source: str, parameters: Sequence[Any] | None) -> int:
        statement = (
            f"INSERT INTO {self._table.name} ({self._table.columns}) {source}"
            f" ON CONFLICT ({self._key}) DO NOTHING"
        )
        _despite_deadlock(cursor, partial(cursor.execute, statement, parameters))
        return int(cursor.rowcount)


def _despite_deadlock(cursor: Any, run: Callable[[], object]) -> None:
    """Run one statement; when another writer of the same keys crosses it, wait and run it again."""
    for attempt in range(1, _DEADLOCK_ATTEMPTS + 1):
        cursor.execute("SAVEPOINT grid_db_bulk")
        try:
            run()
        except psycopg.errors.DeadlockDetected:
            cursor.execute("ROLLBACK TO SAVEPOINT grid_db_bulk")
            if attempt == _DEADLOCK_ATTEMPTS:
                raise
        else:
            return
