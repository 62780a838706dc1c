"""REST and WebSocket on one port. Moves bytes; what they mean is decided elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from exchange_model.rules.codes import RetCode
from paper_exchange.book.account import PaperAccount
from paper_exchange.exchange.driver import Driver
from paper_exchange.host.faults import FaultDesk, FaultKind
from paper_exchange.rest.auth import Credentials
from paper_exchange.rest.rest import MOST_BODY, RestApi, RestReply, RestRequest
from paper_exchange.stream.session import Channel, StreamSession
from paper_exchange.stream.streams import StreamHub

log = logging.getLogger(__name__)
MOST_WAITING = 50_000  # frames; a client that is so far behind is cut off
MOST_AT_ONCE = 64  # frames in one piece
MOST_BUFFERED = 1 << 16  # bytes that the system has not taken yet
LOOK_AGAIN_S = 0.002  # whether it has
MOST_MESSAGE = 1 << 20  # bytes
IDLE_S = 600.0
HANG_S = 3_600.0
PATHS = {
    "/v5/public/linear": Channel.PUBLIC,
    "/v5/private": Channel.PRIVATE,
    "/v5/trade": Channel.TRADE,
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PortInUseError(Exception):
    """The port cannot be listened on."""


class Connection:
    """One WebSocket: frames wait here until the client takes them.

    What one step of the exchange says goes out in one piece: a call into the kernel per frame
    would cost more than the frame.
    """

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        self._ws = ws
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[bytes] = deque()
        self._writing: asyncio.Handle | None = None

    @property
    def waiting(self) -> int:
        """How many frames the client has not taken."""
        return len(self._waiting)

    def send(self, frame: bytes) -> None:
        """Let a frame follow those that wait."""
        if len(self._waiting) >= MOST_WAITING:
            log.warning("a client is %d frames behind; cut off", MOST_WAITING)
            self.reset()
            return
        self._waiting.append(frame)
        if self._writing is None:
            self._writing = self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._writing = None
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._ws.closed:
            self._waiting.clear()
            return
        waiting = self._waiting
        while waiting and transport.get_write_buffer_size() < MOST_BUFFERED:
            count = min(len(waiting), MOST_AT_ONCE)
            transport.write(b"".join([as_text_frame(waiting.popleft()) for _ in range(count)]))
        if waiting:
            self._writing = self._loop.call_later(LOOK_AGAIN_S, self._write)

    def reset(self) -> None:
        """Cut the connection without a word."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def close(self) -> None:
        """End the connection with a close frame."""
        self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(2):
                await self._ws.close(code=WSCloseCode.GOING_AWAY)

    def finish(self) -> None:
        """Stop writing."""
        self._waiting.clear()
        if self._writing is not None:
            self._writing.cancel()


class PaperServer:
    """Serves one exchange. `base_url` is known once it has started."""

    def __init__(
        self,
        rest: RestApi,
        hub: StreamHub,
        driver: Driver,
        faults: FaultDesk,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.rest = rest
        self.hub = hub
        self.driver = driver
        self.faults = faults
        self.host = host
        self.port = port
        self.connections: dict[str, Connection] = {}
        self.calls = 0
        self.control: Handler | None = None  # of /control/...; set before it listens
        self._runner: web.AppRunner | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        hub.subscriptions.deliver = faults.deliver
        driver.backlog = lambda: max((one.waiting for one in self.connections.values()), default=0)

    @property
    def base_url(self) -> str:
        """Where REST is; WebSockets are at the same address with ws."""
        return f"http://{_in_url(self.host)}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where the WebSockets are, without a path."""
        return f"ws://{_in_url(self.host)}:{self.port}"

    async def start(self) -> None:
        """Listen and let the market run. Raises PortInUseError."""
        await self._listen()
        self.driver.start()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=MOST_BODY, handler_args={"access_log": None})
        for path in PATHS:
            app.router.add_get(path, self._websocket)
        if self.control is not None:
            app.router.add_route("*", "/control/{tail:.*}", self.control)
        app.router.add_route("*", "/{tail:.*}", self._call)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortInUseError(
                f"cannot listen on {self.host}:{self.port}: {error.strerror or error};"
                " is another exchange running? choose another port"
            ) from error
        if not self.port:
            self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection and stop listening. The exchange keeps its state."""
        self.driver.stop()
        await self._unlisten()
        for task in tuple(self._tasks):
            task.cancel()

    async def _unlisten(self) -> None:
        for connection in tuple(self.connections.values()):
            connection.reset()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def restart(self, down_s: float) -> None:
        """Be gone for a while: no port, no connection; the market goes on."""
        self._spawn(self._restart(down_s))

    async def _restart(self, down_s: float) -> None:
        await self._unlisten()
        await asyncio.sleep(down_s)
        await self._listen()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def disconnect(self, channel: str, *, reset: bool = False) -> int:
        """Cut the connections of a channel (`*` for all); return how many there were."""
        chosen = [
            (session, self.connections[conn_id])
            for conn_id, session in tuple(self.hub.sessions.items())
            if channel in ("*", session.channel.value) and conn_id in self.connections
        ]
        for session, connection in chosen:
            session.is_open = False
            connection.reset() if reset else connection.close()
        return len(chosen)

    def disconnect_account(self, account: PaperAccount) -> None:
        """Cut the connections of an account."""
        for conn_id, session in tuple(self.hub.sessions.items()):
            if session.account is account and conn_id in self.connections:
                self.connections[conn_id].close()

    # REST

    async def _call(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        if self.faults.refuses("rest"):
            return _cut(request)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            text = f"the body is larger than {MOST_BODY} bytes"
            return _response(RestReply(413, _envelope(RetCode.PARAMETER_ERROR, text, self.driver)))
        rule = self.faults.rest(request.path)
        late_s = 0.0
        if rule is not None and rule.kind is FaultKind.LATENCY:
            # the client may have gone meanwhile; what it asked for happens all the same
            if rule.executed:
                late_s = rule.delay_ms / 1000
            else:
                await asyncio.sleep(rule.delay_ms / 1000)
            rule = None
        self.driver.catch_up()
        if rule is not None and not rule.executed:
            return await self._fail(request, rule.kind, rule.status, rule.code, rule.message)
        path, _, query = request.raw_path.partition("?")
        headers = request.headers
        reply = self.rest.answer(
            RestRequest(
                method=request.method,
                path=path,
                query=query.encode(),
                body=body,
                credentials=Credentials(
                    headers.get("X-BAPI-API-KEY", ""),
                    headers.get("X-BAPI-TIMESTAMP", ""),
                    headers.get("X-BAPI-RECV-WINDOW", ""),
                    headers.get("X-BAPI-SIGN", ""),
                ),
                ip=request.remote or "",
            )
        )
        self.driver.catch_up()
        if rule is not None:
            return await self._fail(request, rule.kind, rule.status, rule.code, rule.message)
        if late_s:
            await asyncio.sleep(late_s)
        return _response(reply)

    async def _fail(
        self, request: web.Request, kind: FaultKind, status: int, code: int, message: str
    ) -> web.StreamResponse:
        if kind is FaultKind.HTTP_ERROR:
            return web.Response(status=status, text="<html><body>error</body></html>")
        if kind is FaultKind.RESET:
            return _cut(request)
        if kind is FaultKind.TIMEOUT:
            await asyncio.sleep(HANG_S)
            return _cut(request)
        if kind is FaultKind.RATE_LIMIT:
            reset = self.driver.server_ms() + 1_000
            headers = {
                "X-Bapi-Limit": "10",
                "X-Bapi-Limit-Status": "0",
                "X-Bapi-Limit-Reset-Timestamp": str(reset),
            }
            envelope = _envelope(RetCode.RATE_LIMIT, "Too many visits!", self.driver)
            return _response(RestReply(200, envelope, headers))
        return _response(RestReply(200, _envelope(code, message, self.driver)))

    # WebSocket

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        channel = PATHS[request.path]
        if self.faults.refuses(channel.value):
            return _cut(request)
        idle = _idle_s(request.query.get("max_active_time", ""))
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MOST_MESSAGE)
        if not ws.can_prepare(request):
            envelope = _envelope(RetCode.PARAMETER_ERROR, "this is a WebSocket", self.driver)
            return _response(RestReply(400, envelope))
        await ws.prepare(request)
        connection = Connection(ws, request)
        session = self.hub.open(channel, connection.send, connection.close, request.remote or "")
        self.connections[session.conn_id] = connection
        try:
            await self._read(ws, session, idle)
        finally:
            self.hub.closed(session)
            del self.connections[session.conn_id]
            connection.finish()
        return ws

    async def _read(self, ws: web.WebSocketResponse, session: StreamSession, idle: float) -> None:
        while True:
            try:
                message = await ws.receive(timeout=idle)
            except TimeoutError:
                await ws.close(code=WSCloseCode.GOING_AWAY, message=b"idle")
                return
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED,
                                WSMsgType.ERROR):  # fmt: skip
                return
            if self.faults.is_silent(session.channel):
                continue
            if message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):
                    await ws.pong(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self.driver.catch_up()
                self.hub.on_text(session, message.data)
                self.driver.catch_up()


def as_text_frame(text: bytes) -> bytes:
    """Return a text as a WebSocket frame of a server: final, without a mask (RFC 6455, 5.2)."""
    length = len(text)
    if length < 126:
        return bytes((0x81, length)) + text
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big") + text
    return b"\x81\x7f" + length.to_bytes(8, "big") + text


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _idle_s(text: str) -> float:
    """Return the idle time that `max_active_time` asks for: 30s to 600s, or 1m to 10m."""
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in ("s", "m") or len(number) > 4:
        return IDLE_S
    seconds = float(number) * (60 if unit == "m" else 1)
    return min(IDLE_S, max(30.0, seconds))


def _envelope(code: int, message: str, driver: Driver) -> dict[str, object]:
    return {
        "retCode": int(code),
        "retMsg": message,
        "result": {},
        "retExtInfo": {},
        "time": driver.server_ms(),
    }


def _response(reply: RestReply) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body(),
        headers=reply.headers,
        content_type="application/json",
    )


def _cut(request: web.Request) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        transport.abort()
    return web.Response()
