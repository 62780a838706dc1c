"""From configuration and data to a finished session."""

from __future__ import annotations

import gc
import multiprocessing
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING

from backtest.result.metrics import RunTotals, calculate_metrics
from backtest.result.session import (
    BacktestSession,
    DataUsed,
    EquityCurve,
    LegAtEnd,
    PriceLine,
    StrategyOutcome,
)
from backtest.result.thinning import thin_rows
from backtest.result.timeline import Timeline
from backtest.result.track import TrackedValues
from backtest.run.contract import Contract, ContractSource, fit
from backtest.run.contracts import KnownContracts
from backtest.run.simulation import Progress, Simulation
from backtest.run.sources import market_files, provider_of, rules_among
from backtest.settings.config import BacktestConfig, WindDownMode
from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.funding import FundingSimulator
from exchange_model.gateway.runner import BacktestRunner
from gridcore.errors import GridcoreError
from gridcore.plan import plan_grid
from market_data.basics.data_errors import DataError, NoDataError
from market_data.basics.time_range import TimeLike
from market_data.columns.ticks import TickColumns
from market_data.providers.data_provider import HistoricalDataProvider

if TYPE_CHECKING:
    from grid_db import DatabaseFactory

__all__ = ["BacktestEngine", "FundingSimulator", "SymbolRuns", "run_columns"]

US_PER_S = 1_000_000
RECORDS_PER_COLLECTION = 200_000
MOST_SAMPLES = 20_000  # of the equity curve
SAMPLE_INTERVALS_S = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86_400)


@dataclass(frozen=True, slots=True)
class SymbolRuns:
    """Sessions of the symbols that ran, and what kept the others from running, by symbol."""

    sessions: Mapping[str, BacktestSession]
    failures: Mapping[str, Exception]


class WorkerLostError(Exception):
    """A process that ran symbols is gone."""


class BacktestEngine:
    """Runs a configuration on the data of a provider; every run starts clean.

    Several strategies of one symbol share one wallet, each with legs of its own. Symbols are
    simulated apart, each with the whole initial balance.
    """

    def __init__(
        self,
        config: BacktestConfig,
        db: DatabaseFactory | None = None,
        *,
        contracts: ContractSource | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`db` gives the data where neither the configuration nor a run names another source.

        Without `contracts`, rules come from the configuration's files and store, else the data.
        """
        self.config = config
        self.contracts = contracts or KnownContracts(
            *rules_among(market_files(config.instruments)), config.data.store
        )
        self.progress = progress
        self._db = db
        self._provider: HistoricalDataProvider | None = None

    @property
    def data_provider(self) -> HistoricalDataProvider:
        """Return the source of ticks that the configuration names, loaded once for all runs."""
        if self._provider is None:
            self._provider = provider_of(self.config.data, db=self._db)
        return self._provider

    def run(
        self,
        symbol: str,
        start_ts: TimeLike = None,
        end_ts: TimeLike = None,
        data_provider: HistoricalDataProvider | None = None,
    ) -> BacktestSession:
        """Return the session of one symbol. Times left out are those of the configuration.

        Raises DataError for data that is missing or unfit, GridcoreError for settings that no
        strategy can run with.
        """
        provider = data_provider or self.data_provider
        config = self.config
        columns = provider.load(
            symbol,
            config.start if start_ts is None else start_ts,
            config.end if end_ts is None else end_ts,
        )
        return self.run_columns(columns)

    def run_columns(self, columns: TickColumns) -> BacktestSession:
        """Return the session of a loaded data set."""
        contract = self.contracts.contract(columns.symbol, columns)
        return run_columns(self.config, columns, contract, self.progress)

    def run_multiple_symbols(
        self,
        symbols: Sequence[str] | None = None,
        start_ts: TimeLike = None,
        end_ts: TimeLike = None,
        data_provider: HistoricalDataProvider | None = None,
        *,
        strict: bool = False,
        workers: int = 1,
    ) -> SymbolRuns:
        """Run every symbol; one that fails does not keep the others from running.

        Without `symbols`, those of the configuration, else all of the data. With `strict` the
        first failure is raised. With more than one worker, symbols run in that many processes,
        this one among them, and `progress` counts symbols instead of ticks; the results are the
        same. A process that is killed costs the symbol it was at.
        """
        provider = data_provider or self.data_provider
        chosen = list(symbols or self.symbols(provider))
        if workers > 1 and len(chosen) > 1:
            outcomes = self._in_processes(chosen, start_ts, end_ts, provider, workers)
        else:
            outcomes = ((name, self._attempt(name, start_ts, end_ts, provider)) for name in chosen)
        sessions: dict[str, BacktestSession] = {}
        failures: dict[str, Exception] = {}
        for symbol, outcome in outcomes:
            if isinstance(outcome, BacktestSession):
                sessions[symbol] = outcome
            elif strict:
                raise outcome
            else:
                failures[symbol] = outcome
        return SymbolRuns(sessions, failures)

    def _attempt(
        self, symbol: str, start: TimeLike, end: TimeLike, provider: HistoricalDataProvider
    ) -> BacktestSession | Exception:
        try:
            return self.run(symbol, start, end, provider)
        except (DataError, GridcoreError, ValueError) as error:
            return error

    def _in_processes(
        self,
        symbols: Sequence[str],
        start: TimeLike,
        end: TimeLike,
        provider: HistoricalDataProvider,
        workers: int,
    ) -> Iterator[tuple[str, BacktestSession | Exception]]:
        """Yield what became of each symbol, in order. This process is one of the workers."""
        # a fresh process has no locks of threads that are not there
        context = multiprocessing.get_context("spawn")
        worker = BacktestEngine(self.config, contracts=self.contracts)
        waiting = deque(symbols)
        found: dict[str, BacktestSession | Exception] = {}
        one_at_a_time = Lock()

        def elsewhere(symbol: str) -> BacktestSession | Exception:
            try:
                return pool.submit(worker._attempt, symbol, start, end, provider).result()
            except BrokenProcessPool:
                return WorkerLostError(
                    "the process that ran it was ended from outside, perhaps for want of memory;"
                    " try fewer --workers"
                )

        def here(symbol: str) -> BacktestSession | Exception:
            return worker._attempt(symbol, start, end, provider)

        def work_through(attempt: Callable[[str], BacktestSession | Exception]) -> None:
            try:
                while True:
                    with one_at_a_time:
                        if not waiting:
                            return
                        symbol = waiting.popleft()
                    outcome = attempt(symbol)
                    with one_at_a_time:
                        found[symbol] = outcome
                        if self.progress is not None:
                            self.progress(len(found), len(symbols))
                    if isinstance(outcome, WorkerLostError):
                        return  # the others are left to this process
            except BaseException:
                waiting.clear()  # nobody begins another one
                raise

        others = min(workers, len(symbols)) - 1
        with (
            ProcessPoolExecutor(others, mp_context=context) as pool,
            ThreadPoolExecutor(others) as threads,
        ):
            waited_for = [threads.submit(work_through, elsewhere) for _ in range(others)]
            work_through(here)
            for future in waited_for:
                future.result()
        for symbol in symbols:
            yield symbol, found[symbol]

    def symbols(self, provider: HistoricalDataProvider) -> list[str]:
        """Return the symbols that the configuration and the data call for."""
        if self.config.symbols:
            return list(self.config.symbols)
        named = [one.symbol for one in self.config.strategies]
        known = provider.symbols()
        if None in named:
            return known
        return sorted({symbol for symbol in named if symbol is not None})


def run_columns(
    config: BacktestConfig,
    columns: TickColumns,
    contract: Contract,
    progress: Progress | None = None,
) -> BacktestSession:
    """Simulate the strategies of a configuration on one symbol's ticks.

    Raises NoDataError for no ticks, ValueError when no strategy is for the symbol, and what
    `contract.fit` and the strategies raise.
    """
    symbol = columns.symbol
    chosen = config.strategies_of(symbol)
    if not chosen:
        named = ", ".join(sorted({one.symbol or "" for one in config.strategies}))
        raise ValueError(f"{symbol}: no strategy is for it; there are strategies for {named}")
    if not len(columns):
        raise NoDataError(f"{symbol}: the data holds no tick")
    columns, contract = fit(columns, contract, chosen)
    fingerprint = _fingerprint(columns)
    started = time.perf_counter()
    account = SimulatedAccount(config.initial_balance, config.fees)
    runners = []
    for one in chosen:
        strategy = one.to_strategy(contract.instrument)
        pair = account.add_pair(one.strat_id, symbol, one.leverage, contract.tiers)
        model = config.new_fill_model(contract.instrument)
        latency_us = config.latency_ms * 1000
        runners.append(BacktestRunner(strategy, account, pair, model, latency_us, contract.limits))
    funding = _funding(config, columns, contract)
    simulation = Simulation(account, runners, Timeline(columns), funding, progress)
    with _rare_collections():
        if config.exact_ticks:
            simulation.run_exact()
        else:
            simulation.run_jumping()
        if config.wind_down is WindDownMode.CLOSE_ALL:
            simulation.close_all()
        return _session(config, contract, simulation, funding, fingerprint, started)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for reference cycles rarely: a run makes records by the thousand, and no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(RECORDS_PER_COLLECTION, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@lru_cache(maxsize=1)
def _fingerprint(columns: TickColumns) -> str:
    return columns.fingerprint()


def _funding(config: BacktestConfig, columns: TickColumns, contract: Contract) -> FundingSimulator:
    settings = config.funding
    hours = settings.interval_hours
    return FundingSimulator(
        columns.funding if settings.use_history else None,
        settings.rate,
        contract.funding_interval_min if hours is None else hours * 60,
    )


def _session(
    config: BacktestConfig,
    contract: Contract,
    simulation: Simulation,
    funding: FundingSimulator,
    fingerprint: str,
    started: float,
) -> BacktestSession:
    account, timeline, columns = (
        simulation.account,
        simulation.timeline,
        simulation.timeline.columns,
    )
    values = TrackedValues(simulation.track.states, timeline, columns.tick_size)
    final_price = values.price(len(timeline) - 1)
    outcomes = tuple(_outcome(runner) for runner in simulation.runners)
    first_us, last_us = int(timeline.ts_us[0]), int(timeline.ts_us[-1])
    interval_us = _sample_interval_us(config, last_us - first_us)
    times, equity = values.sample(interval_us)
    final_equity = values.states[-1].equity(final_price)
    trades = sorted((t for outcome in outcomes for t in outcome.trades), key=lambda t: t.ts_us)
    totals = RunTotals(
        config.initial_balance,
        account.wallet,
        final_equity,
        account.realised_pnl,
        account.fees_paid,
        account.funding_paid,
    )
    metrics = calculate_metrics(trades, totals, values, config.ratio_interval_s * US_PER_S)
    elapsed = time.perf_counter() - started
    return BacktestSession(
        symbol=columns.symbol,
        strategies=outcomes,
        initial_balance=config.initial_balance,
        final_wallet=account.wallet,
        final_equity=final_equity,
        realised_pnl=account.realised_pnl,
        commission=account.fees_paid,
        funding_paid=account.funding_paid,
        equity=EquityCurve(tuple(times), tuple(equity), interval_us),
        metrics=metrics,
        liquidation=simulation.liquidation,
        data=DataUsed(
            rows=len(columns),
            tickers=len(columns.tickers) if columns.tickers is not None else 0,
            first_ts_us=first_us,
            last_ts_us=last_us,
            tick_size=columns.tick_size,
            quality=columns.quality,
            fingerprint=fingerprint,
        ),
        rules=contract.source,
        unchecked=contract.limits.not_known(),
        funding=funding.describe(),
        warnings=(
            *_warnings(contract, simulation, columns),
            *_enlarged_orders(config, contract, values.price(0)),
        ),
        settings=config.for_report(),
        versions=_versions(),
        mode="exact-ticks" if config.exact_ticks else "jumping",
        visits=simulation.visits,
        elapsed_s=elapsed,
        states=tuple(simulation.track.states),
        price_line=_price_line(timeline),
    )


def _price_line(timeline: Timeline) -> PriceLine:
    rows = thin_rows(timeline.price_ticks)
    return PriceLine(
        tuple(timeline.ts_us[rows].tolist()), tuple(timeline.price_ticks[rows].tolist())
    )


def _outcome(runner: BacktestRunner) -> StrategyOutcome:
    long, short = (
        LegAtEnd(leg.size, leg.entry_price, leg.unrealised_pnl(runner.pair.mark()))
        for leg in (runner.pair.long, runner.pair.short)
    )
    return StrategyOutcome(
        strat_id=runner.config.strat_id,
        config=runner.config,
        trades=tuple(runner.trades),
        funding=tuple(runner.funding),
        orders_placed=runner.executor.placed,
        orders_cancelled=runner.executor.cancelled,
        orders_rejected=runner.executor.rejected,
        long=long,
        short=short,
        grid_prices=tuple(level.price for level in runner.strategy.view.levels),
        trips=dict(runner.strategy.trips),
    )


def _sample_interval_us(config: BacktestConfig, span_us: int) -> int:
    if config.equity_interval_s is not None:
        return config.equity_interval_s * US_PER_S
    for seconds in SAMPLE_INTERVALS_S:
        if span_us <= seconds * US_PER_S * MOST_SAMPLES:
            return seconds * US_PER_S
    return SAMPLE_INTERVALS_S[-1] * US_PER_S


def _warnings(contract: Contract, simulation: Simulation, columns: TickColumns) -> tuple[str, ...]:
    found = list(contract.warnings)
    found.extend(columns.quality.faults())
    if columns.quality.approximation:
        found.append(f"ticks are an approximation: {columns.quality.approximation}")
    for runner in simulation.runners:
        found.extend(
            f"{runner.config.strat_id} at the end: {reason}"
            for reason in runner.strategy.trips.values()
        )
    return tuple(found)


def _enlarged_orders(
    config: BacktestConfig, contract: Contract, first_price: Decimal
) -> Iterator[str]:
    """Tell of strategies whose orders are not what was asked for, by the first grid."""
    for one in config.strategies_of(contract.instrument.symbol):
        strategy = one.to_strategy(contract.instrument)
        plan = plan_grid(strategy, first_price, config.initial_balance)
        if plan.is_enlarged(one.max_amount_factor):
            yield f"{one.strat_id}: {plan.enlarged_text(one.max_amount_factor)}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("backtest", "gridcore", "numpy"):
        found[name] = version(name)
    return found
