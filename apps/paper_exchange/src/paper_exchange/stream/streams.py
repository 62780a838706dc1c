"""The WebSocket protocol without sockets: connections, commands, acknowledgements.

Source: docs/exchange.md, "Streams". A transport hands texts in and takes frames out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import PaperAccount
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.rest.rest import RestApi
from paper_exchange.stream.session import Channel, StreamSession, acknowledgement, topics_of
from paper_exchange.stream.subscriptions import DCP_TOPIC, TopicListeners
from paper_exchange.stream.trade_stream import TradeStream, trade_answer

REMEMBERED_CONNECTIONS = 100


class StreamHub:
    """All connections, and what their clients say.

    `ack_delay_ms` lies between a command on a stream and its acknowledgement; clients register
    what they subscribed to only after they have sent it, so it must not be nothing.
    """

    def __init__(self, exchange: PaperExchange, rest: RestApi, ack_delay_ms: int = 20) -> None:
        self.exchange = exchange
        self.ack_delay_ms = ack_delay_ms
        self.subscriptions = TopicListeners(exchange)
        self.sessions: dict[str, StreamSession] = {}
        self._rest = rest
        self._trade = TradeStream(exchange, rest)
        self._opened = 0
        self._gone: deque[tuple[str, Row]] = deque(maxlen=REMEMBERED_CONNECTIONS)

    # connections

    def open(
        self,
        channel: Channel,
        send: Callable[[bytes], None],
        close: Callable[[], None],
        ip: str = "127.0.0.1",
    ) -> StreamSession:
        """Take a new connection."""
        self._opened += 1
        session = StreamSession(self._opened, channel, send, close, ip)
        self.sessions[session.conn_id] = session
        return session

    def closed(self, session: StreamSession) -> None:
        """Forget a connection that is gone."""
        session.is_open = False
        if self.sessions.pop(session.conn_id, None) is not None and session.rows:
            self._gone.append(session.told())
        for topic in tuple(session.topics):
            self.subscriptions.end(session, topic)
        account = session.account
        if DCP_TOPIC in session.topics and account is not None and account.dcp_window_s:
            self.exchange.after(account.dcp_window_s * 1000, lambda: self._dcp(account))

    def told(self) -> Row:
        """Return how many rows each connection was told, by topic; the newest ended ones too."""
        return dict((*self._gone, *(one.told() for one in self.sessions.values())))

    def _dcp(self, account: PaperAccount) -> None:
        alive = any(
            one.account is account and DCP_TOPIC in one.topics for one in self.sessions.values()
        )
        if not alive:
            self.exchange.cancel_all(account, self.exchange.markets, "CancelByDCP")

    # what clients say

    def on_text(self, session: StreamSession, text: str | bytes) -> None:
        """Take a text frame of a client. Garbage is answered, never raised."""
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            self._refuse(session, {}, "", "Params Error: the message is no JSON object")
            return
        op = str(message.get("op", ""))
        try:
            if op == "ping":
                self._ping(session, message)
            elif op == "auth":
                self._auth(session, message)
            elif session.channel is Channel.TRADE:
                # no delay: the round trip of an order is what clients use this stream for
                self._deliver(session, self._trade.on_message(session, op, message))
            elif op == "subscribe":
                self._subscribe(session, message)
            elif op == "unsubscribe":
                self._unsubscribe(session, message)
            else:
                self._refuse(session, message, op, f"Params Error: op {op[:30]!r} is unknown")
        except RefusalError as refusal:
            self._refuse(session, message, op, refusal.message, refusal.code)

    def _later(self, session: StreamSession, answer: Row) -> None:
        self.exchange.after(self.ack_delay_ms, lambda: self._deliver(session, answer))

    def _deliver(self, session: StreamSession, answer: Row) -> None:
        self.subscriptions.deliver(session, orjson.dumps(answer))

    def _refuse(
        self,
        session: StreamSession,
        message: Mapping[str, Any],
        op: str,
        text: str,
        code: int = RetCode.PARAMETER_ERROR,
    ) -> None:
        if session.channel is Channel.TRADE:
            self._later(session, trade_answer(session, message, op, code, text))
            return
        answer = acknowledgement(session, message, op)
        answer |= {"success": False, "ret_msg": text}
        self._later(session, answer)

    def _ping(self, session: StreamSession, message: Mapping[str, Any]) -> None:
        now = str(self.exchange.now_ms)
        req_id = message.get("req_id")
        if session.channel is Channel.PUBLIC:
            answer: Row = {
                "success": True, "ret_msg": "pong", "conn_id": session.conn_id,
                "req_id": req_id or "", "op": "ping",
            }  # fmt: skip
        elif session.channel is Channel.PRIVATE:
            answer = {"req_id": req_id or "", "op": "pong", "args": [now],
                      "conn_id": session.conn_id}  # fmt: skip
        else:
            answer = {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [now],
                      "connId": session.conn_id}  # fmt: skip
        self._deliver(session, answer)

    def _auth(self, session: StreamSession, message: Mapping[str, Any]) -> None:
        if session.channel is Channel.PUBLIC:
            raise parameter_error("a public stream needs no auth")
        if session.account is not None:
            raise RefusalError(RetCode.REPEATED_AUTH, "Repeat auth")
        args = message.get("args")
        if not isinstance(args, list) or len(args) != 3:
            raise parameter_error("auth has the args api_key, expires, signature")
        key, expires, sign = (str(arg) for arg in args)
        account, api_key = self._rest.gatekeeper.admit_stream(
            key, expires, sign, self._rest.server_ms(), session.ip
        )
        session.account, session.key = account, api_key
        if session.channel is Channel.TRADE:
            self._later(
                session,
                {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": session.conn_id},
            )
        else:
            self._later(session, acknowledgement(session, message, "auth"))

    def _subscribe(self, session: StreamSession, message: Mapping[str, Any]) -> None:
        topics = topics_of(message)
        self.subscriptions.check(session, topics)

        def begin() -> None:
            if session.is_open:
                self._deliver(session, acknowledgement(session, message, "subscribe"))
                self.subscriptions.begin(session, topics)

        self.exchange.after(self.ack_delay_ms, begin)

    def _unsubscribe(self, session: StreamSession, message: Mapping[str, Any]) -> None:
        for topic in topics_of(message):
            self.subscriptions.end(session, topic)
            session.topics.pop(topic, None)
        self._later(session, acknowledgement(session, message, "unsubscribe"))
