"""Stores the key pair of an account in the database, encrypted.

    python -m gridbot.credentials --config conf/gridbot.yaml --account main_account [--delete]

Asks for key and secret without showing them; without a terminal it reads them from standard input,
a line each. Never as arguments: those are seen by every user of the machine. Exit codes: 0 done,
1 the configuration, the database or the keys cannot be used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from grid_service.command import ExitCodes, run_command, typer_app

app = typer_app()


@app.command(
    epilog="Example: python -m gridbot.credentials --config conf/gridbot.yaml --account main."
    " More: docs/operating.md"
)
def credentials(
    account: Annotated[str, typer.Option("--account", help="Name of the account.")],
    config: Annotated[Path | None, typer.Option("--config", help="The bot's file.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the stored pair.")] = False,
) -> None:
    """Store the API key and secret of an account, encrypted, or delete them.

    Needs GRIDBOT_SECRET_KEY or GRIDBOT_SECRET_KEY_FILE. Exit codes: 0 done; 1 not done.
    """
    # imported when there is something to do, so that --help answers at once
    from gridbot.key_store import change_keys  # noqa: PLC0415

    change_keys(account, config, delete=delete)


def _exit_codes() -> ExitCodes:
    from gridbot.key_store import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("credentials", lambda: app(args=argv, prog_name="credentials"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
