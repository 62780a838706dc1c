"""Streams of an exchange in process, with delays and breaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime

import orjson

from bybit_adapter import (
    BybitNormalizer,
    ConnectionState,
    MalformedFrame,
    StreamState,
    StreamUpdate,
)
from gridbot.ports import StreamCallbacks
from paper_exchange.rest.auth import signature
from paper_exchange.stream.session import Channel, StreamSession
from testkit.paper import KEY, SECRET, PaperWorld
from testkit.virtual_network import LoopTime, Network


class InProcessStream:
    """A stream of the exchange with delays; frames of one connection stay in order."""

    def __init__(
        self,
        world: PaperWorld,
        channel: Channel,
        topics: Sequence[str],
        callbacks: StreamCallbacks,
        clock: LoopTime,
        network: Network,
        chance: random.Random,
    ) -> None:
        self._world = world
        self._channel = channel
        self._topics = topics
        self._callbacks = callbacks
        self._clock = clock
        self._network = network
        self._chance = chance
        self._session: StreamSession | None = None
        self._normalizer = BybitNormalizer()
        self._last_arrival = 0.0
        self._lost_at: datetime | None = None
        self._generation = 0
        self.malformed = 0

    def connect(self, timeout_s: float = 10.0) -> bool:
        """Connect at once."""
        self._open()
        return True

    def disconnect(self) -> None:
        """End."""
        self._close()

    def get_connection_state(self) -> ConnectionState:
        """Return how it is."""
        alive = self._session is not None
        return ConnectionState(
            state=StreamState.CONNECTED if alive else StreamState.RECONNECTING,
            is_alive=alive,
            traffic_age_s=0.0,
            data_age_s=0.0,
            disconnected_at=self._lost_at,
            reconnects=0,
            rebuilds=0,
            received=0,
            malformed=self.malformed,
            callback_errors=0,
            rejected_topics={},
            auth_error=None,
        )

    def _open(self) -> None:
        self._generation += 1
        generation = self._generation
        hub = self._world.parts.hub
        self._normalizer.reset()
        session = hub.open(self._channel, lambda frame: self._sent(generation, frame), lambda: None)
        self._session = session
        if self._channel is Channel.PRIVATE:
            expires = self._world.exchange.now_ms + 10_000
            sign = signature(SECRET, f"GET/realtime{expires}".encode())
            hub.on_text(session, orjson.dumps({"op": "auth", "args": [KEY, expires, sign]}))
        hub.on_text(session, orjson.dumps({"op": "subscribe", "args": list(self._topics)}))

    def _close(self) -> None:
        session, self._session = self._session, None
        self._generation += 1
        if session is not None:
            self._world.parts.hub.closed(session)

    def cut(self, *, for_s: float | None = None) -> None:
        """Lose the connection, and have it back after a while."""
        if self._session is None:
            return
        self._close()
        lost_at = self._lost_at = self._clock.now()
        self._callbacks.on_disconnect(lost_at)
        wait = (
            for_s if for_s is not None else self._chance.randint(*self._network.reconnect_ms) / 1e3
        )
        asyncio.get_running_loop().call_later(wait, self._back, lost_at)

    def _back(self, lost_at: datetime) -> None:
        self._open()
        # ready is what has been acknowledged
        delay = self._world.parts.hub.ack_delay_ms / 1000 + 0.05
        asyncio.get_running_loop().call_later(delay, self._ready, lost_at, self._generation)

    def _ready(self, lost_at: datetime, generation: int) -> None:
        if generation == self._generation:
            self._lost_at = None
            self._callbacks.on_reconnect(lost_at, self._clock.now())

    def _sent(self, generation: int, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        delay = self._chance.randint(*self._network.stream_ms) / 1000
        arrival = max(loop.time() + delay, self._last_arrival)
        self._last_arrival = arrival
        loop.call_at(arrival, self._arrived, generation, frame)

    def _arrived(self, generation: int, frame: bytes) -> None:
        if generation != self._generation:
            return
        content = orjson.loads(frame)
        if "topic" not in content:
            return
        updates: Sequence[StreamUpdate]
        try:
            updates = self._normalizer.normalize(content, self._clock.now())
        except MalformedFrame as error:
            self.malformed += 1
            updates = error.fitting
        for update in updates:
            self._callbacks.on_event(update)
