"""The proof: the bot trades on a local exchange, a backtest of the recording does the same.

    python -m gridbot.prove                      # a made-up market
    python -m gridbot.prove --data TRADES...     # prices of files
    python -m gridbot.prove --racing             # ticks faster than orders arrive

The bot trades over real sockets, everything is recorded, the recorded trades and tickers go through
the backtest with the same strategies, and the comparator compares. In the plain proof the market
leaves an order time to arrive before the next tick, so nothing may differ. In the racing proof it
does not; then every difference has to have a cause.

Exit codes: 0 proven; 3 not; 1 it could not be run.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from grid_service.command import ExitCodes, run_command, typer_app

app = typer_app()


@app.command(epilog="Example: python -m gridbot.prove --fills 100. More: docs/operating.md")
def prove(
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Trades or klines of BTCUSDT and ETHUSDT; may be repeated."),
    ] = None,
    fills: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 500,
    racing: Annotated[
        bool, typer.Option("--racing", help="Ticks come faster than orders arrive.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder of recording and reports.")] = Path(
        "var/prove"
    ),
    seed: Annotated[int, typer.Option(help="Of the made-up market.")] = 1,
) -> None:
    """Trade on a local exchange, backtest the recording, compare.

    Exit codes: 0 proven; 3 not; 1 it could not be run.
    """
    # imported when there is something to do, so that --help answers at once
    from gridbot.proof_run import run_proof  # noqa: PLC0415

    run_proof(data or [], fills=fills, racing=racing, output=output, seed=seed)


def _exit_codes() -> ExitCodes:
    from gridbot.proof_run import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("prove", lambda: app(args=argv, prog_name="prove"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
