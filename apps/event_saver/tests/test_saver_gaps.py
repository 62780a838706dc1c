"""Breaks of the connection: fetched afterwards, or in the ledger with times and reason."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from grid_db import CaptureStream, GapStatus
from testkit.saver_run import begin, check, end, is_up, stream
from testkit.waiting import until

LONG = "SAVER_LONG" in os.environ

# the database makes no difference to these
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "per_s"), [(1.0, 150), (2.6, 150), *([(30.0, 60), (600.0, 3)] if LONG else [])]
)
async def test_a_break_is_closed_where_the_exchange_still_has_everything(
    world: Callable[..., Any], seconds: float, per_s: float
) -> None:
    threshold = 20.0 if seconds < 2 else 2.0  # a busy machine takes its time to reconnect
    config = {"gap_threshold_seconds": threshold}
    exchange, saver, contexts, stored = world(per_s=per_s, config=config)
    await begin(saver, contexts)
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.cut("*", seconds)
    await stream(exchange, seconds + 0.5)
    await end(exchange, saver, seconds)
    check(exchange, stored, before)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    ledger = stored.gaps()
    assert all(one.status is GapStatus.MISSING for one in ledger)
    streams = sorted(one.stream for one in ledger)
    if seconds < threshold:
        assert streams == []
        return
    # states have no history: tickers of three symbols, positions and wallet of two accounts
    assert streams == ["positions"] * 2 + ["tickers"] * 3 + ["wallet"] * 2
    for gap in ledger:
        assert "no history" in gap.reason
        assert gap.reason.startswith("disconnected")
        assert timedelta(seconds=seconds - 1) < gap.gap_end - gap.gap_start


@pytest.mark.slow
@on_sqlite
async def test_what_the_exchange_cannot_give_stands_in_the_ledger(
    world: Callable[..., Any],
) -> None:
    exchange, saver, contexts, stored = world(per_s=1_500)
    await begin(saver, contexts)
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.cut("public", 2.5)
    await stream(exchange, 3.0)
    await end(exchange, saver)
    check(exchange, stored, before)
    trades = [one for one in stored.gaps() if one.stream is CaptureStream.TRADES]
    assert {one.symbol for one in trades} == {"BTCUSDT", "ETHUSDT", "LTCUSDT"}
    for gap in trades:
        assert gap.status is GapStatus.MISSING
        assert gap.reason == (
            "disconnected; only the last 1,000 trades can be asked for afterwards"
        )
        assert gap.account_id is None


@on_sqlite
async def test_an_exchange_that_does_not_answer_leaves_an_open_gap_that_is_closed_later(
    world: Callable[..., Any],
) -> None:
    config = {"gap_threshold_seconds": 20.0}  # a busy machine takes its time to reconnect
    exchange, saver, contexts, stored = world(per_s=60, config=config)
    await begin(saver, contexts[:1])
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.fault("ret_code", channel="rest", code=10005, message="Permission denied")
    exchange.cut("*", 0.5)
    await stream(exchange, 1.0)
    await until(lambda: saver.get_stats()["gaps"]["noted"] >= 5)
    await asyncio.sleep(0.5)
    ledger = stored.gaps()
    assert {one.status for one in ledger} == {GapStatus.OPEN}
    assert sorted({one.stream for one in ledger}) == ["executions", "orders", "trades"]
    assert all("Permission denied" in one.reason for one in ledger)
    assert "alice-key" not in str(ledger)
    exchange.call(exchange.parts.faults.remove)
    assert await saver.retry_gaps() == 5
    await end(exchange, saver)
    check_filled = stored.gaps()
    assert {one.status for one in check_filled} == {GapStatus.FILLED}
    assert all(one.reason == "disconnected; fetched later" for one in check_filled)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])


class Archive:
    """Daily files over HTTP, as the exchange publishes them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        files = self.files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/trading"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, exchange: Any) -> None:
        """Write a file for each symbol and day of what was traded."""
        lines: dict[str, list[str]] = {}
        for symbol, market in exchange.parts.exchange.markets.items():
            for (name, trade_id), moment in exchange.said.trades.items():
                if name != symbol:
                    continue
                day = datetime.fromtimestamp(moment / 1000, UTC).date().isoformat()
                price = market.price(market.last_ticks)
                stamp = f"{Decimal(moment) / 1000:.4f}"
                lines.setdefault(f"/trading/{symbol}/{symbol}{day}.csv.gz", []).append(
                    f"{stamp},{symbol},Buy,1,{price},PlusTick,{trade_id},1,1,1"
                )
        head = (
            "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
            "foreignNotional"
        )
        for path, rows in lines.items():
            self.files[path] = gzip.compress("\n".join([head, *rows, ""]).encode())


@pytest.fixture
def archive() -> Iterator[Archive]:
    served = Archive()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.mark.slow
@on_sqlite
async def test_older_trades_come_from_the_daily_files_once_they_appear(
    world: Callable[..., Any], archive: Archive
) -> None:
    exchange, saver, _, stored = world(per_s=1_500, config={"archive_url": archive.url})
    await begin(saver, [])
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.cut("public", 2.5)
    await asyncio.sleep(3.0)
    await until(lambda: is_up(saver) and saver.get_stats()["gaps"]["noted"] >= 6)
    exchange.halt()
    await asyncio.sleep(1.0)

    def open_gaps() -> list[Any]:
        return [one for one in stored.gaps() if one.status is GapStatus.OPEN]

    assert len(open_gaps()) == 3
    assert await saver.retry_gaps() == 0  # the day is not over
    assert all("has no trades of" in one.reason for one in open_gaps())
    assert {one.attempts for one in open_gaps()} == {1}
    archive.publish(exchange)
    assert await saver.retry_gaps() == 3
    await saver.stop()
    assert open_gaps() == []
    assert set(exchange.said.trades) - before <= set(stored.trades())
    reasons = [one.reason for one in stored.gaps() if one.status is GapStatus.FILLED]
    assert all("trades from the archive" in reason for reason in reasons)
