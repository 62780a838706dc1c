"""Frames that Bybit sent, recorded: nothing that they say is lost or changed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.basics.row import Row
from bybit_adapter.records.execution import ExecutionRecord, parse_execution
from bybit_adapter.records.instrument import parse_instrument, parse_risk_tier, to_mm_tiers
from bybit_adapter.records.market import Trade
from bybit_adapter.records.normalizer import BybitNormalizer
from bybit_adapter.records.order import Order, parse_order
from bybit_adapter.records.position import PositionRecord, parse_rest_position
from bybit_adapter.records.ticker import Ticker
from bybit_adapter.records.wallet import Wallet
from gridcore import PublicTradeEvent, TickerEvent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 8, 9, 21, 27, tzinfo=UTC)
RECORDING = "ws/bybit_v5_public_linear_2026-08-09T212659_212741_frames.jsonl.gz"


def ms(value: int) -> datetime:
    return EPOCH + timedelta(milliseconds=value)


def recorded(real_data: Path, topic: str) -> Iterator[dict[str, Any]]:
    with gzip.open(real_data / RECORDING, "rt") as lines:
        for line in lines:
            item = json.loads(line)
            if item["dir"] == "recv" and item["frame"].get("topic", "").startswith(topic):
                yield item["frame"]


def sample(real_data: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((real_data / "samples" / name).read_text())
    return found


def test_every_trade_of_every_frame_comes_out(real_data: Path) -> None:
    normalizer = BybitNormalizer()
    count = 0
    for frame in recorded(real_data, "publicTrade."):
        updates = normalizer.normalize(frame, NOW)
        assert len(updates) == len(frame["data"])
        for update, row in zip(updates, frame["data"], strict=True):
            assert isinstance(update.record, Trade)
            assert update.record.is_rpi is row["RPI"]
            assert update.record.seq == row["seq"]
            assert update.event == PublicTradeEvent(
                symbol=row["s"],
                exchange_ts=ms(row["T"]),
                local_ts=NOW,
                trade_id=row["i"],
                side=row["S"],
                price=Decimal(row["p"]),
                size=Decimal(row["v"]),
            )
            count += 1
    assert count == 327


def test_every_ticker_frame_gives_the_merged_state(real_data: Path) -> None:
    normalizer = BybitNormalizer()
    states: dict[str, dict[str, str]] = {}
    shapes: Counter[str] = Counter()

    def opt(value: str) -> Decimal | None:
        return Decimal(value) if value else None

    for frame in recorded(real_data, "tickers."):
        shapes[frame["type"]] += 1
        symbol = frame["data"]["symbol"]
        old = {} if frame["type"] == "snapshot" else states[symbol]
        state = states[symbol] = old | frame["data"]
        (update,) = normalizer.normalize(frame, NOW)
        assert update.event == TickerEvent(
            symbol=symbol,
            exchange_ts=ms(frame["ts"]),
            local_ts=NOW,
            last_price=Decimal(state["lastPrice"]),
            mark_price=opt(state["markPrice"]),
            bid1_price=opt(state["bid1Price"]),
            ask1_price=opt(state["ask1Price"]),
            funding_rate=opt(state["fundingRate"]),
        )
        ticker = update.record
        assert isinstance(ticker, Ticker)
        assert ticker.index_price == Decimal(state["indexPrice"])
        assert ticker.bid1_size == Decimal(state["bid1Size"])
        assert ticker.next_funding_time == ms(int(state["nextFundingTime"]))
    assert shapes["snapshot"] == 4
    assert sum(shapes.values()) == 758


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("nautilus_trader/ws_account_execution.json", ExecutionRecord),
        ("nautilus_trader/ws_account_order.json", Order),
        ("nautilus_trader/ws_account_order_filled.json", Order),
        ("nautilus_trader/ws_account_position.json", PositionRecord),
        ("nautilus_trader/ws_account_position_short.json", PositionRecord),
        ("nautilus_trader/ws_account_wallet.json", Wallet),
        ("Bybit.Net/ws_Linear_Ticker.json", Ticker),
        ("Bybit.Net/ws_Linear_Trades.json", Trade),
        ("Bybit.Net/ws_Private_Balance.json", Wallet),
        ("Bybit.Net/ws_Private_Position.json", PositionRecord),
        ("Bybit.Net/ws_Private_UserTrades.json", ExecutionRecord),
    ],
)
def test_sample_frames_fit(real_data: Path, name: str, record: type) -> None:
    (update,) = BybitNormalizer().normalize(sample(real_data, name), NOW)
    assert type(update.record) is record


def test_the_sample_order_of_another_category_is_left_out(real_data: Path) -> None:
    frame = sample(real_data, "Bybit.Net/ws_Private_Order.json")
    assert BybitNormalizer().normalize(frame, NOW) == []


@pytest.mark.parametrize("name", ["ws_auth_success", "ws_subscription_ack", "ws_order_response"])
def test_answers_to_commands_are_no_frames_of_a_stream(real_data: Path, name: str) -> None:
    with pytest.raises(MalformedFrame, match="field topic"):
        BybitNormalizer().normalize(sample(real_data, f"nautilus_trader/{name}.json"), NOW)


def test_every_instrument_that_bybit_listed_is_understood(real_data: Path) -> None:
    text = gzip.decompress(
        (real_data / "rest" / "instruments-info_linear_all_2026-08-09.json.gz").read_bytes()
    )
    rows = list(Row("instruments", json.loads(text)["result"]).rows("list"))
    instruments = {found.symbol: found for found in map(parse_instrument, rows)}
    assert len(instruments) == 800
    btc = instruments["BTCUSDT"]
    assert (btc.rules.tick_size, btc.rules.qty_step) == (Decimal("0.1"), Decimal("0.001"))
    assert btc.rules.min_notional == 5
    assert btc.is_trading
    assert btc.funding_interval_min == 480


def test_the_risk_ladder_is_one(real_data: Path) -> None:
    text = (real_data / "rest" / "risk-limit_linear_BTCUSDT_2026-09-28.json").read_text()
    tiers = [parse_risk_tier(r) for r in Row("risk", json.loads(text)["result"]).rows("list")]
    ladder = to_mm_tiers(tiers)
    assert len(ladder.tiers) == 35
    assert ladder.tiers[0].deduction == 0
    assert ladder.tiers[1].maintenance_rate == Decimal("0.005")


def test_rest_samples_fit(real_data: Path) -> None:
    def rows(name: str) -> list[Row]:
        return list(Row(name, sample(real_data, name)["result"]).rows("list"))

    executions = [parse_execution(r) for r in rows("nautilus_trader/http_get_executions.json")]
    assert [e.exec_id[:8] for e in executions] == ["e0cbe81d", "f1dce92e"]
    orders = [parse_order(r) for r in rows("nautilus_trader/http_get_orders_realtime.json")]
    assert all(order.is_open and order.avg_price is None for order in orders)
    (ended,) = [parse_order(r) for r in rows("nautilus_trader/http_get_orders_history.json")]
    assert not ended.is_open
    positions = [
        parse_rest_position(r, NOW) for r in rows("nautilus_trader/http_get_positions.json")
    ]
    assert positions[0].entry_price == 50000
