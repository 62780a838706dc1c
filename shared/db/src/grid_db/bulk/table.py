"""One table as bulk writing sees it: fields of a record, their codecs, the statements."""

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Table

from grid_db.bulk.encode import ColumnCodec, codec_for, encode_for_copy, encode_for_sqlite
from grid_db.models import Base

_COPY_ESCAPES_SIGNS = "\\\n\r\t"
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class BulkTable:
    """Writes records of `record_type` into the table of `row_type`.

    `key` names the unique columns that tell a duplicate. With `owned`, the column user_id is
    written from the scope and never from the record, and is the first of the key.
    """

    def __init__(
        self, row_type: type[Base], record_type: type[Any], key: Sequence[str], *, owned: bool
    ) -> None:
        table = row_type.__table__
        assert isinstance(table, Table)  # noqa: S101 - narrows the declared type for the checker
        self.name = table.name
        self.key = (("user_id",) if owned else ()) + tuple(key)
        self.owned = owned
        # the database numbers the rows
        self.fields = tuple(f.name for f in fields(record_type) if f.name != "id")
        self._row = attrgetter(*self.fields)
        names = (("user_id",) if owned else ()) + self.fields
        unknown = [name for name in names if name not in table.columns]
        if unknown:
            raise TypeError(
                f"{record_type.__name__}: the table {self.name} has no column {unknown[0]}; add it"
                f" to {row_type.__name__} in grid_db/models, and a migration"
            )
        self.codecs: tuple[ColumnCodec, ...] = tuple(
            codec_for(self.name, table.columns[name]) for name in names
        )
        self.columns = ", ".join(codec.name for codec in self.codecs)  # as SQL
        unfilled = [name for name in table.columns.keys() if name not in ("id", *names)]  # noqa: SIM118 - not a dict
        if unfilled:
            raise TypeError(
                f"{record_type.__name__} has no field {unfilled[0]}, which is a column of"
                f" {self.name}; add it to the record in grid_db/records"
            )
        self._nullable = tuple(bool(table.columns[name].nullable) for name in names)

    def _values(self, records: Sequence[Any], user_id: str | None) -> list[Sequence[Any]]:
        owner = [[user_id] * len(records)] if self.owned else []
        return [*owner, *zip(*map(self._row, records), strict=True)]

    def sqlite_rows(self, records: Sequence[Any], user_id: str | None) -> list[tuple[Any, ...]]:
        """Return the records as tuples that sqlite3 binds."""
        columns = encode_for_sqlite(self.codecs, self._values(records, user_id))
        return list(zip(*columns, strict=True))

    def text_columns(
        self, records: Sequence[Any], user_id: str | None
    ) -> list[Sequence[str | None]]:
        """Return the records as one list of PostgreSQL texts per column."""
        return encode_for_copy(self.codecs, self._values(records, user_id))

    def copy_text(self, records: Sequence[Any], user_id: str | None) -> str:
        """Return the records in the text format of COPY."""
        columns = self.text_columns(records, user_id)
        written = [
            _copy_column(column, codec.pg_type == "text", nullable)
            for column, codec, nullable in zip(columns, self.codecs, self._nullable, strict=True)
        ]
        return "\n".join(map("\t".join, zip(*written, strict=True))) + "\n"


def _copy_column(column: Sequence[str | None], free_text: bool, nullable: bool) -> Sequence[str]:
    """Return the texts with what COPY reads as a sign escaped, and None as its NULL.

    `nullable` is what the table says; None elsewhere goes out too, for the database to refuse.
    """
    if free_text:
        together = "".join(filter(None, column))
        if any(sign in together for sign in _COPY_ESCAPES_SIGNS):
            column = [None if text is None else text.translate(_COPY_ESCAPES) for text in column]
    if nullable or None in column:
        return ["\\N" if text is None else text for text in column]
    return cast(Sequence[str], column)
