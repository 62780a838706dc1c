"""Command line: run a backtest and report it.

    python -m backtest.main --config conf/backtest.yaml
    python -m backtest.main --config conf/backtest.yaml --data FILE... --report out.html

Exit codes: 0 done; 1 the configuration, the options or the data cannot be used; 2 a symbol failed
(the others ran, unless --strict); 130 interrupted.
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
    epilog="Example: python -m backtest.main --config conf/backtest.yaml --report out.html."
    " More: docs/backtest.md"
)
def backtest(
    config: Annotated[
        Path, typer.Option("--config", help="YAML; see conf/backtest.yaml and docs/backtest.md.")
    ] = Path("conf/backtest.yaml"),
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", help="Run this symbol only; may be repeated."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="2025-01-01 or 2025-01-01T12:00:00, UTC.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="A date alone means the whole day.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            help="Trade archives, klines, funding, mark prices, instruments; files or folders."
            " May be repeated, and more files may follow.",
        ),
    ] = None,
    more_data: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", hidden=True)
    ] = None,
    from_store: Annotated[
        bool,
        typer.Option(
            "--from-store",
            help="What `backtest.data` fetched and imported, and not the data that the"
            " configuration names.",
        ),
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Folder for trades, equity and metrics, CSV and Parquet.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="HTML report, one file.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse imperfect data; stop at the first failure.")
    ] = False,
    exact_ticks: Annotated[
        bool, typer.Option("--exact-ticks", help="Walk every tick: slower, the same result.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Symbols at a time, a process each. Default: all cores."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            envvar="HEDGE_GRID_OFFLINE",
            help="Do not ask the exchange for the rules of contracts.",
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log what the strategies decide.")] = False,
) -> None:
    """Simulate the strategies of a configuration on historical data and report the result.

    Exit codes: 0 done; 1 the configuration, the options or the data cannot be used; 2 a symbol
    failed, the others ran; 130 interrupted.
    """
    # imported when there is something to do, so that --help answers at once
    from backtest.reported_run import run_backtest  # noqa: PLC0415

    run_backtest(
        config,
        files=[*(data or ()), *(more_data or ())],
        symbols=symbol,
        start=start,
        end=end,
        from_store=from_store,
        export=export,
        report=report,
        strict=strict,
        exact_ticks=exact_ticks,
        workers=workers,
        offline=offline,
        debug=debug,
    )


def _exit_codes() -> ExitCodes:
    from backtest.reported_run import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command("backtest", lambda: app(args=argv, prog_name="backtest"), _exit_codes)


if __name__ == "__main__":
    sys.exit(main())
