"""The frames of this exchange beside recorded ones, field by field: the same keys, the same types.

Recordings lie outside of the project; without them only lists of fields are checked.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gridcore import SideType
from paper_exchange.stream.session import Channel
from testkit.paper import PaperWorld, paper_market

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
RECORDING = REAL / "ws" / "bybit_v5_public_linear_2026-08-09T212659_212741_frames.jsonl.gz"
SAMPLES = REAL / "samples"
needs_recording = pytest.mark.skipif(not RECORDING.exists(), reason="no recording here")
needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="no samples here")

# what recorded rows have of other contracts or older versions of the protocol
OLDER_OR_OTHER = {
    "isLeverage", "orderIv", "placeType", "brokerOrderPrice", "rpiTakerAccess", "rpiMatchedQty",
    "totalPerpUpl",
}  # fmt: skip


@cache
def recorded() -> dict[str, list[dict[str, Any]]]:
    frames: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(RECORDING, "rt") as lines:
        for line in lines:
            entry = json.loads(line)
            frame = entry["frame"]
            frame = json.loads(frame) if isinstance(frame, str) else frame
            if entry["dir"] == "recv":
                kind = frame.get("topic", "ack").split(".")[0]
                frames.setdefault(kind, []).append(frame)
    return frames


def shape(value: Any) -> Any:
    """Return names and types, without values."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("65114.3", SideType.BUY)
    return world


@needs_recording
@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("publicTrade.BTCUSDT", "publicTrade"),
        ("orderbook.200.BTCUSDT", "orderbook"),
        ("kline.1.BTCUSDT", "kline"),
    ],
)
def test_public_frames_have_the_shape_of_recorded_ones(
    world: PaperWorld, topic: str, kind: str
) -> None:
    stream = world.stream(Channel.PUBLIC, topic)
    world.trade("65120.0", after_ms=1_500)
    world.advance(1_500)
    ours = stream.topic(topic)
    for frame_type in {frame["type"] for frame in recorded()[kind]}:
        theirs = [one for one in recorded()[kind] if one["type"] == frame_type]
        mine = [one for one in ours if one["type"] == frame_type]
        assert mine, frame_type
        full = [one for one in theirs if all_filled(one)]
        assert shape(mine[0]) == shape(full[0])


def all_filled(frame: dict[str, Any]) -> bool:
    data = frame["data"]
    return isinstance(data, list) or (bool(data["a"]) and bool(data["b"]))


@needs_recording
def test_ticker_snapshots_and_deltas_have_recorded_fields_only(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT")
    for price in ("65120.0", "65000.1", "66000.0"):
        world.trade(price, after_ms=200)
    world.advance(200)
    snapshot, *deltas = stream.topic("tickers.BTCUSDT")
    theirs = next(one for one in recorded()["tickers"] if one["type"] == "snapshot")
    assert shape(snapshot) == shape(theirs)
    for delta in deltas:
        assert set(delta) == {"topic", "type", "data", "cs", "ts"}
        assert set(delta["data"]) <= set(theirs["data"])
        assert "symbol" in delta["data"]


@needs_recording
def test_tickers_come_at_moments_of_their_symbol() -> None:
    """Nearly no frame of a symbol lies off its tenths of a second, and no two symbols share one."""
    symbols = ("BTCUSDT", "ETHUSDT")
    world = PaperWorld(markets=[paper_market(one) for one in symbols])
    stream = world.stream(Channel.PUBLIC, *(f"tickers.{one}" for one in symbols))
    for number in range(200):
        for symbol in symbols:
            world.trade(str(1000 + number % 7), symbol=symbol, after_ms=17 + number % 5)
    ours = [one for symbol in symbols for one in stream.topic(f"tickers.{symbol}")]
    for frames in (recorded()["tickers"], ours):
        moments: dict[str, list[int]] = {}
        for frame in frames:
            if frame["type"] == "delta":
                moments.setdefault(frame["topic"], []).append(frame["ts"])
        assert len(moments) > 1
        together = [ts for times in moments.values() for ts in times]
        assert len(set(together)) == len(together)
        for times in moments.values():
            usual = Counter(ts // 10 % 10 for ts in times).most_common(2)
            assert sum(count for _, count in usual) == len(times)


@needs_recording
def test_prices_and_sizes_are_written_with_the_same_places(world: PaperWorld) -> None:
    """65114.30, not 65114.3; 0.004, not 4E-3."""
    theirs = next(one for one in recorded()["tickers"] if one["type"] == "snapshot")["data"]
    assert theirs["symbol"] == "BTCUSDT"
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT", "publicTrade.BTCUSDT")
    ours = stream.topic("tickers.BTCUSDT")[0]["data"]
    for name in ("lastPrice", "bid1Price", "ask1Price", "bid1Size", "prevPrice24h"):
        assert places(ours[name]) == places(theirs[name]), name
    world.trade("65114.3", qty="0.004")
    world.advance(1)
    trade = stream.rows("publicTrade.BTCUSDT")[0]
    real = next(
        row for frame in recorded()["publicTrade"] for row in frame["data"] if row["s"] == "BTCUSDT"
    )
    assert (places(trade["p"]), places(trade["v"])) == (places(real["p"]), places(real["v"]))


def places(text: str) -> int:
    assert "e" not in text.lower()
    return len(text.partition(".")[2])


@needs_recording
def test_the_acknowledgement_of_a_subscription(world: PaperWorld) -> None:
    ours = world.stream(Channel.PUBLIC, "tickers.BTCUSDT").frames[0]
    assert shape(ours) == shape(recorded()["ack"][0])


@needs_recording
def test_the_row_of_instruments_info(world: PaperWorld) -> None:
    answer = json.loads(
        (REAL / "rest" / "instruments-info_linear_selected_2026-08-09.json").read_text()
    )
    ours = world.get("/v5/market/instruments-info", symbol="BTCUSDT")["list"][0]
    assert shape(ours) == shape(answer["result"]["list"][0])
    tiers = json.loads((REAL / "rest" / "risk-limit_linear_BTCUSDT_2026-09-28.json").read_text())
    mine = world.get("/v5/market/risk-limit", symbol="BTCUSDT")["list"]
    assert shape(mine) == shape(tiers["result"]["list"])


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SAMPLES / name).read_text())
    return content


def private_frames() -> dict[str, dict[str, Any]]:
    world = PaperWorld([paper_market("ETHUSDT")])
    world.trade("3000.00", SideType.BUY, symbol="ETHUSDT")
    topics = ("order", "execution", "execution.fast", "position", "wallet")
    stream = world.stream(Channel.PRIVATE, *topics)
    world.place(price="2990", qty="0.5", symbol="ETHUSDT")
    world.trade("2980", symbol="ETHUSDT")
    return {topic: stream.topic(topic)[-1] for topic in topics}


@needs_samples
@pytest.mark.parametrize(
    ("topic", "names"),
    [
        ("order", ["nautilus_trader/ws_account_order.json", "Bybit.Net/ws_Private_Order.json"]),
        ("execution", ["nautilus_trader/ws_account_execution.json"]),
        ("execution.fast", ["nautilus_trader/ws_account_execution_fast.json"]),
        ("position", ["nautilus_trader/ws_account_position.json",
                      "Bybit.Net/ws_Private_Position.json"]),
        ("wallet", ["Bybit.Net/ws_Private_Balance.json"]),
    ],
)  # fmt: skip
def test_private_frames_have_every_field_of_the_samples_in_its_type(
    topic: str, names: list[str]
) -> None:
    ours = private_frames()[topic]
    for name in names:
        theirs = sample(name)
        assert set(theirs) <= set(ours)
        for field, kind in shape(theirs["data"][0]).items():
            if field in OLDER_OR_OTHER:
                continue
            mine = shape(ours["data"][0]).get(field)
            assert mine is not None, field
            if not isinstance(kind, list):
                assert mine == kind, field
    if topic == "wallet":
        coin = sample(names[0])["data"][0]["coin"][0]
        mine_coin = ours["data"][0]["coin"][0]
        assert {name: type(value) for name, value in coin.items()} == {
            name: type(mine_coin[name]) for name in coin
        }


@needs_samples
@pytest.mark.parametrize(
    ("path", "params", "name"),
    [
        ("/v5/order/realtime", {"symbol": "BTCUSDT"}, "Bybit.Net/rest_GetOrders.json"),
        ("/v5/position/list", {"symbol": "BTCUSDT"}, "nautilus_trader/http_get_positions.json"),
        ("/v5/execution/list", {}, "nautilus_trader/http_get_executions.json"),
        ("/v5/position/closed-pnl", {}, "Bybit.Net/rest_GetClosedProfitLoss.json"),
        ("/v5/account/transaction-log", {}, "Bybit.Net/rest_GetTransactionHistory.json"),
        ("/v5/account/fee-rate", {}, "nautilus_trader/http_get_fee_rate.json"),
        ("/v5/market/funding/history", {"symbol": "BTCUSDT"},
         "nautilus_trader/http_get_funding_history.json"),
    ],
)  # fmt: skip
def test_rest_rows_have_every_field_of_the_samples_in_its_type(
    world: PaperWorld, path: str, params: dict[str, str], name: str
) -> None:
    world.place(price=None, qty="0.02")
    world.trade("65200")
    world.place(side="Sell", price=None, qty="0.01")
    world.place(price="64000")
    if "funding" in path:
        world.advance(8 * 3_600_000)
    ours = world.get(path, **params)["list"][0]
    theirs = sample(name)["result"]["list"][0]
    for field, value in theirs.items():
        if field in OLDER_OR_OTHER or value is None or "baseCoin" in field:
            continue
        assert field in ours, field
        assert type(ours[field]) is type(value), field


@needs_samples
def test_the_wallet_of_rest(world: PaperWorld) -> None:
    theirs = sample("nautilus_trader/http_get_wallet_balance.json")["result"]["list"][0]
    ours = world.get("/v5/account/wallet-balance", accountType="UNIFIED")["list"][0]
    assert set(theirs) <= set(ours)
    assert set(theirs["coin"][0]) <= set(ours["coin"][0])
    info = sample("nautilus_trader/http_get_account_info.json")["result"]
    assert shape(world.get("/v5/account/info")) == shape(info)
