"""`python -m grid_db.migrate`: bring the tables to another revision, data kept."""

import argparse
import sys
from collections.abc import Sequence

from grid_db.command_line import open_database, parser, run
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


def command_line() -> argparse.ArgumentParser:
    """Return the command line."""
    made = parser("grid_db.migrate", "Bring the tables of grid_db to another revision.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("upgrade", help="apply the revisions up to TARGET, all or none")
    up.add_argument("target", nargs="?", default="head", help="revision (default: the newest)")
    down = commands.add_parser("downgrade", help="undo the revisions above TARGET, all or none")
    down.add_argument("target", help="revision to go back to; 'base' removes all tables")
    commands.add_parser("status", help="show the revisions and where the tables are")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = command_line().parse_args(argv)

    def action() -> str:
        with open_database(args.database_url) as database:
            match args.command:
                case "upgrade":
                    return upgrade(database, args.target)
                case "downgrade":
                    return downgrade(database, args.target)
                case _:
                    return status(database)

    return run("migrate", action)


if __name__ == "__main__":
    sys.exit(main())
