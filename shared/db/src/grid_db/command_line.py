"""What the commands of this package share: where the database is, and how errors end them."""

import argparse
import sys
from collections.abc import Callable

from pydantic import SecretStr, ValidationError

from grid_db.database import DatabaseFactory
from grid_db.errors import DatabaseConfigError, GridDbError
from grid_db.settings import DatabaseSettings

EXIT_CODES = "exit codes: 0 done, 1 the database or its settings do not allow it, 2 wrong arguments"


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """Return a command line with the one option that all commands have."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, epilog=EXIT_CODES
    )
    made.add_argument(
        "--database-url",
        metavar="URL",
        help="sqlite:///gridbot.db or postgresql://user:password@host:5432/name; without it the"
        " environment variables GRIDBOT_DATABASE_URL or GRIDBOT_DB_TYPE, _NAME, _HOST, _PORT,"
        " _USER, _PASSWORD decide, and at last sqlite:///gridbot.db",
    )
    return made


def open_database(url: str | None) -> DatabaseFactory:
    """Return the database that `url`, or else the environment, names."""
    try:
        if url is None:
            return DatabaseFactory(DatabaseSettings())
        return DatabaseFactory(DatabaseSettings(database_url=SecretStr(url)))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise DatabaseConfigError(f"GRIDBOT_{name}: {first['msg']}") from None


def run(name: str, action: Callable[[], str]) -> int:
    """Print what `action` did and return the exit code; errors become one sentence."""
    try:
        print(action())  # noqa: T201  # a command prints
    except GridDbError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
