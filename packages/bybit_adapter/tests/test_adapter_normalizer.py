from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.records.execution import ExecutionRecord
from bybit_adapter.records.execution_type import ExecutionType
from bybit_adapter.records.normalizer import BybitNormalizer
from bybit_adapter.records.order import Order
from bybit_adapter.records.position import account_event
from bybit_adapter.records.ticker import Ticker
from bybit_adapter.records.wallet import Wallet
from gridcore import (
    AccountEvent,
    DirectionType,
    ExchangeOrderStatus,
    ExecutionEvent,
    OrderUpdateEvent,
    PublicTradeEvent,
    SideType,
    TickerEvent,
)
from gridcore import ExecutionKind as EventKind
from testkit.private_frames import NOW, SENT_MS, private

SENT = datetime(2025, 11, 3, 19, 45, 26, 22000, tzinfo=UTC)


def ticker(shape: str = "delta", cs: int = 2, **fields: str) -> dict[str, Any]:
    return {
        "topic": "tickers.BTCUSDT",
        "type": shape,
        "cs": cs,
        "ts": SENT_MS,
        "data": {"symbol": "BTCUSDT", **fields},
    }


SNAPSHOT = ticker(
    "snapshot",
    cs=1,
    lastPrice="17216.00",
    markPrice="17217.33",
    bid1Price="17215.50",
    bid1Size="84.489",
    ask1Price="17216.00",
    fundingRate="-0.000212",
    nextFundingTime="1673280000000",
)


def trade(**fields: Any) -> dict[str, Any]:
    row = {"T": SENT_MS, "s": "BTCUSDT", "S": "Buy", "v": "0.001", "p": "16578.50", "i": "a"}
    return {
        "topic": "publicTrade.BTCUSDT",
        "type": "snapshot",
        "ts": SENT_MS,
        "data": [row | fields],
    }


def test_a_public_trade() -> None:
    assert BybitNormalizer().public_trades(trade(), NOW) == [
        PublicTradeEvent(
            symbol="BTCUSDT",
            exchange_ts=SENT,
            local_ts=NOW,
            trade_id="a",
            side=SideType.BUY,
            price=Decimal("16578.50"),
            size=Decimal("0.001"),
        )
    ]


def test_a_ticker_delta_changes_what_it_names_and_nothing_else() -> None:
    normalizer = BybitNormalizer()
    normalizer.normalize(SNAPSHOT, NOW)
    event = normalizer.ticker(ticker(lastPrice="17300", ask1Price=""), NOW)
    assert event == TickerEvent(
        symbol="BTCUSDT",
        exchange_ts=SENT,
        local_ts=NOW,
        last_price=Decimal(17300),
        mark_price=Decimal("17217.33"),
        bid1_price=Decimal("17215.50"),
        ask1_price=None,  # an empty text is an absent value, not zero
        funding_rate=Decimal("-0.000212"),
    )


def test_a_delta_before_the_snapshot_waits_for_it() -> None:
    normalizer = BybitNormalizer()
    assert normalizer.ticker(ticker(cs=1, lastPrice="1"), NOW) is None
    assert normalizer.ticker(ticker(cs=3, markPrice="20"), NOW) is None
    event = normalizer.ticker({**SNAPSHOT, "cs": 2}, NOW)
    assert event is not None
    assert event.last_price == Decimal("17216.00")  # the snapshot is newer than the first delta
    assert event.mark_price == Decimal(20)  # and older than the second


def test_after_a_reset_a_delta_waits_again() -> None:
    normalizer = BybitNormalizer()
    normalizer.normalize(SNAPSHOT, NOW)
    normalizer.reset()
    assert normalizer.ticker(ticker(lastPrice="1"), NOW) is None


def test_a_ticker_without_a_last_price_is_no_event_yet() -> None:
    normalizer = BybitNormalizer()
    (update,) = normalizer.normalize(ticker("snapshot", markPrice="5", lastPrice=""), NOW)
    assert update.event is None
    assert isinstance(update.record, Ticker)
    assert update.record.mark_price == 5
    assert normalizer.ticker(ticker(lastPrice="6"), NOW) is not None


def test_a_wrong_field_of_a_ticker_is_unknown_until_it_comes_again() -> None:
    normalizer = BybitNormalizer()
    normalizer.normalize(SNAPSHOT, NOW)
    with pytest.raises(MalformedFrame) as raised:
        normalizer.normalize(ticker(markPrice="abc", bid1Price="17000"), NOW)
    assert (raised.value.topic, raised.value.field) == ("tickers.BTCUSDT", "data.markPrice")
    (fitting,) = raised.value.fitting
    assert fitting.event.bid1_price == 17000
    assert fitting.event.mark_price is None
    with pytest.raises(MalformedFrame):
        normalizer.normalize(ticker(lastPrice="NaN"), NOW)
    assert normalizer.ticker(ticker(ask1Price="17001"), NOW) is None  # the last price is unknown
    event = normalizer.ticker(ticker(lastPrice="17002", markPrice="17003"), NOW)
    assert event is not None
    assert event.mark_price == 17003


def test_symbols_do_not_mix() -> None:
    normalizer = BybitNormalizer()
    normalizer.normalize(SNAPSHOT, NOW)
    other = ticker(lastPrice="2")
    other["data"]["symbol"] = "ETHUSDT"
    assert normalizer.ticker(other, NOW) is None


def test_a_fill(execution_row: dict[str, Any]) -> None:
    (event,) = BybitNormalizer().executions(private("execution", execution_row), NOW)
    assert event == ExecutionEvent(
        symbol="BTCUSDT",
        exchange_ts=datetime(2025, 5, 3, 11, 6, 40, 353000, tzinfo=UTC),
        local_ts=NOW,
        exec_id="0ab1bdf7",
        order_id="9aac161b",
        order_link_id="0123456789abcdef-x",
        side=SideType.SELL,
        price=Decimal("95900.1"),
        qty=Decimal("0.4"),
        fee=Decimal("26.3725275"),
        closed_pnl=Decimal("12.5"),
        closed_size=Decimal("0.4"),
        leaves_qty=Decimal("0.1"),
        seq=140612148849382,
    )
    assert event.direction is DirectionType.LONG


def test_an_opening_fill_has_an_empty_closed_size(execution_row: dict[str, Any]) -> None:
    execution_row |= {"closedSize": "", "execPnl": ""}
    (update,) = BybitNormalizer().normalize(private("execution", execution_row), NOW)
    assert isinstance(update.event, ExecutionEvent)
    assert update.event.closed_size == 0
    assert update.event.closed_pnl is None
    assert update.event.direction is DirectionType.SHORT
    assert isinstance(update.record, ExecutionRecord)
    assert update.record.direction is DirectionType.SHORT
    assert json.loads(update.record.raw_json) == execution_row


@pytest.mark.parametrize(
    ("word", "kind", "forced"),
    [
        ("Funding", ExecutionType.FUNDING, False),
        ("AdlTrade", ExecutionType.ADL, True),
        ("BustTrade", ExecutionType.LIQUIDATION, True),
        ("Settle", ExecutionType.SETTLEMENT, True),
        ("Delivery", ExecutionType.DELIVERY, True),
        ("BlockTrade", ExecutionType.BLOCK_TRADE, True),
        ("MovePosition", ExecutionType.MOVE_POSITION, True),
        ("FutureSpread", ExecutionType.FUTURE_SPREAD, True),
        ("CorporateAction", ExecutionType.CORPORATE_ACTION, True),
        ("AWordOfTomorrow", ExecutionType.OTHER, True),
    ],
)
def test_what_is_no_trade_is_kept_but_is_no_event(
    execution_row: dict[str, Any], word: str, kind: ExecutionType, forced: bool
) -> None:
    execution_row |= {"execType": word, "orderType": "UNKNOWN", "closedSize": "0", "side": "Sell"}
    normalizer = BybitNormalizer()
    (update,) = normalizer.normalize(private("execution", execution_row), NOW)
    assert update.event is None
    assert isinstance(update.record, ExecutionRecord)
    assert update.record.kind is kind
    assert update.record.exec_type == word
    assert update.record.kind.is_forced is forced
    assert update.record.direction is DirectionType.SHORT
    assert update.record.order_type is None
    assert normalizer.executions(private("execution", execution_row), NOW) == []


@pytest.mark.parametrize(
    ("fields", "in_usdt", "paid"),
    [
        ({"feeCurrency": "USDT", "execFee": "0.012"}, "0.012", None),
        ({"feeCurrency": "", "execFee": "0.012"}, "0.012", None),  # of before the field was there
        ({"feeCurrency": "MNT", "execFee": "0.01449275"}, None, "0.01449275"),
        ({"feeCurrency": "MNT", "execFee": "-0.01449275"}, None, "-0.01449275"),
        ({"feeCurrency": "MNT", "execFee": "0"}, "0", "0"),  # nothing is nothing in every coin
    ],
)
def test_a_fee_is_money_of_the_coin_that_it_was_paid_in(
    execution_row: dict[str, Any], fields: dict[str, str], in_usdt: str | None, paid: str | None
) -> None:
    (update,) = BybitNormalizer().normalize(private("execution", execution_row | fields), NOW)
    record, event = update.record, update.event
    assert isinstance(record, ExecutionRecord)
    assert isinstance(event, ExecutionEvent)
    assert (record.fee, record.fee_currency) == (
        Decimal(fields["execFee"]),
        fields["feeCurrency"] or "USDT",
    )
    expected = None if in_usdt is None else Decimal(in_usdt)
    assert record.fee_usdt == event.fee == expected
    assert event.fee_currency == record.fee_currency
    assert event.fee_amount == (None if paid is None else Decimal(paid))


@pytest.mark.parametrize(
    ("word", "forced"),
    [
        ("CreateByUser", False),
        ("CreateByClosing", False),
        ("CreateByStopOrder", False),
        ("", False),
        ("UNKNOWN", False),
        ("CreateByLiq", True),
        ("CreateByTakeOver_PassThrough", True),
        ("CreateByAdl_PassThrough", True),
        ("CreateBySettle", True),
        ("CreateByMmRateClose", True),
        ("CreateByAWordOfTomorrow", True),
    ],
)
def test_who_made_the_order_tells_whether_a_trade_was_wanted(
    execution_row: dict[str, Any], order_row: dict[str, Any], word: str, forced: bool
) -> None:
    normalizer = BybitNormalizer()
    execution_row["createType"] = order_row["createType"] = word
    (update,) = normalizer.normalize(private("execution", execution_row), NOW)
    assert isinstance(update.record, ExecutionRecord)
    assert isinstance(update.event, ExecutionEvent)  # it fills all the same
    assert update.record.kind.is_forced is forced
    assert update.record.cause == (word if forced else "Trade")
    assert update.event.kind is (EventKind.FORCED if forced else EventKind.TRADE)
    (update,) = normalizer.normalize(private("order", order_row), NOW)
    assert isinstance(update.record, Order)
    assert update.record.is_forced is forced


def test_fees_of_an_order_are_kept_by_coin(order_row: dict[str, Any]) -> None:
    def fees(detail: dict[str, str]) -> dict[str, Decimal]:
        (update,) = BybitNormalizer().normalize(
            private("order", order_row | {"cumFeeDetail": detail}), NOW
        )
        assert isinstance(update.record, Order)
        return dict(update.record.cum_fees)

    paid = {"USDT": Decimal("0.01"), "MNT": Decimal("0.0145")}
    assert fees({"USDT": "0.01", "MNT": "0.0145"}) == paid
    assert fees({"USDT": "", "MNT": "0.0145"}) == {"MNT": Decimal("0.0145")}
    assert fees({}) == {}


def test_an_order(order_row: dict[str, Any]) -> None:
    (event,) = BybitNormalizer().orders(private("order", order_row), NOW)
    assert event == OrderUpdateEvent(
        symbol="ETHUSDT",
        exchange_ts=datetime(2023, 5, 22, 6, 55, 40, 561000, tzinfo=UTC),
        local_ts=NOW,
        order_id="5cf98598",
        order_link_id="",
        status=ExchangeOrderStatus.PARTIALLY_FILLED,
        side=SideType.BUY,
        price=Decimal(1600),
        qty=Decimal("0.1"),
        leaves_qty=Decimal("0.04"),
        reduce_only=False,
    )


def test_an_order_that_ended_has_nothing_left_also_where_it_is_empty(
    order_row: dict[str, Any],
) -> None:
    order_row |= {"orderStatus": "Filled", "leavesQty": "", "orderType": "Market", "price": ""}
    (event,) = BybitNormalizer().orders(private("order", order_row), NOW)
    assert (event.leaves_qty, event.price) == (0, 0)


def test_an_order_without_a_quantity_of_its_own_is_no_event(order_row: dict[str, Any]) -> None:
    order_row |= {"qty": "0", "orderStatus": "Untriggered", "stopOrderType": "StopLoss"}
    (update,) = BybitNormalizer().normalize(private("order", order_row), NOW)
    assert update.event is None


def test_positions_are_parts_of_what_the_account_holds(position_row: dict[str, Any]) -> None:
    empty = position_row | {
        "positionIdx": 1,
        "side": "",
        "size": "0",
        "entryPrice": "0",
        "liqPrice": "",
        "unrealisedPnl": "",
        "updatedTime": "",
    }
    short, long = BybitNormalizer().positions(private("position", position_row, empty), NOW)
    assert short.long is None
    assert short.short is not None
    assert (short.short.size, short.short.entry_price) == (Decimal("0.010"), 60000)
    assert short.short.liquidation_price == Decimal("81000.5")
    assert short.exchange_ts == datetime(2023, 10, 19, 2, 25, 17, 38000, tzinfo=UTC)
    assert long.short is None
    assert long.long is not None
    assert (long.long.size, long.long.entry_price, long.long.unrealized_pnl) == (0, None, None)
    assert long.exchange_ts == SENT  # a leg that never changed is as of the frame


def test_a_leg_outside_hedge_mode_is_no_event(position_row: dict[str, Any]) -> None:
    row = position_row | {"positionIdx": 0}
    (update,) = BybitNormalizer().normalize(private("position", row), NOW)
    assert update.event is None
    assert BybitNormalizer().positions(private("position", row), NOW) == []


def test_the_name_of_the_entry_price_differs_on_rest(position_row: dict[str, Any]) -> None:
    row = {k: v for k, v in position_row.items() if k != "entryPrice"} | {"avgPrice": "1"}
    with pytest.raises(MalformedFrame, match=r"data\[0\].entryPrice: it is missing"):
        BybitNormalizer().normalize(private("position", row), NOW)


def test_a_wallet_carries_the_time_of_its_frame(wallet_row: dict[str, Any]) -> None:
    (wallet,) = BybitNormalizer().wallets(private("wallet", wallet_row), NOW)
    assert wallet.as_of == SENT
    snapshot = wallet.snapshot
    assert snapshot is not None
    assert snapshot.wallet_balance == 1990
    assert snapshot.available_balance == 1500  # 1501.5 USD at 1.001 USD per USDT
    coin = wallet.coin()
    assert coin is not None
    assert coin.position_maintenance_margin is None


@pytest.mark.parametrize(
    ("account", "coin", "available"),
    [
        ({"totalAvailableBalance": ""}, {}, None),
        ({}, {"usdValue": "0"}, None),
        ({}, {"equity": "0"}, None),
        ({}, {"usdValue": ""}, Decimal(1500)),
        ({}, {"usdValue": "", "totalOrderIM": ""}, None),
    ],
)
def test_an_available_balance_that_is_not_told_is_unknown(
    wallet_row: dict[str, Any],
    account: dict[str, str],
    coin: dict[str, str],
    available: Decimal | None,
) -> None:
    row = wallet_row | account | {"coin": [wallet_row["coin"][0] | coin]}
    (wallet,) = BybitNormalizer().wallets(private("wallet", row), NOW)
    assert wallet.snapshot is not None
    assert wallet.snapshot.available_balance == available


def test_a_wallet_frame_without_usdt_leaves_the_balance_unchanged(
    wallet_row: dict[str, Any],
) -> None:
    row = wallet_row | {"coin": [wallet_row["coin"][0] | {"coin": "BTC"}]}
    (wallet,) = BybitNormalizer().wallets(private("wallet", row), NOW)
    assert wallet.snapshot is None


def test_legs_and_wallet_become_one_event(
    position_row: dict[str, Any], wallet_row: dict[str, Any]
) -> None:
    normalizer = BybitNormalizer()
    (leg,) = normalizer.normalize(private("position", position_row), NOW)
    (money,) = normalizer.normalize(private("wallet", wallet_row), NOW)
    assert money.symbol is None
    assert isinstance(money.record, Wallet)
    event = account_event(
        "BTCUSDT",
        as_of=SENT,
        local_ts=NOW,
        positions=[leg.record],  # type: ignore[list-item]  # the record of a position frame
        wallet=money.record,
    )
    assert isinstance(event, AccountEvent)
    assert event.short is not None
    assert event.wallet is not None
    assert event.long is None
