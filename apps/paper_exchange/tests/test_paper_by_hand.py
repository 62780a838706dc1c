"""What a person changes while a program trades, forced closes, fees in another coin."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP
from pydantic import ValidationError

from exchange_model.rules.codes import RefusalError
from gridcore import SideType
from paper_exchange.book.account import MntWallet
from paper_exchange.builder import build
from paper_exchange.config import PaperConfig
from paper_exchange.host.control import ACTION
from paper_exchange.stream.session import Channel
from testkit.paper import (
    KEY,
    SECRET,
    START_MS,
    PaperHost,
    PaperWorld,
    order_params,
    paper_account,
)
from testkit.paper_calls import wallet

BY = {"account": "one", "symbol": "BTCUSDT"}


TOTALS = (
    "totalAvailableBalance", "totalMarginBalance", "totalInitialMargin", "totalMaintenanceMargin",
    "accountIMRate", "accountMMRate",
)  # fmt: skip


def conserved(world: PaperWorld) -> None:
    for account in world.exchange.accounts.values():
        funds, mnt = account.money, account.mnt
        assert funds.wallet == (
            funds.deposits + funds.realised_pnl - funds.fees_paid - funds.funding_paid
        )
        for coin, balance, first in (
            ("USDT", funds.wallet, Decimal(10_000)),
            ("MNT", mnt.balance, None),
        ):
            entries = [one for one in account.ledger if one.currency == coin]
            begun = mnt.deposits - sum(one.cash_flow for one in entries) if first is None else first
            assert begun + sum(one.change for one in entries) == balance
        paid = {"USDT": Decimal(0), "MNT": Decimal(0)}
        for execution in account.executions:
            if execution.exec_type.value != "Funding":
                paid[execution.fee_coin] += execution.fee
        assert paid == {"USDT": funds.fees_paid, "MNT": mnt.fees_paid}


def test_isolated_margin_empties_what_is_of_the_whole_account(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "wallet")
    world.place(price=None, qty="0.05")
    before = wallet(world)
    assert all(before[name] for name in TOTALS)
    world.run(do="set_margin_mode", account="one", mode="ISOLATED_MARGIN")
    info = world.get("/v5/account/info")
    assert info["marginMode"] == "ISOLATED_MARGIN"
    assert info["updatedTime"] == str(world.exchange.now_ms)
    for row in (wallet(world), stream.rows("wallet")[-1]):
        assert [row[name] for name in TOTALS] == [""] * 6
        assert row["totalEquity"] == before["totalEquity"]
        assert row["coin"] == before["coin"]
    with pytest.raises(RefusalError) as caught:
        world.run(do="set_margin_mode", account="one", mode="ISOLATED_MARGIN")
    assert caught.value.code == 110026
    world.run(do="set_margin_mode", account="one", mode="REGULAR_MARGIN")
    assert world.get("/v5/account/info")["marginMode"] == "REGULAR_MARGIN"
    assert wallet(world) == before


def test_the_exchanges_own_client_switches_it_too() -> None:
    with PaperHost() as host:
        client = HTTP(api_key=KEY, api_secret=SECRET)
        client.endpoint = host.base_url
        client.client.trust_env = False
        assert client.set_margin_mode(setMarginMode="ISOLATED_MARGIN")["result"] == {"reasons": []}
        assert client.get_account_info()["result"]["marginMode"] == "ISOLATED_MARGIN"
        for mode, code in (("ISOLATED_MARGIN", 110026), ("PORTFOLIO_MARGIN", 10001), ("", 10001)):
            with pytest.raises(InvalidRequestError) as caught:
                client.set_margin_mode(setMarginMode=mode)
            assert caught.value.status_code == code
        host.act(do="set_margin_mode", account="one", mode="REGULAR_MARGIN")
        assert client.get_account_info()["result"]["marginMode"] == "REGULAR_MARGIN"
        client.client.close()


def test_an_order_by_hand_has_no_link_and_says_who_made_it(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "order", "execution")
    opened = world.run(do="place_order", **BY, direction="long", side="Buy", qty="0.05")
    world.advance(5)
    rested = world.run(do="place_order", **BY, direction="long", side="Buy", qty="0.01",
                       price="59000")  # fmt: skip
    closing = world.run(do="place_order", **BY, direction="long", side="Sell", qty="0.02",
                        price="61000.0")  # fmt: skip
    world.advance(5)
    rows = {row["orderId"]: row for row in stream.rows("order")}
    assert {row["orderLinkId"] for row in rows.values()} == {""}
    types = [rows[one["order_id"]]["createType"] for one in (opened, rested, closing)]
    assert types == ["CreateByUser", "CreateByUser", "CreateByClosing"]
    (execution,) = stream.rows("execution")
    assert (execution["createType"], execution["execType"]) == ("CreateByUser", "Trade")
    listed = world.get("/v5/order/realtime", symbol="BTCUSDT")["list"]
    assert [row["createType"] for row in listed] == ["CreateByClosing", "CreateByUser"]
    other = world.run(do="place_order", **BY, direction="short", side="Sell", qty="0.01",
                      create_type="CreateByStopOrder")  # fmt: skip
    world.advance(5)
    assert world.order(other["order_id"])["createType"] == "CreateByStopOrder"


def test_orders_are_amended_and_cancelled_by_what_is_known_of_them(world: PaperWorld) -> None:
    mine = world.place(price="59000", orderLinkId="mine")
    short = world.place(side="Sell", leg=2, price="61000")
    newer = world.place(price="58000")
    said = world.run(do="amend_order", **BY, direction="long", side="Buy", price="58900")
    assert said == {"order_id": mine}
    world.advance(5)
    assert world.order(mine)["price"] == "58900.00"
    world.run(do="amend_order", **BY, order_link_id="mine", qty="0.02")
    world.advance(5)
    assert world.order(mine)["qty"] == "0.020"
    assert world.run(do="cancel_order", **BY, direction="short") == {"order_id": short}
    assert world.run(do="cancel_order", **BY, order_id=newer) == {"order_id": newer}
    world.advance(5)
    assert world.order(short)["cancelType"] == "CancelByUser"
    rows = world.get("/v5/order/realtime", symbol="BTCUSDT")["list"]
    assert [row["orderId"] for row in rows] == [mine]
    with pytest.raises(RefusalError, match="no such open order"):
        world.run(do="cancel_order", **BY, order_id=newer)
    world.run(do="cancel_orders", **BY, cancel_type="CancelByUser")
    world.advance(5)
    assert world.order(mine)["cancelType"] == "CancelByUser"


def test_leverage_and_mode_by_hand(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "position")
    world.run(do="set_leverage", **BY, leverage="7")
    assert {row["leverage"] for row in stream.rows("position")} == {"7"}
    assert world.position(2)["leverage"] == "7"
    world.run(do="switch_mode", **BY, hedge=False)
    assert [row["positionIdx"] for row in world.get("/v5/position/list", symbol="BTCUSDT")["list"]]
    assert world.code("POST", "/v5/order/create", order_params()) == 10001
    world.run(do="switch_mode", **BY, hedge=True)
    assert world.code("POST", "/v5/order/create", order_params()) == 0


def test_a_leg_is_closed_by_hand_under_resting_orders(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    far = world.place(side="Sell", price="62000", qty="0.03")
    near = world.place(side="Sell", price="61000", qty="0.02")
    stream = world.stream(Channel.PRIVATE, "order", "execution")
    world.run(do="close_position", **BY, direction="long", qty="0.02")
    assert world.position(1)["size"] == "0.030"
    assert world.order(far)["qty"] == "0.010"
    world.run(do="close_position", **BY, direction="long")
    assert world.position(1)["size"] == "0"
    for order_id in (far, near):
        assert world.order(order_id)["cancelType"] == "CancelByReduceOnly"
    executions = stream.rows("execution")
    assert [(row["execQty"], row["createType"], row["execType"]) for row in executions] == [
        ("0.020", "CreateByClosing", "Trade"), ("0.030", "CreateByClosing", "Trade"),
    ]  # fmt: skip
    assert all(row["orderLinkId"] == "" and Decimal(row["execFee"]) > 0 for row in executions)
    assert world.get("/v5/position/closed-pnl")["list"][0]["execType"] == "Trade"
    conserved(world)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"do": "place_order", "direction": "long", "side": "Buy", "qty": "0.0005"}, "minimum"),
        ({"do": "place_order", "direction": "long", "side": "Sell", "qty": "0.01"}, "zero"),
        ({"do": "place_order", "direction": "long", "side": "Buy", "qty": "1", "price": "0.01"},
         "outside"),
        ({"do": "place_order", "direction": "long", "side": "Buy", "qty": "10"}, "ab not enough"),
        ({"do": "place_order", "direction": "long", "side": "Buy", "qty": "1", "symbol": "NO"},
         "NO"),
        ({"do": "place_order", "direction": "long", "side": "Buy", "qty": "1", "account": "two"},
         "two"),
        ({"do": "amend_order", "price": "59000"}, "no such open order"),
        ({"do": "cancel_order"}, "no such open order"),
        ({"do": "cancel_orders", "symbol": "NO"}, "NO"),
        ({"do": "close_position", "direction": "long"}, "holds 0"),
        ({"do": "close_position", "direction": "short", "qty": "5"}, "holds 0.01"),
        ({"do": "close_position", "direction": "short", "qty": "0.0015"}, "qty step"),
        ({"do": "set_leverage", "leverage": "1000"}, "maxLeverage"),
        ({"do": "set_leverage", "leverage": "10"}, "not modified"),
        ({"do": "switch_mode", "hedge": True}, "not modified"),
        ({"do": "switch_mode", "hedge": False}, "existing position"),
        ({"do": "liquidate", "by": "reduce", "direction": "long"}, "nothing"),
        ({"do": "liquidate", "by": "reduce", "symbol": "NO"}, "NO"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_by_hand_is_refused(
    world: PaperWorld, wrong: dict[str, Any], says: str
) -> None:
    world.place(side="Sell", leg=2, price=None, qty="0.01")
    before = orjson.dumps([wallet(world), world.position(1), world.position(2)])
    with pytest.raises(RefusalError, match=says):
        world.run(**{**BY, **wrong} if wrong["do"] != "liquidate" or "symbol" in wrong else
                  {"account": "one", **wrong})  # fmt: skip
    world.advance(5)
    assert orjson.dumps([wallet(world), world.position(1), world.position(2)]) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": "place_order", "direction": "up", "side": "Buy", "qty": "1"},
        {"do": "place_order", "direction": "long", "side": "Buy", "qty": "-1"},
        {"do": "place_order", "direction": "long", "side": "Buy", "qty": "1", "create_type": "me"},
        {"do": "amend_order"},
        {"do": "close_position", "direction": "long", "qty": "0"},
        {"do": "set_margin_mode", "mode": "PORTFOLIO_MARGIN"},
        {"do": "set_leverage", "leverage": "-1"},
        {"do": "liquidate", "ratio": "0.5"},
        {"do": "liquidate", "by": "reduce", "ratio": "1.5"},
        {"do": "deposit", "amount": "1", "coin": "BTC"},
        {"do": "deposit", "amount": "NaN"},
        {"do": "fee_coin", "coin": "MNT", "price": "0"},
    ],
)
def test_words_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    symbol = {} if wrong["do"] in ("liquidate", "deposit", "fee_coin", "set_margin_mode") else BY
    with pytest.raises(ValidationError):
        ACTION.validate_python({"account": "one", **symbol, **wrong})


def test_by_hand_nothing_is_opened_in_a_halt(world: PaperWorld) -> None:
    world.place(price=None, qty="0.01")
    world.run(do="halt", symbol="BTCUSDT")
    for action in (
        {"do": "place_order", "direction": "long", "side": "Buy", "qty": "0.01"},
        {"do": "close_position", "direction": "long"},
    ):
        with pytest.raises(RefusalError) as caught:
            world.run(**BY, **action)
        assert caught.value.code == 110066


def test_every_forced_close_says_what_it_is_on_both_channels(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "order", "execution")
    world.place(price=None, qty="0.1")
    world.run(do="adl", **BY, direction="long", qty="0.01")
    world.run(do="liquidate", account="one", by="reduce", ratio="0.25")
    world.run(do="liquidate", account="one")
    expected = [
        ("Trade", "CreateByUser"),
        ("AdlTrade", "CreateByAdl_PassThrough"),
        ("Trade", "CreateByLiq"),
        ("BustTrade", "CreateByTakeOver_PassThrough"),
    ]
    told, listed = stream.rows("execution"), world.get("/v5/execution/list")["list"][::-1]
    for rows in (told, listed):
        assert [(row["execType"], row["createType"]) for row in rows] == expected
    filled = [row for row in stream.rows("order") if row["orderStatus"] == "Filled"]
    assert [row["createType"] for row in filled] == [one for _, one in expected]
    history = world.get("/v5/order/history")["list"][::-1]
    assert [row["createType"] for row in history] == [one for _, one in expected]
    conserved(world)


def test_a_liquidation_by_tiers_cancels_reduces_and_charges(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    world.place(side="Sell", leg=2, price=None, qty="0.033")
    resting = world.place(price="59000")
    world.place(symbol="ETHUSDT", price="3000", qty="1")
    said = world.run(do="liquidate", account="one", by="reduce", ratio="0.5")
    assert world.order(resting)["cancelType"] == "CancelByPrepareLiq"
    assert world.position(1)["size"] == "0.025"
    assert world.position(2)["size"] == "0.016"  # half of it, rounded up to the step, is closed
    last = [row for row in world.get("/v5/execution/list")["list"] if
            row["createType"] == "CreateByLiq"]  # fmt: skip
    assert [row["execType"] for row in last] == ["Trade"] * len(last)
    assert all(Decimal(row["execFee"]) > 0 for row in last)
    assert Decimal(said["closed"]) == sum(Decimal(row["execQty"]) for row in last)
    conserved(world)


def test_one_leg_is_reduced_alone(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    world.place(side="Sell", leg=2, price=None, qty="0.03")
    world.run(do="liquidate", account="one", by="reduce", symbol="BTCUSDT", direction="long",
              ratio="1")  # fmt: skip
    assert (world.position(1)["size"], world.position(2)["size"]) == ("0", "0.030")


def test_fees_are_usdt_unless_they_are_not(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "execution", "order")
    order_id = world.place(price=None, qty="0.05")
    world.advance(8 * 3_600_000)
    trade, funding = stream.rows("execution")
    assert (trade["execType"], trade["feeCurrency"]) == ("Trade", "USDT")
    assert (funding["execType"], funding["feeCurrency"]) == ("Funding", "")
    assert world.order(order_id)["cumFeeDetail"] == {"USDT": trade["execFee"]}
    assert [coin["coin"] for coin in wallet(world)["coin"]] == ["USDT"]


def test_fees_are_paid_in_mnt_and_both_coins_add_up() -> None:
    world = PaperWorld(accounts=[paper_account(mnt="100", mnt_price="0.8")])
    world.trade("60000.0", SideType.BUY)
    stream = world.stream(Channel.PRIVATE, "execution", "order", "wallet")
    order_id = world.place(price=None, qty="0.05")
    fee_usdt = Decimal("0.05") * 60_000 * Decimal("0.00055")
    (execution,) = stream.rows("execution")
    listed = world.get("/v5/execution/list")["list"][0]
    for row in (execution, listed):
        assert row["feeCurrency"] == "MNT"
        assert Decimal(row["execFee"]) == fee_usdt / Decimal("0.8") == Decimal("2.0625")
        assert row["feeRate"] == "0.00055"
    for row in (world.order(order_id), stream.rows("order")[-1]):
        assert row["cumFeeDetail"] == {"MNT": "2.0625"}
    assert world.account.money.wallet == 10_000
    for row in (wallet(world), stream.rows("wallet")[-1]):
        usdt, mnt = row["coin"]
        assert (usdt["coin"], usdt["walletBalance"]) == ("USDT", "10000")
        assert (mnt["coin"], mnt["walletBalance"]) == ("MNT", "97.9375")
        assert Decimal(mnt["usdValue"]) == Decimal("78.35")
        assert Decimal(row["totalEquity"]) == Decimal(usdt["equity"]) + Decimal("78.35")
        assert Decimal(row["totalAvailableBalance"]) == world.account.money.available()
    log = world.get("/v5/account/transaction-log", currency="MNT")["list"]
    assert [(row["currency"], row["fee"], row["change"], row["cashBalance"]) for row in log] == [
        ("MNT", "2.0625", "-2.0625", "97.9375")
    ]
    assert log[0]["tradeId"] == execution["execId"]
    usdt_log = world.get("/v5/account/transaction-log", currency="USDT")["list"]
    assert [row["fee"] for row in usdt_log] == ["0"]
    assert world.get("/v5/account/transaction-log", currency="BTC")["list"] == []
    conserved(world)


def test_a_fee_that_the_mnt_cannot_pay_is_usdt() -> None:
    world = PaperWorld(accounts=[paper_account(mnt="3", mnt_price="0.8")])
    world.trade("60000.0", SideType.BUY)
    world.place(price=None, qty="0.05")
    world.place(price=None, qty="0.05")
    rows = world.get("/v5/execution/list")["list"]
    assert [row["feeCurrency"] for row in rows] == ["USDT", "MNT"]
    world.run(do="deposit", account="one", amount="10", coin="MNT")
    world.place(price=None, qty="0.05")
    assert world.get("/v5/execution/list")["list"][0]["feeCurrency"] == "MNT"
    assert wallet(world)["coin"][1]["walletBalance"] == plain(world.account.mnt.balance)
    with pytest.raises(RefusalError, match="MNT"):
        world.run(do="deposit", account="one", amount="-1000", coin="MNT")
    conserved(world)


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def test_the_coin_of_the_fees_changes_while_it_runs(world: PaperWorld) -> None:
    world.run(do="deposit", account="one", amount="50", coin="MNT")
    world.place(price=None, qty="0.01")
    world.run(do="fee_coin", account="one", coin="MNT", price="1.1")
    world.place(price=None, qty="0.01")
    world.run(do="fee_coin", account="one", coin="USDT")
    world.place(price=None, qty="0.01")
    rows = world.get("/v5/execution/list")["list"]
    assert [row["feeCurrency"] for row in rows] == ["USDT", "MNT", "USDT"]
    # rounded up to eight places: nobody pays less than the fee
    assert rows[1]["execFee"] == "0.3"
    conserved(world)


def test_a_configured_account_pays_in_mnt() -> None:
    account = {"name": "a", "fee_coin": "MNT", "mnt_price": "0.9", "mnt_deposit": "5"}
    config = PaperConfig.model_validate({"accounts": [account]})
    parts, _ = build(config, lambda _: pytest.fail("no database"), start_ms=START_MS)
    assert parts.exchange.accounts["a"].mnt == MntWallet(
        deposits=Decimal(5), price=Decimal("0.9"), pays_fees=True
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_money_adds_up_whatever_is_done_by_hand(seed: int) -> None:
    chance = Random(seed)
    world = PaperWorld(accounts=[paper_account(mnt="20")])
    price = Decimal(60_000)
    world.trade(price)
    for _ in range(80):
        leg, side = chance.choice(["long", "short"]), chance.choice(["Buy", "Sell"])
        qty = str(Decimal(chance.randrange(1, 60)) / 1000)
        actions: list[dict[str, Any]] = [
            {"do": "place_order", **BY, "direction": leg, "side": side, "qty": qty},
            {"do": "place_order", **BY, "direction": leg, "side": side, "qty": qty,
             "price": str(price + chance.randrange(-200, 200))},
            {"do": "amend_order", **BY, "qty": qty},
            {"do": "close_position", **BY, "direction": leg, "qty": qty},
            {"do": "close_position", **BY, "direction": leg},
            {"do": "liquidate", "account": "one", "by": "reduce", "ratio": "0.3"},
            {"do": "adl", **BY, "direction": leg, "qty": qty},
            {"do": "deposit", "account": "one", "amount": "1", "coin": "MNT"},
            {"do": "fee_coin", "account": "one", "coin": chance.choice(["MNT", "USDT"])},
            {"do": "set_leverage", **BY, "leverage": str(chance.randrange(5, 20))},
        ]  # fmt: skip
        try:
            world.run(**chance.choice(actions))
        except RefusalError:
            continue
        world.advance(chance.randrange(1, 5))
        price += chance.randrange(-60, 60)
        world.trade(price)
        conserved(world)
        for book in world.account.books.values():
            for direction, covered in book.orders.closing_qty.items():
                assert covered <= book.pair.leg(direction).size
