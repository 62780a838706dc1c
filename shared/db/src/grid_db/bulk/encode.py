"""Columns of Python values as the drivers take them.

Values are checked and converted a column at a time, because a call per value would cost more than
the database does. Each function takes the whole column of a batch and refuses it, naming the
column and the value, when one value would not come back as it went in.

Two forms: `sqlite` gives what sqlite3 binds; `copy` gives PostgreSQL's text form, the same for COPY
and for text arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn

from sqlalchemy import BigInteger, Boolean, Column, Enum, Integer, String, Text

from grid_db.errors import InvalidValueError
from grid_db.types import ExactDecimal, UtcTimestamp
from grid_db.values import (
    EPOCH,
    US_PER_DAY,
    US_PER_SECOND,
    checked_utc,
    decimal_text,
    id_text,
    timestamp_us,
)

Values = Sequence[Any]
_INT64 = range(-(2**63), 2**63)
_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class ColumnCodec:
    """How one column of a table is written."""

    name: str
    pg_type: str
    sqlite: Callable[[Values], Values]
    copy: Callable[[Values], Sequence[str | None]]


def _each(check: Callable[[Any, str], Any], what: str) -> Callable[[Values], list[Any]]:
    """Return a converter that calls `check` per value and lets None through."""
    return lambda values: [None if value is None else check(value, what) for value in values]


def _decimals(what: str) -> Callable[[Values], list[Any]]:
    slowly = _each(decimal_text, what)

    def convert(values: Values) -> list[Any]:
        if set(map(type, values)) != {Decimal}:
            return slowly(values)
        texts = list(map(str, values))
        together = "".join(texts)
        # an exponent has an E, NaN an N, Infinity an n
        if "E" in together or "N" in together or "n" in together:
            return slowly(values)
        return texts

    return convert


def _timestamps_us(what: str) -> Callable[[Values], list[Any]]:
    slowly = _each(timestamp_us, what)

    def convert(values: Values) -> list[Any]:
        if set(map(type, values)) != {datetime}:
            return slowly(values)
        try:
            return [
                since.days * US_PER_DAY + since.seconds * US_PER_SECOND + since.microseconds
                for since in [moment - EPOCH for moment in values]
            ]
        except TypeError:  # a naive datetime among them
            return slowly(values)

    return convert


def _timestamp_texts(what: str) -> Callable[[Values], list[Any]]:
    def one(value: Any, what: str) -> str:
        return checked_utc(value, what).isoformat()

    return _each(one, what)


def _booleans(what: str, true: Any, false: Any) -> Callable[[Values], list[Any]]:
    def one(value: Any, what: str) -> Any:
        if not isinstance(value, bool):
            raise InvalidValueError(f"{what} is {value!r}; give True or False")
        return true if value else false

    return _each(one, what)


def _integers(what: str, convert: Callable[[int], Any]) -> Callable[[Values], list[Any]]:
    def one(value: Any, what: str) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
            raise InvalidValueError(f"{what} is {value!r}; give a whole number of 64 bits")
        return convert(value)

    return _each(one, what)


def _words(kind: type[StrEnum], what: str) -> Callable[[Values], list[Any]]:
    known: Mapping[Any, str] = {member: member.value for member in kind}

    def one(value: Any, what: str) -> str:
        if isinstance(value, str) and value in known:
            return known[value]
        raise InvalidValueError(f"{what} is {value!r}; give one of {', '.join(kind)}")

    slowly = _each(one, what)

    def convert(values: Values) -> list[Any]:
        try:
            return list(map(known.__getitem__, values))
        except (KeyError, TypeError):
            return slowly(values)

    return convert


def _ids(what: str) -> Callable[[Values], list[Any]]:
    def convert(values: Values) -> list[Any]:
        texts = {value: None if value is None else id_text(value, what) for value in set(values)}
        return [texts[value] for value in values]

    return convert


def _texts(what: str, length: int | None) -> Callable[[Values], list[Any]]:
    def refuse(value: Any) -> NoReturn:
        raise InvalidValueError(f"{what} is {value!r}; give a text without NUL" + _at_most(length))

    def one(value: Any, _: str) -> str:
        if not isinstance(value, str) or "\0" in value:
            refuse(value)
        if length is not None and len(value) > length:
            refuse(value)
        try:
            value.encode()
        except UnicodeEncodeError:
            refuse(value)
        return str(value)

    slowly = _each(one, what)

    def convert(values: Values) -> list[Any]:
        if set(map(type, values)) != {str}:
            return slowly(values)
        # is ASCII: then nothing in it is a surrogate that UTF-8 has no form for
        together = "".join(values)
        if "\0" in together or not together.isascii():
            return slowly(values)
        if length is not None and max(map(len, values)) > length:
            return slowly(values)
        return list(values)

    return convert


def _at_most(length: int | None) -> str:
    return "" if length is None else f" of at most {length} characters"


def codec_for(table: str, column: Column[Any]) -> ColumnCodec:
    """Return how `column` is written. Raises TypeError for a type this module does not know."""
    what, kind = f"{table}.{column.name}", column.type
    if isinstance(kind, ExactDecimal):
        decimals = _decimals(what)
        return ColumnCodec(column.name, "numeric", decimals, decimals)
    if isinstance(kind, UtcTimestamp):
        return ColumnCodec(column.name, "timestamptz", _timestamps_us(what), _timestamp_texts(what))
    if isinstance(kind, Boolean):
        return ColumnCodec(column.name, "boolean", _booleans(what, 1, 0), _booleans(what, "t", "f"))
    if isinstance(kind, Integer | BigInteger):
        return ColumnCodec(column.name, "bigint", _integers(what, int), _integers(what, str))
    if isinstance(kind, Enum) and kind.enum_class and issubclass(kind.enum_class, StrEnum):
        words = _words(kind.enum_class, what)
        return ColumnCodec(column.name, "varchar", words, words)
    if isinstance(kind, String | Text):
        is_id = kind.length == _UUID_LENGTH
        texts = _ids(what) if is_id else _texts(what, kind.length)
        return ColumnCodec(column.name, "text", texts, texts)
    raise TypeError(f"{what} has the type {kind!r}, which bulk writing does not know")


def encode_for_sqlite(codecs: Sequence[ColumnCodec], columns: Sequence[Values]) -> list[Values]:
    """Return the columns of a batch as sqlite3 binds them. Raises InvalidValueError."""
    return [codec.sqlite(column) for codec, column in zip(codecs, columns, strict=True)]


def encode_for_copy(
    codecs: Sequence[ColumnCodec], columns: Sequence[Values]
) -> list[Sequence[str | None]]:
    """Return the columns of a batch as PostgreSQL's texts. Raises InvalidValueError."""
    return [codec.copy(column) for codec, column in zip(codecs, columns, strict=True)]
