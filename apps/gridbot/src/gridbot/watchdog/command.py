"""Takes the opening orders away when the bot is silent for too long.

    python -m gridbot.watchdog --config conf/gridbot.yaml [--once]

A small process of its own that reads the bot's status file and does nothing to a strategy that the
bot looks after by a fresh heartbeat. Exit codes: 0 stopped by a signal, or with --once: nothing was
to be done, or it was done; 1 the configuration cannot be used; 2 with --once: there is no heartbeat
to read, or it does not list a strategy, or an order could not be cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from grid_service.command import ExitCodes, run_command, typer_app

app = typer_app()


@app.command(
    epilog="Example: python -m gridbot.watchdog --config conf/gridbot.yaml --once."
    " More: docs/operating.md"
)
def watchdog(
    config: Annotated[
        Path | None, typer.Option("--config", help="The bot's own configuration.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Judge once, act, and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log more.")] = False,
) -> None:
    """Cancel opening orders that the bot does not look after any more; closing orders stay.

    Exit codes: 0 stopped, or with --once nothing was to be done or it was done; 1 the
    configuration cannot be used; 2 with --once: no heartbeat to read, a strategy that it does not
    list, or an order could not be cancelled.
    """
    # imported when there is something to do, so that --help answers at once
    from gridbot.watchdog.watchdog import watch  # noqa: PLC0415

    watch(config, once=once, debug=debug)


def _exit_codes() -> ExitCodes:
    from gridbot.watchdog.watchdog import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("watchdog", lambda: app(args=argv, prog_name="watchdog"), _exit_codes)
