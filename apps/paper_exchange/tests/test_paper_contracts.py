"""The life of a contract, and rules that change under a running client."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gridcore import SideType
from paper_exchange.builder import build
from paper_exchange.config import PaperConfig
from paper_exchange.host.actions import Scenario
from paper_exchange.host.control import ACTION
from paper_exchange.host.state_file import read_state, restore, write_state
from paper_exchange.stream.session import Channel
from testkit.paper import AMEND, CANCEL, START_MS, PaperWorld, paper_market
from testkit.paper_calls import INFO, by_id, code, info, refused_action, run


def test_a_contract_is_listed_while_the_exchange_runs() -> None:
    world = PaperWorld([paper_market(), paper_market("ETHUSDT", status="PreLaunch")])
    world.trade("60000.0")
    tickers = world.stream(Channel.PUBLIC, "tickers.ETHUSDT")
    world.trade("3000", symbol="ETHUSDT")
    assert [row["symbol"] for row in info(world)] == ["BTCUSDT"]
    assert info(world, symbol="ETHUSDT") == []
    assert [row["symbol"] for row in info(world, status="PreLaunch")] == ["ETHUSDT"]
    assert code(world, symbol="ETHUSDT", price="3000", qty="0.1") == 110074
    assert [row["symbol"] for row in world.get("/v5/market/tickers")["list"]] == ["BTCUSDT"]
    world.advance(500)
    assert len(tickers.topic("tickers.ETHUSDT")) == 1  # the snapshot, without a price
    run(world, do="list_contract", symbol="ETHUSDT")
    world.trade("3000", symbol="ETHUSDT")
    world.advance(500)
    assert tickers.topic("tickers.ETHUSDT")[-1]["data"]["lastPrice"] == "3000.00"
    assert info(world, symbol="ETHUSDT")[0]["status"] == "Trading"
    assert code(world, symbol="ETHUSDT", price="2990", qty="0.1") == 0
    refused_action(world, "is Trading", do="list_contract", symbol="ETHUSDT")


def test_a_configuration_can_begin_before_the_listing() -> None:
    config = PaperConfig.model_validate({"symbols": [{"symbol": "BTCUSDT", "status": "PreLaunch"}]})
    parts, _ = build(config, lambda _: pytest.fail("no database"), start_ms=START_MS)
    assert parts.exchange.market("BTCUSDT").status == "PreLaunch"
    with pytest.raises(ValidationError):
        PaperConfig.model_validate({"symbols": [{"symbol": "BTCUSDT", "status": "Closed"}]})


def test_an_unknown_status_is_refused(world: PaperWorld) -> None:
    assert world.code("GET", INFO, {"category": "linear", "status": "Gone"}) == 10001
    for status in ("Delivering", "Closed", "PreLaunch"):
        assert info(world, status=status) == []


@pytest.mark.parametrize("number", [110063, 110066, 110074])
def test_a_halt_refuses_with_the_code_that_is_asked_for(world: PaperWorld, number: int) -> None:
    order_id = world.place(price="59000")
    run(world, do="halt", symbol="BTCUSDT", code=number)
    assert code(world) == number
    assert world.code("POST", AMEND, by_id(order_id, price="58999")) == number
    assert info(world, symbol="BTCUSDT")[0]["status"] == "Trading"
    assert code(world, symbol="ETHUSDT", price="2990", qty="0.1") == 0
    assert [row["orderId"] for row in open_orders(world)] == [order_id]
    world.post(CANCEL, by_id(order_id))
    world.advance(5)
    assert open_orders(world) == []
    run(world, do="halt", symbol="BTCUSDT", halted=False)
    assert code(world) == 0


def open_orders(world: PaperWorld, symbol: str = "BTCUSDT") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.get("/v5/order/realtime", symbol=symbol)["list"]
    return rows


@pytest.mark.parametrize("goes_on", [False, True])
def test_tickers_stop_in_a_halt_or_go_on_and_nothing_fills(
    world: PaperWorld, goes_on: bool
) -> None:
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT", "publicTrade.BTCUSDT")
    order_id = world.place(price="59000")
    world.advance(200)
    stream.frames.clear()
    run(world, do="halt", symbol="BTCUSDT", tickers=goes_on)
    world.trade("58000.0")
    world.advance(500)
    assert world.order(order_id)["orderStatus"] == "New"
    assert stream.topic("publicTrade.BTCUSDT") == []
    prices = [frame["data"].get("lastPrice") for frame in stream.topic("tickers.BTCUSDT")]
    assert prices == (["58000.00"] if goes_on else [])
    run(world, do="halt", symbol="BTCUSDT", halted=False)
    world.trade("58000.0")
    assert world.order(order_id)["orderStatus"] == "Filled"


def hold(world: PaperWorld) -> str:
    """Hold both legs of BTC and a resting order of each kind; return the opening order."""
    world.place(price=None, qty="0.05")
    world.place(side="Sell", leg=2, price=None, qty="0.02")
    world.place(side="Sell", price="61000", qty="0.01")
    return world.place(price="59000", qty="0.01")


@pytest.mark.parametrize("exec_type", ["Settle", "Delivery"])
def test_delivery_cancels_closes_and_ends(world: PaperWorld, exec_type: str) -> None:
    order_id = hold(world)
    eth = world.place(symbol="ETHUSDT", price="2900", qty="0.1")
    private = world.stream(Channel.PRIVATE, "order", "execution", "position", "wallet")
    tickers = world.stream(Channel.PUBLIC, "tickers.BTCUSDT")
    world.advance(200)
    before = world.account.money.wallet
    tickers.frames.clear()
    run(world, do="deliver", symbol="BTCUSDT", price="60500.25", exec_type=exec_type)
    assert world.order(order_id)["cancelType"] == "CancelBySettle"
    assert {row["cancelType"] for row in private.rows("order")} == {"CancelBySettle", "UNKNOWN"}
    told = private.rows("execution")
    for rows in (told, world.get("/v5/execution/list", execType=exec_type)["list"][::-1]):
        assert [(row["side"], row["execQty"], row["closedSize"]) for row in rows] == [
            ("Sell", "0.050", "0.050"), ("Buy", "0.020", "0.020"),
        ]  # fmt: skip
        assert {row["execType"] for row in rows} == {exec_type}
        assert {row["createType"] for row in rows} == {"CreateBySettle"}
        assert {(row["execPrice"], row["execFee"]) for row in rows} == {("60500.25", "0")}
    closing = [row for row in private.rows("order") if row["orderStatus"] == "Filled"]
    assert [row["createType"] for row in closing] == ["CreateBySettle"] * 2
    assert [row["size"] for row in private.rows("position")[-2:]] == ["0", "0"]
    gained = sum(Decimal(row["execPnl"]) for row in told)
    assert gained
    assert world.account.money.wallet == before + gained
    log = world.get("/v5/account/transaction-log", type="DELIVERY")["list"]
    assert sum(Decimal(row["change"]) for row in log) == gained
    pnl = world.get("/v5/position/closed-pnl")["list"]
    assert [row["execType"] for row in pnl] == ["Settle", "Settle"]
    # nothing moves any more, and the other contract goes on
    world.trade("70000")
    world.advance(1_000)
    assert [f for f in tickers.topic("tickers.BTCUSDT") if "lastPrice" in f["data"]] == []
    assert code(world) == 110074
    assert world.order(eth)["orderStatus"] == "New"
    assert code(world, symbol="ETHUSDT", price="2990", qty="0.1") == 0


def test_what_the_lists_say_of_a_delivered_contract(world: PaperWorld) -> None:
    hold(world)
    run(world, do="deliver", symbol="BTCUSDT", closed_after_s=60)
    for status in ("Delivering", "Closed"):
        assert info(world, symbol="BTCUSDT") == []
        (row,) = info(world, symbol="BTCUSDT", status=status)
        assert row["status"] == status
        assert int(row["deliveryTime"]) <= world.exchange.now_ms
        assert [row["symbol"] for row in info(world)] == ["ETHUSDT"]
        rows = world.get("/v5/position/list", symbol="BTCUSDT")["list"]
        assert [(row["positionIdx"], row["size"], row["side"]) for row in rows] == [
            (1, "0", ""), (2, "0", ""),
        ]  # fmt: skip
        assert world.get("/v5/position/list", settleCoin="USDT")["list"] == []
        assert open_orders(world) == []
        assert len(world.get("/v5/execution/list", symbol="BTCUSDT")["list"]) == 4
        assert world.get("/v5/order/history", symbol="BTCUSDT")["list"]
        assert [row["symbol"] for row in world.get("/v5/market/tickers")["list"]] == ["ETHUSDT"]
        assert code(world) == 110074
        leverage = {"category": "linear", "symbol": "BTCUSDT"}
        leverage |= {"buyLeverage": "5", "sellLeverage": "5"}
        assert world.code("POST", "/v5/position/set-leverage", leverage) == 110074
        ticker = {"category": "linear", "symbol": "BTCUSDT"}
        assert world.code("GET", "/v5/market/tickers", ticker) == (
            0 if status == "Delivering" else 10001
        )
        world.advance(60_000)
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT")
    assert stream.frames[0]["success"] is False
    other = world.stream(Channel.PUBLIC, "tickers.ETHUSDT")
    assert other.frames[0]["success"] is True


def test_a_settlement_in_progress_refuses_with_its_own_code(world: PaperWorld) -> None:
    order_id = hold(world)
    run(world, do="settle", symbol="BTCUSDT")
    assert info(world, symbol="BTCUSDT") == []
    assert info(world, symbol="BTCUSDT", status="Delivering")
    assert code(world) == 110063
    assert world.code("POST", AMEND, by_id(order_id, price="58000")) == 110063
    # the book and the legs wait for the delivery
    assert world.order(order_id)["orderStatus"] == "New"
    assert world.position(1)["size"] == "0.050"
    world.trade("50000")
    assert world.order(order_id)["orderStatus"] == "New"
    assert world.exchange.market("BTCUSDT").mark == 50_000
    refused_action(world, "is Delivering", do="settle", symbol="BTCUSDT")
    refused_action(world, "is Delivering", do="halt", symbol="BTCUSDT", halted=False)
    run(world, do="halt", symbol="BTCUSDT", code=110066)
    assert code(world) == 110066
    run(world, do="deliver", symbol="BTCUSDT")
    refused_action(world, "is Delivering", do="deliver", symbol="BTCUSDT")
    refused_action(world, "is Delivering", do="halt", symbol="BTCUSDT")
    assert world.position(1)["size"] == "0"
    assert code(world) == 110074
    execution = world.get("/v5/execution/list", execType="Settle")["list"][0]
    assert execution["execPrice"] == "50000"


def test_an_announced_end_comes_by_itself(world: PaperWorld) -> None:
    hold(world)
    now = world.exchange.now_ms
    said = run(world, do="announce_delisting", symbol="BTCUSDT", in_s=600, settling_s=20,
               closed_after_s=30, exec_type="Delivery")  # fmt: skip
    assert said == {"delivery_ms": now + 600_000}
    (row,) = info(world, symbol="BTCUSDT")
    assert (row["status"], row["deliveryTime"]) == ("Trading", str(now + 600_000))
    ticker = world.get("/v5/market/tickers", symbol="BTCUSDT")["list"][0]
    assert ticker["deliveryTime"] == str(now + 600_000)
    world.advance(599_000)
    assert code(world, price="59000") == 0
    world.advance(1_000)
    assert code(world, price="59000") == 110063
    assert world.position(1)["size"] == "0.050"
    world.advance(20_000)
    assert code(world, price="59000") == 110074
    assert world.position(1)["size"] == "0"
    (row,) = info(world, symbol="BTCUSDT", status="Delivering")
    assert row["deliveryTime"] == str(now + 600_000)
    world.advance(30_000)
    assert info(world, symbol="BTCUSDT", status="Closed")


def test_a_later_announcement_replaces_the_first(world: PaperWorld) -> None:
    run(world, do="announce_delisting", symbol="BTCUSDT", in_s=100)
    world.advance(50_000)
    run(world, do="announce_delisting", symbol="BTCUSDT", in_s=1_000)
    world.advance(900_000)
    assert code(world, price="59000") == 0
    world.advance(100_000)
    assert code(world, price="59000") == 110063


def test_a_delivered_contract_settles_no_funding(world: PaperWorld) -> None:
    hold(world)
    run(world, do="settle", symbol="BTCUSDT")
    world.advance(9 * 3_600_000)
    assert world.get("/v5/execution/list", execType="Funding")["list"] == []
    assert world.get("/v5/market/funding/history", symbol="BTCUSDT")["list"] == []
    assert world.get("/v5/market/funding/history", symbol="ETHUSDT")["list"]


def test_a_loss_beyond_the_wallet_is_the_insurance_funds(world: PaperWorld) -> None:
    world.place(price=None, qty="1")
    run(world, do="deliver", symbol="BTCUSDT", price="40000")
    account = world.account
    assert account.money.wallet == 0
    assert account.insured > 0
    assert world.exchange.take_over.insurance_fund == -account.insured
    funds = account.money
    assert funds.wallet == (
        funds.deposits + funds.realised_pnl - funds.fees_paid - funds.funding_paid
    )


def test_an_order_on_its_way_to_the_book_is_cancelled_too(world: PaperWorld) -> None:
    order_id = world.place(price="59000", settle=False)
    run(world, do="deliver", symbol="BTCUSDT")
    world.advance(10)
    assert world.order(order_id)["cancelType"] == "CancelBySettle"
    book = world.account.books["BTCUSDT"]
    assert (book.arriving, book.pair.order_margin) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": "halt", "symbol": "BTCUSDT", "code": 10006},
        {"do": "announce_delisting", "symbol": "BTCUSDT"},
        {"do": "announce_delisting", "symbol": "BTCUSDT", "in_s": 0},
        {"do": "announce_delisting", "symbol": "BTCUSDT", "in_s": 5, "settling_s": -1},
        {"do": "deliver", "symbol": "BTCUSDT", "price": "-1"},
        {"do": "deliver", "symbol": "BTCUSDT", "price": "Infinity"},
        {"do": "deliver", "symbol": "BTCUSDT", "exec_type": "Trade"},
        {"do": "deliver", "symbol": "BTCUSDT", "closed_after_s": -5},
    ],
)
def test_wrong_words_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.validate_python(wrong)


def test_a_state_that_does_not_allow_it_is_refused(world: PaperWorld) -> None:
    for name in ("list_contract", "halt", "settle", "deliver"):
        refused_action(world, "NOPE", do=name, symbol="NOPE")
    refused_action(world, "NOPE", do="announce_delisting", symbol="NOPE", in_s=5)
    run(world, do="deliver", symbol="BTCUSDT", closed_after_s=0)
    assert info(world, symbol="BTCUSDT", status="Closed")
    for name in ("list_contract", "halt", "settle", "deliver"):
        refused_action(world, "BTCUSDT is Closed", do=name, symbol="BTCUSDT")
    refused_action(world, "is Closed", do="announce_delisting", symbol="BTCUSDT", in_s=5)
    refused_action(world, "is Closed", do="jump_price", symbol="BTCUSDT", percent=1)
    fresh = PaperWorld()
    run(fresh, do="deliver", symbol="BTCUSDT")  # nobody holds anything: no price is needed


def test_in_a_scenario_a_refused_step_is_passed_over(world: PaperWorld) -> None:
    steps = [
        {"at_s": 1, "action": {"do": "list_contract", "symbol": "BTCUSDT"}},
        {"at_s": 2, "action": {"do": "halt", "symbol": "BTCUSDT"}},
    ]
    world.control.plan(Scenario.model_validate({"steps": steps}))
    world.advance(3_000)
    assert code(world) == 110066


def restarted(world: PaperWorld, path: Path, after_ms: int = 0) -> PaperWorld:
    write_state(path, world.exchange, epoch=0)
    state = read_state(path)
    assert state is not None
    other = PaperWorld(
        [paper_market(), paper_market("ETHUSDT")], start_ms=state.saved_ms + after_ms
    )
    restore(other.exchange, state)
    other.trade("60000.0", SideType.BUY)
    return other


def test_states_of_contracts_outlive_the_exchange(world: PaperWorld, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    run(world, do="halt", symbol="BTCUSDT", code=110074)
    run(world, do="deliver", symbol="ETHUSDT", closed_after_s=100)
    again = restarted(world, path)
    assert code(again) == 110074
    assert info(again, symbol="ETHUSDT", status="Delivering")
    again.advance(100_000)
    assert info(again, symbol="ETHUSDT", status="Closed")
    run(again, do="halt", symbol="BTCUSDT", halted=False)
    again.trade("60000.0", SideType.BUY)
    assert code(again) == 0


def test_an_announced_end_outlives_the_exchange(world: PaperWorld, tmp_path: Path) -> None:
    hold(world)
    run(world, do="announce_delisting", symbol="BTCUSDT", in_s=100, settling_s=10)
    again = restarted(world, tmp_path / "state.json")
    assert info(again, symbol="BTCUSDT")[0]["deliveryTime"] != "0"
    again.advance(100_000)
    assert code(again) == 110063
    third = restarted(again, tmp_path / "state.json", after_ms=3_000)
    assert code(third) == 110063
    assert third.position(1)["size"] == "0.050"
    third.advance(10_000)
    assert third.position(1)["size"] == "0"
    # what fell due while it was down happens at once
    late = restarted(world, tmp_path / "state.json", after_ms=3_600_000)
    late.advance(20_000)
    assert info(late, symbol="BTCUSDT", status="Delivering")


def test_changed_rules_outlive_the_exchange(world: PaperWorld, tmp_path: Path) -> None:
    order_id = world.place(price="59000.3")
    run(world, do="change_rules", symbol="BTCUSDT", tick_size="1", min_notional="150")
    again = restarted(world, tmp_path / "state.json")
    row = info(again, symbol="BTCUSDT")[0]
    assert row["priceFilter"]["tickSize"] == "1"
    assert again.order(order_id)["price"] == "59000.30"
    assert code(again, price="59000", qty="0.002") == 110094
    again.trade("59000")
    assert again.order(order_id)["orderStatus"] == "Filled"
