"""What the records tell a strategy, and contracts that are not traded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from bybit_adapter import (
    BybitNormalizer,
    BybitRestClient,
    Environment,
    ExecutionRecord,
    SettingRefused,
)
from gridcore import DirectionType, ExecutionKind
from testkit.paper import KEY, SECRET, PaperHost, paper_market

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(**changes: Any) -> ExecutionRecord:
    row = {
        "category": "linear", "symbol": "BTCUSDT", "orderId": "", "orderLinkId": "", "side": "Sell",
        "orderPrice": "0", "orderQty": "0", "leavesQty": "0", "createType": "", "execId": "e-1",
        "execPrice": "53000", "execQty": "0.5", "execType": "BustTrade", "execValue": "26500",
        "execTime": "1785000000000", "execFee": "0", "feeRate": "0", "feeCurrency": "USDT",
        "closedSize": "", "seq": 7, "isMaker": False, "orderType": "UNKNOWN",
    } | changes  # fmt: skip
    frame = {"id": "1", "topic": "execution", "creationTime": 1785000000001, "data": [row]}
    (update,) = BybitNormalizer().normalize(frame, NOW)
    assert isinstance(update.record, ExecutionRecord)
    return update.record


@pytest.mark.parametrize("kind", ["BustTrade", "AdlTrade", "Settle", "Delivery"])
def test_what_the_exchange_closes_closes_all_that_it_says_where_the_row_does_not(kind: str) -> None:
    event = record(execType=kind).to_change(NOW)
    assert event is not None
    assert event.kind is ExecutionKind.FORCED
    assert (event.direction, event.closed_size) == (DirectionType.LONG, Decimal("0.5"))
    assert (event.seq, event.order_id) == (7, "e-1")


def test_a_trade_that_the_exchange_made_is_forced() -> None:
    made = record(execType="Trade", createType="CreateByLiq", closedSize="0.5", orderId="o")
    event = made.to_change(NOW)
    assert event is not None
    assert event.kind is ExecutionKind.FORCED
    ours = record(execType="Trade", createType="CreateByUser", closedSize="0.5", orderId="o")
    event = ours.to_change(NOW)
    assert event is not None
    assert event.kind is ExecutionKind.TRADE


def test_funding_is_money_of_its_leg() -> None:
    paid = record(execType="Funding", side="Buy", execFee="3.5", closedSize="0")
    event = paid.to_change(NOW)
    assert event is not None
    assert event.kind is ExecutionKind.FUNDING
    assert (event.direction, event.fee) == (DirectionType.LONG, Decimal("3.5"))
    assert paid.to_event(NOW) is None  # no fill of an order


def test_a_row_without_a_side_changes_nothing() -> None:
    assert record(execType="MovePosition", side="None").to_change(NOW) is None


class Opening(dict[str, Any]):
    """A contract's row; trading begins when its status has been looked at three times."""

    looks = 0

    def __getitem__(self, key: str) -> Any:
        if key != "status":
            return super().__getitem__(key)
        self.looks += 1
        return "PreLaunch" if self.looks <= 3 else "Trading"


@pytest.fixture
def host() -> Iterator[PaperHost]:
    with PaperHost([paper_market(), paper_market("ETHUSDT", status="PreLaunch")]) as made:
        made.trade("60000")
        yield made


def test_a_contract_is_known_whatever_its_status(host: PaperHost) -> None:
    rest = BybitRestClient(KEY, SECRET, Environment.local(host.server.port))
    assert rest.get_instrument("BTCUSDT").is_trading
    waiting = rest.get_instrument("ETHUSDT")
    assert (waiting.status, waiting.is_trading, waiting.has_ended) == ("PreLaunch", False, False)
    host.act(do="announce_delisting", symbol="BTCUSDT", in_s=3600)
    announced = rest.get_instrument("BTCUSDT")
    assert announced.is_trading
    assert announced.delivery_time is not None
    assert announced.delivery_time > datetime.now(UTC)
    host.act(do="deliver", symbol="BTCUSDT", price="60000", exec_type="Settle")
    assert rest.get_instrument("BTCUSDT").has_ended
    with pytest.raises(SettingRefused, match="LUNAUSDT is not listed"):
        rest.get_instrument("LUNAUSDT")


def test_a_contract_that_opens_while_it_is_looked_for_is_found(host: PaperHost) -> None:
    """Each status is asked for by itself: what leaves one list may enter one that was read."""

    def opening() -> None:
        market = host.exchange.markets["ETHUSDT"]
        market.listing = replace(market.listing, row=Opening(market.listing.row))

    host.do(opening)
    rest = BybitRestClient(KEY, SECRET, Environment.local(host.server.port))
    assert rest.get_instrument("ETHUSDT").symbol == "ETHUSDT"
