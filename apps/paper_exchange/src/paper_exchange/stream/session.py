"""One connection of a client: what it is, what it subscribed to, what it was told."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from exchange_model.rules.codes import parameter_error
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import ApiKey, PaperAccount

REMEMBERED_REQ_IDS = 1_000


class Channel(StrEnum):
    """The three kinds of connections."""

    PUBLIC = "public"
    PRIVATE = "private"
    TRADE = "trade"


class StreamSession:
    """One connection. `send` takes frames, `close` ends it; both belong to the transport.

    `rows` counts what it was told by topic, before a fault loses or doubles any of it.
    """

    def __init__(
        self,
        number: int,
        channel: Channel,
        send: Callable[[bytes], None],
        close: Callable[[], None],
        ip: str = "127.0.0.1",
    ) -> None:
        self.conn_id = f"paper{number:08x}-{channel.value}"
        self.channel = channel
        self.send = send
        self.close = close
        self.ip = ip
        self.account: PaperAccount | None = None
        self.key: ApiKey | None = None
        self.topics: dict[str, None] = {}
        self.rows: Counter[str] = Counter()
        self.args_length = 0
        self.req_ids: deque[str] = deque(maxlen=REMEMBERED_REQ_IDS)
        self.is_open = True

    def send_if_open(self, frame: bytes) -> None:
        """Hand a frame to the transport, unless the connection is gone."""
        if self.is_open:
            self.send(frame)

    def told(self) -> tuple[str, Row]:
        """Return its id, and how many rows it was told by topic."""
        return self.conn_id, {
            "channel": self.channel.value,
            "account": None if self.account is None else self.account.name,
            "is_open": self.is_open,
            "rows": dict(self.rows),
        }


def topics_of(message: Mapping[str, Any]) -> list[str]:
    """Return the topics that a message names. Raises RefusalError."""
    args = message.get("args")
    if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args):
        raise parameter_error("args is a list of topics")
    return args


def acknowledgement(session: StreamSession, message: Mapping[str, Any], op: str) -> Row:
    """Return the answer to a command that is obeyed."""
    answer: Row = {"success": True, "ret_msg": "", "conn_id": session.conn_id}
    if op == "auth" and session.channel is Channel.PRIVATE:
        return {"success": True, "ret_msg": "", "op": "auth", "conn_id": session.conn_id}
    return {**answer, "req_id": message.get("req_id", ""), "op": op}
