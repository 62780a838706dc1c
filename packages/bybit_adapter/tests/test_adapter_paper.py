"""The whole package against the local exchange: calls, streams, refusals, a round of trading."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from bybit_adapter import (
    AmbiguousResult,
    AuthError,
    BybitRestClient,
    DuplicateOrderLinkId,
    Environment,
    ExecutionRecord,
    InsufficientBalance,
    Order,
    OrderAck,
    OrderKey,
    OrderNotFound,
    PlaceRequest,
    PositionRecord,
    PrivateWebSocketClient,
    PublicWebSocketClient,
    RateLimiter,
    ReduceOnlyRejected,
    SettingRefused,
    StreamKind,
    StreamUpdate,
    Wallet,
    account_event,
    make_order_link_id,
    open_orders_event,
)
from gridcore import (
    DirectionType,
    ExecutionEvent,
    PublicTradeEvent,
    SideType,
    TickerEvent,
    client_order_id_for,
)
from testkit.paper import KEY, SECRET, PaperHost, paper_account, paper_market
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

BTC = "BTCUSDT"
TICK = Decimal("0.1")


@pytest.fixture
def host() -> Iterator[PaperHost]:
    markets = [paper_market(), paper_market("ETHUSDT")]
    with PaperHost(markets, [paper_account(deposit="1000")]) as made:
        made.trade("60000", SideType.BUY)
        made.trade("3000", SideType.BUY, symbol="ETHUSDT")
        yield made


def environment_of(host: PaperHost) -> Environment:
    return Environment.custom(
        host.base_url, f"{host.ws_url}/v5/public/linear", f"{host.ws_url}/v5/private"
    )


@pytest.fixture
def rest(host: PaperHost) -> Iterator[BybitRestClient]:
    with BybitRestClient(
        KEY, SECRET, environment_of(host), limiter=RateLimiter(random=Random(1))
    ) as made:
        yield made


def order(price: str | None, qty: str = "0.01", leg: str = "long", **more: object) -> PlaceRequest:
    direction = DirectionType(leg)
    reduce_only = bool(more.get("reduce_only"))
    side = direction.opening_side.opposite if reduce_only else direction.opening_side
    identity = client_order_id_for(BTC, side, Decimal(price or 1), direction, None)
    return PlaceRequest(
        symbol=BTC,
        direction=direction,
        side=side,
        qty=Decimal(qty),
        price=None if price is None else Decimal(price),
        order_link_id=str(more.get("link_id") or make_order_link_id(identity, datetime.now(UTC))),
        reduce_only=reduce_only,
        post_only=bool(more.get("post_only")),
    )


def test_every_query_is_understood(host: PaperHost, rest: BybitRestClient) -> None:
    now = datetime.now(UTC)
    assert abs(rest.get_server_time() - now) < timedelta(seconds=5)
    assert rest.get_instrument(BTC).rules.tick_size == TICK
    with pytest.raises(SettingRefused):
        rest.get_instrument("NOPEUSDT")
    (ticker,) = rest.get_tickers(BTC)
    assert ticker.last_price == 60000
    assert {found.symbol for found in rest.get_tickers()} == {BTC, "ETHUSDT"}
    assert rest.get_recent_trades(BTC)[-1].price == 60000
    assert rest.get_klines(BTC, "1")[-1].close_price == 60000
    assert rest.get_funding_history(BTC, start=now - timedelta(days=1)) == []
    assert rest.get_risk_limit(BTC)[0].initial_ratio < 1
    assert len(rest.get_open_orders(BTC)) == 0
    assert len(rest.get_order_history(BTC)) == 0
    assert rest.get_executions(BTC) == ([], None)
    assert len(rest.get_executions_all(BTC, start=now - timedelta(days=20))) == 0
    assert [found.size for found in rest.get_positions(BTC)] == [0, 0]
    assert len(rest.get_positions()) == 0
    snapshot = rest.get_wallet_balance().snapshot
    assert snapshot is not None
    assert snapshot.wallet_balance == 1000
    assert snapshot.available_balance is not None
    assert rest.get_account_info().is_cross_margin
    fees = rest.get_fee_rates("BTCUSDT")
    assert (fees.symbol, fees.maker, fees.taker) == (
        "BTCUSDT", Decimal("0.0002"), Decimal("0.00055"),
    )  # fmt: skip
    rest.get_transaction_log()
    rest.set_leverage(BTC, Decimal(10))
    rest.switch_position_mode(BTC)


def test_a_round_of_trading_is_told_by_rest_and_streams_alike(
    host: PaperHost, rest: BybitRestClient
) -> None:
    told: list[StreamUpdate] = []
    environment = environment_of(host)
    private = PrivateWebSocketClient(KEY, SECRET, environment, on_event=told.append)
    public = PublicWebSocketClient(
        environment, ticker_symbols=[BTC], trade_symbols=[BTC], on_event=told.append
    )
    assert private.connect()
    assert public.connect()

    def records(kind: StreamKind) -> list[object]:
        return [update.record for update in told if update.kind is kind]

    request = order("59900", "0.02")
    ack = rest.place_order(request)
    assert ack.order_link_id == request.order_link_id
    eventually(lambda: records(StreamKind.ORDER))
    listing = rest.get_open_orders(BTC)
    event = open_orders_event(
        BTC, listing, tick_size=TICK, as_of=listing.as_of, local_ts=datetime.now(UTC)
    )
    (resting,) = event.orders
    assert (resting.order_id, resting.price_ticks) == (ack.order_id, 599000)
    assert resting.direction is DirectionType.LONG

    rest.amend_order(OrderKey(symbol=BTC, order_id=ack.order_id), price=Decimal("59950"))
    eventually(lambda: [r.price for r in rest.get_open_orders(BTC)] == [59950])
    host.trade("59940", SideType.SELL, qty="1")
    eventually(lambda: records(StreamKind.EXECUTION))
    (execution,) = records(StreamKind.EXECUTION)
    assert isinstance(execution, ExecutionRecord)
    (again,) = rest.get_executions_all(BTC)
    assert (again.exec_id, again.qty) == (execution.exec_id, Decimal("0.02"))
    assert again.direction is execution.direction is DirectionType.LONG
    found = rest.find_order(OrderKey(symbol=BTC, order_link_id=request.order_link_id))
    assert found is not None
    assert found.status == "Filled"

    long_leg, short_leg = sorted(rest.get_positions(BTC), key=lambda p: str(p.direction))
    assert (long_leg.size, long_leg.entry_price, short_leg.size) == (Decimal("0.02"), 59950, 0)
    wallet = rest.get_wallet_balance()
    account = account_event(
        BTC,
        as_of=wallet.as_of,
        local_ts=datetime.now(UTC),
        positions=[long_leg, short_leg],
        wallet=wallet,
    )
    assert account.long is not None
    assert account.short is not None
    assert account.wallet is not None

    rest.place_order(order(None, "0.02", reduce_only=True))
    eventually(lambda: len(records(StreamKind.EXECUTION)) == 2)
    closing = [u.event for u in told if isinstance(u.event, ExecutionEvent)][-1]
    assert closing.closed_size == Decimal("0.02")
    assert closing.closed_pnl is not None
    eventually(lambda: [p.size for p in rest.get_positions(BTC)] == [0, 0])
    assert {type(r) for r in records(StreamKind.POSITION)} == {PositionRecord}
    assert {type(r) for r in records(StreamKind.WALLET)} == {Wallet}
    assert {type(r) for r in records(StreamKind.ORDER)} == {Order}
    eventually(lambda: any(isinstance(u.event, PublicTradeEvent) for u in told))
    eventually(lambda: any(isinstance(u.event, TickerEvent) for u in told))
    for client in (private, public):
        assert client.get_connection_state().malformed == 0
        client.disconnect()


def test_refusals(host: PaperHost, rest: BybitRestClient) -> None:
    first = order("50000", link_id="the-same")
    rest.place_order(first)
    with pytest.raises(DuplicateOrderLinkId):
        rest.place_order(first)
    with pytest.raises(InsufficientBalance):
        rest.place_order(order("50000", "10"))
    with pytest.raises(ReduceOnlyRejected):
        rest.place_order(order("61000", reduce_only=True))
    with pytest.raises(OrderNotFound):
        rest.cancel_order(OrderKey(symbol=BTC, order_id="nobody"))
    with (
        BybitRestClient(KEY, "wrong", environment_of(host)) as stranger,
        pytest.raises(AuthError) as raised,
    ):
        stranger.get_positions(BTC)
    assert KEY not in str(raised.value)


def test_batches_and_cancels(host: PaperHost, rest: BybitRestClient) -> None:
    prices = [str(50000 + 100 * number) for number in range(13)]
    requests = [order(price, "0.001") for price in prices]
    outcomes = rest.place_batch([*requests, requests[0]])
    assert [type(outcome) for outcome in outcomes] == [OrderAck] * 13 + [DuplicateOrderLinkId]
    eventually(lambda: len(rest.get_open_orders(BTC)) == 13)
    keys = [
        OrderKey(symbol=BTC, order_id=outcome.order_id)
        for outcome in outcomes[:2]
        if isinstance(outcome, OrderAck)
    ]
    gone = OrderKey(symbol=BTC, order_id="nobody")
    cancelled = rest.cancel_batch([*keys, gone])
    assert [type(outcome) for outcome in cancelled] == [OrderAck, OrderAck, OrderNotFound]
    eventually(lambda: len(rest.get_open_orders(BTC)) == 11)
    assert len(rest.cancel_all_orders(BTC)) == 11
    eventually(lambda: len(rest.get_open_orders(BTC)) == 0)
    assert len(rest.get_order_history(BTC)) == 13
    assert not isinstance(outcomes[0], AmbiguousResult)
