"""What can be read back: lists, pages, time ranges, and the market's own endpoints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gridcore import SideType
from paper_exchange.market.candles import INTERVALS
from testkit.paper import PaperWorld, order_params, paper_account, paper_market

DAY_MS = 86_400_000


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld([paper_market(), paper_market("ETHUSDT")])
    world.trade("60000.0", SideType.BUY)
    world.trade("3000.00", SideType.BUY, symbol="ETHUSDT")
    return world


def all_pages(world: PaperWorld, path: str, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = world.get(path, **params, **({"cursor": cursor} if cursor else {}))
        rows += page["list"]
        cursor = page["nextPageCursor"]
        if not cursor:
            return rows


def test_open_orders_page_by_page_newest_first(world: PaperWorld) -> None:
    ids = [world.place(price=str(59_000 - step)) for step in range(45)]
    world.post("/v5/order/create", order_params(symbol="ETHUSDT", price="2900"))
    world.advance(world.exchange.settings.match_delay_ms)
    rows = all_pages(world, "/v5/order/realtime", symbol="BTCUSDT", limit=10)
    assert [row["orderId"] for row in rows] == ids[::-1]
    assert len(world.get("/v5/order/realtime", symbol="BTCUSDT")["list"]) == 20
    assert len(all_pages(world, "/v5/order/realtime", settleCoin="USDT")) == 46
    assert len(all_pages(world, "/v5/order/realtime", baseCoin="ETH")) == 1
    assert world.code("GET", "/v5/order/realtime", {"category": "linear"}) == 10001
    for limit in ("0", "51", "x"):
        params = {"category": "linear", "symbol": "BTCUSDT", "limit": limit}
        assert world.code("GET", "/v5/order/realtime", params) == 10001


def test_a_cursor_survives_new_rows_and_a_second_escape(world: PaperWorld) -> None:
    ids = [world.place(price=str(59_000 - step)) for step in range(6)]
    first = world.get("/v5/order/realtime", symbol="BTCUSDT", limit=3)
    world.place(price="50000")
    assert "%" in first["nextPageCursor"]
    second = world.get(
        "/v5/order/realtime", symbol="BTCUSDT", limit=3, cursor=first["nextPageCursor"]
    )
    assert [row["orderId"] for row in second["list"]] == ids[2::-1]
    bad = {"category": "linear", "symbol": "BTCUSDT", "cursor": "page 2"}
    assert world.code("GET", "/v5/order/realtime", bad) == 10001


def test_by_id_ended_orders_are_found_too(world: PaperWorld) -> None:
    order_id = world.place(price=None, orderLinkId="l1")
    assert world.order(order_id)["orderStatus"] == "Filled"
    by_link = world.get("/v5/order/realtime", symbol="BTCUSDT", orderLinkId="l1")["list"]
    assert by_link[0]["orderId"] == order_id
    assert world.get("/v5/order/realtime", symbol="BTCUSDT")["list"] == []
    closed = world.get("/v5/order/realtime", symbol="BTCUSDT", openOnly=1)["list"]
    assert [row["orderId"] for row in closed] == [order_id]
    assert world.get("/v5/order/realtime", symbol="BTCUSDT", orderId="none")["list"] == []


def test_history_keeps_fills_and_forgets_plain_cancels_after_a_day(world: PaperWorld) -> None:
    filled = world.place(price=None)
    cancelled = world.place(price="59000", timeInForce="IOC")
    rows = world.get("/v5/order/history")["list"]
    assert [row["orderId"] for row in rows] == [cancelled, filled]
    assert world.get("/v5/order/history", orderStatus="Filled")["list"][0]["orderId"] == filled
    world.advance(DAY_MS + 1)
    assert [row["orderId"] for row in world.get("/v5/order/history")["list"]] == [filled]
    world.advance(7 * DAY_MS)
    assert world.get("/v5/order/history")["list"] == []


def test_executions_newest_first_with_pages_and_filters(world: PaperWorld) -> None:
    for _ in range(7):
        world.place(price=None, qty="0.001")
        world.advance(10)
    rows = all_pages(world, "/v5/execution/list", symbol="BTCUSDT", limit=3)
    assert len(rows) == 7
    times = [int(row["execTime"]) for row in rows]
    assert times == sorted(times, reverse=True)
    assert len({row["execId"] for row in rows}) == 7
    one = rows[3]
    only = world.get("/v5/execution/list", orderId=one["orderId"])["list"]
    assert only == [one]
    span = world.get("/v5/execution/list", symbol="BTCUSDT", startTime=times[4], endTime=times[2])[
        "list"
    ]
    assert [int(row["execTime"]) for row in span] == times[2:5]
    assert world.get("/v5/execution/list", execType="Funding")["list"] == []
    for params in (
        {"execType": "What"},
        {"startTime": 5, "endTime": 4},
        {"startTime": 0, "endTime": 8 * DAY_MS},
        {"startTime": "soon"},
    ):
        assert world.code("GET", "/v5/execution/list", {"category": "linear", **params}) == 10001


def test_positions_with_a_symbol_show_both_legs_without_only_what_is_held(
    world: PaperWorld,
) -> None:
    both = world.get("/v5/position/list", symbol="BTCUSDT")["list"]
    assert [row["positionIdx"] for row in both] == [1, 2]
    assert {(row["side"], row["size"], row["liqPrice"]) for row in both} == {("", "0", "")}
    assert world.get("/v5/position/list", settleCoin="USDT")["list"] == []
    world.place(side="Sell", leg=2, price=None, symbol="ETHUSDT", qty="1")
    held = world.get("/v5/position/list", settleCoin="USDT")["list"]
    assert [(row["symbol"], row["positionIdx"], row["side"]) for row in held] == [
        ("ETHUSDT", 2, "Sell")
    ]


def test_closed_pnl_of_an_order_with_its_share_of_the_opening_fee(world: PaperWorld) -> None:
    """docs/exchange.md, "Account": closedPnl = exit - entry - both fees."""
    world.place(price=None, qty="0.03")
    world.trade("61000.0")
    world.place(side="Sell", price=None, qty="0.01")
    row = world.get("/v5/position/closed-pnl", symbol="BTCUSDT")["list"][0]
    entry, exit_ = Decimal(row["cumEntryValue"]), Decimal(row["cumExitValue"])
    fees = Decimal(row["openFee"]) + Decimal(row["closeFee"])
    assert Decimal(row["closedPnl"]) == exit_ - entry - fees
    assert fees == Decimal("0.00055") * (entry + exit_)
    assert (row["side"], row["closedSize"], row["fillCount"]) == ("Sell", "0.010", "1")


def test_the_transaction_log_adds_up_to_the_wallet(world: PaperWorld) -> None:
    world.exchange.operator.deposit(world.account, Decimal(500))
    world.place(price=None, qty="0.03")
    world.trade("61000.0")
    world.place(side="Sell", price=None, qty="0.01")
    rows = all_pages(world, "/v5/account/transaction-log", limit=2)
    assert [row["type"] for row in rows] == ["TRADE", "TRADE", "TRANSFER_IN"]
    for row in rows:
        funding = Decimal(row["funding"] or 0)
        assert Decimal(row["change"]) == Decimal(row["cashFlow"]) + funding - Decimal(row["fee"])
    total = sum(Decimal(row["change"]) for row in rows)
    assert Decimal(rows[0]["cashBalance"]) == 10_000 + total
    wallet = world.get("/v5/account/wallet-balance", accountType="UNIFIED")["list"][0]
    assert wallet["totalWalletBalance"] == rows[0]["cashBalance"]
    assert rows[0]["size"] == "0.02"
    assert len(world.get("/v5/account/transaction-log", type="TRADE")["list"]) == 2


def test_the_wallet_knows_its_account_type_and_its_coins(world: PaperWorld) -> None:
    path = "/v5/account/wallet-balance"
    assert world.code("GET", path, {"accountType": "CONTRACT"}) == 10001
    row = world.get(path, accountType="UNIFIED", coin="USDT")["list"][0]
    assert row["coin"][0]["walletBalance"] == "10000"
    assert world.get(path, accountType="UNIFIED", coin="BTC")["list"][0]["coin"] == []


def test_small_answers(world: PaperWorld) -> None:
    assert world.get("/v5/account/info")["marginMode"] == "REGULAR_MARGIN"
    rates = world.get("/v5/account/fee-rate", symbol="BTCUSDT")["list"]
    assert rates == [{"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}]
    assert world.get("/v5/account/query-dcp-info")["dcpInfos"] == []
    dcp = "/v5/order/disconnected-cancel-all"
    assert world.code("POST", dcp, {"timeWindow": 10}) == 10001
    assert world.code("POST", dcp, {"timeWindow": 2, "product": "DERIVATIVES"}) == 10001
    world.post(dcp, {"timeWindow": 10, "product": "DERIVATIVES"})
    assert world.get("/v5/account/query-dcp-info")["dcpInfos"][0]["timeWindow"] == "10"
    assert world.get("/v5/user/query-api")["readOnly"] == 0
    now = world.get("/v5/market/time")
    assert int(now["timeSecond"]) == world.exchange.now_ms // 1000


# the market


def test_instruments_and_risk_limits_describe_every_symbol(world: PaperWorld) -> None:
    rows = all_pages(world, "/v5/market/instruments-info", limit=1)
    assert [row["symbol"] for row in rows] == ["BTCUSDT", "ETHUSDT"]
    assert world.get("/v5/market/instruments-info", status="PreLaunch")["list"] == []
    spot = world.reply("GET", "/v5/market/instruments-info", {"category": "spot"}).envelope
    assert spot["result"]["list"] == []
    tiers = world.get("/v5/market/risk-limit", symbol="BTCUSDT")["list"]
    assert [row["isLowestRisk"] for row in tiers[:2]] == [1, 0]
    assert {row["symbol"] for row in all_pages(world, "/v5/market/risk-limit")} == {
        "BTCUSDT",
        "ETHUSDT",
    }


def test_tickers_books_and_trades(world: PaperWorld) -> None:
    row = world.get("/v5/market/tickers", symbol="BTCUSDT")["list"][0]
    assert (row["lastPrice"], row["bid1Price"], row["ask1Price"]) == (
        "60000.00", "59999.90", "60000.00",
    )  # fmt: skip
    assert len(world.get("/v5/market/tickers")["list"]) == 2
    book = world.get("/v5/market/orderbook", symbol="BTCUSDT", limit=5)
    assert book["b"][0] == [row["bid1Price"], row["bid1Size"]]
    assert [Decimal(price) for price, _ in book["a"]] == sorted(
        Decimal(price) for price, _ in book["a"]
    )
    assert world.get("/v5/market/orderbook", symbol="BTCUSDT", limit=5)["a"] == book["a"]
    trades = world.get("/v5/market/recent-trade", symbol="BTCUSDT", limit=10)["list"]
    assert (trades[0]["price"], trades[0]["side"]) == ("60000.00", "Buy")


@pytest.mark.parametrize("interval", INTERVALS)
def test_candles_of_every_interval_hold_the_same_trades(interval: str) -> None:
    world = PaperWorld()
    prices = ["60000", "60100", "59900", "60050"]
    for price in prices:
        world.trade(price, qty="0.5", after_ms=20_000)
    rows = world.get("/v5/market/kline", symbol="BTCUSDT", interval=interval)["list"]
    assert sum(Decimal(row[5]) for row in rows) == 2
    assert max(Decimal(row[2]) for row in rows) == 60_100
    assert min(Decimal(row[3]) for row in rows) == 59_900
    starts = [int(row[0]) for row in rows]
    assert starts == sorted(starts, reverse=True)
    assert Decimal(rows[0][4]) == 60_050
    mark = world.get("/v5/market/mark-price-kline", symbol="BTCUSDT", interval=interval)["list"]
    assert len(mark[0]) == 5


def test_a_minute_without_trades_repeats_the_close(world: PaperWorld) -> None:
    world.trade("60500", after_ms=180_000)
    rows = world.get("/v5/market/kline", symbol="BTCUSDT", interval="1")["list"]
    assert [row[4] for row in rows] == ["60500.00", "60000.00", "60000.00", "60000.00"]
    assert rows[1][5] == "0"
    assert world.code("GET", "/v5/market/kline", {"symbol": "BTCUSDT", "interval": "7"}) == 10001
    assert world.code("GET", "/v5/market/kline", {"interval": "1"}) == 10001


def test_the_day_of_a_ticker_moves_on(world: PaperWorld) -> None:
    world.trade("66000")
    world.trade("63000", after_ms=60_000)
    world.trade("63000", after_ms=DAY_MS // 2)
    row = world.get("/v5/market/tickers", symbol="BTCUSDT")["list"][0]
    assert (row["highPrice24h"], row["price24hPcnt"]) == ("66000.00", "0.05")
    world.trade("63000", after_ms=DAY_MS // 2 + 120_000)
    row = world.get("/v5/market/tickers", symbol="BTCUSDT")["list"][0]
    assert (row["highPrice24h"], row["volume24h"]) == ("63000.00", "1")


def test_settled_funding_can_be_read(world: PaperWorld) -> None:
    path = "/v5/market/funding/history"
    assert world.get(path, symbol="BTCUSDT")["list"] == []
    world.advance(DAY_MS)
    rows = world.get(path, symbol="BTCUSDT")["list"]
    assert len(rows) == 3
    assert rows[0]["fundingRate"] == "0.0001"
    assert int(rows[0]["fundingRateTimestamp"]) % (8 * 3_600_000) == 0
    params = {"category": "linear", "symbol": "BTCUSDT", "startTime": "1"}
    assert world.code("GET", path, params) == 10001


def test_nobody_sees_the_orders_of_another_account() -> None:
    world = PaperWorld(
        accounts=[paper_account(), paper_account("two", key="k2", secret="s2", uid=1002)]
    )
    world.trade("60000.0")
    order_id = world.place(price="59000")
    theirs = world.reply(
        "GET", "/v5/order/realtime", {"category": "linear", "symbol": "BTCUSDT",
                                      "orderId": order_id}, key="k2", secret="s2",
    ).envelope  # fmt: skip
    assert theirs["result"]["list"] == []
    cancel = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
    assert world.code("POST", "/v5/order/cancel", cancel, key="k2", secret="s2") == 110001
