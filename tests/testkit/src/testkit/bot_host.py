"""The whole bot against a paper exchange over sockets: on a thread of this process, or in its own.

The market moves by hand or by `Mover`; what the exchange did is kept by `Witness`.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import yaml

from grid_db import DatabaseFactory, TenantScope, user_id_for
from grid_service.redaction import Redactor
from gridbot.orchestrator import Orchestrator
from gridbot.records.state_store import StateFiles
from gridbot.settings.config import GridbotConfig
from gridbot.words.snapshot import BotSnapshot
from gridcore import ResetReduceOnly, ResetSameOrder
from paper_exchange.book.account import PaperAccount
from paper_exchange.market.market import Market
from testkit.paper import KEY, SECRET, PaperHost, paper_account, paper_market
from testkit.waiting import eventually  # noqa: F401 - scripts take it from here too

Result = TypeVar("Result")
PRICES = {"BTCUSDT": 60_000, "ETHUSDT": 3_000, "SOLUSDT": 150, "LTCUSDT": 90, "XRPUSDT": 2}
AMOUNTS = {
    "BTCUSDT": "b0.001", "ETHUSDT": "b0.02", "SOLUSDT": "b0.5", "LTCUSDT": "b1", "XRPUSDT": "b20",
}  # fmt: skip


def strategy(symbol: str = "BTCUSDT", account: str = "one", **changes: Any) -> dict[str, Any]:
    """Return one strategy of a configuration file, its name made of account and symbol."""
    return {
        "strat_id": f"{account}_{symbol.lower()}",
        "account": account,
        "symbol": symbol,
        "grid_count": 12,
        "grid_step": 0.05,
        "amount": AMOUNTS[symbol],
        "leverage": 10,
        "max_margin": 8,
    } | changes


def bot_settings(
    folder: Path,
    port: int,
    strategies: Sequence[Mapping[str, Any]] = (),
    accounts: Mapping[str, tuple[str, str]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return a configuration with short intervals; `accounts` are keys by name."""
    keys = accounts or {"one": (KEY, SECRET)}
    return {
        "accounts": [
            {
                "name": name, "environment": "paper", "paper_port": port, "api_key": key,
                "api_secret": secret,
            }
            for name, (key, secret) in keys.items()
        ],
        "strategies": [dict(one) for one in strategies] or [strategy()],
        "database_url": f"sqlite:///{folder / 'bot.db'}",
        "state_path": str(folder / "state"),
        "status_path": str(folder / "status.json"),
        "status_interval": 0.5,
        "position_check_interval": 2,
        "order_sync_interval": 2,
        "wallet_cache_interval": 2,
        "health_check_interval": 0.5,
        "clock_check_interval": 2,
        "log": {"file": str(folder / "bot.log"), "level": "debug", "console": False},
    } | changes  # fmt: skip


def bot_file(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Write a configuration file."""
    path = folder / "bot.yaml"
    path.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    return path


class Witness:
    """Sees every order of an exchange, and what must never be. Lives on the exchange's thread."""

    def __init__(self, host: PaperHost) -> None:
        self.problems: list[str] = []
        self.placed = 0
        self.cancelled = 0
        self.on_place: Callable[[int], None] = lambda number: None
        self._seen: set[str] = set()
        host.do(lambda: host.exchange.listen(self))

    def on_order(self, account: PaperAccount, order: Any) -> None:
        """Look at the places of all orders of the symbol, and at the cover of the leg."""
        if not order.status.is_open:
            self.cancelled += order.status.value == "Cancelled"
            return
        if order.order_id not in self._seen:
            self._seen.add(order.order_id)
            self.placed += 1
            self.on_place(self.placed)
        for other in account.orders_of(order.symbol):
            if other is not order and (other.direction, other.price, other.side) == (
                order.direction, order.price, order.side,
            ):  # fmt: skip
                self._problem(f"two orders: {account.name} {order.symbol} {order.side} at "
                              f"{order.price} ({order.direction})")  # fmt: skip
        book = account.books[order.symbol]
        for direction, covered in book.orders.closing_qty.items():
            size = book.pair.leg(direction).size
            if covered > size:
                self._problem(f"{order.symbol} {direction}: {covered} closing of {size}")

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    def on_execution(self, account: PaperAccount, execution: Any) -> None:
        """Nothing to judge."""

    def on_position(self, account: PaperAccount, symbol: str, legs: Any) -> None:
        """Nothing to judge."""

    def on_wallet(self, account: PaperAccount) -> None:
        """Nothing to judge."""

    def on_trade(self, market: Market, trade: Any) -> None:
        """Nothing to judge."""

    def on_market(self, market: Market) -> None:
        """Nothing to judge."""


def bot_host(
    symbols: Sequence[str] = ("BTCUSDT",),
    accounts: Iterable[PaperAccount] | None = None,
    **options: Any,
) -> PaperHost:
    """Return an exchange, not yet entered; its market stands still and has no price yet."""
    return PaperHost(
        [paper_market(symbol) for symbol in symbols],
        [paper_account()] if accounts is None else accounts,
        **options,
    )


class Mover:
    """Moves the markets of an exchange in a wave with noise, until it is paused. A context."""

    def __init__(
        self,
        host: PaperHost,
        symbols: Sequence[str] = ("BTCUSDT",),
        *,
        per_s: float = 25.0,
        wave: float = 0.0015,
        period_s: float = 4.0,
        seed: int = 1,
    ) -> None:
        self._host = host
        self._symbols = symbols
        self._pause_s = 1.0 / per_s
        self._wave = wave
        self._period_s = period_s
        self._chance = random.Random(seed)
        self._runs = threading.Event()
        self._stopped = threading.Event()
        self._busy = threading.Lock()
        self._passed = 0.0
        self._thread = threading.Thread(target=self._run, name="market mover", daemon=True)

    def _run(self) -> None:
        while not self._stopped.is_set():
            if not self._runs.wait(0.05):
                continue
            with self._busy:
                if self._runs.is_set():
                    self.step()
            time.sleep(self._pause_s)

    def step(self) -> None:
        """Let every market trade once."""
        self._passed += self._pause_s
        for number, symbol in enumerate(self._symbols):
            angle = 2 * math.pi * self._passed / self._period_s + number
            move = self._wave * math.sin(angle) + self._chance.gauss(0, 0.00008)
            self._host.trade(price_near(symbol, move), symbol=symbol)

    def pause(self) -> None:
        """Let the markets stand still; when this returns they do."""
        self._runs.clear()
        with self._busy:
            pass

    def resume(self) -> None:
        """Let the markets move."""
        self._runs.set()

    def __enter__(self) -> Mover:
        self.step()
        self._thread.start()
        self.resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self.pause()
        self._thread.join(5)


def price_near(symbol: str, move: float) -> Decimal:
    """Return a price on the tick, `move` (a ratio) away from where the symbol begins."""
    tick = paper_market(symbol).listing.instrument.tick_size
    ticks = round(PRICES[symbol] * (1 + move) / float(tick))
    return ticks * tick


class RunningBot:
    """One bot on a thread of its own; a context. A failed start raises what it raised."""

    def __init__(
        self, settings: Mapping[str, Any], database: DatabaseFactory | None = None
    ) -> None:
        self.config = GridbotConfig.model_validate(dict(settings))
        self._database = database
        self._started: Future[None] = Future()
        self._ended: Future[BotSnapshot] = Future()
        self._thread = threading.Thread(target=self._run, name="bot", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bot: Orchestrator

    def _run(self) -> None:
        try:
            self._ended.set_result(asyncio.run(self._live()))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            if not self._started.done():
                self._started.set_exception(error)
            self._ended.set_exception(error)

    async def _live(self) -> BotSnapshot:
        self._loop = asyncio.get_running_loop()
        self.bot = Orchestrator(
            self.config, Redactor.of_config(self.config), database=self._database
        )
        await self.bot.start()
        self._started.set_result(None)
        await self.bot.run_until_stopped()
        return await self.bot.stop()

    def start(self) -> None:
        """Start and wait until it trades."""
        self._thread.start()
        self._started.result(60)

    def stop(self) -> BotSnapshot:
        """Stop in order; return its last words."""
        if not self._ended.done():
            self.do(self.bot.request_stop)
        last = self._ended.result(30)
        self._thread.join(10)
        return last

    @property
    def has_ended(self) -> bool:
        """Whether it has stopped by itself or was stopped."""
        return self._ended.done()

    def do(self, action: Callable[[], Result]) -> Result:
        """Call something on the bot's thread."""
        assert self._loop is not None

        async def call() -> Result:
            return action()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(20)

    def __enter__(self) -> RunningBot:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._started.done() and self._started.exception() is None:
            self.stop()

    # looks

    def alerts(self, key: str) -> int:
        """Return how many alerts of a kind there were, sent or not."""
        value = self.bot.metrics.registry.get_sample_value("gridbot_alerts_total", {"key": key})
        return int(value or 0)

    def health(self, strat_id: str) -> tuple[str, tuple[str, ...]]:
        """Return how a strategy is, and why."""
        for one in self.do(self.bot.snapshot).strategies:
            if one.strat_id == strat_id:
                return one.health.value, one.reasons
        raise KeyError(strat_id)

    def reset_by_hand(self) -> None:
        """End what waits for a person: in a wave one price fills twice in a row now and then."""
        for runner in self.bot.runners:
            for command in (ResetSameOrder(), ResetReduceOnly()):
                self.do(partial(runner.tell, command))

    def disagreements(self, host: PaperHost, *, fees: bool = False) -> list[str]:
        """Return how the bot's books differ from the exchange's. `fees`: it was there all along."""
        mine = self.do(lambda: self._books(fees=fees))
        theirs = host.do(lambda: _books_of(host, mine, fees=fees))
        return [
            f"{what}: {mine[what]} here, {theirs[what]} there"
            for what in mine
            if mine[what] != theirs[what]
        ]

    def _books(self, *, fees: bool) -> dict[tuple[str, ...], Any]:
        found: dict[tuple[str, ...], Any] = {}
        for runner in self.bot.runners:
            view = runner.strategy.view
            for leg in (view.long, view.short):
                found[runner.account, runner.symbol, leg.direction.value] = leg.size
            found[runner.account, runner.symbol, "orders"] = {
                order.order_id: (order.price, order.leaves_qty) for order in view.orders
            }
            found[runner.account, "wallet"] = view.wallet_balance
        for one in self.bot.runners if fees else ():
            key = (one.account, "fees")
            found[key] = found.get(key, Decimal(0)) + one.tally.fees
        return found


def _books_of(
    host: PaperHost, wanted: Iterable[tuple[str, ...]], *, fees: bool
) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key in wanted:
        account = host.exchange.accounts[key[0]]
        match key[1:]:
            case ("wallet",):
                found[key] = account.money.wallet
            case ("fees",):
                found[key] = account.money.fees_paid
            case (symbol, "orders"):
                found[key] = {
                    one.order_id: (one.price, one.leaves_qty) for one in account.orders_of(symbol)
                }
            case (symbol, direction):
                pair = account.books[symbol].pair
                found[key] = (pair.long if direction == "long" else pair.short).size
    return found


def status_of(folder: Path) -> dict[str, Any]:
    """Return the status file, empty while there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def stored_levels(folder: Path, strat_id: str) -> list[Any]:
    """Return the grid that a strategy kept for its next start."""
    kept = StateFiles(folder / "state").load(strat_id)
    assert kept is not None
    levels: list[Any] = kept[1]["levels"]
    return levels


class StoredFacts:
    """Reads what a bot stored, as its user."""

    def __init__(self, database: DatabaseFactory, user: str = "default") -> None:
        self._database = database
        self._user_id = user_id_for(user)

    def executions(self) -> list[str]:
        """Return the ids of all executions, each as often as it is there."""
        with self._database.get_session() as session:
            scope = TenantScope(session, self._user_id)
            return [
                one.exec_id
                for account in scope.accounts.list_all()
                for one in scope.executions.iterate_by_account(account.id)
            ]

    def runs(self) -> dict[str, int]:
        """Return how many runs there are of each status."""
        found: dict[str, int] = {}
        with self._database.get_session() as session:
            for run in TenantScope(session, self._user_id).runs.get_by_user_id(limit=10_000):
                found[run.status.value] = found.get(run.status.value, 0) + 1
        return found


def executions_of(host: PaperHost, account: str = "one") -> list[str]:
    """Return the ids of all executions of an account of the exchange."""
    return host.do(lambda: [one.exec_id for one in host.exchange.accounts[account].executions])
