"""The proof at work: the bot trades and is recorded, the recording is simulated, both compared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.orm import Session

from backtest.run.engine import BacktestEngine
from backtest.settings.config import BacktestConfig
from comparator.columns.errors import ComparatorError
from comparator.comparison import Comparison
from comparator.recorded_run import LiveRun, compare_run, find_run
from comparator.report.reporter import ComparatorReporter
from comparator.sources import of_sessions
from event_saver.spool.spool import SpoolError
from grid_db import DatabaseFactory, DatabaseSettings, GridDbError, TenantScope
from grid_service.command import ExitCodes
from grid_service.redaction import Redactor
from gridbot.orchestrator import Orchestrator, StartError
from gridbot.proof.prices import STEP_PCT, made_up_prices, real_prices, write_archive
from gridbot.settings.config import GridbotConfig
from gridcore.errors import GridcoreError
from gridcore.moments import moment
from market_data.basics.data_errors import DataError
from market_data.basics.paths import Paths, paths_of
from market_data.providers.database_provider import DatabaseDataProvider
from market_data.rules.instrument_info import default_rules
from paper_exchange.host.server import PortInUseError
from paper_exchange.runtime import PaperRuntime

FAILED, NOT_PROVEN = 1, 3
SYMBOLS = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}
ZERO = Decimal(0)
DEPOSIT = Decimal(10_000)
SLOW_MS, RACING_MS = 400, 100
MOST_TICKS = 20_000
SETTLE_S = 2.0

console = Console(emoji=False, highlight=False, soft_wrap=True)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


class NotProvenError(Exception):
    """Backtest and live differ; the report says where."""


EXIT_CODES: ExitCodes = {
    NotProvenError: NOT_PROVEN,
    **dict.fromkeys(
        (
            StartError, DataError, ComparatorError, GridDbError, GridcoreError, SpoolError,
            PortInUseError, ValueError, OSError,
        ),
        FAILED,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traded:
    """What the live part left: where it is recorded, and the run of each symbol."""

    database_url: SecretStr
    user_id: str
    runs: dict[str, str]
    fills: int
    seconds: float


def run_proof(data: Paths, *, fills: int, racing: bool, output: str | Path, seed: int) -> None:
    """Trade until there are `fills`, simulate the recording, compare, and say what came of it.

    Prices are those of the files, or made up from the seed. Raises the errors of EXIT_CODES.
    """
    output = Path(output)
    logging.basicConfig(level=logging.CRITICAL)
    folder = output / ("racing" if racing else "exact")
    _empty(folder)
    markets = _markets(folder, paths_of(data), racing=racing, seed=seed)
    config = _config(folder, markets, racing=racing)
    traded = asyncio.run(_trade(config, fills))
    console.print(
        f"{traded.fills} fills in {traded.seconds:.0f} s, recorded in"
        f" {folder / 'recording.db'}; now the backtest of the recording"
    )
    comparisons = _compare(config, traded)
    for symbol, one in comparisons.items():
        ComparatorReporter(one.comparison).export(folder / symbol)
        ComparatorReporter(one.comparison).html(folder / symbol / "report.html")
    _conclude(comparisons, folder, racing=racing)


def _empty(folder: Path) -> None:
    """Begin with an empty recording: an older one would be part of the comparison."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("recording.db*"):
        old.unlink()
    for old in sorted((folder / "state").glob("**/*"), reverse=True):
        old.rmdir() if old.is_dir() else old.unlink()


class ProofMarket(NamedTuple):
    """Prices of one symbol in an archive's form, and the grid step in percent that suits them."""

    path: Path
    step_pct: Decimal


def _markets(
    folder: Path, data: Sequence[Path], *, racing: bool, seed: int
) -> dict[str, ProofMarket]:
    found = {}
    for number, (symbol, start) in enumerate(SYMBOLS.items()):
        rules = default_rules(symbol)
        if rules is None:
            raise StartError(f"{symbol}: its rules are not known")
        if data:
            named = [one for one in data if symbol in one.name] or list(data)
            prices, step_pct = real_prices(named, symbol)
        else:
            prices = made_up_prices(start, rules.instrument.tick_size, seed + number)
            step_pct = STEP_PCT
        if len(prices) < 3:
            raise StartError(f"{symbol}: the files move too little for a proof")
        path = folder / "prices" / f"{symbol}.csv"
        found[symbol] = ProofMarket(path, step_pct)
        write_archive(path, symbol, prices, RACING_MS if racing else SLOW_MS, MOST_TICKS)
    return found


def _config(folder: Path, markets: dict[str, ProofMarket], *, racing: bool) -> GridbotConfig:
    strategies: list[dict[str, Any]] = []
    for symbol, market in markets.items():
        rules = default_rules(symbol)
        strategies.append(
            {
                "strat_id": f"prove_{symbol.lower()}",
                "account": symbol.lower(),
                "symbol": symbol,
                "tick_size": None if rules is None else str(rules.instrument.tick_size),
                "grid_count": 20,
                "grid_step": str(market.step_pct),
                "amount": "x0.01",
                "leverage": "10",
            }
        )
    return GridbotConfig.model_validate(
        {
            "accounts": [
                {
                    "name": one.lower(),
                    "environment": "paper",
                    "api_key": f"{one.lower()}-key",
                    "api_secret": f"{one.lower()}-secret",
                }
                for one in markets
            ],
            "strategies": strategies,
            "database_url": f"sqlite:///{folder / 'recording.db'}",
            "save_events": True,
            "status_path": str(folder / "status.json"),
            "state_path": str(folder / "state"),
            "log": {"file": str(folder / "gridbot.log"), "console": False},
            "paper": {
                "port": 0,
                "symbols": [
                    {"symbol": symbol, "feed": {"kind": "archive", "files": [str(one.path)]}}
                    for symbol, one in markets.items()
                ],
                "accounts": [
                    {"name": symbol.lower(), "deposit": str(DEPOSIT)} for symbol in markets
                ],
                # the network of one machine is quicker than any; a race needs one that is not
                "matching": {"match_delay_ms": 80 if racing else 2, "funding": False},
                # a grid that moves sends twenty orders at once; clients learn the limit by headers
                "limits": {"factor": 100, "per_ip": 0},
            },
        }
    )


async def _trade(config: GridbotConfig, fills: int) -> Traded:
    begun = datetime.now(UTC)
    if config.paper is None:
        raise StartError("the proof brings an exchange along")
    async with PaperRuntime(config.paper) as runtime:
        bot = Orchestrator(config, Redactor.of_config(config), embedded_port=runtime.server.port)
        await bot.start()
        await _watch(bot, runtime, fills)
        # the market stands still; what is on its way arrives
        for symbol in SYMBOLS:
            runtime.exchange.operator.halt(symbol, halted=True)
        await asyncio.sleep(SETTLE_S)
        runs = {one.symbol: bot.run_id_of(one.strat_id) for one in config.strategies}
        total = sum(runner.tally.fills for runner in bot.runners)
        stopped = [one.stopped_because for one in bot.runners if one.stopped_because]
        recorder = bot.recorder
        user_id = "" if recorder is None else recorder.user_id
        bot.request_stop()
        await bot.stop()
    if stopped:
        raise StartError("\n".join(stopped))
    seconds = (datetime.now(UTC) - begun).total_seconds()
    return Traded(config.database_url, user_id, runs, total, seconds)


async def _watch(bot: Orchestrator, runtime: PaperRuntime, fills: int) -> None:
    columns = TextColumn("trading"), BarColumn(), TextColumn("{task.completed} of {task.total}")
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True) as progress:
        task = progress.add_task("fills", total=fills)
        while not runtime.server.driver.feed_ended:
            done = sum(runner.tally.fills for runner in bot.runners)
            progress.update(task, completed=min(done, fills))
            if done >= fills or any(one.stopped_because for one in bot.runners):
                return
            await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Compared:
    """One symbol: what the comparator says, and what both wallets hold at the end, USDT."""

    comparison: Comparison
    live_wallet: Decimal | None
    backtest_wallet: Decimal

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs at all."""
        one = self.comparison
        same_money = self.live_wallet == self.backtest_wallet
        return one.within_tolerance and not one.split.delta and same_money


def _compare(config: GridbotConfig, traded: Traded) -> dict[str, Compared]:
    found = {}
    settings = DatabaseSettings(database_url=config.database_url)
    with DatabaseFactory(settings) as database, database.get_session() as session:
        for one in config.strategies:
            plain = one.model_dump(
                exclude={"account", "shadow_mode", "post_only", "cancel_foreign_orders"}
            )
            simulated = BacktestConfig.model_validate(
                {
                    "strategies": [plain],
                    "initial_balance": DEPOSIT,
                    "funding": {"use_history": False, "rate": 0},
                }
            )
            live = find_run(session, traded.user_id, traded.runs[one.symbol], None, None)
            provider = DatabaseDataProvider(
                database, tick_sizes={} if one.tick_size is None else {one.symbol: one.tick_size}
            )
            result = BacktestEngine(simulated).run(
                one.symbol, moment(live.wanted.start_us), moment(live.wanted.end_us), provider
            )
            backtest = of_sessions([result], "the recording, simulated")
            found[one.symbol] = Compared(
                compare_run(session, traded.user_id, live, backtest),
                _last_wallet(session, traded.user_id, live),
                DEPOSIT + sum((each.realised_pnl - each.fee for each in result.trades), ZERO),
            )
    return found


def _last_wallet(session: Session, user_id: str, live: LiveRun) -> Decimal | None:
    """Return the newest recorded balance of the run's account."""
    account = live.run.account_id
    if account is None:
        return None
    start, end = moment(live.wanted.start_us), moment(live.wanted.end_us)
    wallets = TenantScope(session, user_id).wallets
    snapshots = wallets.get_by_account_range(account, start, end, "USDT")
    return snapshots[-1].wallet_balance if snapshots else None


def _conclude(comparisons: dict[str, Compared], folder: Path, *, racing: bool) -> None:
    proven = True
    for symbol, compared in comparisons.items():
        one = compared.comparison
        figures = one.metrics
        causeless = one.explanations.unexplained
        proven &= not causeless if racing else compared.is_equal
        console.print(
            f"{symbol}: {figures.live_trades} live and {figures.backtest_trades} backtest trades,"
            f" match rate {_percent(figures.match_rate)}, phantom rate"
            f" {_percent(figures.phantom_rate)}, {len(figures.breaches)} pairs beyond tolerance 0,"
            f" PnL difference {one.split.delta.normalize():f} USDT, {causeless} differences without"
            f" a cause; wallets {compared.live_wallet} and {compared.backtest_wallet.normalize():f}"
            f" USDT\n  {folder / symbol / 'report.html'}"
        )
    if racing:
        verdict = "every difference has a cause" if proven else "differences without a cause remain"
    else:
        verdict = "backtest and live are the same" if proven else "backtest and live DIFFER"
    console.print(f"{'PROVEN' if proven else 'NOT PROVEN'}: {verdict}")
    if not proven:
        raise NotProvenError


def _percent(share: Decimal | None) -> str:
    return "-" if share is None else f"{share:.2%}"
