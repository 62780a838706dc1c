"""What other packages find by entry point: a live market, and the rules of a contract."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import entry_points
from typing import Any

import pytest

from bybit_adapter import BybitError, Environment
from bybit_adapter.offers.instrument_look_up import look_up
from bybit_adapter.offers.live_market import QUOTE_FIELDS, connect
from gridcore import SideType
from market_data.rules.instrument_info import ExchangeRows, InstrumentInfoProvider, RulesSource
from paper_exchange.feeds import live_market as paper_live
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade
from testkit.paper import PaperHost, paper_listing
from testkit.streams import PUBLIC
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange("BTCUSDT", "ETHUSDT", priced=True)]


BTC = "BTCUSDT"


class Heard:
    """Plain values in the order in which they came."""

    def __init__(self) -> None:
        self.trades: list[tuple[str, datetime, Decimal, Decimal, str, str]] = []
        self.quotes: list[tuple[str, datetime, Mapping[str, Decimal | None]]] = []

    def on_trade(self, *values: Any) -> None:
        self.trades.append(values)  # type: ignore[arg-type]  # six of them

    def on_quote(self, *values: Any) -> None:
        self.quotes.append(values)  # type: ignore[arg-type]  # three of them


def test_a_market_comes_as_plain_values_in_order(host: PaperHost) -> None:
    heard = Heard()
    environment = Environment.local(host.server.port)
    end = connect([BTC, "ETHUSDT"], environment, heard.on_trade, heard.on_quote)
    eventually(lambda: {symbol for symbol, *_ in heard.quotes} == {BTC, "ETHUSDT"})
    before = datetime.now(UTC)
    for step in range(20):
        host.trade(60_001 + step, SideType.BUY if step % 2 else SideType.SELL, qty="0.25")
    eventually(lambda: len(heard.trades) == 20)
    assert [price for _, _, price, *_ in heard.trades] == [60_001 + step for step in range(20)]
    symbol, when, price, size, side, trade_id = heard.trades[-1]
    assert (symbol, price, size, side) == (BTC, 60_020, Decimal("0.25"), "Buy")
    assert abs((when - before).total_seconds()) < 10
    assert trade_id
    eventually(lambda: heard.quotes[-1][2]["last_price"] == 60_020)
    values = heard.quotes[-1][2]
    assert tuple(values) == QUOTE_FIELDS == paper_live.QUOTE_FIELDS
    assert values["bid1_price"] is not None
    end()
    host.trade("60100")
    time.sleep(0.2)
    assert len(heard.trades) == 20


def test_block_trades_are_not_the_market(exchange: Any) -> None:
    heard = Heard()
    end = connect(["X"], Environment.local(exchange.port), heard.on_trade, heard.on_quote)
    eventually(lambda: sum(f.get("op") == "subscribe" for _, f in exchange.frames) == 2)
    time.sleep(0.1)
    for name, is_block in (("t1", False), ("t2", True), ("t3", False)):
        row = {"T": 1762199126022, "s": "X", "S": "Buy", "v": "1", "p": "5", "i": name}
        topic = {"topic": "publicTrade.X", "type": "snapshot", "ts": 1762199126022}
        exchange.push(PUBLIC, topic | {"data": [row | {"BT": is_block}]})
    eventually(lambda: len(heard.trades) == 2)
    assert [values[-1] for values in heard.trades] == ["t1", "t3"]
    end()


def test_connecting_waits_for_nobody_and_knows_its_environments() -> None:
    heard = Heard()
    started = time.monotonic()
    connect([BTC], Environment.local(1), heard.on_trade, heard.on_quote)()
    assert time.monotonic() - started < 5
    with pytest.raises(ValueError, match="take one of mainnet, testnet, demo"):
        connect([BTC], "moon", heard.on_trade, heard.on_quote)


def test_the_local_exchange_finds_its_live_market_here(host: PaperHost) -> None:
    assert paper_live.find_connect() is connect
    events: list[FeedEvent] = []
    environment: Any = Environment.local(host.server.port)
    live = paper_live.LiveMarket([BTC], environment, events.append)
    eventually(lambda: any(isinstance(event, FeedQuote) for event in events))
    host.trade("60123.4")
    eventually(lambda: any(isinstance(event, FeedTrade) for event in events))
    live.close()
    (trade,) = [event for event in events if isinstance(event, FeedTrade)]
    assert (trade.symbol, trade.price) == (BTC, Decimal("60123.4"))


def test_rules_come_as_rows_of_the_exchange(host: PaperHost) -> None:
    environment = Environment.local(host.server.port)
    found = look_up(BTC, environment)
    assert found is not None
    instrument, tiers = found
    listing = paper_listing(BTC)
    assert instrument == listing.row
    names = ("riskLimitValue", "maintenanceMargin", "initialMargin", "maxLeverage")
    assert [[Decimal(row[name]) for name in names] for row in tiers] == [
        [Decimal(row[name]) for name in names] for row in listing.risk_rows
    ]
    provider = InstrumentInfoProvider(None, lambda symbol: ExchangeRows(*found))
    rules = provider.get(BTC)
    assert rules is not None
    assert rules.source is RulesSource.EXCHANGE
    assert (rules.instrument, rules.tiers) == (listing.instrument, listing.tiers)
    assert look_up("NOPEUSDT", environment) is None


def test_an_exchange_that_is_away_is_an_error_soon() -> None:
    started = time.monotonic()
    with pytest.raises(BybitError):
        look_up(BTC, Environment.local(1))
    assert time.monotonic() - started < 10


def test_the_look_up_is_offered_to_the_backtest() -> None:
    (point,) = entry_points(group="backtest.instrument_look_up")
    assert point.load() is look_up
