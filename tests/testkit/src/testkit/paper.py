"""Paper exchanges for tests: in process on virtual time, or on a port of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson

from exchange_model.account.simulated_account import FeeRates
from gridcore import SideType
from market_data.rules.instrument_info import default_rules
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.account import ApiKey, MntWallet, PaperAccount
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.assembly import Assembly, assemble, serve
from paper_exchange.host.control import ACTION, Control
from paper_exchange.host.server import PaperServer
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import ContractStatus, Listing, listing_of_rules
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade, Market
from paper_exchange.rest.auth import Credentials, signature
from paper_exchange.rest.rate_limits import RateLimits
from paper_exchange.rest.rest import RestReply, RestRequest
from paper_exchange.stream.session import Channel, StreamSession
from testkit.loop_thread import LoopThread

Result = TypeVar("Result")
START_MS = 1_785_000_000_000
CREATE, AMEND, CANCEL = "/v5/order/create", "/v5/order/amend", "/v5/order/cancel"
KEY, SECRET = "test-key", "test-secret"
NO_LIMITS = RateLimits(factor=0)


def paper_listing(symbol: str = "BTCUSDT") -> Listing:
    """Return the built-in listing of a well-known symbol."""
    rules = default_rules(symbol)
    if rules is None:
        raise ValueError(f"{symbol}: choose a symbol with built-in rules")
    return listing_of_rules(rules)


def paper_market(
    symbol: str = "BTCUSDT", *, funding_rate: str = "0.0001", status: str = "Trading"
) -> Market:
    """Return a market without a price; `status` PreLaunch waits for the action list_contract."""
    listing = paper_listing(symbol).with_status(ContractStatus(status))
    return Market(listing, Depth(Decimal(20_000), 7), Decimal(funding_rate))


def paper_account(
    name: str = "one",
    deposit: str = "10000",
    *,
    leverage: str = "10",
    key: str = KEY,
    secret: str = SECRET,
    fees: FeeRates | None = None,
    hedge_mode: bool = True,
    uid: int = 1001,
    mnt: str | None = None,
    mnt_price: str = "0.8",
) -> PaperAccount:
    """Return an account with one key; `mnt` is a deposit of MNT of which it pays its fees."""
    return PaperAccount(
        name,
        uid,
        Decimal(deposit),
        fees or FeeRates(),
        Decimal(leverage),
        (ApiKey(key=key, secret=secret),),
        hedge_mode=hedge_mode,
        mnt=None
        if mnt is None
        else MntWallet(deposits=Decimal(mnt), price=Decimal(mnt_price), pays_fees=True),
    )


def order_params(
    side: str = "Buy",
    price: str | None = "60000",
    qty: str = "0.01",
    leg: int = 1,
    symbol: str = "BTCUSDT",
    **more: Any,
) -> dict[str, Any]:
    """Return the parameters of order/create; without a price a market order."""
    params: dict[str, Any] = {
        "category": "linear",
        "symbol": symbol,
        "side": side,
        "orderType": "Market" if price is None else "Limit",
        "qty": qty,
        "positionIdx": leg,
    }
    if price is not None:
        params["price"] = price
    return params | more


def signed(
    method: str,
    path: str,
    params: Mapping[str, Any],
    now_ms: int,
    *,
    key: str = KEY,
    secret: str = SECRET,
    window: str = "5000",
    ip: str = "127.0.0.1",
) -> RestRequest:
    """Return a request with a right signature."""
    query = urlencode(params).encode() if method == "GET" else b""
    body = orjson.dumps(dict(params)) if method == "POST" else b""
    text = f"{now_ms}{key}{window}".encode() + query + body
    credentials = Credentials(key, str(now_ms), window, signature(secret, text))
    return RestRequest(method, path, query, body, credentials, ip)


class PaperWorld:
    """An exchange in process. Time passes only by `advance` and by what the market does."""

    def __init__(
        self,
        markets: Iterable[Market] | None = None,
        accounts: Iterable[PaperAccount] | None = None,
        *,
        settings: MatchingSettings | None = None,
        limits: RateLimits | None = None,
        seed: int = 1,
        start_ms: int = START_MS,
    ) -> None:
        self.parts: Assembly = assemble(
            [paper_market()] if markets is None else markets,
            [paper_account()] if accounts is None else accounts,
            start_ms=start_ms,
            settings=settings,
            limits=limits or NO_LIMITS,
            seed=seed,
        )
        self.exchange = self.parts.exchange
        self.control = Control(self.parts.exchange, self.parts.faults)
        self._trades = 0

    @property
    def account(self) -> PaperAccount:
        """The first account."""
        return next(iter(self.exchange.accounts.values()))

    def run(self, **action: Any) -> dict[str, Any]:
        """Carry out an action as the control endpoint would. Raises RefusalError."""
        return self.control.run(ACTION.validate_python(action))

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.exchange.advance(self.exchange.now_ms + ms)

    def trade(
        self,
        price: str | Decimal,
        side: SideType = SideType.SELL,
        qty: str = "0.5",
        symbol: str = "BTCUSDT",
        after_ms: int = 10,
    ) -> None:
        """Let the market trade, `after_ms` from now."""
        self._trades += 1
        self.exchange.feed(
            FeedTrade(
                symbol=symbol,
                ts_ms=self.exchange.now_ms + after_ms,
                price=Decimal(price),
                qty=Decimal(qty),
                side=side,
                trade_id=f"trade-{self._trades}",
            )
        )

    def quote(self, symbol: str = "BTCUSDT", after_ms: int = 10, **values: str) -> None:
        """Let the market quote: mark_price, bid1_price, funding_rate and so on."""
        numbers = {name: Decimal(value) for name, value in values.items()}
        self.exchange.feed(
            FeedQuote(symbol=symbol, ts_ms=self.exchange.now_ms + after_ms, **numbers)
        )

    def reply(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, **how: str
    ) -> RestReply:
        """Return the reply to a signed call."""
        return self.parts.rest.answer(
            signed(method, path, params or {}, self.exchange.now_ms, **how)
        )

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the result of a GET, which has to succeed."""
        return self._result(self.reply("GET", path, {"category": "linear"} | params))

    def post(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a POST, which has to succeed."""
        return self._result(self.reply("POST", path, params))

    def code(self, method: str, path: str, params: Mapping[str, Any], **how: str) -> int:
        """Return the retCode of a call."""
        return int(self.reply(method, path, params, **how).envelope["retCode"])

    @staticmethod
    def _result(reply: RestReply) -> dict[str, Any]:
        # the way that a client sees it
        envelope: dict[str, Any] = orjson.loads(reply.body())
        if envelope["retCode"]:
            raise AssertionError(f"{envelope['retCode']}: {envelope['retMsg']}")
        result: dict[str, Any] = envelope["result"]
        return result

    def place(self, *, settle: bool = True, **order: Any) -> str:
        """Place an order, let it reach the book, return its id."""
        result = self.post("/v5/order/create", order_params(**order))
        if settle:
            self.advance(self.exchange.settings.match_delay_ms)
        return str(result["orderId"])

    def order(self, order_id: str) -> dict[str, Any]:
        """Return an order as order/realtime shows it."""
        rows = self.get("/v5/order/realtime", symbol="BTCUSDT", orderId=order_id)["list"]
        row: dict[str, Any] = rows[0]
        return row

    def position(self, leg: int, symbol: str = "BTCUSDT") -> dict[str, Any]:
        """Return a leg as position/list shows it."""
        row: dict[str, Any] = self.get("/v5/position/list", symbol=symbol)["list"][leg - 1]
        return row

    def stream(
        self, channel: Channel, *topics: str, key: str = KEY, secret: str = SECRET
    ) -> PaperStream:
        """Return a subscribed connection."""
        stream = PaperStream(self, channel)
        if channel is not Channel.PUBLIC:
            expires = self.exchange.now_ms + 10_000
            sign = signature(secret, f"GET/realtime{expires}".encode())
            stream.say({"op": "auth", "args": [key, expires, sign]})
        if topics:
            stream.say({"op": "subscribe", "args": list(topics), "req_id": "s"})
        self.advance(self.parts.hub.ack_delay_ms)
        return stream


class PaperStream:
    """A connection to an exchange in process; `frames` is all that came."""

    def __init__(self, world: PaperWorld, channel: Channel) -> None:
        self._hub = world.parts.hub
        self.frames: list[dict[str, Any]] = []
        self.is_closed = False
        self.session: StreamSession = self._hub.open(channel, self._take, self._close)

    def _take(self, frame: bytes) -> None:
        self.frames.append(orjson.loads(frame))

    def _close(self) -> None:
        self.is_closed = True

    def say(self, message: Mapping[str, Any] | str) -> None:
        """Send a message, or a text as it is."""
        text = message if isinstance(message, str) else orjson.dumps(dict(message)).decode()
        self._hub.on_text(self.session, text)

    def topic(self, name: str) -> list[dict[str, Any]]:
        """Return the frames of a topic."""
        return [frame for frame in self.frames if frame.get("topic") == name]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of all frames of a topic."""
        return [row for frame in self.topic(name) for row in frame["data"]]

    def leave(self) -> None:
        """Let the connection be gone."""
        self._hub.closed(self.session)


class PaperHost:
    """An exchange on a free port, in a thread of its own; use as a context."""

    def __init__(
        self,
        markets: Iterable[Market] | None = None,
        accounts: Iterable[PaperAccount] | None = None,
        *,
        settings: MatchingSettings | None = None,
        limits: RateLimits | None = None,
        seed: int = 1,
        feed: Callable[[int], Iterator[FeedEvent]] | None = None,
        speed: float = 1.0,
        port: int = 0,
        with_control: bool = True,
    ) -> None:
        now = wall_ms()
        self.parts = assemble(
            [paper_market()] if markets is None else markets,
            [paper_account()] if accounts is None else accounts,
            start_ms=now,
            settings=settings,
            limits=limits or NO_LIMITS,
            seed=seed,
        )
        self.exchange = self.parts.exchange
        events: Iterator[FeedEvent] = iter(()) if feed is None else feed(now)
        self.server: PaperServer = serve(self.parts, events, speed=speed, port=port)
        self.control = Control(self.exchange, self.parts.faults, self.server)
        if with_control:
            self.server.control = self.control.handle
        self._thread = LoopThread("paper host")
        self._trades = 0

    def __enter__(self) -> PaperHost:
        self._thread.start()
        self.run(self.server.start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self.server.stop())
        self._thread.close()

    def run(self, work: Any) -> Any:
        """Run a coroutine on the exchange's thread and return its result."""
        return self._thread.run(work)

    def act(self, **action: Any) -> dict[str, Any]:
        """Carry out an action as the control endpoint would. Raises RefusalError."""
        return self.do(lambda: self.control.run(ACTION.validate_python(action)))

    def do(self, action: Callable[[], Result]) -> Result:
        """Call something on the exchange's thread, with time brought up to now."""

        async def call() -> Result:
            self.server.driver.catch_up()
            result = action()
            self.server.driver.catch_up()
            return result

        result: Result = self.run(call())
        return result

    @property
    def base_url(self) -> str:
        """Where REST is."""
        return self.server.base_url

    @property
    def ws_url(self) -> str:
        """Where the WebSockets are."""
        return self.server.ws_url

    def trade(
        self,
        price: str | Decimal,
        side: SideType = SideType.SELL,
        qty: str = "0.5",
        symbol: str = "BTCUSDT",
    ) -> None:
        """Let the market trade now."""
        self._trades += 1
        number = self._trades
        self.do(
            lambda: self.exchange.feed(
                FeedTrade(
                    symbol=symbol,
                    ts_ms=self.exchange.now_ms,
                    price=Decimal(price),
                    qty=Decimal(qty),
                    side=side,
                    trade_id=f"host-trade-{number}",
                )
            )
        )
