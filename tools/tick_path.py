"""The way of a tick through the code, from the socket to the wire; see trace_path.py."""

from __future__ import annotations

import http.client
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from bybit_adapter import BybitError, BybitRestClient, Environment, OrderKey
from testkit.bot_host import RunningBot, bot_host, bot_settings, eventually, strategy
from testkit.paper import KEY, SECRET

COMMANDS = 4
TRIES = 10
ROOT = Path(__file__).resolve().parent.parent
# what stands for the world around the code that is looked at
_WORLD = {"backtest", "exchange_model", "market_data", "paper_exchange", "testkit"}
_TICKER = "tickers."


@dataclass(frozen=True, slots=True)
class Step:
    """The way is in another file than before: by a call, or back where the call came from."""

    file: str
    function: str
    is_call: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """The files of a way, in the order in which it is in them."""

    steps: tuple[Step, ...]

    @property
    def files(self) -> int:
        """Return how many files are visited."""
        return len({step.file for step in self.steps})

    @property
    def returns(self) -> int:
        """Return how often a call leads into a file that was visited before."""
        return sum(step.is_call for step in self.steps) - self.files

    def within(self, package: str) -> Trace:
        """Return the part of the way that is in one package."""
        return Trace(tuple(one for one in self.steps if one.file.startswith(f"{package}/")))


def file_of(filename: str) -> str | None:
    """Return a file of the workspace by its package, None for any other file and for the world."""
    with suppress(ValueError):
        parts = Path(filename).relative_to(ROOT).parts
        if "src" in parts:
            inner = parts[parts.index("src") + 1 :]
            return None if inner[0] in _WORLD else "/".join(inner)
    return None


@dataclass(slots=True)
class Recorder:
    """Notes the steps of threads that begin while it watches, from a ticker frame on.

    Of a thread that reads a socket those steps count that the frame leads to; `deciding` is the
    name of the thread that goes on from there. A frame that comes before it does is noted instead
    of the one before; one that comes later spoils the way, as it cannot be told what led where.
    """

    deciding: str
    _files: dict[str, str | None] = field(default_factory=dict)
    _readers: set[int] = field(default_factory=set)
    _steps: list[Step] = field(default_factory=list)
    _frame: FrameType | None = None  # the call that takes the ticker in, while it lasts
    _reader: int = 0  # the thread that makes it
    _has_decider: bool = False  # whether the deciding thread has gone on
    _is_spoiled: bool = False
    _is_on: bool = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch all threads that begin meanwhile."""
        threading.setprofile(self._profile)
        try:
            yield
        finally:
            threading.setprofile(None)

    def begin(self) -> None:
        """Note steps from the next ticker frame on."""
        self._steps, self._frame, self._is_on = [], None, True
        self._has_decider = self._is_spoiled = False

    def end(self) -> Trace | None:
        """Note no more; return the way so far, None where it is spoiled."""
        self._is_on = False
        if self._is_spoiled:
            return None
        steps: list[Step] = []
        for step in self._steps:
            if not steps or steps[-1].file != step.file:
                steps.append(step)
        return Trace(tuple(steps))

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        file = self._file(frame)
        thread = threading.get_ident()
        if file is None:
            if "/websocket/" in frame.f_code.co_filename:
                self._readers.add(thread)
            return
        if not self._is_on or not self._belongs(frame, event, thread):
            return
        if event == "call":
            self._steps.append(Step(file, frame.f_code.co_qualname, is_call=True))
        elif frame is self._frame:
            self._frame = None
        else:
            self._note_return(frame.f_back)

    def _belongs(self, frame: FrameType, event: str, thread: int) -> bool:
        """Tell whether what a thread does now is part of the way."""
        if threading.current_thread().name == self.deciding:
            self._has_decider = self._has_decider or bool(self._steps)
            return bool(self._steps)
        if (
            thread in self._readers
            and self._frame is None
            and event == "call"
            and _is_ticker(frame)
        ):
            self._is_spoiled = self._has_decider
            self._steps, self._frame, self._reader = [], frame, thread
        return self._frame is not None and thread == self._reader

    def _note_return(self, caller: FrameType | None) -> None:
        while caller is not None:
            file = self._file(caller)
            if file is not None:
                self._steps.append(Step(file, caller.f_code.co_qualname, is_call=False))
                return
            caller = caller.f_back  # such as a constructor that is made at run time

    def _file(self, frame: FrameType) -> str | None:
        filename = frame.f_code.co_filename
        if filename not in self._files:
            self._files[filename] = file_of(filename)
        return self._files[filename]


def _is_ticker(frame: FrameType) -> bool:
    for value in frame.f_locals.values():
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(text, str) and _TICKER in text[:80]:
            return True
    return False


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
    """Return the way of a tick that wants four commands, from the socket to the wire.

    It is taken several times, and the shortest is returned: now and then a timer of the bot falls
    into it.
    """
    recorder = Recorder(deciding="bot")
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
    if not found:
        raise RuntimeError(f"no request of {COMMANDS} orders was written by the bot's own thread")
    return min(found, key=lambda trace: len(trace.steps))


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
            is_prompt = threading.current_thread().name == recorder.deciding
            taken.append(recorder.end() if is_prompt else None)

    with requests_seen(on_request):
        recorder.begin()
        host.trade(str(60_001 + number % 2))
        eventually(lambda: taken)
    return taken[0]
