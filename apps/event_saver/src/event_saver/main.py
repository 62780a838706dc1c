"""Command line: capture market and private streams into the database.

    EVENTSAVER_SYMBOLS=BTCUSDT,ETHUSDT python -m event_saver.main
    python -m event_saver.main --config event_saver.env

Settings: environment variables EVENTSAVER_..., or a file of NAME=value lines; see
conf/event_saver.env.example. Exit codes: 0 stopped by a signal; 1 the settings cannot work (one
sentence says what to change), or the end was not orderly.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grid_service.command import ExitCodes, run_command, typer_app
from grid_service.package_names import names_of

if TYPE_CHECKING:
    from event_saver.accounts.contexts import AccountContext
    from event_saver.saver import EventSaver
    from event_saver.settings.config import EventSaverConfig

__all__ = ["AccountContext", "EventSaver", "EventSaverConfig", "main"]

__getattr__ = names_of(
    __name__,
    {
        "AccountContext": "event_saver.accounts.contexts",
        "EventSaver": "event_saver.saver",
        "EventSaverConfig": "event_saver.settings.config",
    },
)

app = typer_app()


@app.command(
    epilog="Example: EVENTSAVER_SYMBOLS=BTCUSDT,ETHUSDT python -m event_saver.main."
    " More: docs/event_saver.md"
)
def capture(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="File of NAME=value lines; the environment wins over it."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log more.")] = False,
) -> None:
    """Capture trades, tickers and what accounts do into a database, until SIGTERM or Ctrl-C.

    Settings are variables EVENTSAVER_... of the environment, or lines of a file; only
    EVENTSAVER_SYMBOLS has to be given. All of them: conf/event_saver.env.example and
    docs/event_saver.md.

    Exit codes: 0 stopped by a signal; 1 the settings cannot work, or the end was not orderly.
    """
    # imported when there is something to do, so that --help answers at once
    from event_saver.daemon import run_capture  # noqa: PLC0415

    run_capture(config, debug=debug)


def _exit_codes() -> ExitCodes:
    from event_saver.daemon import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("event_saver", lambda: app(args=argv, prog_name="event_saver"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
