"""Rows in Bybit's own form, where the recorded ones lie, and a server that a test scripts."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import WSMsgType, web

from bybit_adapter.rest.client import BybitRestClient
from testkit.loop_thread import LoopThread
from testkit.rest import connect
from testkit.streams import Streams, Witness

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of recorded data; skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip("the folder of recorded market data is absent")
    return REAL


@pytest.fixture
def execution_row() -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "9aac161b",
        "orderLinkId": "0123456789abcdef-x",
        "side": "Sell",
        "orderPrice": "94942.5",
        "orderQty": "0.5",
        "leavesQty": "0.1",
        "orderType": "Limit",
        "stopOrderType": "UNKNOWN",
        "execId": "0ab1bdf7",
        "execPrice": "95900.1",
        "execQty": "0.4",
        "execValue": "38360.04",
        "execType": "Trade",
        "execTime": "1746270400353",
        "execFee": "26.3725275",
        "feeRate": "0.00055",
        "feeCurrency": "",
        "isMaker": False,
        "markPrice": "95901.48",
        "closedSize": "0.4",
        "execPnl": "12.5",
        "seq": 140612148849382,
        "indexPrice": "",
    }


@pytest.fixture
def order_row() -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": "ETHUSDT",
        "orderId": "5cf98598",
        "orderLinkId": "",
        "side": "Buy",
        "orderType": "Limit",
        "price": "1600.00",
        "qty": "0.10",
        "leavesQty": "0.04",
        "cumExecQty": "0.06",
        "cumExecValue": "96",
        "avgPrice": "1600",
        "cumFeeDetail": {"USDT": "0.0192"},
        "timeInForce": "PostOnly",
        "positionIdx": 1,
        "orderStatus": "PartiallyFilled",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "reduceOnly": False,
        "triggerPrice": "0.00",
        "stopOrderType": "UNKNOWN",
        "createType": "CreateByUser",
        "createdTime": "1684738540559",
        "updatedTime": "1684738540561",
    }


@pytest.fixture
def position_row() -> dict[str, Any]:
    return {
        "category": "linear",
        "positionIdx": 2,
        "symbol": "BTCUSDT",
        "side": "Sell",
        "size": "0.010",
        "entryPrice": "60000",
        "leverage": "10",
        "positionValue": "600",
        "markPrice": "60100",
        "liqPrice": "81000.5",
        "positionIM": "60.43",
        "positionMM": "3.33",
        "unrealisedPnl": "-1.0",
        "curRealisedPnl": "-0.33",
        "cumRealisedPnl": "-25.06",
        "positionStatus": "Normal",
        "seq": 5723621632,
        "createdTime": "1694402496913",
        "updatedTime": "1697682317038",
    }


@pytest.fixture
def wallet_row() -> dict[str, Any]:
    return {
        "accountType": "UNIFIED",
        "totalEquity": "2002",
        "totalWalletBalance": "2002",
        "totalMarginBalance": "2002",
        "totalAvailableBalance": "1501.5",
        "totalPerpUPL": "0",
        "totalInitialMargin": "500.5",
        "totalMaintenanceMargin": "50",
        "accountIMRate": "0.25",
        "accountMMRate": "0.025",
        "coin": [
            {
                "coin": "USDT",
                "equity": "2000",
                "usdValue": "2002",
                "walletBalance": "1990",
                "unrealisedPnl": "10",
                "cumRealisedPnl": "-3",
                "locked": "0",
                "totalOrderIM": "100",
                "totalPositionIM": "400",
                "totalPositionMM": "",
                "availableToWithdraw": "",
            }
        ],
    }


@dataclass
class Reply:
    """What the scripted exchange answers to one REST call."""

    result: Any = field(default_factory=dict)
    code: Any = 0
    message: str = "OK"
    extra: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # instead of the envelope
    time_ms: int = 1786276800123
    delay_s: float = 0.0
    hang_up: bool = False  # close the connection without an answer


@dataclass
class Call:
    """One REST call as it arrived."""

    method: str
    path: str
    query: str
    body: str
    headers: dict[str, str]

    @property
    def params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        names = ("x-bapi-timestamp", "x-bapi-api-key", "x-bapi-recv-window")
        payload = self.query if self.method == "GET" else self.body
        text = "".join(self.headers[name] for name in names) + payload
        wanted = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, self.headers["x-bapi-sign"])


class ScriptedExchange:
    """An HTTP and WebSocket server on a loopback port that says what a test tells it to.

    REST: `on(path, reply, ...)` sets the answers of a path in order; the last one stays. A
    callable is asked with the Call. Streams: `sockets` holds the open connections by path,
    `frames` what clients sent; `push` sends to all connections of a path.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.frames: list[tuple[str, Any]] = []
        self.sockets: dict[str, list[web.WebSocketResponse]] = {}
        self.connections: Counter[str] = Counter()
        self.is_silent = False  # neither acks nor pongs
        self.refuses_streams = False
        self.acks: Callable[[str, dict[str, Any]], dict[str, Any] | None] = self.ack
        self.port = 0
        self._transports: dict[web.WebSocketResponse, Any] = {}
        self._script: dict[str, list[Any]] = {}
        self._thread = LoopThread("scripted exchange")
        self._loop = self._thread.loop

    def reply(self, result: Any = None, **fields: Any) -> Reply:
        return Reply(result={} if result is None else result, **fields)

    def rows(self, *rows: Any, cursor: str = "", **fields: Any) -> Reply:
        result = {"category": "linear", "list": list(rows), "nextPageCursor": cursor}
        return Reply(result=result, **fields)

    def on(self, path: str, *replies: Any) -> None:
        self._script[path] = list(replies)

    def start(self) -> None:
        self._thread.start()
        self._run(self._start())

    def stop(self) -> None:
        self._run(self._runner.cleanup())
        self._thread.close()

    def stop_listening(self) -> None:
        self._run(self._site.stop())

    def listen_again(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        self._run(self._site.start())

    def push(self, path: str, *frames: Any) -> None:
        """Send frames to all connections of a path, as JSON unless they are text."""

        async def send() -> None:
            for socket in list(self.sockets.get(path, [])):
                for frame in frames:
                    await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

        self._run(send())

    def close_streams(self, path: str, *, abort: bool = False) -> None:
        """Close all connections of a path, politely or by cutting the line."""

        async def close() -> None:
            for socket in list(self.sockets.get(path, [])):
                if abort:
                    self._transports[socket].abort()
                else:
                    await socket.close()

        self._run(close())

    def close_soon(self, path: str) -> None:
        """Close all connections of a path; for use by `acks`."""
        for socket in list(self.sockets.get(path, [])):
            self._transports[socket].abort()

    def write_raw(self, path: str, data: bytes) -> None:
        """Put bytes on the line that are no frame."""

        async def write() -> None:
            for socket in list(self.sockets.get(path, [])):
                self._transports[socket].write(data)

        self._run(write())

    def freeze(self) -> None:
        """Stop the whole server: the connections stay open and nobody answers."""
        self._frozen = threading.Event()
        self._loop.call_soon_threadsafe(self._frozen.wait, 20)

    def thaw(self) -> None:
        self._frozen.set()

    def topics(self, path: str) -> list[str]:
        """Return all topics that were asked for on a path, in order."""
        return [
            topic
            for at, frame in self.frames
            if at == path and frame.get("op") == "subscribe"
            for topic in frame["args"]
        ]

    def ack(self, path: str, frame: dict[str, Any]) -> dict[str, Any] | None:
        if frame.get("op") == "ping":
            if path.endswith("private"):
                return {"op": "pong", "args": ["1"], "conn_id": "c"}
            return {"success": True, "ret_msg": "pong", "op": "ping", "conn_id": "c"}
        return {
            "success": True,
            "ret_msg": "",
            "op": frame.get("op"),
            "req_id": frame.get("req_id"),
            "conn_id": "c",
        }

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._thread.run(work)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0, reuse_address=True)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        call = Call(
            method=request.method,
            path=request.path,
            query=request.raw_path.partition("?")[2],
            body=await request.text(),
            headers={name.lower(): value for name, value in request.headers.items()},
        )
        self.calls.append(call)
        replies = self._script.get(request.path)
        if not replies:
            return web.Response(status=404)
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply):
            reply = reply(call)
        await asyncio.sleep(reply.delay_s)
        if reply.hang_up:
            assert request.transport is not None
            request.transport.abort()
        envelope = {
            "retCode": reply.code,
            "retMsg": reply.message,
            "result": reply.result,
            "retExtInfo": reply.extra,
            "time": reply.time_ms,
        }
        body = json.dumps(envelope).encode() if reply.body is None else reply.body
        return web.Response(body=body, status=reply.status, headers=reply.headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.refuses_streams:
            return web.Response(status=503)
        path = request.path
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.connections[path] += 1
        self._transports[socket] = request.transport
        self.sockets.setdefault(path, []).append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.PING and not self.is_silent:
                    await socket.pong(message.data)
                if message.type is not WSMsgType.TEXT:
                    continue
                frame = json.loads(message.data)
                self.frames.append((path, frame))
                answer = None if self.is_silent else self.acks(path, frame)
                if answer is not None:
                    await socket.send_str(json.dumps(answer))
        finally:
            self.sockets[path].remove(socket)
        return socket


@pytest.fixture
def exchange() -> Iterator[ScriptedExchange]:
    server = ScriptedExchange()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def streams(exchange: ScriptedExchange, witness: Witness) -> Iterator[Streams]:
    made = Streams(exchange.port, witness)
    yield made
    made.close()


@pytest.fixture
def client(exchange: Any) -> Iterator[BybitRestClient]:
    with connect(exchange.port) as made:
        yield made
