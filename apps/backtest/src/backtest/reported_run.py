"""A backtest from options to report: what it needs found, every symbol run, the result told."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from backtest.places import default_store, rules_cache
from backtest.progress import RunProgress
from backtest.report.export import check_folder, check_page
from backtest.report.reporter import BacktestReporter
from backtest.run.contracts import KnownContracts
from backtest.run.engine import BacktestEngine
from backtest.run.sources import market_files, provider_of, rules_among
from backtest.settings.config import BacktestConfig, DataSettings
from grid_config.yaml_config import ConfigFileError, load_yaml_config
from grid_service.command import ExitCodes
from gridcore.errors import GridcoreError
from market_data.basics.data_errors import DataError
from market_data.basics.paths import Paths, paths_of
from market_data.basics.time_range import TimeRange
from market_data.rules.exchange_look_up import ask_exchange
from market_data.rules.instrument_info import InstrumentInfoProvider

WRONG_START, FAILED = 1, 2

console = Console(emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


class SymbolsFailedError(Exception):
    """Some symbols did not run; each was named on the console."""


class NothingRanError(Exception):
    """No symbol ran; each was named on the console."""


EXIT_CODES: ExitCodes = {
    SymbolsFailedError: FAILED,
    **dict.fromkeys(
        (NothingRanError, ConfigFileError, DataError, GridcoreError, ValueError, OSError),
        WRONG_START,
    ),
}


def run_backtest(
    config: str | Path,
    *,
    files: Paths,
    symbols: Sequence[str] | None,
    start: str | None,
    end: str | None,
    from_store: bool,
    export: str | Path | None,
    report: str | Path | None,
    strict: bool,
    exact_ticks: bool,
    workers: int | None,
    offline: bool,
    debug: bool,
) -> None:
    """Run the strategies of a configuration and report; what is given here counts instead of it.

    Times are ISO texts, UTC. Raises the errors of EXIT_CODES.
    """
    files = paths_of(files)
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.CRITICAL, stream=sys.stderr, format="%(message)s"
    )
    if files and from_store:
        raise ValueError("--data and --from-store: two sources; choose one")
    settings = _settings(
        load_yaml_config(config, BacktestConfig),
        files,
        symbols,
        start,
        end,
        exact_ticks=exact_ticks,
        from_store=from_store,
    )
    export, report = export or settings.report.export, report or settings.report.html
    if export is not None:
        check_folder(export)
    if report is not None:
        check_page(report)
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
        symbol=symbols[0] if symbols and len(symbols) == 1 else None,
        strict=strict,
    )
    with RunProgress(errors) as progress:
        engine = BacktestEngine(settings, contracts=contracts, progress=progress)
        runs = engine.run_multiple_symbols(
            engine.symbols(provider),
            data_provider=provider,
            strict=strict,
            workers=workers or os.cpu_count() or 1,
        )
    reporter = BacktestReporter(runs.sessions, runs.failures)
    # files first: whoever reads only the head of the text still gets them
    if export is not None and runs.sessions:
        reporter.export(export)
    if report is not None and runs.sessions:
        reporter.html(report)
    reporter.print(console)
    for what, where in (("exported to", export), ("report:", report)):
        if where is not None and runs.sessions:
            console.print(f"{what} {where}", markup=False)
    for name, failure in runs.failures.items():
        errors.print(f"backtest: {name}: not run: {failure}")
    if runs.failures:
        raise SymbolsFailedError if runs.sessions else NothingRanError


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
