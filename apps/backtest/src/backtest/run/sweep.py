"""Many configurations over one loaded data set, on all cores."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backtest.result.session import BacktestSession
from backtest.run.contract import Contract
from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from market_data.columns.ticks import TickColumns

_ARRAYS = ("ts_us", "price_ticks", "size", "side")
_loaded: dict[str, Any] = {}  # what this worker process has loaded


def run_many(
    configs: Sequence[BacktestConfig],
    columns: TickColumns,
    contract: Contract,
    workers: int | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> list[BacktestSession]:
    """Return one session per configuration, in order; the same as one by one.

    The ticks are written once to a temporary folder and memory-mapped by every worker process, so
    they are in memory once, however many workers there are. `workers` is the number of cores
    unless given; 1 runs in this process. `on_done(finished, total)` is called as runs end.
    Raises what a run raises, with the number of the configuration as a note.
    """
    workers = min(workers or os.cpu_count() or 1, len(configs))
    if workers <= 1:
        return _one_by_one(configs, columns, contract, on_done)
    with tempfile.TemporaryDirectory(prefix="backtest-sweep-") as folder:
        _write(Path(folder), columns)
        rest = replace(
            columns,
            **{name: getattr(columns, name)[:0] for name in _ARRAYS},
        )
        with ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_load,
            initargs=(folder, rest, contract),
        ) as pool:
            futures = {pool.submit(_run, config): number for number, config in enumerate(configs)}
            results: dict[int, BacktestSession] = {}
            for future in as_completed(futures):
                number = futures[future]
                try:
                    results[number] = future.result()
                except Exception as error:
                    for waiting in futures:
                        waiting.cancel()
                    error.add_note(f"configuration number {number} of {len(configs)}")
                    raise
                if on_done is not None:
                    on_done(len(results), len(configs))
    return [results[number] for number in range(len(configs))]


def _one_by_one(
    configs: Sequence[BacktestConfig],
    columns: TickColumns,
    contract: Contract,
    on_done: Callable[[int, int], None] | None,
) -> list[BacktestSession]:
    results = []
    for number, config in enumerate(configs):
        try:
            session = run_columns(config, columns, contract)
        except Exception as error:
            error.add_note(f"configuration number {number} of {len(configs)}")
            raise
        results.append(session)
        if on_done is not None:
            on_done(len(results), len(configs))
    return results


def _write(folder: Path, columns: TickColumns) -> None:
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(columns, name))


def _load(folder: str, rest: TickColumns, contract: Contract) -> None:
    arrays = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    _loaded["columns"] = replace(rest, **arrays)
    _loaded["contract"] = contract


def _run(config: BacktestConfig) -> BacktestSession:
    return run_columns(config, _loaded["columns"], _loaded["contract"])
