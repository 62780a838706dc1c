"""What becomes of an order: fills, cancels, amendments, batches, settings of its symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange_model.fills.registry import FillModelName, FillModelSettings
from gridcore import SideType
from paper_exchange.basics.settings import MatchingSettings, TakerModel
from paper_exchange.builder import build
from paper_exchange.config import PaperConfig
from paper_exchange.rest.rate_limits import RateLimits
from testkit.paper import AMEND, CANCEL, START_MS, PaperWorld, order_params, paper_account
from testkit.paper_calls import refused


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    return world


def test_strict_fills_beyond_the_limit_and_not_at_it(world: PaperWorld) -> None:
    buy = world.place(price="59000")
    world.trade("59000.0")
    assert world.order(buy)["orderStatus"] == "New"
    world.trade("58999.9")
    row = world.order(buy)
    assert (row["orderStatus"], row["avgPrice"], row["cumExecQty"]) == ("Filled", "59000", "0.010")
    assert row["cumFeeDetail"] == {"USDT": "0.118"}


def test_touch_fills_at_the_limit() -> None:
    world = PaperWorld(
        settings=MatchingSettings(fills=FillModelSettings(fill_model=FillModelName.TOUCH))
    )
    world.trade("60000.0")
    sell = world.place(side="Sell", leg=2, price="61000")
    world.trade("61000.0")
    assert world.order(sell)["orderStatus"] == "Filled"


@pytest.mark.parametrize(("chance", "status"), [("0", "New"), ("1", "Filled")])
def test_chance_fills_at_the_limit_as_configured(chance: str, status: str) -> None:
    config = PaperConfig.model_validate(
        {"matching": {"fill_model": "chance", "fill_chance": chance, "fill_seed": 7}}
    )
    parts, _ = build(config, lambda _: pytest.fail("no database"), start_ms=START_MS)
    assert (parts.exchange.settings.fills.fill_seed) == 7
    world = PaperWorld(settings=parts.exchange.settings)
    world.trade("60000.0")
    at, beyond = (world.place(side="Sell", leg=2, price=price) for price in ("61000", "60999.9"))
    world.trade("61000.0", SideType.BUY)
    assert world.order(at)["orderStatus"] == status
    assert world.order(beyond)["orderStatus"] == "Filled"


def test_another_trade_is_another_draw() -> None:
    fills = FillModelSettings(fill_model=FillModelName.CHANCE, fill_chance=Decimal("0.2"))

    def trades_until_filled(seed: int) -> int:
        world = PaperWorld(settings=MatchingSettings(fills=fills), seed=seed)
        world.trade("60000.0")
        order = world.place(side="Sell", leg=2, price="61000")
        count = 0
        while world.order(order)["orderStatus"] == "New":
            world.trade("61000.0", SideType.BUY)
            count += 1
        return count

    counts = [trades_until_filled(seed) for seed in range(12)]
    assert counts == [trades_until_filled(seed) for seed in range(12)]
    assert len(set(counts)) > 3


def test_queue_waits_for_the_visible_size_then_fills_in_parts() -> None:
    world = PaperWorld(
        settings=MatchingSettings(fills=FillModelSettings(fill_model=FillModelName.QUEUE))
    )
    world.trade("60000.0")
    buy = world.place(price="59990", qty="0.01")
    market = world.exchange.market("BTCUSDT")
    ahead = market.quotes.visible_at(SideType.BUY, 599_900)
    assert ahead > 0
    world.trade("59990.0", qty=str(ahead))
    assert world.order(buy)["orderStatus"] == "New"
    world.trade("59990.0", qty="0.004")
    row = world.order(buy)
    assert (row["orderStatus"], row["leavesQty"]) == ("PartiallyFilled", "0.006")
    world.trade("59990.0", qty="5")
    assert world.order(buy)["orderStatus"] == "Filled"


def test_a_market_order_takes_at_the_opposite_quote(world: PaperWorld) -> None:
    market = world.exchange.market("BTCUSDT")
    assert (market.quotes.bid_ticks, market.quotes.ask_ticks) == (599_999, 600_000)
    buy = world.place(price=None)
    sell = world.place(side="Sell", leg=2, price=None)
    assert world.order(buy)["avgPrice"] == "60000"
    assert world.order(sell)["avgPrice"] == "59999.9"
    rows = world.get("/v5/execution/list", symbol="BTCUSDT")["list"]
    assert {row["feeRate"] for row in rows} == {"0.00055"}
    assert not any(row["isMaker"] for row in rows)


def test_a_taker_of_the_visible_book_walks_its_levels_and_loses_the_rest() -> None:
    world = PaperWorld(
        accounts=[paper_account(deposit="10000000")],
        settings=MatchingSettings(taker_model=TakerModel.BOOK, book_levels=3),
    )
    world.trade("60000.0", SideType.BUY)
    levels = world.exchange.market("BTCUSDT").quotes.levels(SideType.SELL, 3)
    order_id = world.place(price=None, qty="20")
    row = world.order(order_id)
    shown = sum(qty for _, qty in levels)
    assert Decimal(row["cumExecQty"]) == shown
    assert (row["orderStatus"], row["rejectReason"]) == ("Cancelled", "EC_CancelForNoFullFill")
    assert row["leavesQty"] == "0.000"
    value = sum(Decimal(ticks) / 10 * qty for ticks, qty in levels)
    assert Decimal(row["cumExecValue"]) == value
    assert len(world.get("/v5/execution/list", symbol="BTCUSDT")["list"]) == 3


def test_a_limit_order_that_crosses_takes(world: PaperWorld) -> None:
    row = world.order(world.place(price="60500"))
    assert (row["orderStatus"], row["avgPrice"]) == ("Filled", "60000")


def test_post_only_that_would_take_is_cancelled_after_its_acknowledgement(
    world: PaperWorld,
) -> None:
    row = world.order(world.place(price="60500", timeInForce="PostOnly"))
    assert row["orderStatus"] == "Cancelled"
    assert row["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"
    assert (row["cancelType"], row["cumExecQty"]) == ("UNKNOWN", "0.000")
    resting = world.order(world.place(price="59000", timeInForce="PostOnly"))
    assert resting["orderStatus"] == "New"


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
def test_what_takes_nothing_at_once_is_cancelled(world: PaperWorld, time_in_force: str) -> None:
    row = world.order(world.place(price="59000", timeInForce=time_in_force))
    assert row["orderStatus"] == "Cancelled"
    assert row["rejectReason"] in ("EC_NoImmediateQtyToFill", "EC_NoEnoughQtyToFill")


def test_cancelling_what_is_unknown_or_gone_is_110001(world: PaperWorld) -> None:
    unknown = {"category": "linear", "symbol": "BTCUSDT", "orderId": "nobody"}
    assert world.code("POST", CANCEL, unknown) == 110001
    order_id = world.place(price=None)
    gone = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
    assert world.code("POST", CANCEL, gone) == 110001
    assert world.code("POST", CANCEL, {"category": "linear", "symbol": "BTCUSDT"}) == 10001
    assert world.code("POST", AMEND, {**gone, "qty": "0.02"}) == 110001


def test_a_cancel_that_loses_the_race_changes_nothing(world: PaperWorld) -> None:
    order_id = world.place(price="59000")
    world.post(CANCEL, {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id})
    world.trade("58000", after_ms=1)
    assert world.order(order_id)["orderStatus"] == "Filled"
    world.advance(10)
    assert world.order(order_id)["orderStatus"] == "Filled"


def test_an_order_cancelled_on_its_way_never_reaches_the_book(world: PaperWorld) -> None:
    order_id = world.place(price="59000", settle=False)
    world.exchange.cancel_all(world.account, ["BTCUSDT"], "CancelByAdmin")
    world.advance(10)
    assert world.order(order_id)["orderStatus"] == "Cancelled"
    assert not len(world.account.books["BTCUSDT"].orders)
    assert world.account.money.available() == Decimal(10_000)


def test_amend_moves_an_order_and_its_margin(world: PaperWorld) -> None:
    order_id = world.place(price="59000", qty="0.01")
    held = world.account.money.available()
    ids = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
    world.post(AMEND, {**ids, "price": "58000", "qty": "0.02"})
    world.advance(5)
    row = world.order(order_id)
    assert (row["price"], row["qty"], row["leavesQty"]) == ("58000.00", "0.020", "0.020")
    assert world.account.money.available() < held
    assert world.code("POST", AMEND, {**ids, "price": "58000", "qty": "0.02"}) == 10001
    assert world.code("POST", AMEND, ids) == 10001
    assert world.code("POST", AMEND, {**ids, "qty": "3"}) == 110007
    world.post(AMEND, {**ids, "price": "60500"})
    world.advance(5)
    assert world.order(order_id)["orderStatus"] == "Filled"


def test_an_amended_quantity_stays_above_what_is_filled() -> None:
    world = PaperWorld(
        settings=MatchingSettings(fills=FillModelSettings(fill_model=FillModelName.QUEUE))
    )
    world.trade("60000.0")
    order_id = world.place(price="59990", qty="0.02")
    ahead = world.exchange.market("BTCUSDT").quotes.visible_at(SideType.BUY, 599_900)
    world.trade("59990", qty=str(ahead + Decimal("0.01")))
    ids = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
    assert world.code("POST", AMEND, {**ids, "qty": "0.01"}) == 110064
    world.post(AMEND, {**ids, "qty": "0.015"})
    world.advance(5)
    assert world.order(order_id)["leavesQty"] == "0.005"


def test_cancel_all_lists_what_it_accepted(world: PaperWorld) -> None:
    ids = {world.place(price=str(59_000 - step)) for step in range(5)}
    result = world.post("/v5/order/cancel-all", {"category": "linear", "symbol": "BTCUSDT"})
    assert {row["orderId"] for row in result["list"]} == ids
    assert len(world.account.open_orders) == 5
    world.advance(5)
    assert not world.account.open_orders
    assert world.code("POST", "/v5/order/cancel-all", {"category": "linear"}) == 10001
    empty = world.post("/v5/order/cancel-all", {"category": "linear", "settleCoin": "USDT"})
    assert empty["list"] == []


def batch_item(price: str, **more: Any) -> dict[str, Any]:
    params = order_params(price=price, **more)
    del params["category"]
    return params


def test_a_batch_succeeds_item_by_item(world: PaperWorld) -> None:
    items = [batch_item("59000"), batch_item("59000.05"), batch_item("58000", qty="5")]
    reply = world.reply(
        "POST", "/v5/order/create-batch", {"category": "linear", "request": items}
    ).envelope
    assert reply["retCode"] == 0
    assert [row["code"] for row in reply["retExtInfo"]["list"]] == [0, 10001, 110007]
    rows = reply["result"]["list"]
    assert rows[0]["orderId"]
    assert rows[0]["createAt"]
    assert (rows[1]["orderId"], rows[1]["createAt"]) == ("", "")
    cancel = world.reply(
        "POST",
        "/v5/order/cancel-batch",
        {
            "category": "linear",
            "request": [
                {"symbol": "BTCUSDT", "orderId": rows[0]["orderId"]},
                {"symbol": "BTCUSDT", "orderId": "nobody"},
            ],
        },
    ).envelope
    assert [row["code"] for row in cancel["retExtInfo"]["list"]] == [0, 110001]


def test_a_batch_beyond_the_rate_limit_fails_from_there_on() -> None:
    world = PaperWorld(limits=RateLimits())
    world.trade("60000.0")
    items = [batch_item(str(59_000 - step)) for step in range(12)]
    reply = world.reply(
        "POST", "/v5/order/create-batch", {"category": "linear", "request": items}
    ).envelope
    codes = [row["code"] for row in reply["retExtInfo"]["list"]]
    assert codes == [0] * 10 + [10006] * 2


@pytest.mark.parametrize("request_", [None, [], "all", [1], [{}] * 21])
def test_a_batch_that_is_none_is_10001(world: PaperWorld, request_: Any) -> None:
    params = {"category": "linear", "request": request_}
    assert world.code("POST", "/v5/order/create-batch", params) == 10001


def test_leverage_is_set_for_both_legs_and_changes_the_margin_of_orders(world: PaperWorld) -> None:
    path = "/v5/position/set-leverage"
    both = {"category": "linear", "symbol": "BTCUSDT"}
    world.place(price="59000", qty="0.1")
    held = world.account.money.available()
    world.post(path, {**both, "buyLeverage": "5", "sellLeverage": "5"})
    assert world.account.money.available() < held
    assert world.position(2)["leverage"] == "5"
    assert world.code("POST", path, {**both, "buyLeverage": "5", "sellLeverage": "5"}) == 110043
    assert world.code("POST", path, {**both, "buyLeverage": "5", "sellLeverage": "6"}) == 10001
    assert world.code("POST", path, {**both, "buyLeverage": "9999", "sellLeverage": "9999"}) == (
        110013
    )
    assert world.code("POST", path, both) == 10001


def test_leverage_that_the_wallet_cannot_carry_stays_as_it_was(world: PaperWorld) -> None:
    world.place(price=None, qty="1")
    params = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "1", "sellLeverage": "1"}
    assert world.code("POST", "/v5/position/set-leverage", params) == 110007
    assert world.position(1)["leverage"] == "10"


def test_leverage_above_the_tier_of_the_value_is_110090() -> None:
    world = PaperWorld(accounts=[paper_account(deposit="100000000", leverage="150")])
    world.trade("60000.0")
    # 300,000 USDT is the border of 150x
    assert refused(world, qty="4")[0] == 0
    assert refused(world, qty="4")[0] == 110090


def test_the_position_mode_switches_when_nothing_is_open() -> None:
    world = PaperWorld(accounts=[paper_account(hedge_mode=False)])
    world.trade("60000.0")
    path, hedge = "/v5/position/switch-mode", {"category": "linear", "symbol": "BTCUSDT", "mode": 3}
    assert refused(world, leg=1)[0] == 10001
    assert len(world.get("/v5/position/list", symbol="BTCUSDT")["list"]) == 1
    world.post(path, hedge)
    assert world.code("POST", path, hedge) == 110025
    world.place(price="59000")
    one_way = {"category": "linear", "coin": "USDT", "mode": 0}
    assert world.code("POST", path, one_way) == 110028
    world.trade("58000")
    assert world.code("POST", path, one_way) == 110024
    assert world.code("POST", path, {**hedge, "mode": 7}) == 10001
