"""Independent clients, unchanged: pybit for calls and streams, ccxt for what traders do with it."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

from gridcore import SideType
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.paper import KEY, SECRET, PaperHost, order_params, paper_account
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange("BTCUSDT", "ETHUSDT", priced=True)]


@pytest.fixture
def http(host: PaperHost) -> Iterator[HTTP]:
    client = HTTP(api_key=KEY, api_secret=SECRET)
    client.endpoint = host.base_url
    client.client.trust_env = False
    yield client
    client.client.close()


def local(host: PaperHost, kind: Any) -> Any:
    """Return a pybit class that connects to the exchange of the test."""

    class Local(kind):  # type: ignore[misc]
        def _connect(self, url: str) -> None:
            super()._connect(f"{host.ws_url}/v5/{url.split('/v5/', 1)[1]}")

    return Local


BOTH = {"category": "linear", "symbol": "BTCUSDT"}


def test_every_call_of_pybit(http: HTTP, host: PaperHost) -> None:
    assert http.get_server_time()["retCode"] == 0
    for call in (
        http.get_instruments_info, http.get_tickers, http.get_orderbook,
        http.get_public_trade_history, http.get_risk_limit, http.get_price_limit,
        http.get_funding_rate_history, http.get_open_orders, http.get_order_history,
        http.get_executions, http.get_positions, http.get_closed_pnl, http.get_fee_rates,
        http.get_transaction_log,
    ):  # fmt: skip
        assert call(**BOTH)["retCode"] == 0, call
    assert http.get_kline(**BOTH, interval=1)["result"]["list"]
    assert http.get_wallet_balance(accountType="UNIFIED")["retCode"] == 0
    assert http.get_account_info()["result"]["marginMode"] == "REGULAR_MARGIN"
    http.set_leverage(**BOTH, buyLeverage="5", sellLeverage="5")
    with pytest.raises(InvalidRequestError) as refused:
        http.switch_position_mode(**BOTH, mode=3)
    assert refused.value.status_code == 110025
    http.set_dcp(timeWindow=10, product="DERIVATIVES")
    assert http.query_dcp_info()["result"]["dcpInfos"]
    order = http.place_order(**order_params(price="59000"))["result"]
    http.amend_order(**BOTH, orderId=order["orderId"], qty="0.02")
    http.cancel_order(**BOTH, orderId=order["orderId"])
    batch = [
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01",
         "price": str(price), "positionIdx": 1}
        for price in (59_000, 58_000, 58_000.05)
    ]  # fmt: skip
    placed = http.place_batch_order(category="linear", request=batch)
    assert [row["code"] for row in placed["retExtInfo"]["list"]] == [0, 0, 10001]
    first = placed["result"]["list"][0]["orderId"]
    amended = http.amend_batch_order(
        category="linear", request=[{"symbol": "BTCUSDT", "orderId": first, "qty": "0.03"}]
    )
    assert amended["retExtInfo"]["list"][0]["code"] == 0
    http.cancel_batch_order(category="linear", request=[{"symbol": "BTCUSDT", "orderId": first}])
    eventually(lambda: len(http.get_open_orders(**BOTH)["result"]["list"]) == 1)
    assert len(http.cancel_all_orders(**BOTH)["result"]["list"]) == 1
    eventually(lambda: not http.get_open_orders(**BOTH)["result"]["list"])
    http.set_limit_price_action(category="linear", modifyEnable=False)


def test_pages_of_pybit_follow_the_cursor_as_it_is(http: HTTP) -> None:
    for step in range(25):
        last = http.place_order(**order_params(price=str(59_000 - step)))["result"]["orderId"]
    # acknowledged is not yet on the book
    eventually(lambda: http.get_open_orders(**BOTH, orderId=last)["result"]["list"])
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = http.get_open_orders(**BOTH, limit=10, cursor=cursor)["result"]
        rows += page["list"]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert len({row["orderId"] for row in rows}) == 25


def test_every_stream_of_pybit(http: HTTP, host: PaperHost) -> None:
    frames: list[dict[str, Any]] = []
    lock = threading.Lock()

    def take(frame: dict[str, Any]) -> None:
        with lock:
            frames.append(frame)

    def of(topic: str) -> list[dict[str, Any]]:
        with lock:
            return [frame for frame in frames if frame["topic"].partition(".")[0] == topic]

    stream = local(host, WebSocket)
    public = stream(testnet=False, channel_type="linear")
    private = stream(
        testnet=False, channel_type="private", api_key=KEY, api_secret=SECRET,
        private_auth_expire=5,
    )  # fmt: skip
    try:
        public.ticker_stream("BTCUSDT", take)
        public.trade_stream("BTCUSDT", take)
        public.orderbook_stream(50, "BTCUSDT", take)
        public.kline_stream(1, "BTCUSDT", take)
        for subscribe in (
            private.order_stream, private.execution_stream, private.position_stream,
            private.wallet_stream,
        ):  # fmt: skip
            subscribe(take)
        private.fast_execution_stream(take, "linear")
        time.sleep(0.3)
        http.place_order(**order_params(price="59000", orderLinkId="mine"))
        eventually(lambda: of("order"))
        host.trade("58999.9")
        eventually(lambda: len(of("execution")) == 2)  # execution and execution.fast
        for topic in ("tickers", "publicTrade", "orderbook", "kline", "position", "wallet"):
            eventually(lambda topic=topic: of(topic))
        eventually(lambda: len(of("order")) == 2)
        states = [frame["data"][0]["orderStatus"] for frame in of("order")]
        assert states == ["New", "Filled"]
        assert public.is_connected()
        assert private.is_connected()
    finally:
        public.exit()
        private.exit()


def test_orders_over_the_trade_stream_of_pybit(host: PaperHost) -> None:
    answers: list[dict[str, Any]] = []
    trading = local(host, WebSocketTrading)(testnet=False, api_key=KEY, api_secret=SECRET)

    def ask(call: Callable[..., None], **params: Any) -> dict[str, Any]:
        # pybit sends before it notes whom to call: an answer that is there at once finds nobody
        for _ in range(5):
            call(answers.append, **params)
            with suppress(AssertionError):
                eventually(lambda: answers, 2)
                return answers.pop()
        raise AssertionError("no answer")

    try:
        answer = ask(trading.place_order, **order_params(price="59000"))
        assert answer["retCode"] == 0
        cancel = {**BOTH, "orderId": answer["data"]["orderId"]}
        trading.cancel_order(answers.append, **cancel)
        orders = host.exchange.accounts["one"].open_orders
        eventually(lambda: answer["data"]["orderId"] not in orders)
    finally:
        trading.exit()


def test_pybit_waits_out_a_rate_limit(http: HTTP, host: PaperHost) -> None:
    """It sleeps until the reset header, which therefore lies ahead."""
    host.parts.faults.add(FaultRule(kind=FaultKind.RATE_LIMIT, match="account/info", count=1))
    assert http.get_account_info()["retCode"] == 0


# ccxt


def ccxt() -> Any:
    """Return the library; it is large, and most processes that collect this file never need it."""
    return importlib.import_module("ccxt")


@contextmanager
def exchange_of_ccxt(host: PaperHost, key: str = KEY, secret: str = SECRET) -> Iterator[Any]:
    client = ccxt().bybit({"apiKey": key, "secret": secret, "options": {"defaultType": "swap"}})
    client.urls["api"] = dict.fromkeys(client.urls["api"], host.base_url)
    client.session.trust_env = False
    yield client
    client.session.close()


SYMBOL = "BTC/USDT:USDT"


@pytest.mark.slow
def test_a_day_with_ccxt() -> None:
    with (
        PaperHost(accounts=[paper_account(hedge_mode=False)]) as host,
        exchange_of_ccxt(host) as client,
    ):
        host.trade("60000.0", SideType.BUY)
        assert list(client.load_markets()) == [SYMBOL]
        market = client.market(SYMBOL)
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
        assert client.fetch_ticker(SYMBOL)["last"] == 60_000
        client.set_position_mode(True, SYMBOL)
        client.set_leverage(7, SYMBOL)
        long = {"positionIdx": 1}
        order = client.create_order(SYMBOL, "limit", "buy", 0.01, 59_000, long)
        (found,) = eventually(lambda: client.fetch_open_orders(SYMBOL))
        assert (found["id"], found["status"], found["price"]) == (order["id"], "open", 59_000)
        client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, 58_000)
        eventually(lambda: client.fetch_open_orders(SYMBOL)[0]["amount"] == 0.02)
        (edited,) = client.fetch_open_orders(SYMBOL)
        assert (edited["amount"], edited["price"]) == (0.02, 58_000)
        client.cancel_order(order["id"], SYMBOL)
        eventually(lambda: client.fetch_open_orders(SYMBOL) == [])
        client.create_order(SYMBOL, "market", "buy", 0.03, None, long)
        client.create_order(SYMBOL, "market", "sell", 0.02, None, {"positionIdx": 2})
        eventually(lambda: len(client.fetch_my_trades(SYMBOL)) == 2)
        trades = client.fetch_my_trades(SYMBOL)
        assert [(one["side"], one["amount"]) for one in trades] == [("buy", 0.03), ("sell", 0.02)]
        positions = client.fetch_positions([SYMBOL])
        assert {(one["side"], one["contracts"]) for one in positions} == {
            ("long", 0.03),
            ("short", 0.02),
        }
        assert {one["leverage"] for one in positions} == {7}
        wallet = host.exchange.accounts["one"].money.wallet
        total = client.fetch_balance()["USDT"]["total"]
        assert Decimal(str(total)) == wallet.quantize(Decimal(str(total)))
        client.create_order(SYMBOL, "market", "sell", 0.03, None, {**long, "reduceOnly": True})

        def held() -> list[str]:
            return [one["side"] for one in client.fetch_positions([SYMBOL]) if one["contracts"]]

        eventually(lambda: held() == ["short"])
        assert client.fetch_closed_orders(SYMBOL)[-1]["status"] == "closed"
        assert client.fetch_ledger("USDT")
        assert client.fetch_funding_rate(SYMBOL)["fundingRate"] == 0.0001
        assert client.fetch_order_book(SYMBOL)["bids"][0][0] == 59_999.9
        assert client.fetch_ohlcv(SYMBOL)[-1][4] == 60_000
        assert client.fetch_trading_fee(SYMBOL)["maker"] == 0.0002
        assert client.fetch_market_leverage_tiers(SYMBOL)[0]["maxLeverage"] > 100
        client.cancel_all_orders(SYMBOL)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda c: c.create_order(SYMBOL, "limit", "buy", 9, 60_000, {"positionIdx": 1}),
         "InsufficientFunds"),
        (lambda c: c.cancel_order("nobody", SYMBOL), "OrderNotFound"),
        (lambda c: c.set_leverage(10, SYMBOL), "BadRequest"),
    ],
)  # fmt: skip
def test_ccxt_understands_the_refusals(
    host: PaperHost, make: Callable[[Any], Any], error: str
) -> None:
    with exchange_of_ccxt(host) as client, pytest.raises(getattr(ccxt(), error)):
        make(client)


def test_ccxt_with_a_wrong_secret(host: PaperHost) -> None:
    wrong = exchange_of_ccxt(host, secret="wrong")
    with wrong as client, pytest.raises(ccxt().AuthenticationError):
        client.fetch_balance()
