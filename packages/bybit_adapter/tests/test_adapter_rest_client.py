"""Every REST method over a real socket: what is sent, and what its answer becomes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from bybit_adapter.basics.environment import MAINNET, TESTNET
from bybit_adapter.basics.errors import (
    AmbiguousResult,
    DuplicateOrderLinkId,
    ExchangeUnavailable,
    OrderNotFound,
    OrderRejected,
    ReduceOnlyRejected,
    SettingRefused,
)
from bybit_adapter.records.requests import OrderAck, OrderKey, PlaceRequest
from bybit_adapter.rest.client import BybitRestClient
from gridcore import DirectionType, PlaceLimitIntent, SideType
from testkit.rest import SECRET, connect

ANSWERED = datetime(2026, 8, 9, 12, 0, 0, 123000, tzinfo=UTC)
MS = timedelta(milliseconds=1)


@pytest.fixture
def client(exchange: Any) -> Iterator[BybitRestClient]:
    with connect(exchange.port) as made:
        yield made


def order(link_id: str = "0123456789abcdef-1", **fields: Any) -> PlaceRequest:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "direction": DirectionType.LONG,
        "side": SideType.BUY,
        "qty": Decimal("0.010"),
        "price": Decimal("60000.10"),
        "order_link_id": link_id,
        "reduce_only": False,
    }
    return PlaceRequest(**(values | fields))


def test_an_order_goes_out_as_bybit_wants_it(exchange: Any, client: BybitRestClient) -> None:
    link_id = "0123456789abcdef-1"
    exchange.on("/v5/order/create", exchange.reply({"orderId": "1", "orderLinkId": link_id}))
    ack = client.place_order(order(price=Decimal("6E+4"), qty=Decimal("1E-3")))
    assert ack == OrderAck(order_id="1", order_link_id=link_id, time=ANSWERED)
    (call,) = exchange.calls
    assert call.method == "POST"
    assert call.is_signed_with(SECRET)
    assert call.json == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Limit",
        "qty": "0.001",
        "price": "60000",
        "timeInForce": "GTC",
        "positionIdx": 1,
        "orderLinkId": "0123456789abcdef-1",
        "reduceOnly": False,
    }


def test_an_intent_becomes_a_request() -> None:
    intent = PlaceLimitIntent.create(
        "BTCUSDT",
        SideType.BUY,
        Decimal("60000"),
        Decimal("0.01"),
        3,
        DirectionType.SHORT,
        reduce_only=True,
        post_only=True,
    )
    wire = PlaceRequest.from_intent(intent, "a-1").to_wire()
    assert wire["positionIdx"] == 2
    assert wire["reduceOnly"] is True
    assert wire["timeInForce"] == "PostOnly"


def test_a_market_order_has_neither_price_nor_time_in_force() -> None:
    wire = order(price=None, reduce_only=True).to_wire()
    assert wire["orderType"] == "Market"
    assert "price" not in wire
    assert "timeInForce" not in wire


@pytest.mark.parametrize(
    "wrong",
    [
        {"qty": Decimal(0)},
        {"qty": Decimal("NaN")},
        {"qty": 1.5},
        {"price": Decimal(-1)},
        {"link_id": ""},
        {"link_id": "x" * 37},
        {"link_id": "a b"},
        {"price": None, "post_only": True},
    ],
)
def test_a_wrong_order_does_not_construct(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"BTCUSDT|link id"):
        order(**wrong)


def test_amend_and_cancel(exchange: Any, client: BybitRestClient) -> None:
    ack = {"orderId": "1", "orderLinkId": ""}
    for path in ("amend", "cancel"):
        exchange.on(f"/v5/order/{path}", exchange.reply(ack))
    by_link = OrderKey(symbol="BTCUSDT", order_link_id="x")
    client.amend_order(by_link, price=Decimal("5E+1"))
    assert client.cancel_order(OrderKey(symbol="BTCUSDT", order_id="1")).order_link_id is None
    amend, cancel = exchange.calls
    assert amend.json == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderLinkId": "x",
        "price": "50",
    }
    assert cancel.json == {"category": "linear", "symbol": "BTCUSDT", "orderId": "1"}
    with pytest.raises(ValueError, match="new qty or price"):
        client.amend_order(by_link)
    with pytest.raises(ValueError, match="order_id or order_link_id"):
        OrderKey(symbol="BTCUSDT")


def test_cancelling_what_is_gone_says_so(exchange: Any, client: BybitRestClient) -> None:
    exchange.on("/v5/order/cancel", exchange.reply(code=110001, message="order not exists"))
    with pytest.raises(OrderNotFound):
        client.cancel_order(OrderKey(symbol="BTCUSDT", order_id="1"))


def test_cancel_all(exchange: Any, client: BybitRestClient) -> None:
    rows = [{"orderId": str(i), "orderLinkId": ""} for i in range(3)]
    exchange.on("/v5/order/cancel-all", exchange.reply({"list": rows, "success": "1"}))
    assert [ack.order_id for ack in client.cancel_all_orders("BTCUSDT")] == ["0", "1", "2"]
    # a stop order that somebody set by hand stays
    assert exchange.calls[-1].json["orderFilter"] == "Order"


def batch_reply(exchange: Any, codes: list[int], ids: list[str] | None = None) -> Any:
    named = ids or [f"id{i}" for i in range(len(codes))]
    rows = [
        {"orderId": "" if code else name, "orderLinkId": "" if code or ids else f"a-{i}"}
        for i, (name, code) in enumerate(zip(named, codes, strict=True))
    ]
    extra = {"list": [{"code": code, "msg": "m"} for code in codes]}
    return exchange.reply({"list": rows}, extra=extra)


def test_a_batch_tells_the_fate_of_every_order(exchange: Any, client: BybitRestClient) -> None:
    codes = [0, 110017, 110072, 10016, 0]
    exchange.on("/v5/order/create-batch", batch_reply(exchange, codes))
    outcomes = client.place_batch([order(f"a-{i}") for i in range(5)])
    kinds = [OrderAck, ReduceOnlyRejected, DuplicateOrderLinkId, AmbiguousResult, OrderAck]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert outcomes[1].request["orderLinkId"] == "a-1"  # type: ignore[union-attr]  # an error
    (call,) = exchange.calls
    assert call.json["category"] == "linear"
    assert call.json["request"][4]["orderLinkId"] == "a-4"
    assert call.json["request"][0]["qty"] == "0.010"


def test_large_batches_go_in_parts_of_ten(exchange: Any, client: BybitRestClient) -> None:
    exchange.on(
        "/v5/order/cancel-batch",
        lambda call: batch_reply(
            exchange,
            [0] * len(call.json["request"]),
            [one["orderId"] for one in call.json["request"]],
        ),
    )
    keys = [OrderKey(symbol="BTCUSDT", order_id=str(i)) for i in range(23)]
    outcomes = client.cancel_batch(keys)
    assert all(isinstance(outcome, OrderAck) for outcome in outcomes)
    assert [len(call.json["request"]) for call in exchange.calls] == [10, 10, 3]


def test_after_a_part_of_unknown_fate_the_rest_is_not_sent(
    exchange: Any, client: BybitRestClient
) -> None:
    exchange.on(
        "/v5/order/create-batch", batch_reply(exchange, [0] * 10), exchange.reply(status=500)
    )
    outcomes = client.place_batch([order(f"a-{i}") for i in range(25)])
    assert {type(o) for o in outcomes[:10]} == {OrderAck}
    assert {type(o) for o in outcomes[10:20]} == {AmbiguousResult}
    assert {type(o) for o in outcomes[20:]} == {ExchangeUnavailable}
    assert [o.request["orderLinkId"] for o in outcomes[10:]] == [f"a-{i}" for i in range(10, 25)]  # type: ignore[union-attr]  # errors


def test_a_batch_answer_that_does_not_match_is_ambiguous(
    exchange: Any, client: BybitRestClient
) -> None:
    exchange.on("/v5/order/create-batch", batch_reply(exchange, [0]))
    outcomes = client.place_batch([order("a-1"), order("a-2")])
    assert {type(outcome) for outcome in outcomes} == {AmbiguousResult}


def test_an_answer_that_belongs_to_another_order_is_not_taken(
    exchange: Any, client: BybitRestClient
) -> None:
    """An order must not be known by the id of another one."""
    exchange.on("/v5/order/create", exchange.reply({"orderId": "1", "orderLinkId": "b-1"}))
    with pytest.raises(AmbiguousResult, match="belongs to b-1, asked was for a-1"):
        client.place_order(order("a-1"))
    exchange.on("/v5/order/cancel", exchange.reply({"orderId": "2", "orderLinkId": ""}))
    with pytest.raises(AmbiguousResult, match="belongs to 2, asked was for 1"):
        client.cancel_order(OrderKey(symbol="BTCUSDT", order_id="1"))
    exchange.on("/v5/order/create-batch", batch_reply(exchange, [0, 0]))
    outcomes = client.place_batch([order("a-1"), order("a-0")])
    assert {type(outcome) for outcome in outcomes} == {AmbiguousResult}


def test_settings_that_are_as_asked_are_fine(exchange: Any, client: BybitRestClient) -> None:
    exchange.on("/v5/position/set-leverage", exchange.reply(), exchange.reply(code=110043))
    exchange.on(
        "/v5/position/switch-mode", exchange.reply(code=110025), exchange.reply(code=110024)
    )
    exchange.on("/v5/order/disconnected-cancel-all", exchange.reply())
    for _ in range(2):
        client.set_leverage("BTCUSDT", Decimal("10"))
    client.switch_position_mode("BTCUSDT")
    with pytest.raises(SettingRefused):
        client.switch_position_mode("BTCUSDT", hedge=False)
    client.set_dcp(40)
    bodies = [call.json for call in exchange.calls]
    leverage = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "buyLeverage": "10",
        "sellLeverage": "10",
    }
    assert bodies == [
        leverage,
        leverage,
        {"category": "linear", "symbol": "BTCUSDT", "mode": 3},
        {"category": "linear", "symbol": "BTCUSDT", "mode": 0},
        {"product": "DERIVATIVES", "timeWindow": 40},
    ]


def test_an_accepted_order_without_an_id_is_ambiguous(
    exchange: Any, client: BybitRestClient
) -> None:
    exchange.on("/v5/order/create", exchange.reply({"orderId": ""}))
    with pytest.raises(AmbiguousResult, match="orderId: it is missing or empty"):
        client.place_order(order())


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
