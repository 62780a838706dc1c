"""Column types that return exactly what they were given, on both databases.

| Python            | SQLite                          | PostgreSQL    |
|-------------------|---------------------------------|---------------|
| Decimal           | TEXT, digits without exponent   | NUMERIC       |
| aware datetime    | BIGINT, microseconds since 1970 | TIMESTAMPTZ   |
| StrEnum           | VARCHAR with a CHECK            | the same      |

SQLite has no decimal type, and its text sorts '10' before '9'. A decimal column therefore refuses
to be compared as it stands; `numeric(column)` compares and sorts by value on both databases.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import TIMESTAMP, BigInteger, Enum, Integer, Numeric, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement, operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine

from grid_db.errors import InvalidValueError
from grid_db.values import (
    checked_decimal,
    checked_utc,
    decimal_text,
    from_timestamp_us,
    timestamp_us,
)

# Every SQLite connection of this library has this collation; see database.py.
DECIMAL_COLLATION = "grid_decimal"

_COMPARISONS = frozenset(
    {
        operators.lt,
        operators.le,
        operators.gt,
        operators.ge,
        operators.eq,
        operators.ne,
        operators.between_op,
        operators.in_op,
        operators.asc_op,
        operators.desc_op,
    }
)


class ExactDecimal(TypeDecorator[Decimal]):
    """A Decimal of any number of digits. Raises InvalidValueError for floats, NaN, infinity."""

    impl = Numeric
    cache_ok = True

    class Comparator(TypeDecorator.Comparator[Decimal]):
        """Refuses what would compare text on SQLite."""

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            """Pass `op` on, or raise InvalidValueError for a comparison by text."""
            if op in _COMPARISONS and not (other and other[0] is None):
                raise InvalidValueError(
                    f"{self.expr} holds exact decimals, which SQLite keeps as text;"
                    " compare and sort numeric(column) instead"
                )
            return super().operate(op, *other, **kwargs)

    comparator_factory = Comparator

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the driver stores."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return decimal_text(value, "a decimal column")
        return checked_decimal(value, "a decimal column")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return the Decimal that was stored."""
        return None if value is None else Decimal(value)


class numeric(ColumnElement[Decimal]):  # noqa: N801 - reads as the SQL function it stands for
    """The value of a decimal column, for comparing and sorting in SQL."""

    inherit_cache = False
    type = Numeric()

    def __init__(self, column: Any) -> None:
        self.column = column


@compiles(numeric)
def _numeric(element: numeric, compiler: SQLCompiler, **kwargs: Any) -> str:
    return compiler.process(element.column, **kwargs)


@compiles(numeric, "sqlite")
def _numeric_sqlite(element: numeric, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"{compiler.process(element.column, **kwargs)} COLLATE {DECIMAL_COLLATION}"


def compare_decimal_texts(left: str, right: str) -> int:
    """Return -1, 0 or 1: the collation that `numeric` uses on SQLite."""
    return int(Decimal(left).compare(Decimal(right)))


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds. Raises InvalidValueError for a naive one."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        sqlite = dialect.name == "sqlite"
        return dialect.type_descriptor(BigInteger() if sqlite else TIMESTAMP(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the driver stores."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return timestamp_us(value, "a time column")
        return checked_utc(value, "a time column")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the instant that was stored, in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return from_timestamp_us(value)
        return checked_utc(value, "a time column")


# Rows of one table per symbol and second outgrow 32 bits; SQLite numbers only INTEGER keys itself.
RowId = BigInteger().with_variant(Integer, "sqlite")


def enum_column(kind: type[StrEnum], name: str) -> Enum:
    """Return a text column for the members of `kind`, checked by the database itself."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )
