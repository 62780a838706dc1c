"""What the REST client reads: lists of all pages, records, the market."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from bybit_adapter.basics.environment import MAINNET, TESTNET
from bybit_adapter.basics.errors import (
    ExchangeUnavailable,
    OrderRejected,
    SettingRefused,
)
from bybit_adapter.records.requests import OrderKey
from bybit_adapter.rest.client import BybitRestClient
from testkit.rest import SECRET
from testkit.rest_answers import ANSWERED, order

MS = timedelta(milliseconds=1)


def test_open_orders_of_all_pages(
    exchange: Any, client: BybitRestClient, order_row: dict[str, Any]
) -> None:
    cursor = "page_args%3Dfd4300ae-7847%26symbol%3D6%26"
    exchange.on(
        "/v5/order/realtime",
        exchange.rows(order_row, cursor=cursor),
        exchange.rows(order_row | {"orderId": "2"}, cursor="b c|d", time_ms=1786276800999),
        exchange.rows(order_row | {"orderId": "3"}, time_ms=1786276801999),
    )
    listing = client.get_open_orders("ETHUSDT")
    assert [found.order_id for found in listing] == ["5cf98598", "2", "3"]
    assert (listing.as_of, listing.is_truncated, len(listing)) == (ANSWERED, False, 3)
    assert listing.rows[0].cum_fees == {"USDT": Decimal("0.0192")}
    limit_order = listing.rows[0].to_limit_order(Decimal("0.01"))
    assert (limit_order.price_ticks, limit_order.age_rank) == (160000, 1684738540559)
    first, second, third = exchange.calls
    assert first.params == {
        "category": "linear",
        "symbol": "ETHUSDT",
        "openOnly": "0",
        "limit": "50",
    }
    assert f"cursor={cursor}&" in second.query  # verbatim
    assert third.params["cursor"] == "b c|d"
    assert all(call.is_signed_with(SECRET) for call in exchange.calls)


def test_more_pages_than_allowed_are_reported(
    exchange: Any, client: BybitRestClient, order_row: dict[str, Any]
) -> None:
    exchange.on("/v5/order/realtime", exchange.rows(order_row, cursor="more"))
    listing = client.get_open_orders(max_pages=3)
    assert listing.is_truncated
    assert len(exchange.calls) == 3
    assert exchange.calls[0].params["settleCoin"] == "USDT"


def test_an_order_is_looked_up_among_the_live_ones_then_in_the_history(
    exchange: Any, client: BybitRestClient, order_row: dict[str, Any]
) -> None:
    row = order_row | {"orderLinkId": "x", "orderStatus": "Filled"}
    exchange.on("/v5/order/realtime", exchange.rows(), exchange.rows(row))
    exchange.on("/v5/order/history", exchange.rows(row), exchange.rows())
    key = OrderKey(symbol="ETHUSDT", order_link_id="x")
    found = client.find_order(key)
    assert found is not None
    assert not found.is_open
    assert client.find_order(key) is not None
    exchange.on("/v5/order/realtime", exchange.reply(code=110001))
    assert client.find_order(key) is None
    # An answer about another order is no answer.
    exchange.on("/v5/order/realtime", exchange.rows(order_row))
    assert client.find_order(key) is None


def test_one_page_of_executions(
    exchange: Any, client: BybitRestClient, execution_row: dict[str, Any]
) -> None:
    exchange.on("/v5/execution/list", exchange.rows(execution_row, cursor="n%3A2"))
    start = ANSWERED - timedelta(days=1)
    page, cursor = client.get_executions("BTCUSDT", start=start, end=ANSWERED, cursor="c%2C1")
    assert (len(page), cursor) == (1, "n%3A2")
    assert exchange.calls[0].params["startTime"] == "1786190400123"
    assert "cursor=c%2C1&" in exchange.calls[0].query


def test_all_executions_of_a_long_range_each_once_oldest_first(
    exchange: Any, client: BybitRestClient, execution_row: dict[str, Any]
) -> None:
    start = ANSWERED - timedelta(days=16)

    def answer(call: Any) -> Any:
        newest = int(call.params["endTime"])
        if "cursor" not in call.params:
            pair = [
                execution_row | {"execId": f"e{newest - i}", "execTime": str(newest - i)}
                for i in (0, 1)
            ]
            return exchange.rows(*pair, cursor="two")
        again = execution_row | {"execId": f"e{newest - 1}", "execTime": str(newest - 1)}
        return exchange.rows(
            again, again | {"execId": f"e{newest - 2}", "execTime": str(newest - 2)}
        )

    exchange.on("/v5/execution/list", answer)
    listing = client.get_executions_all("BTCUSDT", start=start, end=ANSWERED)
    times = [execution.time for execution in listing]
    assert times == sorted(times)
    assert len(times) == 9  # three ranges of at most seven days, three executions each
    assert times[-1] == ANSWERED
    assert not listing.is_truncated
    spans = [(int(c.params["startTime"]), int(c.params["endTime"])) for c in exchange.calls]
    assert all(0 < last - first <= 7 * 86_400_000 for first, last in spans)
    ranges = sorted(set(spans))
    assert all(a[1] + 1 == b[0] for a, b in pairwise(ranges))  # no hole
    short = client.get_executions_all("BTCUSDT", start=start, end=ANSWERED, max_pages=2)
    assert short.is_truncated
    with pytest.raises(ValueError, match="before its start"):
        client.get_executions_all(start=ANSWERED, end=start)


def test_positions_and_wallet_say_when_they_were_true(
    exchange: Any, client: BybitRestClient, position_row: dict[str, Any], wallet_row: dict[str, Any]
) -> None:
    row = position_row | {"avgPrice": position_row["entryPrice"]}
    exchange.on("/v5/position/list", exchange.rows(row))
    exchange.on("/v5/account/wallet-balance", exchange.reply({"list": [wallet_row]}))
    (position,) = client.get_positions("BTCUSDT")
    assert position.as_of == ANSWERED
    assert position.leg.entry_price == 60000
    wallet = client.get_wallet_balance()
    assert wallet.as_of == ANSWERED
    assert wallet.total_available_balance_usd == Decimal("1501.5")
    exchange.on("/v5/account/wallet-balance", exchange.reply({"list": []}))
    with pytest.raises(ExchangeUnavailable, match="no account"):
        client.get_wallet_balance()


def test_how_the_account_is_set_up(exchange: Any, client: BybitRestClient) -> None:
    exchange.on(
        "/v5/account/info",
        exchange.reply(
            {"unifiedMarginStatus": 5, "marginMode": "REGULAR_MARGIN", "updatedTime": "1"}
        ),
    )
    info = client.get_account_info()
    assert info.is_unified
    assert info.is_cross_margin


def test_transactions(exchange: Any, client: BybitRestClient) -> None:
    row = {
        "id": "1",
        "symbol": "XRPUSDT",
        "side": "None",
        "funding": "-0.003676",
        "fee": "0",
        "change": "-0.003676",
        "cashFlow": "0",
        "transactionTime": "1672128000000",
        "type": "SETTLEMENT",
        "size": "-100",
        "qty": "100",
        "cashBalance": "5086.5",
        "currency": "USDT",
        "category": "linear",
        "tradePrice": "",
    }
    newer = row | {"id": "2", "transactionTime": "1672128000001"}
    exchange.on("/v5/account/transaction-log", exchange.rows(newer, row))
    first, second = client.get_transaction_log(entry_type="SETTLEMENT")
    assert (first.entry_id, second.entry_id) == ("1", "2")
    assert (first.funding, first.trade_price, first.side) == (Decimal("-0.003676"), None, None)
    assert exchange.calls[0].params["type"] == "SETTLEMENT"


def test_orders_of_the_past_oldest_first(
    exchange: Any, client: BybitRestClient, order_row: dict[str, Any]
) -> None:
    rows = [
        order_row | {"orderId": str(i), "createdTime": str(1684738540000 + i)} for i in (3, 2, 1)
    ]
    exchange.on("/v5/order/history", exchange.rows(*rows))
    history = client.get_order_history("ETHUSDT")
    assert [found.order_id for found in history] == ["1", "2", "3"]
    assert "startTime" not in exchange.calls[0].params


def test_the_exchange_s_clock(exchange: Any, client: BybitRestClient) -> None:
    result = {"timeSecond": "1688639403", "timeNano": "1688639403423213947"}
    exchange.on("/v5/market/time", exchange.reply(result))
    assert client.get_server_time() == datetime(2023, 7, 6, 10, 30, 3, 423213, tzinfo=UTC)


def instrument_row(symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {
        "symbol": symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "leverageFilter": {"maxLeverage": "100.00"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1500.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "maxMktOrderQty": "150.000",
            "minNotionalValue": "5",
        },
        "fundingInterval": 480,
    }


def test_rules_of_a_contract(exchange: Any, client: BybitRestClient) -> None:
    path = "/v5/market/instruments-info"
    exchange.on(path, exchange.rows(instrument_row()), exchange.rows())
    assert client.get_instrument("BTCUSDT").rules.tick_size == Decimal("0.1")
    assert "x-bapi-sign" not in exchange.calls[0].headers
    with pytest.raises(SettingRefused, match="NOPEUSDT is not listed"):
        client.get_instrument("NOPEUSDT")
    exchange.on(path, exchange.reply(code=10001, message="params error: symbol invalid"))
    with pytest.raises(SettingRefused, match="symbol invalid"):
        client.get_instrument("NOPEUSDT")
    bad = instrument_row()
    bad["lotSizeFilter"]["minOrderQty"] = "0.0015"
    exchange.on(path, exchange.rows(bad))
    with pytest.raises(ExchangeUnavailable, match="no multiple of"):
        client.get_instrument("BTCUSDT")


def test_tickers(exchange: Any, client: BybitRestClient) -> None:
    row = {"symbol": "BTCUSDT", "lastPrice": "5", "markPrice": "", "bid1Price": "0"}
    exchange.on("/v5/market/tickers", exchange.rows(row))
    (ticker,) = client.get_tickers("BTCUSDT")
    assert (ticker.last_price, ticker.mark_price, ticker.bid1_price) == (5, None, None)
    assert ticker.time == ANSWERED


def test_recent_trades_oldest_first(exchange: Any, client: BybitRestClient) -> None:
    rows = [
        {
            "execId": f"t{i}",
            "symbol": "BTCUSDT",
            "price": "1",
            "size": "2",
            "side": "Sell",
            "time": str(1786276800000 + i // 2),
            "isBlockTrade": False,
        }
        for i in (3, 2, 1, 0)
    ]
    exchange.on("/v5/market/recent-trade", exchange.rows(*rows))
    trades = client.get_recent_trades("BTCUSDT", limit=4)
    assert [trade.trade_id for trade in trades] == ["t0", "t1", "t2", "t3"]


def test_klines_tell_which_is_still_forming(exchange: Any, client: BybitRestClient) -> None:
    minute = [["1786276800000", "1", "2", "0.5", "1.5", "10", "15"]]
    done = [["1786276740000", "1", "2", "0.5", "1.5", "10", "15"]]
    exchange.on("/v5/market/kline", exchange.rows(*minute, *done))
    first, last = client.get_klines("BTCUSDT", "1")
    assert (first.is_closed, last.is_closed) == (True, False)
    assert last.start == ANSWERED - 123 * MS
    for interval, closed in (("M", False), ("W", False), ("60", False)):
        assert client.get_klines("BTCUSDT", interval)[0].is_closed is closed
    with pytest.raises(ValueError, match="interval"):
        client.get_klines("BTCUSDT", "2")


def test_funding_of_a_long_range(exchange: Any, client: BybitRestClient) -> None:
    step = 28_800_000
    stamps = [1786276800000 - i * step for i in range(450)]

    def answer(call: Any) -> Any:
        inside = [
            stamp
            for stamp in stamps
            if int(call.params["startTime"]) <= stamp <= int(call.params["endTime"])
        ]
        return exchange.rows(
            *(
                {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(stamp)}
                for stamp in inside[:200]
            )
        )

    exchange.on("/v5/market/funding/history", answer)
    rates = client.get_funding_history(
        "BTCUSDT", start=ANSWERED - timedelta(days=149), end=ANSWERED
    )
    assert len(rates) == 447
    assert [rate.time for rate in rates] == sorted(rate.time for rate in rates)
    assert len(exchange.calls) == 3
    newest = client.get_funding_history("BTCUSDT", start=ANSWERED)
    assert newest == []
    assert "endTime" in exchange.calls[-1].params  # Bybit refuses a start alone


@pytest.mark.parametrize("unit", [1, 100])
def test_the_risk_ladder_is_in_fractions_whatever_the_answer_is_in(
    exchange: Any, client: BybitRestClient, unit: int
) -> None:
    def tier(number: int, initial: str, leverage: str) -> dict[str, Any]:
        return {
            "id": number,
            "symbol": "BTCUSDT",
            "riskLimitValue": str(1000 * number),
            "maintenanceMargin": str(Decimal(initial) / 2 * unit),
            "initialMargin": str(Decimal(initial) * unit),
            "maxLeverage": leverage,
            "mmDeduction": "" if number == 1 else "7",
        }

    exchange.on(
        "/v5/market/risk-limit",
        exchange.rows(tier(2, "0.02", "50.00"), tier(1, "0.0066", "150.00")),
    )
    first, second = client.get_risk_limit("BTCUSDT")
    assert (first.risk_id, first.initial_ratio, first.deduction) == (1, Decimal("0.0066"), 0)
    assert (second.maintenance_ratio, second.deduction) == (Decimal("0.01"), 7)


def test_where_to_trade_has_to_be_said() -> None:
    with pytest.raises(ValueError, match="either environment or testnet"):
        BybitRestClient()
    with pytest.raises(ValueError, match="either environment or testnet"):
        BybitRestClient(environment=TESTNET, testnet=True)
    with BybitRestClient(testnet=True) as test, BybitRestClient(testnet=False) as main:
        assert (test.environment, main.environment) == (TESTNET, MAINNET)


def test_a_query_row_that_does_not_fit_is_named(
    exchange: Any, client: BybitRestClient, order_row: dict[str, Any]
) -> None:
    exchange.on("/v5/order/realtime", exchange.rows(order_row | {"qty": "many"}))
    with pytest.raises(ExchangeUnavailable, match=r"result.list\[0\].qty: 'many' is no number"):
        client.get_open_orders()


def test_an_unknown_code_is_a_rejection(exchange: Any, client: BybitRestClient) -> None:
    exchange.on("/v5/order/create", exchange.reply(code=999999, message="new"))
    with pytest.raises(OrderRejected, match="999999"):
        client.place_order(order())
