"""Command line: a local Bybit V5 exchange.

    python -m paper_exchange.main --config conf/paper.yaml

Exit codes: 0 stopped by a signal or after --duration; 1 the configuration, the options, the data
or the state file cannot be used, or the port is taken.
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
    epilog="Example: python -m paper_exchange.main --config conf/paper.yaml --control."
    " More: docs/paper_exchange.md"
)
def paper(
    config: Annotated[
        Path, typer.Option("--config", help="YAML; see conf/paper.yaml and docs/paper_exchange.md.")
    ] = Path("conf/paper.yaml"),
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Instead of the configured one; 0: any.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Of the market; 0: as fast as clients keep up.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of feeds, ids and faults.")] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Serve /control/... to loopback addresses.")
    ] = False,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many seconds.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log to stderr.")] = False,
) -> None:
    """Run a local exchange that speaks Bybit's V5 protocol, until Ctrl-C.

    Exit codes: 0 stopped; 1 the configuration, the options, the data or the state file cannot be
    used, or the port is taken.
    """
    # imported when there is something to do, so that --help answers at once
    from paper_exchange.serving import serve  # noqa: PLC0415

    serve(
        config, port=port, speed=speed, seed=seed, control=control, duration=duration, debug=debug
    )


def _exit_codes() -> ExitCodes:
    from paper_exchange.serving import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(
        "paper_exchange", lambda: app(args=argv, prog_name="paper_exchange"), _exit_codes
    )


if __name__ == "__main__":
    sys.exit(main())
