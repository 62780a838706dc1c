"""Each rule of orders, met the way a client meets it: over the calls, in process."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gridcore import SideType
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.orders import Status
from paper_exchange.stream.session import Channel
from testkit.paper import CANCEL, CREATE, PaperWorld, order_params, paper_market
from testkit.paper_calls import refused


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    return world


def test_an_order_is_acknowledged_before_it_is_on_the_book(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "order")
    order_id = world.place(price="59000", settle=False)
    order = world.account.open_orders[order_id]
    assert order.status is Status.ACCEPTED
    assert not len(world.account.books["BTCUSDT"].orders)
    for asked in ({}, {"orderId": order_id}, {"orderLinkId": order.link_id}):
        assert world.get("/v5/order/realtime", symbol="BTCUSDT", **asked)["list"] == []
    world.advance(2)
    assert order.status is Status.NEW
    assert len(world.account.books["BTCUSDT"].orders) == 1
    # one state, one time: what REST tells is what the stream has told
    (told,) = stream.rows("order")
    assert (told["orderStatus"], told["updatedTime"]) == (
        "New",
        world.order(order_id)["updatedTime"],
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"side": "buy"}, "side"),
        ({"symbol": "NOPEUSDT"}, "symbol invalid"),
        ({"qty": "0.0105"}, "qty step"),
        ({"qty": "0.0001"}, "exceeds minimum limit"),
        ({"qty": "99999"}, "exceeds maximum limit"),
        ({"qty": "much"}, "no number"),
        ({"qty": "1e400"}, "no number"),
        ({"qty": "NaN"}, "no number"),
        ({"qty": "-1"}, "below zero"),
        ({"qty": ""}, "qty is missing"),
        ({"price": "60000.05"}, "tick size"),
        ({"price": ""}, "price is missing"),
        ({"leg": 0}, "position idx not match"),
        ({"leg": 3}, "positionIdx"),
        ({"orderLinkId": "x" * 37}, "orderLinkId"),
        ({"orderLinkId": "a b"}, "orderLinkId"),
        ({"timeInForce": "RPI"}, "timeInForce"),
        ({"orderType": "Stop"}, "orderType"),
        ({"reduceOnly": "perhaps"}, "reduceOnly"),
        ({"triggerPrice": "61000"}, "not supported"),
        ({"takeProfit": "61000"}, "not supported"),
        ({"category": "spot"}, "category"),
        ({"qty": {"a": 1}}, "qty"),
    ],
)
def test_a_wrong_parameter_is_10001_and_says_which(
    world: PaperWorld, change: dict[str, Any], part: str
) -> None:
    code, message = refused(world, **change)
    assert code == 10001
    assert part in message
    assert not world.account.open_orders


def test_a_price_outside_the_range_of_the_contract_is_110003(world: PaperWorld) -> None:
    assert refused(world, price="99999999.9")[0] == 110003


def test_a_price_beyond_the_limit_is_moved_to_it_unless_the_account_wants_a_refusal(
    world: PaperWorld,
) -> None:
    # a limit of the real exchange: mark x (1 + X), at most mark x (1 + Y)
    limit = world.get("/v5/market/price-limit", symbol="BTCUSDT")["buyLmt"]
    order_id = world.place(price="66666.6", timeInForce="PostOnly")
    assert world.order(order_id)["price"] == limit
    world.post("/v5/account/set-limit-px-action", {"category": "linear", "modifyEnable": False})
    assert refused(world, price="66666.6")[0] == 110003
    assert world.get("/v5/account/user-setting-config")["lpaPerp"] is True


def test_too_little_balance_is_110007_and_nothing_is_held(world: PaperWorld) -> None:
    before = world.account.money.available()
    assert refused(world, qty="2")[0] == 110007
    assert world.account.money.available() == before


def test_orders_on_their_way_use_up_the_margin_too(world: PaperWorld) -> None:
    # 10,000 USDT at leverage 10 carry about 1.6 BTC
    assert world.code("POST", CREATE, order_params(qty="1")) == 0
    assert refused(world, qty="1")[0] == 110007


def test_an_order_below_the_least_notional_is_110094() -> None:
    doge = PaperWorld([paper_market("DOGEUSDT")])
    doge.trade("0.10000", symbol="DOGEUSDT")
    assert refused(doge, symbol="DOGEUSDT", qty="49", price="0.1")[0] == 110094
    assert doge.code("POST", CREATE, order_params(symbol="DOGEUSDT", qty="50", price="0.1")) == 0


def test_the_501st_order_is_110020() -> None:
    world = PaperWorld(settings=MatchingSettings(max_open_orders=3))
    world.trade("60000.0")
    for price in ("59000", "58000", "57000"):
        world.place(price=price, settle=False)
    assert refused(world, price="56000")[0] == 110020
    world.advance(5)
    assert refused(world, price="56000")[0] == 110020
    order_id = next(iter(world.account.open_orders))
    world.post(CANCEL, {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id})
    world.advance(5)
    world.place(price="56000")


def test_a_link_id_is_refused_while_it_lives_and_for_two_hours_after(world: PaperWorld) -> None:
    order_id = world.place(price="59000", orderLinkId="mine")
    assert refused(world, orderLinkId="mine")[0] == 110072
    world.post(CANCEL, {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "mine"})
    world.advance(60_000)
    assert world.order(order_id)["orderStatus"] == "Cancelled"
    assert refused(world, orderLinkId="mine")[0] == 110072
    world.advance(2 * 3_600_000)
    world.place(price="59000", orderLinkId="mine")


def test_before_the_first_price_there_is_nothing_to_trade_at() -> None:
    assert refused(PaperWorld())[0] == 110118


def test_a_halted_symbol_takes_no_orders_but_cancels(world: PaperWorld) -> None:
    order_id = world.place(price="59000")
    world.exchange.operator.halt("BTCUSDT", halted=True)
    assert refused(world)[0] == 110066
    world.trade("50000")
    assert world.order(order_id)["orderStatus"] == "New"
    world.post(CANCEL, {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id})
    world.advance(5)
    assert world.order(order_id)["orderStatus"] == "Cancelled"


def test_closing_without_a_position_is_110017(world: PaperWorld) -> None:
    code, message = refused(world, side="Sell", leg=1, price="61000")
    assert code == 110017
    assert "current position is zero" in message


def test_an_opening_order_cannot_be_reduce_only(world: PaperWorld) -> None:
    code, message = refused(world, reduceOnly=True)
    assert code == 110017
    assert "same side" in message


def test_a_closing_order_is_reduce_only_whatever_was_said_and_clipped_to_the_leg(
    world: PaperWorld,
) -> None:
    world.place(price=None, qty="0.05")
    order_id = world.place(side="Sell", price="61000", qty="0.08", reduceOnly=False)
    row = world.order(order_id)
    assert row["reduceOnly"] is True
    assert row["qty"] == "0.050"
    code, message = refused(world, side="Sell", price="61500", qty="0.01")
    assert code == 110017
    assert "truncated to zero" in message


def test_closing_orders_on_their_way_count_too(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    world.place(side="Sell", price="61000", qty="0.05", settle=False)
    assert refused(world, side="Sell", price="61500", qty="0.01")[0] == 110017


def test_quantity_zero_with_close_on_trigger_closes_everything(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    world.place(side="Sell", price=None, qty="0", reduceOnly=True, closeOnTrigger=True)
    assert world.position(1)["size"] == "0"


def test_when_the_leg_shrinks_the_furthest_closing_order_goes_first(world: PaperWorld) -> None:
    world.place(price=None, qty="0.06")
    near = world.place(side="Sell", price="61000", qty="0.02")
    middle = world.place(side="Sell", price="62000", qty="0.02")
    far = world.place(side="Sell", price="63000", qty="0.02")
    world.exchange.operator.deleverage(world.account, "BTCUSDT", "long", Decimal("0.03"))
    assert world.order(far)["cancelType"] == "CancelByReduceOnly"
    assert (world.order(middle)["orderStatus"], world.order(middle)["qty"]) == ("New", "0.010")
    assert world.order(near)["qty"] == "0.020"
    resting = world.account.books["BTCUSDT"].orders.closing_qty
    assert sum(resting.values()) == Decimal("0.03")


def test_a_short_leg_loses_its_lowest_closing_order_first(world: PaperWorld) -> None:
    world.place(side="Sell", leg=2, price=None, qty="0.04")
    near = world.place(side="Buy", leg=2, price="59000", qty="0.02")
    far = world.place(side="Buy", leg=2, price="58000", qty="0.02")
    world.exchange.operator.deleverage(world.account, "BTCUSDT", "short", Decimal("0.02"))
    assert world.order(far)["orderStatus"] == "Cancelled"
    assert world.order(near)["orderStatus"] == "New"
