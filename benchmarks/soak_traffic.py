"""A witness of what the exchange sends, and who trades there meanwhile."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import orjson
from soak_outcome import KIND_OF_TOPIC
from websocket import WebSocketException, WebSocketTimeoutException, create_connection

from bybit_adapter import BybitError, BybitRestClient, OrderKey, PlaceRequest
from gridcore import DirectionType, SideType
from paper_exchange.rest.auth import signature

SYMBOLS = {"BTCUSDT": ("60000", "0.01"), "ETHUSDT": ("3000", "0.1"), "LTCUSDT": ("90", "1")}


ACTIONS_PER_S = 6.0  # of each account; each is told in about three rows


MOST_OPEN = 40  # orders of an account


class Witness(threading.Thread):
    """Hears an account's private stream beside the daemon, and keeps the key of each row."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(name=f"witness of {name}", daemon=True)
        self.keys: dict[str, set[tuple[Any, ...]]] = {
            kind: set() for kind in ("executions", "orders", "positions", "wallet")
        }
        self._socket = create_connection(url + "/v5/private", timeout=10)
        expires = int(time.time() * 1000) + 10_000
        sign = signature(f"{name}-secret", f"GET/realtime{expires}".encode())
        self._say(op="auth", args=[f"{name}-key", expires, sign])
        self._socket.recv()
        self._say(op="subscribe", args=["execution", "order", "position", "wallet"])
        self._socket.recv()
        self.start()

    def _say(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))

    def run(self) -> None:
        self._socket.settimeout(1.0)
        pinged = time.monotonic()
        while True:
            if time.monotonic() - pinged > 15:
                self._say(op="ping")
                pinged = time.monotonic()
            try:
                frame = orjson.loads(self._socket.recv())
            except WebSocketTimeoutException:
                continue
            except (WebSocketException, OSError, ValueError):
                return
            if frame.get("topic") in KIND_OF_TOPIC:
                kind = KIND_OF_TOPIC[frame["topic"]]
                for row in frame["data"]:
                    self.keys[kind].add(_key(kind, row, int(frame["creationTime"])))

    def close(self) -> None:
        self._socket.shutdown()


def _key(kind: str, row: dict[str, Any], sent_ms: int) -> tuple[Any, ...]:
    """Return what tells a row of the stream from all others, as the database does."""
    match kind:
        case "executions":
            return (row["execId"],)
        case "orders":
            return (row["orderId"], int(row["updatedTime"]))
        case "positions":
            updated = int(row["updatedTime"] or 0) or sent_ms
            return (row["symbol"], int(row["positionIdx"]), updated)
        case _:
            return (sent_ms,)


class Trader(threading.Thread):
    """One account that places, amends, fills and cancels orders until it is told to stop."""

    def __init__(self, client: BybitRestClient, prices: dict[str, Decimal], seed: int) -> None:
        super().__init__(name=f"trader {seed}", daemon=True)
        self.done: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._client = client
        self._prices = prices
        self._chance = random.Random(seed)
        self._open: dict[str, tuple[str, Decimal]] = {}  # id -> symbol, price

    def run(self) -> None:
        while not self.stopping.wait(self._chance.expovariate(ACTIONS_PER_S)):
            try:
                self._act()
            except BybitError as error:
                # a fill was faster, or there is nothing to close: as in life
                self.done[f"refused: {type(error).__name__}"] += 1

    def _act(self) -> None:
        draw = self._chance.random()
        if self._open and (draw < 0.25 or len(self._open) >= MOST_OPEN):
            order_id = next(iter(self._open))
            symbol, _ = self._open.pop(order_id)
            self._client.cancel_order(OrderKey(symbol=symbol, order_id=order_id))
            self.done["cancelled"] += 1
        elif self._open and draw < 0.4:
            order_id = self._chance.choice(tuple(self._open))
            symbol, price = self._open.pop(order_id)
            key = OrderKey(symbol=symbol, order_id=order_id)
            moved = _on_tick(price * Decimal("0.9999"))
            self._client.amend_order(key, price=moved)
            self._open[order_id] = (symbol, moved)
            self.done["amended"] += 1
        else:
            self._place(is_market=draw > 0.85)

    def _place(self, *, is_market: bool) -> None:
        chance = self._chance
        symbol = chance.choice(tuple(SYMBOLS))
        direction = chance.choice((DirectionType.LONG, DirectionType.SHORT))
        side = chance.choice((SideType.BUY, SideType.SELL))
        away = Decimal(chance.choice((-4, 0, 1, 2, 5, 20, 60))) / 100_000
        price = self._prices[symbol] * (1 - away if side is SideType.BUY else 1 + away)
        order = PlaceRequest(
            symbol=symbol,
            direction=direction,
            side=side,
            qty=Decimal(SYMBOLS[symbol][1]),
            price=None if is_market else _on_tick(price),
            order_link_id=f"soak-{chance.getrandbits(64):016x}",
            reduce_only=(direction is DirectionType.LONG) is not (side is SideType.BUY),
        )
        ack = self._client.place_order(order)
        self.done["placed"] += 1
        if order.price is not None:
            self._open[ack.order_id] = (symbol, order.price)


def _on_tick(price: Decimal) -> Decimal:
    """Return a price that all three contracts take."""
    return price.quantize(Decimal("0.1"))
