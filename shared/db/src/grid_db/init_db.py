"""`python -m grid_db.init_db`: create the tables of a new database; harmless where they exist."""

import argparse
import sys
from collections.abc import Sequence

from grid_db.command_line import open_database, parser, run


def command_line() -> argparse.ArgumentParser:
    """Return the command line."""
    return parser(
        "grid_db.init_db",
        "Create all tables of grid_db. Twice is harmless.",
        example=" --database-url sqlite:///gridbot.db",
    )


def initialise(args: argparse.Namespace) -> str:
    """Create what is missing and return a sentence about it. Raises GridDbError."""
    with open_database(args.database_url) as database:
        made = database.create_tables()
        where = f"{database.redacted_url} (revision {made.revision})"
    if made.tables:
        return f"created {len(made.tables)} tables in {where}: {', '.join(made.tables)}"
    return f"nothing to do: all {made.total} tables are in {where}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run("init_db", lambda: command_line().parse_args(argv), initialise)


if __name__ == "__main__":
    sys.exit(main())
