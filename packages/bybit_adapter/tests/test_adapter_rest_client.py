"""Every REST method over a real socket: what is sent, and what its answer becomes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bybit_adapter.basics.errors import (
    AmbiguousResult,
    DuplicateOrderLinkId,
    ExchangeUnavailable,
    OrderNotFound,
    ReduceOnlyRejected,
    SettingRefused,
)
from bybit_adapter.records.requests import OrderAck, OrderKey, PlaceRequest
from bybit_adapter.rest.client import BybitRestClient
from gridcore import DirectionType, PlaceLimitIntent, SideType
from testkit.rest import SECRET
from testkit.rest_answers import ANSWERED, order


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
