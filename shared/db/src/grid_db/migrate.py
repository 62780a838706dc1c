"""`python -m grid_db.migrate`: bring the tables to another revision, data kept."""

import argparse
import sys
from collections.abc import Sequence

from grid_db.command_line import add_command, open_database, parser, run


def command_line() -> argparse.ArgumentParser:
    """Return the command line."""
    made = parser(
        "grid_db.migrate",
        "Bring the tables of grid_db to another revision.",
        example=" --database-url sqlite:///gridbot.db upgrade",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = add_command(commands, "upgrade", "apply the revisions up to TARGET, all or none")
    up.add_argument("target", nargs="?", default="head", help="revision (default: the newest)")
    down = add_command(commands, "downgrade", "undo the revisions above TARGET, all or none")
    down.add_argument("target", help="revision to go back to; 'base' removes all tables")
    add_command(commands, "status", "show the revisions and where the tables are")
    return made


def act(args: argparse.Namespace) -> str:
    """Do what the command line says and return a sentence about it. Raises GridDbError."""
    # imported when there is something to do, so that --help answers at once
    from grid_db import revision_actions  # noqa: PLC0415

    with open_database(args.database_url) as database:
        match args.command:
            case "upgrade":
                return revision_actions.upgrade(database, args.target)
            case "downgrade":
                return revision_actions.downgrade(database, args.target)
            case _:
                return revision_actions.status(database)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run("migrate", lambda: command_line().parse_args(argv), act)


if __name__ == "__main__":
    sys.exit(main())
