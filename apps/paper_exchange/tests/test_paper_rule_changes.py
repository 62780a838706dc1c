"""Rules of a contract that change while orders rest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from exchange_model.fills.registry import FillModelName, FillModelSettings
from gridcore import SideType
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.host.control import ACTION
from paper_exchange.stream.session import Channel
from testkit.paper import AMEND, CANCEL, CREATE, PaperWorld, order_params, paper_account
from testkit.paper_calls import by_id, code, info, refused_action, run


@pytest.mark.parametrize(
    ("change", "where", "order", "number"),
    [
        ({"min_notional": "700"}, ("lotSizeFilter", "minNotionalValue"), {}, 110094),
        ({"tick_size": "0.5"}, ("priceFilter", "tickSize"), {"price": "59999.8"}, 10001),
        ({"qty_step": "0.01", "min_qty": "0.01"}, ("lotSizeFilter", "qtyStep"),
         {"qty": "0.012"}, 10001),
        ({"min_qty": "0.02"}, ("lotSizeFilter", "minOrderQty"), {}, 10001),
        ({"max_qty": "0.009"}, ("lotSizeFilter", "maxOrderQty"), {}, 10001),
        ({"max_market_qty": "0.009"}, ("lotSizeFilter", "maxMktOrderQty"), {"price": None}, 10001),
    ],
)  # fmt: skip
def test_the_row_and_the_refusals_follow_at_once(
    world: PaperWorld,
    change: dict[str, str],
    where: tuple[str, str],
    order: dict[str, Any],
    number: int,
) -> None:
    assert code(world, **order) == 0
    run(world, do="change_rules", symbol="BTCUSDT", **change)
    row = info(world, symbol="BTCUSDT")[0]
    assert Decimal(row[where[0]][where[1]]) == Decimal(next(iter(change.values())))
    assert code(world, **order) == number
    assert code(world, symbol="ETHUSDT", price="2990", qty="0.1") == 0


def test_price_limits_follow(world: PaperWorld) -> None:
    world.account.moves_price = False
    assert code(world, price="60900") == 0
    run(world, do="change_rules", symbol="BTCUSDT", price_limit_ratio_x="0.01",
        price_limit_ratio_y="0.01")  # fmt: skip
    row = info(world, symbol="BTCUSDT")[0]
    assert row["riskParameters"] == {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.01"}
    assert code(world, price="60900") == 110003


def test_leverage_above_the_new_limit_opens_nothing(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    run(world, do="change_rules", symbol="BTCUSDT", max_leverage="5")
    row = info(world, symbol="BTCUSDT")[0]
    assert row["leverageFilter"]["maxLeverage"] == "5"
    tiers = world.get("/v5/market/risk-limit", symbol="BTCUSDT")["list"]
    assert {Decimal(tier["maxLeverage"]) for tier in tiers if tier["id"] < 5} == {Decimal(5)}
    assert all(
        abs(Decimal(tier["maxLeverage"]) * Decimal(tier["initialMargin"]) - 1) < Decimal("0.01")
        for tier in tiers
    )
    assert code(world) == 110090
    assert code(world, side="Sell", price="61000", qty="0.01") == 0  # closing goes on
    body = {"category": "linear", "symbol": "BTCUSDT"}
    for leverage, answer in (("6", 110013), ("5", 0)):
        params = {**body, "buyLeverage": leverage, "sellLeverage": leverage}
        assert world.code("POST", "/v5/position/set-leverage", params) == answer
    assert code(world) == 0


@pytest.mark.parametrize("model", list(FillModelName))
def test_orders_between_two_ticks_rest_fill_and_go(model: FillModelName) -> None:
    """A limit off the new ticks fills when the market trades beyond it, whatever the model."""
    world = PaperWorld(settings=MatchingSettings(fills=FillModelSettings(fill_model=model)))
    world.trade("60000.0", SideType.BUY)
    buy = world.place(price="59000.3", qty="0.013")
    gone = world.place(price="58000.7")
    world.place(price=None, qty="0.05")
    sell = world.place(side="Sell", price="61000.3", qty="0.01")
    depth = world.stream(Channel.PUBLIC, "orderbook.50.BTCUSDT")
    run(world, do="change_rules", symbol="BTCUSDT", tick_size="1", qty_step="0.01",
        min_qty="0.01", max_qty="1000", max_market_qty="100")  # fmt: skip
    # listed as they were placed
    assert (world.order(buy)["price"], world.order(buy)["qty"]) == ("59000.30", "0.013")
    assert world.position(1)["size"] == "0.05"
    world.advance(100)
    assert depth.topic("orderbook.50.BTCUSDT")[-1]["type"] == "snapshot"
    assert depth.topic("orderbook.50.BTCUSDT")[-1]["data"]["b"][0][0] == "60000"
    world.post(CANCEL, by_id(gone))
    world.advance(5)
    assert world.order(gone)["cancelType"] == "CancelByUser"
    # at the tick before it nothing, whatever the volume; at the tick beyond it all
    world.trade("59001", qty="1000")
    assert world.order(buy)["orderStatus"] == "New"
    world.trade("59000", SideType.BUY, qty="0.01")
    assert world.order(buy)["orderStatus"] == "Filled"
    execution = world.get("/v5/execution/list", orderId=buy)["list"][0]
    assert (execution["execPrice"], execution["execQty"]) == ("59000.3", "0.013")
    world.trade("61000", SideType.BUY, qty="1000")
    assert world.order(sell)["orderStatus"] == "New"
    world.trade("61001", SideType.SELL, qty="0.01")
    assert world.order(sell)["orderStatus"] == "Filled"
    # what is left is no multiple of the new step, and can be closed whole
    assert world.position(1)["size"] == "0.053"
    world.place(side="Sell", price=None, qty="0", reduceOnly=True, closeOnTrigger=True)
    assert world.position(1)["size"] == "0"


def test_an_order_on_the_old_tick_can_be_amended_to_the_new(world: PaperWorld) -> None:
    order_id = world.place(price="59000.3")
    run(world, do="change_rules", symbol="BTCUSDT", tick_size="0.5")
    assert world.code("POST", AMEND, by_id(order_id, price="59000.4")) == 10001
    world.post(AMEND, by_id(order_id, qty="0.02"))
    world.advance(5)
    assert (world.order(order_id)["price"], world.order(order_id)["qty"]) == ("59000.30", "0.020")
    world.post(AMEND, by_id(order_id, price="59000.5"))
    world.advance(5)
    assert world.order(order_id)["price"] == "59000.5"


def test_an_order_that_arrives_after_the_change_takes_and_rests(world: PaperWorld) -> None:
    order_id = world.place(price="59000.3", settle=False)
    takes = world.place(price="60001.3", settle=False)
    run(world, do="change_rules", symbol="BTCUSDT", tick_size="1")
    world.advance(5)
    assert world.order(order_id)["orderStatus"] == "New"
    assert world.order(takes)["orderStatus"] == "Filled"


def test_a_queue_goes_on_where_it_was() -> None:
    world = PaperWorld(
        settings=MatchingSettings(fills=FillModelSettings(fill_model=FillModelName.QUEUE))
    )
    world.trade("60000.0", SideType.BUY)
    order_id = world.place(price="59999.0", qty="0.01")
    resting = world.account.open_orders[order_id].resting
    assert resting is not None
    assert resting.queue_ahead
    world.trade("59999.0", qty=str(resting.queue_ahead - Decimal("0.001")))
    run(world, do="change_rules", symbol="BTCUSDT", tick_size="0.5")
    world.trade("59999.0", qty="0.006")
    assert world.order(order_id)["cumExecQty"] == "0.005"


def test_candles_and_trades_keep_their_prices(world: PaperWorld) -> None:
    def shown() -> list[Any]:
        kline = world.get("/v5/market/kline", symbol="BTCUSDT", interval="1")["list"]
        trades = world.get("/v5/market/recent-trade", symbol="BTCUSDT")["list"]
        return [Decimal(row[1]) for row in kline] + [Decimal(row["price"]) for row in trades]

    world.trade("60010.0")
    before = shown()
    run(world, do="tick_size", symbol="BTCUSDT", tick_size="0.5")
    assert shown() == before
    run(world, do="tick_size", symbol="BTCUSDT", tick_size="0.01")
    assert shown() == before


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "no rule is given"),
        ({"qty_step": "0.01"}, "min_qty 0.001 is no multiple"),
        ({"min_qty": "0.0015"}, "no multiple of the qty step"),
        ({"max_qty": "0.0001"}, "max_qty"),
        ({"max_market_qty": "0.0015"}, "max_market_qty"),
        ({"max_leverage": "0.5"}, "max_leverage"),
        ({"max_leverage": "5.005"}, "max_leverage"),
        ({"price_limit_ratio_x": "0.5"}, "price_limit_ratio_y"),
    ],
)
def test_rules_that_contradict_are_refused_and_change_nothing(
    world: PaperWorld, wrong: dict[str, str], says: str
) -> None:
    before = info(world)
    refused_action(world, says, do="change_rules", symbol="BTCUSDT", **wrong)
    assert info(world) == before
    refused_action(world, "NOPE", do="change_rules", symbol="NOPE", min_notional="5")


@pytest.mark.parametrize(
    "wrong",
    [
        {"tick_size": "0"},
        {"tick_size": "-1"},
        {"min_notional": "-5"},
        {"price_limit_ratio_x": "1.5"},
        {"max_qty": "NaN"},
        {"colour": "red"},
    ],
)
def test_rules_that_are_no_numbers_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ACTION.validate_python({"do": "change_rules", "symbol": "BTCUSDT", **wrong})


def test_the_accounts_margin_adds_up_after_a_change(world: PaperWorld) -> None:
    account = paper_account("two", key="k2", uid=1002)
    other = PaperWorld(accounts=[account])
    other.trade("60000.0", SideType.BUY)
    other.reply("POST", CREATE, order_params(price="59000.3"), key="k2")
    other.advance(5)
    before = account.money.available()
    run(other, do="change_rules", symbol="BTCUSDT", tick_size="1")
    assert account.money.available() == before
    assert account.books["BTCUSDT"].pair.order_margin > 0
