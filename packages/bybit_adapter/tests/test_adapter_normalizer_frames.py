"""Frames that are not one event each: tags, categories, batches."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.records.normalizer import BybitNormalizer, StreamKind
from bybit_adapter.records.tags import Tags
from testkit.private_frames import NOW, private


def test_events_carry_the_tags_of_their_account(execution_row: dict[str, Any]) -> None:
    tags = Tags(user_id=UUID(int=1), account_id=UUID(int=2), run_id=UUID(int=3))
    (event,) = BybitNormalizer(tags).executions(private("execution", execution_row), NOW)
    assert (event.user_id, event.account_id, event.run_id) == (
        UUID(int=1),
        UUID(int=2),
        UUID(int=3),
    )


def test_other_categories_are_left_out(
    execution_row: dict[str, Any], order_row: dict[str, Any], position_row: dict[str, Any]
) -> None:
    normalizer = BybitNormalizer()
    for topic, row in (
        ("execution", execution_row),
        ("order", order_row),
        ("position", position_row),
    ):
        for category in ("spot", "option", "inverse"):
            assert normalizer.normalize(private(topic, row | {"category": category}), NOW) == []
        assert len(normalizer.normalize(private(topic + ".linear", row), NOW)) == 1


def test_one_bad_row_does_not_take_the_others_with_it(execution_row: dict[str, Any]) -> None:
    bad = execution_row | {"execPrice": "1,5", "execId": "bad"}
    last = execution_row | {"execId": "last"}
    with pytest.raises(MalformedFrame) as raised:
        BybitNormalizer().normalize(private("execution", execution_row, bad, last), NOW)
    error = raised.value
    assert (error.topic, error.field) == ("execution", "data[1].execPrice")
    assert [update.record.exec_id for update in error.fitting] == ["0ab1bdf7", "last"]


@pytest.mark.parametrize(
    ("topic", "change", "field"),
    [
        ("execution", {"closedSize": None}, "closedSize"),
        ("execution", {"orderId": ""}, "orderId"),
        ("execution", {"side": ""}, "side"),
        ("execution", {"side": "buy"}, "side"),
        ("execution", {"execFee": ""}, "execFee"),
        ("execution", {"execQty": "0"}, "execQty"),
        ("execution", {"execQty": 0.4}, "execQty"),
        ("execution", {"execTime": ""}, "execTime"),
        ("execution", {"execTime": "-5"}, "execTime"),
        ("execution", {"execTime": "9" * 18}, "execTime"),
        ("execution", {"execId": "a\u0000b"}, "execId"),
        ("execution", {"execId": "a\ud800b"}, "execId"),
        ("execution", {"execId": "x" * 1000}, "execId"),
        ("execution", {"execPrice": "1e99"}, "execPrice"),
        ("execution", {"isMaker": "false"}, "isMaker"),
        ("execution", {"seq": True}, "seq"),
        ("execution", {"leavesQty": "-0.1"}, "leavesQty"),
        ("order", {"positionIdx": 3}, "positionIdx"),
        ("order", {"price": "0"}, "price"),
        ("order", {"reduceOnly": None}, "reduceOnly"),
        ("order", {"cumFeeDetail": "0.1"}, "cumFeeDetail"),
        ("position", {"size": ""}, "size"),
        ("position", {"entryPrice": ""}, "entryPrice"),
        ("position", {"liqPrice": "-1"}, "liqPrice"),
        ("wallet", {"coin": {}}, "coin"),
        ("wallet", {"coin": ["USDT"]}, "coin[0]"),
        ("wallet", {"totalEquity": "Infinity"}, "totalEquity"),
    ],
)
def test_the_offending_field_is_named(
    request: pytest.FixtureRequest, topic: str, change: dict[str, Any], field: str
) -> None:
    row = request.getfixturevalue(f"{topic}_row") | change
    with pytest.raises(MalformedFrame) as raised:
        BybitNormalizer().normalize(private(topic, row), NOW)
    assert raised.value.topic == topic
    assert raised.value.field == f"data[0].{field}"


def test_an_unknown_order_status_is_malformed(order_row: dict[str, Any]) -> None:
    row = order_row | {"orderStatus": "Created"}
    with pytest.raises(MalformedFrame, match="status is 'Created'"):
        BybitNormalizer().normalize(private("order", row), NOW)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (None, "frame"),
        ([], "frame"),
        ("text", "frame"),
        ({}, "topic"),
        ({"topic": 5}, "topic"),
        ({"topic": "kline.1.BTCUSDT", "data": []}, "topic"),
        ({"topic": "execution.fast", "data": []}, "topic"),
        ({"topic": "execution"}, "data"),
        ({"topic": "execution", "data": {}}, "data"),
        ({"topic": "execution", "data": [5]}, "data[0]"),
        ({"topic": "position", "data": []}, "creationTime"),
        ({"topic": "tickers.BTCUSDT", "data": {}}, "type"),
        ({"topic": "tickers.BTCUSDT", "type": "update", "data": {}}, "type"),
        ({"topic": "tickers.BTCUSDT", "type": "delta", "ts": 1, "data": []}, "data"),
        ({"topic": "tickers.BTCUSDT", "type": "delta", "ts": 1, "data": {}}, "data.symbol"),
        ({"topic": "tickers.X", "type": "delta", "data": {"symbol": "X"}}, "ts"),
    ],
)
def test_a_frame_that_is_none(frame: object, field: str) -> None:
    with pytest.raises(MalformedFrame) as raised:
        BybitNormalizer().normalize(frame, NOW)
    assert raised.value.field == field


def test_kinds_of_streams() -> None:
    private_kinds = {kind for kind in StreamKind if kind.is_private}
    assert private_kinds == {
        StreamKind.EXECUTION,
        StreamKind.ORDER,
        StreamKind.POSITION,
        StreamKind.WALLET,
    }
