"""Up, down and which: Alembic's commands inside one transaction of ours."""

from dataclasses import dataclass

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from grid_db.database import DatabaseFactory
from grid_db.errors import SchemaError
from grid_db.models import Base
from grid_db.schema import alembic_config, current_revision, is_of_models, our_tables


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema."""

    id: str
    title: str


def revisions() -> list[Revision]:
    """Return all revisions, the first one first."""
    scripts = ScriptDirectory.from_config(alembic_config())
    steps = [
        Revision(script.revision, (script.doc or "").splitlines()[0].rstrip("."))
        for script in scripts.walk_revisions()
    ]
    return steps[::-1]


def upgrade(database: DatabaseFactory, target: str = "head") -> list[Revision]:
    """Apply the revisions up to `target`; return those applied now.

    All of them take effect together, or none. Raises SchemaError for an unknown revision and for
    tables that carry none, and the errors of the database as this library's own.
    """
    with database.transaction() as connection:
        before = current_revision(connection)
        if before is None and our_tables(connection):
            raise SchemaError(
                f"there are tables named like this library's ({', '.join(our_tables(connection))})"
                " that carry no revision; name an empty database, or drop them"
            )
        _run(connection, command.upgrade, target)
        return _between(before, current_revision(connection))


def downgrade(database: DatabaseFactory, target: str) -> list[Revision]:
    """Undo the revisions above `target` ('base' for all); return those undone, newest first."""
    with database.transaction() as connection:
        before = current_revision(connection)
        _run(connection, command.downgrade, target)
        return _between(current_revision(connection), before)[::-1]


def differences(database: DatabaseFactory) -> list[str]:
    """Return where the tables depart from this program's models, a line each."""
    with database.looking() as connection:
        options = {"compare_type": True, "include_object": is_of_models}
        context = MigrationContext.configure(connection, opts=options)
        return [repr(change) for change in compare_metadata(context, Base.metadata)]


def _run(connection: Connection, action: object, target: str) -> None:
    try:
        action(alembic_config(connection), target)  # type: ignore[operator]  # one of Alembic's two commands
    except CommandError as error:
        known = ", ".join(step.id for step in revisions())
        raise SchemaError(
            f"cannot go to revision {target!r}: {error}; known are {known}"
        ) from error


def _between(low: str | None, high: str | None) -> list[Revision]:
    """Return the revisions above `low` up to `high`, the first one first."""
    steps = revisions()
    ids = [step.id for step in steps]
    first = 0 if low is None else ids.index(low) + 1
    last = 0 if high is None else ids.index(high) + 1
    return steps[first:last]
