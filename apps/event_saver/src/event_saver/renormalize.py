"""Command line: read private rows anew from their raw JSON, after a mistake in reading them.

    python -m event_saver.renormalize --database-url sqlite:///gridbot.db --user alice --dry-run

Rows keep their account, run and local time; everything else is what the normaliser of this version
makes of the raw JSON. A row whose key would change (another id or time) is reported and left as it
is. Exit codes: 0 done; 1 the settings or the database do not allow it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from grid_service.command import ExitCodes, run_command, typer_app

app = typer_app()


@app.command(
    epilog="Exit codes: 0 done; 1 the settings or the database do not allow it. Example: python -m"
    " event_saver.renormalize --database-url sqlite:///gridbot.db --user alice --dry-run."
    " More: docs/event_saver.md"
)
def renormalize(
    database_url: Annotated[str, typer.Option(help="sqlite:///... or postgresql://...")],
    user: Annotated[str, typer.Option(help="Whose rows.")],
    kind: Annotated[
        list[str] | None, typer.Option(help="executions, orders, positions, wallet; repeatable.")
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="Symbols of positions; needed for those.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="UTC; default 30 days ago.")] = None,
    until: Annotated[str | None, typer.Option(help="UTC; default now.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
) -> None:
    """Read private rows anew from their raw JSON and store what reads differently."""
    # imported when there is something to do, so that --help answers at once
    from event_saver.reading_anew import read_rows_anew  # noqa: PLC0415

    read_rows_anew(
        database_url,
        user,
        kinds=kind,
        symbols=symbol or [],
        since=since,
        until=until,
        dry_run=dry_run,
    )


def _exit_codes() -> ExitCodes:
    from event_saver.reading_anew import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("renormalize", lambda: app(args=argv, prog_name="renormalize"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
