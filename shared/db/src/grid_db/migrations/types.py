"""Column types as revisions write them."""

import sqlalchemy as sa

from grid_db.types import ExactDecimal, UtcTimestamp

__all__ = ["ExactDecimal", "UtcTimestamp", "row_id", "words"]


def row_id() -> sa.types.TypeEngine[int]:
    """Return the type of a row number."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def words(name: str, *values: str) -> sa.Enum:
    """Return a text column that takes only `values`."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)
