"""The command as a user meets it: what it prints, what it refuses, what it keeps."""

from __future__ import annotations

import asyncio
import gzip
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pybit.unified_trading import HTTP

from grid_db import DatabaseFactory, DatabaseSettings, PublicTradeRecord, PublicTradeRepository
from paper_exchange.config import PaperConfig
from paper_exchange.feeds.live_market import LiveMarket, NoLiveMarketError
from paper_exchange.main import main
from paper_exchange.market.market import FeedEvent
from paper_exchange.runtime import PaperRuntime

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "data" / "real"


def started(config: Path, *options: str) -> tuple[subprocess.Popen[str], str, str]:
    """Return the running command, where it listens, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "paper_exchange.main", "--config", str(config), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    while "secret" not in printed or "─┘" not in printed.splitlines()[-1]:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    found = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert found
    return process, found.group(), printed


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    return output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "paper.yaml"
    content = yaml.safe_load((ROOT / "conf" / "paper.yaml").read_text())
    content |= {"port": 0, "state_path": str(tmp_path / "state.json"), "state_interval_s": 0.2}
    path.write_text(yaml.safe_dump(content))
    return path


@contextmanager
def client(url: str) -> Iterator[HTTP]:
    http = HTTP(api_key="demo-key", api_secret="demo-secret")
    http.endpoint = url
    http.client.trust_env = False
    yield http
    http.client.close()


@pytest.mark.slow
@pytest.mark.integration
def test_the_command_says_where_it_is_and_keeps_accounts_over_a_kill(config: Path) -> None:
    process, url, printed = started(config)
    assert "this machine only" in printed
    assert "demo-key" in printed
    order = {"category": "linear", "symbol": "BTCUSDT", "qty": "0.01", "positionIdx": 1}
    with client(url) as http:
        http.place_order(**order, side="Buy", orderType="Market")
        http.place_order(**order, side="Buy", orderType="Limit", price="60000", orderLinkId="kept")
    time.sleep(0.6)
    process.kill()
    process.communicate()
    process, url, _ = started(config)
    with client(url) as http:
        legs = http.get_positions(category="linear", symbol="BTCUSDT")["result"]["list"]
        assert legs[0]["size"] == "0.010"
        orders = http.get_open_orders(category="linear", symbol="BTCUSDT")["result"]["list"]
        assert [row["orderLinkId"] for row in orders] == ["kept"]
        http.cancel_all_orders(category="linear", symbol="BTCUSDT")
    assert "stopped" in stop(process)


def wrong(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    assert main(["--config", str(path), "--port", "0", "--duration", "0", *options]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("speeed: 1", "speeed: is no setting"),
        ("speed: -1", "speed"),
        ("symbols: []", "symbols"),
        ("symbols: [{symbol: btc}]", "symbols[0].symbol"),
        ("symbols: [{symbol: BTCUSDT}, {symbol: BTCUSDT}]", "BTCUSDT is listed twice"),
        ("symbols: [{symbol: NOBODYUSDT}]", "NOBODYUSDT: its rules are not known"),
        ("symbols: [{symbol: BTCUSDT, feed: {kind: magic}}]", "feed"),
        ("symbols: [{symbol: BTCUSDT, feed: {kind: synthetic, walk: up}}]", "kind is 'up'"),
        ("symbols: [{symbol: BTCUSDT, feed: {kind: archive, files: [none.csv]}}]", "none.csv"),
        ("symbols: [{symbol: BTCUSDT, feed: {kind: database, url: 'nosql://x'}}]", "nosql"),
        ("accounts: [{name: a}, {name: a}]", "account a is given twice"),
        ("accounts: [{name: a, taker_fee: 0.5}]", "taker_fee"),
        ("accounts: [{name: a, keys: [{key: k}]}]", "secret: is missing"),
        ("host: 0.0.0.0", "allow_remote"),
        ("{host: 0.0.0.0, allow_remote: true}", "keys of your own"),
        ("state_path: {a: 1}", "state_path"),
        ("scenario: storm.yaml", "storm.yaml"),
        ("matching: {fill_model: hope}", "fill_model"),
        (": :", "not YAML"),
    ],
)
def test_a_wrong_configuration_is_one_sentence_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    said = wrong(tmp_path, text, capsys)
    assert says in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 3


def test_other_wrong_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 1
    assert "no such file" in capsys.readouterr().err
    assert main(["--speed", "-1"]) == 1
    assert main(["--help"]) == 0
    assert "--config" in capsys.readouterr().out
    state = tmp_path / "state.json"
    state.write_text("{")
    assert "begin afresh" in wrong(tmp_path, f"state_path: {state}", capsys)


def test_secrets_are_in_no_repr() -> None:
    config = PaperConfig.model_validate(
        {"accounts": [{"name": "a", "keys": [{"key": "k", "secret": "hidden-one"}]}],
         "symbols": [{"symbol": "BTCUSDT", "feed": {"kind": "database",
                                                     "url": "postgresql://u:hidden-two@h/d"}}]}
    )  # fmt: skip
    assert "hidden" not in repr(config)
    assert "hidden" not in str(config.model_dump())


# every kind of feed, through the configuration


def run_feed(config: dict[str, object], seconds: float = 1.5) -> list[str]:
    """Return the last prices of BTCUSDT over a while."""
    settings = PaperConfig.model_validate({"port": 0, **config})

    async def look() -> list[str]:
        prices: list[str] = []
        async with PaperRuntime(settings) as runtime:
            end = time.monotonic() + seconds
            while time.monotonic() < end and len(set(prices)) < 5:
                await asyncio.sleep(0.02)
                market = runtime.exchange.market("BTCUSDT")
                if market.last_ticks is not None:
                    prices.append(str(market.price(market.last_ticks)))
        return prices

    return asyncio.run(look())


def test_the_synthetic_feed_moves_in_real_time() -> None:
    prices = run_feed(
        {"symbols": [{"symbol": "BTCUSDT", "feed": {"kind": "synthetic", "trades_per_s": 200}}]}
    )
    assert len(set(prices)) >= 5


HEADER = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional"
)


def test_archives_play_and_play_again(tmp_path: Path) -> None:
    lines = [
        f"{1_700_000_000 + step / 20},BTCUSDT,Buy,0.01,{60_000 + step},PlusTick,i{step},1,0.01,600"
        for step in range(6)
    ]
    path = tmp_path / "BTCUSDT2023-11-14.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADER, *lines]).encode()))
    feed = {"kind": "archive", "files": [str(path)], "loop": True}
    prices = run_feed({"symbols": [{"symbol": "BTCUSDT", "feed": feed}]})
    assert {Decimal(price) for price in prices} <= {Decimal(60_000 + step) for step in range(6)}
    assert len(set(prices)) >= 5


def test_recordings_play(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'recorded.db'}"
    database = DatabaseFactory(DatabaseSettings(database_url=url))
    database.create_tables()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with database.get_session() as session:
        PublicTradeRepository(session).bulk_insert(
            [
                PublicTradeRecord(
                    trade_id=f"t{step}", symbol="BTCUSDT",
                    exchange_ts=start + timedelta(milliseconds=50 * step),
                    local_ts=start, side="Buy", price=Decimal(60_000 + step), size=Decimal("0.01"),
                )
                for step in range(80)  # market time begins with the last whole second
            ]
        )  # fmt: skip
        session.commit()
    database.dispose()
    feed = {"kind": "database", "url": url}
    prices = run_feed({"symbols": [{"symbol": "BTCUSDT", "feed": feed}]})
    assert len(set(prices)) >= 5


def test_at_speed_zero_the_market_runs_as_fast_as_it_can() -> None:
    feed = {"kind": "synthetic", "trades_per_s": 1.0}
    settings = PaperConfig.model_validate(
        {"port": 0, "speed": 0, "symbols": [{"symbol": "BTCUSDT", "feed": feed}]}
    )

    async def passed() -> int:
        async with PaperRuntime(settings) as runtime:
            before = runtime.exchange.now_ms
            await asyncio.sleep(0.5)
            return runtime.exchange.now_ms - before

    assert asyncio.run(passed()) > 60_000


class FakeStream:
    """Stands for the real exchange's stream, which is the one thing that cannot be here."""

    def __init__(self) -> None:
        self.closed = False

    def connect(self, symbols, environment, on_trade, on_quote):  # type: ignore[no-untyped-def]
        now = datetime.now(UTC)
        on_quote(symbols[0], now, {"mark_price": Decimal("60001.5"), "bid1_size": None})
        for step in range(5):
            on_trade(symbols[0], now, Decimal(60_000 + step), Decimal("0.01"), "Buy", f"t{step}")
        return self.close

    def close(self) -> None:
        self.closed = True


def test_a_live_market_is_handed_on_in_order() -> None:
    stream = FakeStream()
    events: list[FeedEvent] = []
    live = LiveMarket(["BTCUSDT"], "mainnet", events.append, stream.connect)
    end = time.monotonic() + 5
    while len(events) < 6 and time.monotonic() < end:
        time.sleep(0.01)
    live.close()
    assert stream.closed
    assert [getattr(event, "trade_id", "quote") for event in events] == [
        "quote", "t0", "t1", "t2", "t3", "t4",
    ]  # fmt: skip


def test_without_anybody_who_brings_a_live_market_that_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paper_exchange.feeds.live_market.GROUP", "nobody.offers.this")
    with pytest.raises(NoLiveMarketError, match="not installed"):
        LiveMarket(["BTCUSDT"], "mainnet", lambda event: None)


@pytest.mark.integration
@pytest.mark.skipif(not REAL.exists(), reason="no real data here")
def test_real_trades_play_on_the_exchange() -> None:
    path = REAL / "trades" / "BINANCE-USDM_BTCUSDT_2024-08-08T235416_235959_trades.csv.gz"
    feed = {"kind": "archive", "files": [str(path)]}
    prices = run_feed({"speed": 0, "symbols": [{"symbol": "BTCUSDT", "feed": feed}]})
    assert all(50_000 < Decimal(price) < 70_000 for price in prices)


@pytest.fixture
def readme_script() -> str:
    text = (ROOT / "docs" / "paper_exchange.md").read_text()
    found = re.search(r"```python\n(.*?HTTP.*?)```", text, re.DOTALL)
    assert found
    return found.group(1)


@pytest.mark.integration
def test_the_script_of_the_documentation_works(config: Path, readme_script: str) -> None:
    process, url, _ = started(config)
    script = readme_script.replace("http://127.0.0.1:8899", url)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], check=False, capture_output=True, text=True,
        timeout=30,
    )  # fmt: skip
    stop(process)
    assert ran.returncode == 0, ran.stderr
    assert "Filled" in ran.stdout


async def test_a_start_without_the_state_of_the_last_one_repeats_no_id() -> None:
    """Who remembers orders of the last exchange would take those of this one for ended."""
    config = PaperConfig.model_validate({"port": 0, "symbols": [{"symbol": "BTCUSDT"}]})
    seen: list[str] = []
    for _ in range(2):
        async with PaperRuntime(config) as runtime:
            seen += [runtime.exchange.ids.uuid() for _ in range(3)]
        await asyncio.sleep(1)
    assert len(set(seen)) == 6
