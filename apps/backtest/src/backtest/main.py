"""Command line: run a backtest and report it.

    python -m backtest.main --config conf/backtest.yaml
    python -m backtest.main --config conf/backtest.yaml --data FILE... --report out.html

Exit codes: 0 done; 1 the configuration, the options or the data cannot be used; 2 a symbol failed
(the others ran, unless --strict); 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from backtest.data import default_store, rules_cache
from backtest.progress import RunProgress
from backtest.run.contracts import KnownContracts
from backtest.run.engine import BacktestEngine
from backtest.run.sources import market_files, provider_of, rules_among
from backtest.settings.config import BacktestConfig, DataSettings
from grid_config.yaml_config import ConfigFileError, load_yaml_config
from gridcore.errors import GridcoreError
from market_data.basics.data_errors import DataError
from market_data.basics.time_range import TimeRange
from market_data.rules.exchange_look_up import ask_exchange
from market_data.rules.instrument_info import InstrumentInfoProvider

DONE, WRONG_START, FAILED, INTERRUPTED = 0, 1, 2, 130


class SymbolsFailedError(Exception):
    """Some symbols did not run; each was named on the console."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console(emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


@app.command()
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
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.CRITICAL, stream=sys.stderr, format="%(message)s"
    )
    files = [*(data or ()), *(more_data or ())]
    if files and from_store:
        raise ValueError("--data and --from-store: two sources; choose one")
    settings = _settings(
        load_yaml_config(config, BacktestConfig),
        files,
        symbol,
        start,
        end,
        exact_ticks=exact_ticks,
        from_store=from_store,
    )
    # paths of a configuration are meant from where the command runs, as in the shell
    store = settings.data.store or default_store()
    paths = market_files([*settings.data.files, *settings.instruments])
    look_up = None if offline else ask_exchange
    contracts = KnownContracts(
        *rules_among(paths), store, InstrumentInfoProvider(rules_cache(), look_up)
    )
    provider = provider_of(
        settings.data,
        default_store=store,
        symbol=symbol[0] if symbol and len(symbol) == 1 else None,
        strict=strict,
    )
    with RunProgress(errors) as progress:
        engine = BacktestEngine(settings, contracts=contracts, progress=progress)
        symbols = engine.symbols(provider)
        runs = engine.run_multiple_symbols(
            symbols,
            data_provider=provider,
            strict=strict,
            workers=workers or os.cpu_count() or 1,
        )
    # worker processes import this module too, and draw nothing
    from backtest.report.reporter import BacktestReporter  # noqa: PLC0415

    reporter = BacktestReporter(runs.sessions, runs.failures)
    # files first: whoever reads only the head of the text still gets them
    export = export or settings.report.export
    if export is not None and runs.sessions:
        reporter.export(export)
    report = report or settings.report.html
    if report is not None and runs.sessions:
        reporter.html(report)
    reporter.print(console)
    for what, where in (("exported to", export), ("report:", report)):
        if where is not None and runs.sessions:
            console.print(f"{what} {where}", markup=False)
    for name, failure in runs.failures.items():
        errors.print(f"backtest: {name}: not run: {failure}")
    if runs.failures:
        raise SymbolsFailedError(FAILED if runs.sessions else WRONG_START)


def _settings(
    config: BacktestConfig,
    files: Sequence[Path],
    symbols: Sequence[str] | None,
    start: str | None,
    end: str | None,
    *,
    exact_ticks: bool,
    from_store: bool,
) -> BacktestConfig:
    """Return the configuration with what the command line says instead."""
    changes: dict[str, Any] = {}
    if files:
        changes["data"] = DataSettings(files=tuple(files))
    if from_store:
        changes["data"] = DataSettings(store=config.data.store)
    if symbols:
        changes["symbols"] = tuple(symbols)
    if start is not None:
        changes["start"] = start
    if end is not None:
        changes["end"] = end
    if exact_ticks:
        changes["exact_ticks"] = True
    TimeRange.parse(changes.get("start", config.start), changes.get("end", config.end))
    return config.model_copy(update=changes)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        app(args=None if argv is None else list(argv), prog_name="backtest")
    except SymbolsFailedError as failed:
        return failed.exit_code
    except (ConfigFileError, DataError, GridcoreError, ValueError) as error:
        for line in str(error).splitlines():
            errors.print(f"backtest: {line}")
        return WRONG_START
    except SystemExit as stopped:
        # complaints about options leave with 2, which means something else here
        return stopped.code if stopped.code in (DONE, INTERRUPTED) else WRONG_START
    return DONE


if __name__ == "__main__":
    sys.exit(main())
