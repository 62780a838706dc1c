"""A day of real prices through the exchange over sockets; the books are equal at the end.

SESSION_DAY=1 plays the whole day instead of its first hours.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from grid_db import DatabaseFactory, DatabaseSettings
from paper_exchange.feeds import ArchiveFeed
from paper_exchange.market.market import FeedEvent
from testkit.bot_host import (
    RunningBot,
    StoredFacts,
    Witness,
    bot_host,
    bot_settings,
    executions_of,
    strategy,
)
from testkit.paper import paper_listing
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "real" / "klines"
KLINES = DATA / "bybit_linear_BTCUSDT_1m_2026-02-27_2026-03-29.csv.gz"
DAY_MS = 86_400_000
SHARE = 1.0 if "SESSION_DAY" in os.environ else 0.15
FACTOR = 2_000  # times as fast as it was


class QuickDay:
    """The first part of a day, its times pressed together; begins when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.is_over = False

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield the prices; before it is let go only the first one, again and again."""
        feed = ArchiveFeed([KLINES], "BTCUSDT", paper_listing().instrument)
        day = itertools.takewhile(
            lambda one: one.ts_ms - start_ms < DAY_MS * SHARE, feed.events(start_ms)
        )
        first = next(day)
        ts_ms = start_ms
        for number in itertools.count():
            if self.go.is_set():
                break
            ts_ms = start_ms + number * 50
            yield replace(first, ts_ms=ts_ms)
        for event in day:
            yield replace(event, ts_ms=ts_ms + (event.ts_ms - start_ms) // FACTOR)
        self.is_over = True


@pytest.mark.slow
@pytest.mark.skipif(not KLINES.exists(), reason="the files with real prices are not there")
def test_after_a_day_of_real_prices_the_books_are_the_exchanges(tmp_path: Path) -> None:
    day = QuickDay()
    with bot_host(feed=day.events) as host:
        witness = Witness(host)
        eventually(lambda: host.exchange.market("BTCUSDT").last_ticks, what="a price")
        settings = bot_settings(
            tmp_path,
            host.server.port,
            [strategy(grid_step=0.1, grid_count=20)],
            position_check_interval=63,
            order_sync_interval=61,
        )
        with RunningBot(settings) as running:
            day.go.set()
            eventually(lambda: day.is_over, 300, "the end of the day")
            running.reset_by_hand()
            eventually(lambda: running.disagreements(host, fees=True) == [], 30,
                       lambda: str(running.disagreements(host, fees=True)))  # fmt: skip
            running.stop()
        assert witness.problems == []
        executed = executions_of(host)
    assert len(executed) > 20 * SHARE
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
        assert sorted(StoredFacts(database).executions()) == sorted(executed)
