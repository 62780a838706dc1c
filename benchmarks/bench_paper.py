"""The local exchange under load on loopback: itself in one process, all its clients in another.

50 accounts with a private connection each and 10 symbols; signed orders over connections that are
kept open, limits off. Orders first at a fixed rate (BENCH_RATE a second, for the delays), then as
fast as they are acknowledged; then the market falls through them as fast as the clients take the
frames, first alone, then beside orders at the fixed rate. Nothing may be missing: every frame that
was pushed has arrived, ids grow on every connection, every order is told as resting and then as
filled, every cross sequence was seen.

`python benchmarks/bench_paper.py profile` shows where the exchange spends its time.
"""

from __future__ import annotations

import asyncio
import cProfile
import hashlib
import hmac
import pstats
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product

import numpy as np
import orjson
from paper_heard import Found, Heard, Placed
from paper_host import (
    ACCOUNTS,
    BESIDE,
    CLOSED,
    MIXED,
    PACED,
    RATE,
    SWEPT,
    SYMBOLS,
    TOPICS,
    host,
    key,
    level_ticks,
    listed,
)

from paper_exchange.exchange.driver import wall_ms

Row = tuple[str, float, str, str]


def rows() -> Iterator[Row]:
    """Yield name, value, unit, input."""
    found = asyncio.run(measure(profile=False))
    what = f"{ACCOUNTS} accounts, {len(SYMBOLS)} symbols, two processes"
    yield "paper exchange, orders acknowledged", found.orders_per_s, "orders/s", what
    yield "paper exchange, frames meanwhile", found.order_frames_per_s, "frames/s", what
    yield "paper exchange, frames of fills", found.frames_per_s, "frames/s", what
    beside = f"at once, orders at {RATE}/s"
    yield "paper exchange, both: orders acknowledged", found.mixed_orders_per_s, "orders/s", beside
    yield "paper exchange, both: frames", found.mixed_frames_per_s, "frames/s", beside
    yield "paper exchange, processor time of an order", found.order_us, "us", "its three frames too"
    yield "paper exchange, processor time of a frame of a fill", found.frame_us, "us", what
    yield "paper exchange, frames lost or out of order", found.faults, "frames", what
    paced = f"{RATE} orders/s" if found.kept_up else f"{RATE} orders/s, not kept up with"
    for name, delays in (("acknowledgement", found.acks), ("order frame", found.frames)):
        for percent in (50, 95, 99):
            value = float(np.percentile(delays, percent))
            yield f"paper exchange, {name}, {percent} %", value, "ms", paced


class Stream(asyncio.Protocol):
    """One private connection; what comes is kept with its time and looked at afterwards."""

    def __init__(self, account: int, port: int) -> None:
        self._account = account
        self._port = port
        self._transport: asyncio.Transport | None = None
        self.chunks: list[tuple[float, bytes]] = []
        self.size = 0

    def itself(self) -> Stream:
        """Return itself, as whoever connects wants a function that makes a protocol."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            f"GET /v5/private HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.chunks.append((time.perf_counter(), data))
        self.size += len(data)

    def say(self, message: object) -> None:
        """Send a text frame; a mask of zeros leaves it as it is."""
        assert self._transport is not None
        text = orjson.dumps(message)
        self._transport.write(
            b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text
        )

    def subscribe(self) -> None:
        """Say who it is, and what it wants to hear."""
        expires = wall_ms() + 10_000
        text = f"GET/realtime{expires}".encode()
        sign = hmac.new(key(self._account).encode(), text, hashlib.sha256).hexdigest()
        self.say({"op": "auth", "args": [key(self._account), expires, sign]})
        self.say({"op": "subscribe", "args": list(TOPICS)})

    def close(self) -> None:
        """Leave."""
        assert self._transport is not None
        self._transport.abort()

    def frames(self) -> list[tuple[float, bytes]]:
        """Return all data frames with the time at which their last byte was there."""
        found: list[tuple[float, bytes]] = []
        data = bytearray()
        is_open = False
        for when, chunk in self.chunks:
            data += chunk
            at = 0
            if not is_open:
                at = data.index(b"\r\n\r\n") + 4
                is_open = True
            while len(data) - at >= 2:
                length, start = data[at + 1], at + 2
                if length >= 126:
                    start = at + (4 if length == 126 else 10)
                    length = int.from_bytes(data[at + 2 : start], "big")
                if len(data) < start + length or len(data) < start:
                    break
                text = bytes(data[start : start + length])
                if text.startswith(b'{"id"'):
                    found.append((when, text))
                at = start + length
            del data[:at]
        return found


class Caller(asyncio.Protocol):
    """One REST connection that is kept open."""

    def __init__(self, account: int) -> None:
        self._key = key(account)
        self._secret = key(account).encode()
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._answer: asyncio.Future[bytes] | None = None

    def itself(self) -> Caller:
        """Return itself, as whoever connects wants a function that makes a protocol."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._data = b""
            assert self._answer is not None
            self._answer.set_result(body)

    async def post(self, path: str, params: dict[str, str | int]) -> bytes:
        """Return the body of the answer to a signed call."""
        body = orjson.dumps(params)
        now = str(wall_ms())
        text = f"{now}{self._key}5000".encode() + body
        sign = hmac.new(self._secret, text, hashlib.sha256).hexdigest()
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-BAPI-API-KEY: {self._key}\r\nX-BAPI-SIGN: {sign}\r\n"
            f"X-BAPI-TIMESTAMP: {now}\r\nX-BAPI-RECV-WINDOW: 5000\r\n\r\n".encode()
            + body
        )
        return await self._answer

    def close(self) -> None:
        """Leave."""
        assert self._transport is not None
        self._transport.abort()


class Orders:
    """Places the orders of one account, one after the other."""

    def __init__(self, account: int, caller: Caller, prices: dict[str, list[str]]) -> None:
        self._account = account
        self._caller = caller
        self._prices = prices
        self.placed: dict[str, Placed] = {}

    async def place(self, level: int, symbol: str) -> None:
        """Place one order. Raises RuntimeError when it is refused."""
        link_id = f"{self._account:02d}-{level:03d}-{symbol}"
        params: dict[str, str | int] = {
            "category": "linear", "symbol": symbol, "side": "Buy", "orderType": "Limit",
            "qty": QTY[symbol], "price": self._prices[symbol][level], "positionIdx": 1,
            "orderLinkId": link_id,
        }  # fmt: skip
        sent = time.perf_counter()
        answer = await self._caller.post("/v5/order/create", params)
        acked = time.perf_counter()
        if b'"retCode":0,' not in answer:
            raise RuntimeError(answer.decode())
        self.placed[link_id] = Placed(self._account, sent, acked)

    async def at_a_pace(self, levels: range, started: float) -> None:
        """Place orders of some levels, RATE a second over all accounts."""
        for number, (level, symbol) in enumerate(product(levels, SYMBOLS)):
            due = started + (number * ACCOUNTS + self._account) / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await self.place(level, symbol)

    async def at_once(self, levels: range) -> None:
        """Place orders of some levels as fast as they are acknowledged."""
        for level, symbol in product(levels, SYMBOLS):
            await self.place(level, symbol)


# above the least notional at FIRST_TICKS, whatever the tick
QTY = dict.fromkeys(SYMBOLS, "0.01") | {
    "SOLUSDT": "0.1", "XRPUSDT": "10", "DOGEUSDT": "100", "ADAUSDT": "10", "LTCUSDT": "0.1",
    "LINKUSDT": "1", "AVAXUSDT": "1",
}  # fmt: skip


class Session:
    """An exchange in a process of its own, and everybody who trades on it."""

    def __init__(self, exchange: asyncio.subprocess.Process, port: int) -> None:
        self._exchange = exchange
        self._port = port
        self._callers: list[Caller] = []
        self.streams: list[Stream] = []
        self.orders: list[Orders] = []

    async def connect(self) -> None:
        """Connect and subscribe all accounts."""
        loop = asyncio.get_running_loop()
        prices = {
            market.symbol: [
                market.listing.price_text(market.price(level_ticks(level)))
                for level in range(BESIDE.stop)
            ]
            for market in listed()
        }
        at = "127.0.0.1", self._port
        for account in range(ACCOUNTS):
            stream, caller = Stream(account, self._port), Caller(account)
            await loop.create_connection(stream.itself, *at)
            await loop.create_connection(caller.itself, *at)
            self.streams.append(stream)
            self._callers.append(caller)
            self.orders.append(Orders(account, caller, prices))
        await asyncio.sleep(0.2)
        for stream in self.streams:
            stream.subscribe()
        await self.quiet()

    async def ask(self, words: str) -> tuple[int, float]:
        """Return how many frames were pushed, and the processor time used, in s."""
        assert self._exchange.stdin is not None
        assert self._exchange.stdout is not None
        self._exchange.stdin.write(f"{words}\n".encode())
        frames, cpu = (await self._exchange.stdout.readline()).split()
        return int(frames), float(cpu)

    async def sweep(self, levels: range) -> tuple[int, float]:
        """Let the market fall through levels; answers as `ask`."""
        return await self.ask(f"sweep {levels.start} {levels.stop}")

    async def quiet(self) -> tuple[int, float]:
        """Wait until nothing has come for a while; answers as `ask`."""
        before = -1
        while (size := sum(stream.size for stream in self.streams)) != before:
            before = size
            await asyncio.sleep(0.3)
        return await self.ask("mark")

    def placed(self) -> dict[str, Placed]:
        """Return all orders that were acknowledged so far."""
        return {name: one for each in self.orders for name, one in each.placed.items()}

    async def end(self) -> None:
        """Close everything."""
        for stream in self.streams:
            stream.close()
        for caller in self._callers:
            caller.close()
        assert self._exchange.stdin is not None
        self._exchange.stdin.write(b"end\n")
        await self._exchange.wait()


async def measure(*, profile: bool) -> Found:
    """Start the exchange, trade on it, check what arrived."""
    exchange = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "host", *(["profile"] if profile else []),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert exchange.stdout is not None
    try:
        session = Session(exchange, int(await exchange.stdout.readline()))
        return await measured(session)
    finally:
        if exchange.returncode is None:
            exchange.kill()


async def measured(session: Session) -> Found:
    """Go through all parts of the measurement."""
    await session.connect()
    started = time.perf_counter()
    await asyncio.gather(*(one.at_a_pace(PACED, started) for one in session.orders))
    paced_s = time.perf_counter() - started
    paced = session.placed().keys()
    _, cpu_before = await session.quiet()

    began = time.perf_counter()
    await asyncio.gather(*(one.at_once(CLOSED) for one in session.orders))
    ended = time.perf_counter()
    closed = session.placed().keys() - paced
    before, cpu_placed = await session.quiet()

    swept = time.perf_counter()
    await session.sweep(SWEPT)
    after, cpu_swept = await session.quiet()

    mixed = time.perf_counter()
    beside = (one.at_a_pace(BESIDE, mixed) for one in session.orders)
    await asyncio.gather(session.sweep(MIXED), *beside)
    await session.quiet()
    last = time.perf_counter()

    await session.sweep(BESIDE)
    pushed, _ = await session.quiet()
    placed = session.placed()
    await session.end()
    heard = Heard([stream.frames() for stream in session.streams])
    resting = heard.resting_after(placed)
    acks = sorted(one.acked for one in placed.values() if mixed <= one.acked < last)
    both_end = min(acks[-1], heard.last_fill_before(last))
    swept_end = heard.last_fill_before(mixed)
    return Found(
        orders_per_s=len(closed) / (ended - began),
        order_frames_per_s=heard.frames_between(began, ended) / (ended - began),
        frames_per_s=heard.frames_between(swept, swept_end) / (swept_end - swept),
        mixed_orders_per_s=sum(when <= both_end for when in acks) / (both_end - mixed),
        mixed_frames_per_s=heard.frames_between(mixed, both_end) / (both_end - mixed),
        order_us=(cpu_placed - cpu_before) / len(closed) * 1e6,
        frame_us=(cpu_swept - cpu_placed) / (after - before) * 1e6,
        faults=heard.faults(placed, pushed),
        acks=[(placed[name].acked - placed[name].sent) * 1000 for name in paced],
        frames=[resting[name] for name in paced],
        kept_up=len(paced) / paced_s > RATE * 0.98,
    )


def main() -> None:
    """Print the figures, or the profile of the exchange."""
    words = sys.argv[1:]
    if words[:1] == ["host"]:
        profile = cProfile.Profile() if "profile" in words else None
        asyncio.run(host(profile))
        if profile is not None:
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(70)
    elif words == ["profile"]:
        print(asyncio.run(measure(profile=True)).faults, "faults")
    else:
        for row in rows():
            print(*row, sep="  ")


if __name__ == "__main__":
    main()
