"""Command line: compare a live run with a backtest of it.

    python -m comparator.main --run-id ID --backtest-trades var/backtest/BTCUSDT/trades.csv
    python -m comparator.main --run-id ID --backtest-config conf/backtest.yaml --symbol BTCUSDT

Exit codes: 0 within tolerance; 3 beyond it; 1 the options, the run or the files cannot be compared;
2 the comparison itself failed; 130 interrupted.
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
    epilog="Example: python -m comparator.main --run-id ID --backtest-config conf/backtest.yaml"
    " --symbol BTCUSDT. More: docs/comparator.md"
)
def comparator(
    run_id: Annotated[str, typer.Option("--run-id", help="The live run, a UUID.")],
    start: Annotated[
        str | None, typer.Option(help="2025-01-01 or 2025-01-01T12:00:00, UTC. Default: the run's.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="A date alone means the whole day. Default: the run's.")
    ] = None,
    backtest_trades: Annotated[
        Path | None,
        typer.Option("--backtest-trades", help="trades.csv or trades.parquet of an export."),
    ] = None,
    backtest_config: Annotated[
        Path | None,
        typer.Option(
            "--backtest-config",
            help="Run this backtest first, on the recorded market unless it names other data.",
        ),
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", help="Only this one; may be repeated. A configuration needs it."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", help="Of the recording; else the environment decides."),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="Whose run; needed where there are several users.")
    ] = None,
    backtest_equity: Annotated[
        Path | None,
        typer.Option("--backtest-equity", help="equity.csv of the export; else the file beside."),
    ] = None,
    coin: Annotated[str, typer.Option(help="Of the wallet whose equity is compared.")] = "USDT",
    output: Annotated[
        Path | None, typer.Option(help="Folder for the CSV files and report.html.")
    ] = None,
    price_tolerance: Annotated[
        str, typer.Option("--price-tolerance", help="USDT per base coin.")
    ] = "0",
    qty_tolerance: Annotated[str, typer.Option("--qty-tolerance", help="Base coin.")] = "0",
    fee_tolerance: Annotated[
        str,
        typer.Option("--fee-tolerance", help="USDT per trade; 0.00000001 where fees are rounded."),
    ] = "0",
    debug: Annotated[bool, typer.Option("--debug", help="Log what the strategies decide.")] = False,
) -> None:
    """Compare what a run traded live with a backtest of the same time.

    Exit codes: 0 within tolerance; 3 beyond it; 1 the options, the run or the files cannot be
    compared; 2 the comparison itself failed; 130 interrupted.
    """
    # imported when there is something to do, so that --help answers at once
    from comparator.verdict import compare  # noqa: PLC0415

    compare(
        run_id=run_id,
        start=start,
        end=end,
        backtest_trades=backtest_trades,
        backtest_config=backtest_config,
        symbol=symbol,
        database_url=database_url,
        user=user,
        backtest_equity=backtest_equity,
        coin=coin,
        output=output,
        price_tolerance=price_tolerance,
        qty_tolerance=qty_tolerance,
        fee_tolerance=fee_tolerance,
        debug=debug,
    )


def _exit_codes() -> ExitCodes:
    from comparator.verdict import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("comparator", lambda: app(args=argv, prog_name="comparator"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
