"""The ways through the code that are measured, each over the real parts, against a local exchange.

How files and returns are counted: trace_recorder.py. The command: trace_path.py.
"""

from __future__ import annotations

import asyncio
import http.client
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import event
from trace_recorder import CallRecorder, Recorder, Trace

from backtest import BacktestConfig, BacktestEngine
from bybit_adapter import BybitError, BybitRestClient, Environment, OrderKey, PlaceRequest
from event_saver import AccountContext, EventSaver, EventSaverConfig
from grid_db import (
    AccountEnvironment,
    DatabaseFactory,
    DatabaseSettings,
    RunType,
    TenantScope,
    UserRepository,
)
from gridcore import DirectionType, SideType
from testkit.bot_host import RunningBot, bot_host, bot_settings, eventually, strategy
from testkit.paper import KEY, SECRET

COMMANDS = 4
TRIES = 10


@dataclass(frozen=True, slots=True)
class Way:
    """One way: a short name, what it is, and how it is measured."""

    name: str
    what: str
    measure: Callable[[], Trace]


def shortest(found: Sequence[Trace], missing: str) -> Trace:
    """Return the way with the fewest steps: now and then a timer falls into one."""
    if not found:
        raise RuntimeError(missing)
    return min(found, key=lambda trace: len(trace.steps))


# a tick


@contextmanager
def requests_seen(on_request: Callable[[bytes], None]) -> Iterator[None]:
    """Show each piece that goes to a socket of a REST call, once it has gone."""
    plain = http.client.HTTPConnection.send

    def shown(connection: Any, data: Any) -> None:
        plain(connection, data)
        if isinstance(data, bytes):
            on_request(data)

    http.client.HTTPConnection.send = shown  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        http.client.HTTPConnection.send = plain  # type: ignore[method-assign]


def tick_to_wire() -> Trace:
    """Return the way from the ticker frame on the socket to the last request on the wire."""
    recorder = Recorder("tickers.", ["bot"])
    found: list[Trace] = []
    with tempfile.TemporaryDirectory() as folder, bot_host() as host:
        host.trade("60000")
        settings = bot_settings(
            Path(folder), host.server.port, [strategy(grid_count=10, grid_step=0.2)],
            order_sync_interval=61, position_check_interval=63, status_interval=20,
            wallet_cache_interval=300, health_check_interval=30, clock_check_interval=300,
        )  # fmt: skip
        place = Environment.local(host.server.port)
        with recorder.watching():
            bot = RunningBot(settings)
            bot.start()
        with BybitRestClient(KEY, SECRET, place) as hand:
            try:
                for number in range(TRIES):
                    trace = _one_tick(host, bot, hand, recorder, number)
                    if trace is not None:
                        found.append(trace)
            finally:
                bot.stop()
    return shortest(found, f"no request of {COMMANDS} orders was written by the bot's own thread")


def _one_tick(
    host: Any, bot: RunningBot, hand: BybitRestClient, recorder: Recorder, number: int
) -> Trace | None:
    """Take four orders away by hand and let the market trade; None when a thread had to write."""
    eventually(lambda: len(hand.get_open_orders("BTCUSDT")) == 10)
    orders = list(hand.get_open_orders("BTCUSDT"))[:COMMANDS]
    for order in orders:
        with suppress(BybitError):
            hand.cancel_order(OrderKey(symbol="BTCUSDT", order_id=order.order_id))
    eventually(lambda: len(bot.do(bot.bot.snapshot).strategies[0].orders) == 10 - COMMANDS)
    taken: list[Trace | None] = []

    def on_request(data: bytes) -> None:
        if data.count(b"orderLinkId") == COMMANDS and not taken:
            is_prompt = threading.current_thread().name in recorder.followers
            taken.append(recorder.end() if is_prompt else None)

    with requests_seen(on_request):
        recorder.begin()
        host.trade(str(60_001 + number % 2))
        eventually(lambda: taken)
    return taken[0]


# an execution


class _RunningSaver:
    """The capture daemon on a thread of its own, with one account."""

    def __init__(self, config: EventSaverConfig, database: DatabaseFactory, account: Any) -> None:
        self._config, self._database, self._account = config, database, account
        self._stopping = threading.Event()
        self._started: Future[EventSaver] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="saver")

    async def _live(self) -> None:
        saver = EventSaver(self._config, self._database)
        await saver.add_account(self._account)
        await saver.start()
        self._started.set_result(saver)
        await asyncio.to_thread(self._stopping.wait)
        await saver.stop()

    def start(self) -> EventSaver:
        """Start, and wait until what was missed is fetched."""
        self._thread.start()
        saver = self._started.result(20)

        def is_settled() -> bool:
            stats = saver.get_stats()
            is_up = all(one["is_connected"] for one in stats["streams"].values())
            return is_up and not stats["gaps"]["working"]

        eventually(is_settled)
        return saver

    def stop(self) -> None:
        """Stop in order."""
        self._stopping.set()
        self._thread.join(20)


def execution_to_row() -> Trace:
    """Return the way from the execution frame on the socket to the commit that holds its row."""
    recorder = Recorder('"execution"', ["saver", "event-writer"])
    found: list[Trace] = []
    with tempfile.TemporaryDirectory() as name, bot_host() as host:
        folder = Path(name)
        host.trade("60000")
        url = f"sqlite:///{folder / 'saver.db'}"
        with DatabaseFactory(DatabaseSettings(database_url=url)) as database:
            database.create_tables()
            place = Environment.local(host.server.port)
            account = _stored_account(database, place)
            config = EventSaverConfig(
                symbols="BTCUSDT", environment=host.server.base_url, spool_dir=folder / "spool",
                metrics_port=None, batch_size=1, flush_interval=600, audit_interval=86_400,
                symbol_interval=86_400,
            )  # fmt: skip
            running = _RunningSaver(config, database, account)
            try:
                with recorder.watching():
                    saver = running.start()
                for number in range(TRIES):
                    trace = _one_execution(host, saver, database, recorder, number)
                    if trace is not None:
                        found.append(trace)
            finally:
                running.stop()
    return shortest(found, "no execution of its own came to a row")


def _stored_account(database: DatabaseFactory, place: Environment) -> AccountContext:
    with database.get_session() as session:
        user = UserRepository(session).get_or_create("default")
    with database.get_session() as session:
        scope = TenantScope(session, user.id)
        account = scope.accounts.get_or_create("main", AccountEnvironment.PAPER)
        run = scope.runs.create(RunType.RECORDING, datetime.now(UTC), account_id=account.id)
    return AccountContext(account.id, user.id, run.id, KEY, SECRET, place, ["BTCUSDT"])


def _one_execution(
    host: Any, saver: EventSaver, database: DatabaseFactory, recorder: Recorder, number: int
) -> Trace | None:
    """Tell of one execution alone: a fill brings an order, a position and a wallet along."""
    session, frame = _frame_of_a_fill(host, saver)
    content = orjson.loads(frame)
    content["data"][0]["execId"] = f"told-alone-{number}"
    taken: list[Trace | None] = []

    def on_commit(_: Any) -> None:
        if not taken:
            taken.append(recorder.end())

    event.listen(database.engine, "commit", on_commit)
    try:
        recorder.begin()
        host.do(lambda: host.parts.hub.subscriptions.deliver(session, orjson.dumps(content)))
        eventually(lambda: taken)
    finally:
        event.remove(database.engine, "commit", on_commit)
    return taken[0]


def _frame_of_a_fill(host: Any, saver: EventSaver) -> tuple[Any, bytes]:
    """Let the account buy at the market; return its stream, and the frame, once all is stored."""
    hub, frames = host.parts.hub.subscriptions, []
    deliver = hub.deliver

    def kept(session: Any, frame: bytes) -> None:
        if b'"topic":"execution"' in frame:
            frames.append((session, frame))
        deliver(session, frame)

    hub.deliver = kept
    try:
        with BybitRestClient(KEY, SECRET, Environment.local(host.server.port)) as hand:
            hand.place_order(
                PlaceRequest(
                    symbol="BTCUSDT",
                    direction=DirectionType.LONG,
                    side=SideType.BUY,
                    qty=Decimal("0.001"),
                    price=None,
                    reduce_only=False,
                    order_link_id=f"fill-{uuid4().hex[:16]}",
                )
            )
        eventually(lambda: frames)
    finally:
        hub.deliver = deliver
    time.sleep(0.5)  # the other frames of the fill
    eventually(lambda: all(one.settled == one.received for one in saver.writers.all))
    return frames[0]


# a fill in the backtest


def fill_to_decision() -> Trace:
    """Return the way of a row that fills one order, to the end of what is decided at it."""
    config = BacktestConfig.model_validate(
        {
            "strategies": [
                {"strat_id": "grid", "grid_count": 20, "grid_step": "0.2", "amount": "x0.01"}
            ],
            "data": {"synthetic": [{"symbol": "BTCUSDT", "rows": 20_000, "seed": 7}]},
        }
    )
    recorder = CallRecorder(
        "Simulation._visit", once="BacktestRunner._book", world={"market_data", "testkit"}
    )
    engine = BacktestEngine(config)
    with recorder.watching():
        engine.run("BTCUSDT")
    # most fills lead to new orders: the one in the middle stands for them
    found = sorted(recorder.found, key=lambda trace: len(trace.steps))
    if not found:
        raise RuntimeError("no row filled one order")
    return found[len(found) // 2]


# a further way is a line here and a function that returns its Trace
WAYS = (
    Way(
        "tick", f"{COMMANDS} commands that a tick wants, from the socket to the wire", tick_to_wire
    ),
    Way("execution", "an execution, from event_saver's socket to its row", execution_to_row),
    Way("fill", "a fill in the backtest, from its row to what is decided at it", fill_to_decision),
)
