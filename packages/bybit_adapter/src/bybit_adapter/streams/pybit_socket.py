"""pybit's WebSocket, kept from giving up.

pybit connects, authenticates, subscribes, sends heartbeats and reconnects. It also ends for good,
without a word to anybody, on most errors that are not a closed connection, on a failed callback
and on an acknowledgement that overtakes its bookkeeping; and it reconnects without any pause.
This class reads the text frames itself, so that pybit's own handling of topics (which holds
those traps) never runs, turns every error into the one after which pybit reconnects, and waits
between attempts. What was seen of pybit: docs/exchange.md, "pybit".
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import websocket
from pybit.unified_trading import WebSocket  # type: ignore[import-untyped]  # has no types

from bybit_adapter.basics.keys import Keys
from bybit_adapter.basics.orders_first import ORDERS_FIRST

log = logging.getLogger(__name__)

_PIECE_BYTES = 16_384
AUTH_EXPIRES_S = 10  # pybit's second fails where the clock is a second slow


class StreamStopped(Exception):  # noqa: N818 -- not an error: the way out of pybit's endless loop
    """The connection is no longer wanted."""


class SocketOwner(Protocol):
    """Who is told what happens on the connection, on pybit's threads."""

    stopping: threading.Event

    def connecting(self, pybit_socket: PybitSocket) -> dict[str, str]:
        """A new connection begins; return its subscriptions, request id -> message."""
        ...

    def opened(self) -> None:
        """The connection is open."""
        ...

    def received(self, text: str | bytes) -> None:
        """A text frame arrived. Does not raise."""
        ...

    def ponged(self) -> None:
        """The other side answered a heartbeat."""
        ...

    def failed(self, error: BaseException, *, was_open: bool) -> None:
        """An attempt failed or an open connection broke; each is told once.

        Returns when the next attempt may begin.
        """
        ...


class PybitSocket(WebSocket):  # type: ignore[misc]  # pybit has no types
    """One connection that lasts until the owner stops. The constructor blocks until connected.

    Raises StreamStopped from the constructor when the owner stops before that.
    """

    def __init__(
        self,
        url: str,
        owner: SocketOwner,
        keys: Keys | None,
        *,
        ping_interval_s: float,
        ping_timeout_s: float,
    ) -> None:
        self._target_url = url
        self._owner = owner
        self._turn = threading.Lock()  # of the fields below: who looks after the connection
        self._connecting_thread: int | None = None
        self._has_opened = False
        self._end_is_told = False  # or is being told: to the owner, by whoever noticed first
        super().__init__(
            "linear" if keys is None else "private",
            testnet=False,
            api_key=None if keys is None else keys.api_key,
            api_secret=None if keys is None else keys.api_secret,
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            retries=0,  # for ever
            restart_on_error=True,
            private_auth_expire=AUTH_EXPIRES_S,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; pybit's `ws` gets its text unchecked, as bytes, and reads in pieces.

        websocket-client checks UTF-8 in Python, byte by byte, which takes longer than everything
        else that happens to a frame; `_on_message` decodes it in one go.
        """
        if name == "ws" and value is not None:
            value.run_forever = partial(value.run_forever, skip_utf8_validation=True)
            value.create_dispatcher = partial(_reading_in_pieces, value, value.create_dispatcher)
            value.on_error = self._ended
            with self._turn:  # it may count as open before its reader says so
                self._has_opened = self._end_is_told = False
                super().__setattr__(name, value)
            return
        super().__setattr__(name, value)

    def is_connected(self) -> bool:
        """Tell whether the socket is open; the way out of pybit's loop when the owner stops."""
        if self._owner.stopping.is_set() and self._connecting_thread == threading.get_ident():
            raise StreamStopped
        return bool(super().is_connected())

    def end(self) -> None:
        """Say goodbye and close. May hang with pybit for some seconds; `cut` frees it."""
        inner: Any = getattr(getattr(self, "ws", None), "sock", None)
        with suppress(Exception):  # whatever pybit says, the line is cut below
            self.exit()
        self.cut(inner)
        with suppress(AttributeError, OSError):
            # websocket-client leaves the socket of an unfinished handshake open.
            inner.shutdown()

    def _hang_up(self) -> None:
        # A reader that is busy meanwhile would wait for more on a socket that is closed.
        self.ws.keep_running = False
        self.cut()
        with suppress(AttributeError, OSError):
            self.ws.sock.shutdown()

    def cut(self, inner: Any = None) -> None:
        """Break the connection at once, which also frees a thread that reads from it."""
        with suppress(AttributeError, OSError):
            (inner or self.ws.sock).sock.shutdown(socket.SHUT_RDWR)

    def _connect(self, url: str) -> None:
        # pybit's own URLs cannot point anywhere else, so the one it gives is not used.
        self._connecting_thread = threading.get_ident()
        try:
            while True:
                self.subscriptions = self._owner.connecting(self)
                try:
                    super()._connect(self._target_url)
                except (websocket.WebSocketException, OSError) as error:
                    # It broke while the subscriptions went out; nobody else tries again.
                    reason: Exception = error
                else:
                    if self._is_settled():
                        break
                    reason = ConnectionError("it closed at once")
                if self._takes_the_end():
                    self._hang_up()  # pybit would go on with a connection that still looks open
                    self._owner.failed(reason, was_open=True)
                else:
                    self.wst.join()  # the reader tells it, and waits as long as the owner wants
        except StreamStopped:
            self.cut()
            raise
        finally:
            self._let_go()
        # A failed attempt marks the object as exited, and then no heartbeat would go out.
        self.exited = self._owner.stopping.is_set()

    def _is_settled(self) -> bool:
        """Hand the care for the connection over to its reader; False when it broke already."""
        with self._turn:
            if self._end_is_told or not self.is_connected():
                return False
            self._connecting_thread = None
            return True

    def _takes_the_end(self) -> bool:
        """Take it on to tell of a failed attempt; False when its reader does already."""
        with self._turn:
            is_first, self._end_is_told = not self._end_is_told, True
            return is_first

    def _let_go(self) -> None:
        """Care for the connection no more, unless its reader has taken over meanwhile."""
        with self._turn:
            if self._connecting_thread == threading.get_ident():
                self._connecting_thread = None

    def _on_open(self) -> None:
        if self._owner.stopping.is_set():
            self.cut()
            return
        self._has_opened = True
        self._owner.opened()

    def _on_message(self, message: str | bytes) -> None:
        self._count_as_answer()
        if ORDERS_FIRST.is_claimed:
            ORDERS_FIRST.stand_back()
        if isinstance(message, bytes):
            try:
                message = message.decode()
            except UnicodeDecodeError:
                self.cut()  # the protocol allows no other text; what follows cannot be trusted
                return
        self._owner.received(message)

    def _count_as_answer(self) -> None:
        """Let whatever arrives count as the answer to the last heartbeat.

        The real answer may wait behind seconds of frames on a machine that is slow for a while;
        websocket-client would then cut a connection that lives, and lose all that waits.
        """
        with suppress(AttributeError):
            self.ws.last_pong_tm = self.ws.last_ping_tm

    def _on_pong(self) -> None:
        self._count_as_answer()
        self._owner.ponged()
        super()._on_pong()

    def _ended(self, app: Any, error: Any) -> None:
        """Take the news that a connection has ended; runs on the thread that read from it."""
        with suppress(AttributeError, OSError):
            # After a close frame websocket-client forgets the socket without closing it.
            app.sock.shutdown()
        if self._owner.stopping.is_set():
            return
        with self._turn:
            if app is not self.ws or self._end_is_told:
                # Whoever connects has noticed before, and the next connection is not broken.
                return
            self._end_is_told = True
            somebody_connects = self._connecting_thread is not None
            if not somebody_connects:
                self._connecting_thread = threading.get_ident()
        try:
            # It may have opened, and even be ready, before whoever connects got round to it.
            self._owner.failed(error, was_open=self._has_opened)
            if somebody_connects:
                if app is self.ws:
                    self.exit()
            elif not self._owner.stopping.is_set():
                # pybit reconnects after this kind only.
                super()._on_error(websocket.WebSocketConnectionClosedException(str(error)))
        finally:
            if not somebody_connects:
                self._let_go()

    def _send_custom_ping(self) -> None:
        try:
            super()._send_custom_ping()
        except (OSError, websocket.WebSocketException) as error:
            log.debug("heartbeat not sent: %s", error)


def _reading_in_pieces(app: Any, create: Callable[..., Any], *args: Any) -> Any:
    """Return websocket-client's reading loop, taking what has arrived in one piece.

    By itself it asks the system four times for every frame, and each time any other thread may
    take the interpreter and keep it for milliseconds.
    """
    loop = create(*args)
    read = loop.read

    def read_in_pieces(sock: Any, on_frame: Callable[[], bool], check: Callable[[], None]) -> None:
        buffer = getattr(app.sock, "frame_buffer", None)
        if buffer is None:  # closed already
            return
        receive = buffer.recv
        buffer.recv = lambda count: receive(max(count, _PIECE_BYTES))

        def on_piece() -> bool:
            goes_on = on_frame()
            while goes_on and buffer.recv_buffer:
                goes_on = on_frame()
            return goes_on

        read(sock, on_piece, check)

    loop.read = read_in_pieces
    return loop
