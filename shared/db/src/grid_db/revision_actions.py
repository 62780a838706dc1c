"""What `python -m grid_db.migrate` does, and what it says about it."""

from collections.abc import Sequence

from grid_db.database import DatabaseFactory
from grid_db.migrations import runner
from grid_db.schema import current_revision


def upgrade(database: DatabaseFactory, target: str) -> str:
    """Apply revisions and return what was applied."""
    done = runner.upgrade(database, target)
    if not done:
        return f"nothing to do: {database.redacted_url} is at revision {_current(database)}"
    return _lines(f"upgraded {database.redacted_url}", done)


def downgrade(database: DatabaseFactory, target: str) -> str:
    """Undo revisions and return what was undone."""
    done = runner.downgrade(database, target)
    if not done:
        return f"nothing to do: {database.redacted_url} is at revision {_current(database)}"
    return _lines(f"downgraded {database.redacted_url}", done)


def status(database: DatabaseFactory) -> str:
    """Return all revisions, the present one marked, and where the tables depart from it."""
    current = _current(database)
    lines = [f"{database.redacted_url} is at revision {current or 'none: there are no tables'}"]
    lines += [
        f"{'->' if step.id == current else '  '} {step.id}  {step.title}"
        for step in runner.revisions()
    ]
    if current == runner.revisions()[-1].id:
        lines += [f"differs: {line}" for line in runner.differences(database)]
    return "\n".join(lines)


def _current(database: DatabaseFactory) -> str | None:
    with database.looking() as connection:
        return current_revision(connection)


def _lines(title: str, done: Sequence[runner.Revision]) -> str:
    return "\n".join([f"{title}:", *(f"   {step.id}  {step.title}" for step in done)])
