"""Command line: the bot.

    python -m gridbot.main --config conf/gridbot.yaml --check
    python -m gridbot.main --config conf/gridbot.yaml

Exit codes: 0 stopped by a signal, a command or after --duration, or --check found nothing wrong;
1 the configuration cannot be used, something of the machine or the account is not as it has to be,
or nothing runs any more; 3 another bot works with the same state folder or status file (and with
--check nothing else is wrong). Nothing was placed if it did not start.
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
    epilog="Example: python -m gridbot.main --config conf/gridbot.yaml --check."
    " More: docs/operating.md"
)
def gridbot(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML; GRIDBOT_CONFIG_PATH, or conf/gridbot.yaml."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Check everything against the exchange, place nothing."),
    ] = False,
    save_events: Annotated[
        bool, typer.Option("--save-events", help="Store tickers and public trades too.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Show a live table in the terminal.")
    ] = False,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many seconds.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log in detail.")] = False,
) -> None:
    """Run the grid strategies of a configuration, until Ctrl-C or SIGTERM.

    Exit codes: 0 stopped, or --check found nothing wrong; 1 the configuration cannot be used,
    something of the machine or an account is not as it has to be, or every strategy was stopped;
    3 another bot works with the same state folder or status file.
    """
    # imported when there is something to do, so that --help answers at once
    from gridbot.bot_run import run_bot  # noqa: PLC0415

    run_bot(config, check=check, save_events=save_events, live=live, duration=duration, debug=debug)


def _exit_codes() -> ExitCodes:
    from gridbot.bot_run import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("gridbot", lambda: app(args=argv, prog_name="gridbot"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
