"""What the commands of this package share: where the database is, and how errors end them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from grid_db.errors import DatabaseConfigError, GridDbError
from grid_service.command import run_command

if TYPE_CHECKING:
    from grid_db.database import DatabaseFactory

FAILED, WRONG_ARGUMENTS = 1, 2
EXIT_CODES = "exit codes: 0 done, 1 the database or its settings do not allow it, 2 wrong arguments"


def parser(module: str, description: str, *, example: str) -> argparse.ArgumentParser:
    """Return a command line with the one option that all commands have.

    `example` is what an example has behind the module's name.
    """
    made = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=f"{EXIT_CODES}. Example: python -m {module}{example}. More: docs/grid_db.md",
    )
    made.add_argument(
        "--database-url",
        metavar="URL",
        help="sqlite:///gridbot.db or postgresql://user:password@host:5432/name; without it the"
        " environment variables GRIDBOT_DATABASE_URL or GRIDBOT_DB_TYPE, _NAME, _HOST, _PORT,"
        " _USER, _PASSWORD decide, and at last sqlite:///gridbot.db",
    )
    return made


def add_command(commands: Any, name: str, sentence: str) -> argparse.ArgumentParser:
    """Add one of several commands, with a sentence for the list of them and for its own help."""
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=sentence, description=sentence[0].upper() + sentence[1:] + "."
    )
    return made


def open_database(url: str | None) -> DatabaseFactory:
    """Return the database that `url`, or else the environment, names. Raises GridDbError."""
    # imported when there is something to do, so that --help answers at once
    from pydantic import SecretStr, ValidationError  # noqa: PLC0415

    from grid_db.database import DatabaseFactory  # noqa: PLC0415
    from grid_db.settings import DatabaseSettings  # noqa: PLC0415

    try:
        if url is None:
            return DatabaseFactory(DatabaseSettings())
        return DatabaseFactory(DatabaseSettings(database_url=SecretStr(url)))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise DatabaseConfigError(f"GRIDBOT_{name}: {first['msg']}") from None


def run(
    name: str,
    parse: Callable[[], argparse.Namespace],
    action: Callable[[argparse.Namespace], str],
) -> int:
    """Print what `action` did with the arguments and return the exit code."""

    def work() -> None:
        print(action(parse()))  # noqa: T201  # a command prints

    return run_command(name, work, lambda: {GridDbError: FAILED}, wrong_usage=WRONG_ARGUMENTS)
