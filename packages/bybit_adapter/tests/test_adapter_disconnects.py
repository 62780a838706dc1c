"""Forced disconnects in a row under load: streams come back, in order, and leave nothing behind.

`STREAM_DISCONNECTS=200` runs as many as that.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from bybit_adapter import (
    Environment,
    ExecutionRecord,
    PrivateWebSocketClient,
    PublicWebSocketClient,
    StreamTiming,
    StreamUpdate,
    Trade,
)
from gridcore import SideType
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.market.market import FeedEvent, FeedTrade
from testkit.paper import KEY, SECRET, PaperHost, order_params, paper_account, signed
from testkit.waiting import eventually

log = logging.getLogger(__name__)
pytestmark = [pytest.mark.integration, pytest.mark.untraced]

DISCONNECTS = int(os.environ.get("STREAM_DISCONNECTS", "12"))
WITHIN_S = 5.0
BTC = "BTCUSDT"
TRADE_EVERY_MS = 5
ORDER_EVERY_S = 0.02
STEADY_S = 2.0
CHANNELS = ("public", "private")
SHORT = StreamTiming(
    ping_interval_s=0.8,
    ping_timeout_s=0.4,
    socket_check_s=0.1,
    silence_s=1.5,
    attempt_s=2.0,
    steady_s=0.3,
    first_pause_s=0.02,
    longest_pause_s=0.5,
)


def market_of(start_ms: int) -> Iterator[FeedEvent]:
    """Yield 200 trades a second, numbered."""
    for number in itertools.count(1):
        yield FeedTrade(
            symbol=BTC,
            ts_ms=start_ms + number * TRADE_EVERY_MS,
            price=Decimal(60_000 + number % 7),
            qty=Decimal("0.01"),
            side=SideType.BUY if number % 2 else SideType.SELL,
            trade_id=str(number),
        )


class Trader(threading.Thread):
    """Opens and closes a leg again and again, so that the private stream has something to say."""

    def __init__(self, host: PaperHost) -> None:
        super().__init__(name="trader", daemon=True)
        self._host = host
        self.done = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self.done.wait(ORDER_EVERY_S):
                return
            side = "Sell" if number % 2 else "Buy"
            call = signed("POST", "/v5/order/create", order_params(side, None, "0.001"), wall_ms())
            self._host.do(lambda call=call: self._host.parts.rest.answer(call))


class Witness:
    """What one stream tells, in order: names of records, `lost` and `back`."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.gaps: list[tuple[datetime, datetime]] = []
        self.heard_at = 0.0

    def on_event(self, update: StreamUpdate) -> None:
        self.heard_at = time.monotonic()
        match update.record:
            case Trade(trade_id=name) | ExecutionRecord(exec_id=name):
                self.story.append(name)

    def on_disconnect(self, ts: datetime) -> None:
        self.story.append("lost")

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        self.story.append("back")
        self.gaps.append((disconnected_at, reconnected_at))

    def check(self, every: Sequence[str]) -> int:
        """Compare with everything that happened; return how much fell into gaps."""
        place = {name: number for number, name in enumerate(every)}
        missed, last, was_lost = 0, None, False
        for word in self.story:
            if word == "back":
                continue
            if word == "lost":
                was_lost = True
                continue
            at = place[word]
            if last is not None and at != last + 1:
                assert at > last, "out of order, or twice"
                assert was_lost, f"{at - last - 1} are missing and no gap was told"
                missed += at - last - 1
            last, was_lost = at, False
        turns = [word for word in self.story if word in ("lost", "back")]
        assert turns == ["lost", "back"] * (len(turns) // 2)
        assert all(lost <= back for lost, back in self.gaps)
        return missed


class Breaker:
    """Breaks both streams of an exchange in one of four ways."""

    def __init__(self, host: PaperHost, witnesses: Sequence[Witness]) -> None:
        self._host = host
        self._witnesses = witnesses
        self.ways: list[Callable[[], None]] = [self.close, self.reset, self.silence, self.refuse]

    def close(self) -> None:
        """Say goodbye."""
        self._host.do(lambda: self._host.server.disconnect("*"))

    def reset(self) -> None:
        """Cut the line."""
        self._host.do(lambda: self._host.server.disconnect("*", reset=True))

    def silence(self) -> None:
        """Say nothing, until the streams notice."""
        before = [one.story.count("lost") for one in self._witnesses]
        self._fault(FaultKind.SILENCE)
        eventually(
            lambda: all(
                one.story.count("lost") > count
                for one, count in zip(self._witnesses, before, strict=True)
            )
        )
        self._heal()

    def refuse(self) -> None:
        """Cut the line and every new one for half a second."""
        self._fault(FaultKind.REFUSE)
        self.reset()
        time.sleep(0.5)
        self._heal()

    def _fault(self, kind: FaultKind) -> None:
        rules = [FaultRule(kind=kind, channel=channel) for channel in CHANNELS]
        self._host.do(lambda: [self._host.parts.faults.add(rule) for rule in rules])

    def _heal(self) -> None:
        self._host.do(self._host.parts.faults.remove)


def census() -> tuple[int, int, Counter[str]]:
    """Count threads, open files, and objects of whoever keeps connections."""
    gc.collect()
    packages = ("bybit_adapter.", "pybit.", "websocket.")
    kept = Counter(
        kind.__qualname__
        for kind in map(type, gc.get_objects())
        if f"{kind.__module__}.".startswith(packages)
    )
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), kept


def resident_mb() -> float:
    """Return the memory of this process, the exchange and its growing records included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def steady_census() -> tuple[int, int, Counter[str]]:
    """Return the census once it stays the same: threads of an old connection end by and by."""
    found, since = census(), time.monotonic()
    deadline = since + 20
    while time.monotonic() < min(since + STEADY_S, deadline):
        time.sleep(0.1)
        again = census()
        if again != found:
            found, since = again, time.monotonic()
    return found


@pytest.mark.slow
@pytest.mark.timeout(120 + 5 * DISCONNECTS)
def test_streams_survive_disconnects_in_a_row_under_load() -> None:
    witnesses = public_witness, private_witness = Witness(), Witness()
    with PaperHost(accounts=[paper_account(deposit="100000")], feed=market_of) as host:
        environment = Environment.local(host.server.port)
        public = PublicWebSocketClient(
            environment,
            ticker_symbols=[BTC],
            trade_symbols=[BTC],
            on_event=public_witness.on_event,
            on_disconnect=public_witness.on_disconnect,
            on_reconnect=public_witness.on_reconnect,
            timing=SHORT,
            random=Random(1),
        )
        private = PrivateWebSocketClient(
            KEY,
            SECRET,
            environment,
            on_event=private_witness.on_event,
            on_disconnect=private_witness.on_disconnect,
            on_reconnect=private_witness.on_reconnect,
            timing=SHORT,
            random=Random(2),
        )
        clients = public, private
        trader = Trader(host)
        trader.start()
        assert public.connect()
        assert private.connect()
        breaker = Breaker(host, witnesses)
        took: list[float] = []

        def break_once(way: Callable[[], None]) -> None:
            before = [len(one.gaps) for one in witnesses]
            way()
            healed = time.monotonic()

            def is_back() -> bool:
                return all(
                    len(one.gaps) > count and client.is_connected() and one.heard_at > healed
                    for one, client, count in zip(witnesses, clients, before, strict=True)
                )

            eventually(is_back, WITHIN_S)
            took.append(time.monotonic() - healed)
            time.sleep(SHORT.steady_s)  # some life, so that something is heard between two breaks

        for way in breaker.ways:  # what is made once and kept is there from here on
            break_once(way)
        at_first, rss = steady_census(), [resident_mb()]
        for number in range(DISCONNECTS):
            break_once(breaker.ways[number % len(breaker.ways)])
        at_last = steady_census()
        rss.append(resident_mb())
        for client in clients:
            assert client.get_connection_state().malformed == 0
            client.disconnect()
        trader.done.set()
        trader.join(10)
        trades = [str(number) for number in range(1, host.server.driver.events + 1)]
        executions = [one.exec_id for one in host.exchange.accounts["one"].executions]
    assert at_last == at_first
    assert public_witness.check(trades) > 0
    assert private_witness.check(executions) > 0
    log.info(
        "%d disconnects, slowest return %.2f s; %d trades and %d executions, missed in gaps %d and"
        " %d; threads, files %s, then %s; resident %.1f MB, then %.1f MB",
        len(took), max(took), len(trades), len(executions),
        public_witness.check(trades), private_witness.check(executions),
        at_first[:2], at_last[:2], rss[0], rss[1],
    )  # fmt: skip
