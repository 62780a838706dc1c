"""Runs the revisions on the connection that the caller opened; see grid_db.migrate."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Enum

from grid_db.models import Base
from grid_db.schema import is_of_models
from grid_db.types import ExactDecimal, UtcTimestamp


def _render(kind: str, value: Any, _: AutogenContext) -> str | Literal[False]:
    """Write our column types by the names that script.py.mako imports."""
    if kind == "type" and isinstance(value, ExactDecimal):
        return "types.ExactDecimal()"
    if kind == "type" and isinstance(value, UtcTimestamp):
        return "types.UtcTimestamp()"
    if kind == "type" and isinstance(value, Enum):
        words = ", ".join(repr(word) for word in value.enums)
        return f"types.words({value.name!r}, {words})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_item=_render,
    render_as_batch=True,
    compare_type=True,
    include_object=is_of_models,
)
# the caller's transaction covers all revisions at once, see schema.whole_transaction
context.run_migrations()
