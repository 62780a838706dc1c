"""REST lists that show an older state, and what tells an old row from a new one."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exchange_model.fills.registry import FillModelName, FillModelSettings
from gridcore import SideType
from paper_exchange.basics.settings import MatchingSettings, TakerModel
from paper_exchange.exchange.rule_change import RuleChange
from paper_exchange.host.control import ACTION
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.stream.session import Channel
from testkit.paper import (
    START_MS,
    PaperHost,
    PaperWorld,
    order_params,
    paper_account,
    paper_market,
    signed,
)

FUNDING_MS = 8 * 3_600_000
LISTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v5/position/list", {"settleCoin": "USDT"}),
    ("/v5/position/list", {"symbol": "BTCUSDT"}),
    ("/v5/position/list", {"symbol": "ETHUSDT"}),
    ("/v5/order/realtime", {"settleCoin": "USDT", "limit": 50}),
    ("/v5/order/realtime", {"settleCoin": "USDT", "openOnly": 1}),
    ("/v5/order/history", {"limit": 50}),
    ("/v5/execution/list", {"limit": 100}),
    ("/v5/position/closed-pnl", {"limit": 100}),
    ("/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
    ("/v5/account/transaction-log", {"limit": 50}),
    ("/v5/account/info", {}),
    ("/v5/market/instruments-info", {}),
)


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    return world


def lag(world: PaperWorld, match: str, delay_ms: int, **more: Any) -> int:
    rule = FaultRule(kind=FaultKind.LAG, match=match, delay_ms=delay_ms, **more)
    return world.parts.faults.add(rule)


def links(world: PaperWorld, **params: Any) -> list[str]:
    rows = world.get("/v5/order/realtime", **({"symbol": "BTCUSDT"} | params))["list"]
    return [row["orderLinkId"] for row in rows]


def test_a_list_shows_what_was_and_the_envelope_says_now(world: PaperWorld) -> None:
    early = world.place(price="59000", orderLinkId="early")
    lag(world, "order/realtime", 4_000)
    world.advance(5_000)
    late = world.place(price="58000", orderLinkId="late")
    cancel = {"category": "linear", "symbol": "BTCUSDT", "orderId": early}
    world.post("/v5/order/cancel", cancel)
    world.advance(10)
    assert links(world) == ["early"]
    # by id too: the new order is nowhere yet, the ended one is still open
    assert links(world, orderId=late) == []
    assert links(world, orderLinkId="late") == []
    assert world.order(early)["orderStatus"] == "New"
    params = {"category": "linear", "symbol": "BTCUSDT"}
    assert world.reply("GET", "/v5/order/realtime", params).envelope["time"] == (
        world.exchange.now_ms
    )
    # the other lists are of now
    assert world.get("/v5/order/history")["list"][0]["orderId"] == early
    world.advance(4_000)
    assert links(world) == ["late"]
    assert world.order(early)["orderStatus"] == "Cancelled"


def test_a_position_keeps_the_seq_and_the_time_it_had(world: PaperWorld) -> None:
    world.place(price=None, qty="0.01")
    before = world.position(1)
    lag(world, "position/list", 3_000)
    world.advance(3_500)
    world.place(price=None, qty="0.02")
    now = int(world.get("/v5/execution/list")["list"][0]["seq"])
    assert world.position(1) == before
    assert before["size"] == "0.010"
    assert before["seq"] < now
    world.advance(3_000)
    after = world.position(1)
    assert (after["size"], after["seq"]) == ("0.030", now)


def test_before_the_fault_began_nothing_is_known(world: PaperWorld) -> None:
    world.place(price="59000", orderLinkId="before")
    lag(world, "order/", 60_000)
    world.place(price="58000", orderLinkId="after")
    world.advance(30_000)
    assert links(world) == ["before"]
    world.advance(30_100)
    assert links(world) == ["after", "before"]


def test_it_ends_by_count_by_time_and_by_hand(world: PaperWorld) -> None:
    def seen() -> bool:
        return bool(links(world))

    lag(world, "realtime", 2_000, count=2)
    world.advance(3_000)
    order_id = world.place(price="59000")
    assert [seen(), seen(), seen()] == [False, False, True]
    world.post("/v5/order/cancel", {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id})
    world.advance(5)
    lag(world, "realtime", 2_000, duration_s=1)
    world.advance(500)
    world.place(price="59000")
    assert not seen()
    world.advance(500)
    assert seen()
    number = lag(world, "realtime", 10_000)
    world.place(price="58000")
    assert len(links(world)) == 1
    world.parts.faults.remove(number)
    assert len(links(world)) == 2


def test_a_rule_that_ended_leaves_the_other_its_memory(world: PaperWorld) -> None:
    short = lag(world, "realtime", 1_000)
    lag(world, "position/list", 5_000)
    world.advance(6_000)
    world.place(price=None, qty="0.01")
    world.advance(2_000)
    world.parts.faults.remove(short)
    assert links(world) == []
    assert world.position(1)["size"] == "0"
    world.advance(3_000)
    assert world.position(1)["size"] == "0.010"


@pytest.mark.parametrize(
    "wrong",
    [
        {"match": "market/tickers"},
        {"match": "order/create"},
        {"match": "realtime", "delay_ms": 0},
        {"match": "realtime", "delay_ms": -1},
        {"match": "realtime", "channel": "private"},
        {"match": "realtime", "where": {"symbol": "BTCUSDT"}},
    ],
)
def test_a_lag_that_meets_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.validate_python({"do": "fault", "kind": "lag", **wrong})


def test_the_refusal_names_the_lists_that_can_lag() -> None:
    with pytest.raises(ValidationError, match=r"position/list.*wallet|execution/list"):
        ACTION.validate_python({"do": "fault", "kind": "lag", "match": "tickers"})


def lived(seed: int, lag_ms: int) -> tuple[PaperWorld, list[tuple[int, bytes]]]:
    """Return a world after random trading over a funding time, and its lists after every step."""
    chance = Random(seed)
    world = PaperWorld(
        [paper_market(), paper_market("ETHUSDT", funding_rate="-0.0003")],
        [paper_account(deposit=str(chance.choice([300, 3_000, 30_000])))],
        settings=MatchingSettings(
            fills=FillModelSettings(fill_model=FillModelName.TOUCH), taker_model=TakerModel.BOOK
        ),
        start_ms=START_MS // FUNDING_MS * FUNDING_MS - 20_000,
    )
    prices = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}
    for symbol, price in prices.items():
        world.trade(price, symbol=symbol)
    if lag_ms:
        lag(world, "account/info", lag_ms)
    world.advance(1)
    seen: list[tuple[int, bytes]] = []
    for _ in range(60):
        step(world, chance, prices)
        seen.append((world.exchange.now_ms, lists(world)))
        world.advance(1)
    return world, seen


def step(world: PaperWorld, chance: Random, prices: dict[str, Decimal]) -> None:
    symbol = chance.choice(list(prices))
    kind = chance.random()
    if kind < 0.4:
        prices[symbol] = (prices[symbol] * Decimal(1 + chance.gauss(0, 0.003))).quantize(Decimal(1))
        world.trade(prices[symbol], chance.choice(list(SideType)), "0.05", symbol,
                    chance.randrange(1, 300))  # fmt: skip
    elif kind < 0.85:
        away = Decimal(round(chance.uniform(0.99, 1.01), 3))
        price = str((prices[symbol] * away).quantize(Decimal(1)))
        order = order_params(
            chance.choice(["Buy", "Sell"]), None if chance.random() < 0.4 else price,
            str(Decimal(chance.randrange(1, 100)) / 100), chance.choice([1, 2]), symbol,
        )  # fmt: skip
        world.reply("POST", "/v5/order/create", order)
        world.advance(chance.randrange(0, 3))
    elif kind < 0.9:
        leverage = str(chance.randrange(2, 20))
        body = {"category": "linear", "symbol": symbol, "buyLeverage": leverage,
                "sellLeverage": leverage}  # fmt: skip
        world.reply("POST", "/v5/position/set-leverage", body)
    elif kind < 0.92:
        mode = chance.choice(["ISOLATED_MARGIN", "REGULAR_MARGIN"])
        world.reply("POST", "/v5/account/set-margin-mode", {"setMarginMode": mode})
    elif kind < 0.93:
        change = RuleChange(min_notional=Decimal(chance.randrange(5, 50)))
        world.exchange.operator.change_rules(symbol, change)
    elif kind < 0.94:
        world.exchange.operator.deposit(world.account, Decimal(5), "MNT")
        world.exchange.operator.pay_fees_in(world.account, chance.choice(["MNT", "USDT"]), None)
    elif kind < 0.95:
        world.exchange.operator.deposit(world.account, Decimal(chance.randrange(-50, 50)))
    elif kind < 0.98:
        world.exchange.operator.deleverage(world.account, symbol, "long", Decimal("0.02"))
    else:
        world.advance(10_000)


def lists(world: PaperWorld) -> bytes:
    return orjson.dumps([world.get(path, **params) for path, params in LISTS])


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_old_answer_is_the_one_that_was_given_then(seed: int) -> None:
    """Two equal sessions; one remembers, and afterwards says what the other said on the way."""
    _, told = lived(seed, 0)
    world, _ = lived(seed, 600_000)
    for moment, answer in told:
        # the rule that is in force first decides; the memory stays as long as there is one
        exact = lag(world, "", world.exchange.now_ms - moment)
        world.parts.faults.remove(exact - 1)
        assert lists(world) == answer
        lag(world, "account/info", 600_000)
        world.parts.faults.remove(exact)


def test_the_market_lists_its_rules_of_then(world: PaperWorld) -> None:
    lag(world, "instruments-info", 5_000)
    world.advance(6_000)
    world.exchange.operator.change_tick_size("BTCUSDT", Decimal("0.5"))

    def tick() -> str:
        row = world.get("/v5/market/instruments-info", symbol="BTCUSDT")["list"][0]
        return str(row["priceFilter"]["tickSize"])

    assert tick() == "0.10"
    world.advance(5_000)
    assert tick() == "0.5"


def test_a_session_is_the_same_with_and_without_a_memory(world: PaperWorld) -> None:
    def rows(with_lag: bool) -> bytes:
        other = PaperWorld()
        other.trade("60000.0", SideType.BUY)
        if with_lag:
            lag(other, "execution/list", 1_000, probability=0.5)
        stream = other.stream(Channel.PRIVATE, "order", "execution", "position", "wallet")
        for step_ in range(20):
            other.place(price=str(59_990 - step_))
            other.trade(60_000 - 2 * step_)
        return orjson.dumps(stream.frames)

    assert rows(with_lag=True) == rows(with_lag=False)


def test_over_sockets_a_scenario_step_makes_a_list_lag() -> None:
    with PaperHost() as host:
        host.trade("60000.0", SideType.BUY)
        step_ = {"do": "fault", "kind": "lag", "match": "order/realtime", "delay_ms": 60_000}
        host.do(lambda: host.control.run(ACTION.validate_python(step_)))
        params = {"category": "linear", "symbol": "BTCUSDT"}

        def reply(method: str, path: str, params: dict[str, Any]) -> dict[str, Any]:
            request = signed(method, path, params, host.server.driver.server_ms())
            answer: dict[str, Any] = host.do(lambda: host.parts.rest.answer(request)).envelope
            return answer

        placed = reply("POST", "/v5/order/create", order_params(price="59000"))
        assert placed["retCode"] == 0
        host.run(asyncio.sleep(0.05))
        assert len(host.exchange.accounts["one"].open_orders) == 1
        assert reply("GET", "/v5/order/realtime", params)["result"]["list"] == []


# seq and updatedTime


def test_execution_and_position_carry_the_same_seq_and_time(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "execution", "execution.fast", "position")
    world.place(price=None, qty="0.02")
    world.place(side="Sell", price="60100", qty="0.01")
    filled = world.exchange.now_ms
    world.trade("60200")
    world.advance(500)
    executions = stream.rows("execution")
    assert [row["seq"] for row in stream.rows("execution.fast")] == [
        row["seq"] for row in executions
    ]
    listed = world.get("/v5/execution/list")["list"]
    assert [row["seq"] for row in listed] == [row["seq"] for row in executions][::-1]
    assert listed[0]["seq"] > listed[1]["seq"]
    told = [row for row in stream.rows("position") if row["positionIdx"] == 1]
    for row in (world.position(1), told[-1]):
        assert row["seq"] == executions[-1]["seq"]
        assert row["updatedTime"] == executions[-1]["execTime"]
        assert filled < int(row["updatedTime"]) < world.exchange.now_ms
    assert told[0]["seq"] == executions[0]["seq"]
    never = world.position(2)
    assert (never["seq"], never["updatedTime"]) == (-1, "0")


def test_funding_and_leverage_are_changes_of_a_position(world: PaperWorld) -> None:
    world.place(price=None, qty="0.02")
    world.advance(8 * 3_600_000)
    funding = world.get("/v5/execution/list", execType="Funding")["list"][0]
    row = world.position(1)
    assert (row["seq"], row["updatedTime"]) == (funding["seq"], funding["execTime"])
    world.advance(1_000)
    leverage = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "7", "sellLeverage": "7"}
    world.post("/v5/position/set-leverage", leverage)
    after = world.position(1)
    assert after["updatedTime"] == str(world.exchange.now_ms)
    assert after["seq"] == row["seq"]
