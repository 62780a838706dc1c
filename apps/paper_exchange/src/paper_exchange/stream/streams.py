"""The WebSocket protocol without sockets: sessions, topics, acknowledgements.

Source: exchange fact sheet, section 4. A transport hands texts in and takes frames out.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import orjson

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from gridcore import DirectionType
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.book.orders import ExecType, Execution, PaperOrder
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import Market, PublicTrade
from paper_exchange.rest.rest import RestApi
from paper_exchange.rest.rows import (
    execution_frame_row,
    fast_execution_row,
    order_frame_row,
    position_frame_rows,
    wallet_row,
)
from paper_exchange.stream.public_topics import PublicTopic, make_topic

log = logging.getLogger(__name__)
PRIVATE_TOPICS = ("order", "execution", "execution.fast", "position", "wallet")
DCP_TOPIC = "dcp.future"
MOST_ARGS = 21_000  # characters of args per public connection
REMEMBERED_REQ_IDS = 1_000
REMEMBERED_CONNECTIONS = 100
TRADE_OPS = {
    f"order.{name}": f"/v5/order/{name}"
    for name in ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
}


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


class StreamHub:
    """All connections. Listens to the exchange and tells whoever subscribed.

    `ack_delay_ms` lies between a command on a stream and its acknowledgement; clients register
    what they subscribed to only after they have sent it, so it must not be nothing.
    """

    def __init__(self, exchange: PaperExchange, rest: RestApi, ack_delay_ms: int = 20) -> None:
        self.exchange = exchange
        self.ack_delay_ms = ack_delay_ms
        self.deliver: Callable[[StreamSession, bytes], None] = send_if_open
        self.frames = 0
        self._rest = rest
        self._opened = 0
        self.sessions: dict[str, StreamSession] = {}
        self._gone: deque[tuple[str, Row]] = deque(maxlen=REMEMBERED_CONNECTIONS)
        self._public: dict[str, tuple[PublicTopic, dict[str, StreamSession]]] = {}
        self._of_market: dict[str, list[PublicTopic]] = {}
        self._private: dict[tuple[str, str], dict[str, dict[str, StreamSession]]] = {}
        exchange.listen(self)

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
            self._gone.append(_told(session))
        for topic in tuple(session.topics):
            self._unsubscribe(session, topic)
        account = session.account
        if DCP_TOPIC in session.topics and account is not None and account.dcp_window_s:
            self.exchange.after(account.dcp_window_s * 1000, lambda: self._dcp(account))

    def told(self) -> Row:
        """Return how many rows each connection was told, by topic; the newest ended ones too."""
        return dict((*self._gone, *map(_told, self.sessions.values())))

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
            elif session.channel is Channel.TRADE:
                self._trade_message(session, op, message)
            elif op == "auth":
                self._auth(session, message)
            elif op == "subscribe":
                self._subscribe(session, message)
            elif op == "unsubscribe":
                self._unsubscribe_message(session, message)
            else:
                self._refuse(session, message, op, f"Params Error: op {op[:30]!r} is unknown")
        except RefusalError as refusal:
            self._refuse(session, message, op, refusal.message, refusal.code)

    def _later(self, session: StreamSession, answer: Row) -> None:
        frame = orjson.dumps(answer)
        self.exchange.after(self.ack_delay_ms, lambda: self.deliver(session, frame))

    def _refuse(
        self,
        session: StreamSession,
        message: Mapping[str, Any],
        op: str,
        text: str,
        code: int = RetCode.PARAMETER_ERROR,
    ) -> None:
        if session.channel is Channel.TRADE:
            self._later(session, _trade_answer(session, message, op, code, text))
            return
        answer = _ack(session, message, op)
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
        self.deliver(session, orjson.dumps(answer))

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
            self._later(session, _ack(session, message, "auth"))

    # subscriptions

    def _subscribe(self, session: StreamSession, message: Mapping[str, Any]) -> None:
        args = _args(message)
        if session.channel is Channel.PUBLIC:
            session.args_length += sum(len(arg) for arg in args)
            if session.args_length > MOST_ARGS:
                raise parameter_error(f"more than {MOST_ARGS} characters of topics")
            wrong = [arg for arg in args if not self._public_topic(arg)]
        else:
            if session.account is None:
                raise parameter_error("Request not authorized")
            wrong = [arg for arg in args if private_base(arg) is None and arg != DCP_TOPIC]
        if wrong:
            for arg in args:
                self._drop_if_unheard(arg)
            raise RefusalError(
                RetCode.PARAMETER_ERROR, f"error:handler not found,topic:{wrong[0][:100]}"
            )
        self.exchange.after(self.ack_delay_ms, lambda: self._subscribed(session, message, args))

    def _subscribed(
        self, session: StreamSession, message: Mapping[str, Any], args: list[str]
    ) -> None:
        if not session.is_open:
            return
        self.deliver(session, orjson.dumps(_ack(session, message, "subscribe")))
        for arg in args:
            session.topics[arg] = None
            if session.channel is Channel.PUBLIC:
                # whoever else heard it may have left meanwhile, the contract may have closed
                if not self._public_topic(arg):
                    continue
                topic, listeners = self._public[arg]
                listeners[session.conn_id] = session
                for frame in topic.snapshot():
                    session.rows[arg] += 1
                    self.deliver(session, frame)
                topic.market_changed()
                continue
            base = private_base(arg)
            if base is not None and session.account is not None:
                names = self._private.setdefault((session.account.name, base), {})
                names.setdefault(arg, {})[session.conn_id] = session

    def _public_topic(self, name: str) -> bool:
        """Tell whether there is such a topic; it begins with the first look at it."""
        if name in self._public:
            market = self.exchange.markets[name.rpartition(".")[2]]
            return market.status != ContractStatus.CLOSED
        listeners: dict[str, StreamSession] = {}
        topic = make_topic(
            name, self.exchange, lambda frame, rows: self._push(listeners, name, frame, rows)
        )
        if topic is None:
            return False
        self._public[name] = topic, listeners
        self._of_market.setdefault(name.rpartition(".")[2], []).append(topic)
        return True

    def _unsubscribe_message(self, session: StreamSession, message: Mapping[str, Any]) -> None:
        for arg in _args(message):
            self._unsubscribe(session, arg)
            session.topics.pop(arg, None)
        self._later(session, _ack(session, message, "unsubscribe"))

    def _unsubscribe(self, session: StreamSession, name: str) -> None:
        if session.channel is Channel.PUBLIC:
            known = self._public.get(name)
            if known is not None:
                known[1].pop(session.conn_id, None)
                self._drop_if_unheard(name)
            return
        base = private_base(name)
        if base is not None and session.account is not None:
            names = self._private.get((session.account.name, base), {})
            names.get(name, {}).pop(session.conn_id, None)

    def _drop_if_unheard(self, name: str) -> None:
        """Forget a public topic that nobody hears; its next listener makes it start afresh."""
        known = self._public.get(name)
        if known is not None and not known[1]:
            del self._public[name]
            self._of_market[name.rpartition(".")[2]].remove(known[0])

    # orders over the trade stream

    def _trade_message(self, session: StreamSession, op: str, message: Mapping[str, Any]) -> None:
        if op == "auth":
            self._auth(session, message)
            return
        path = TRADE_OPS.get(op)
        route = self._rest.route("POST", path) if path else None
        if route is None:
            raise RefusalError(RetCode.WS_UNKNOWN_OP, f"op {op[:30]!r} is unknown")
        if session.account is None:
            raise RefusalError(RetCode.BAD_SIGNATURE, "Request not authorized")
        req_id = str(message.get("reqId") or "")
        if req_id and req_id in session.req_ids:
            raise RefusalError(RetCode.DUPLICATE_REQ_ID, "duplicate reqId")
        session.req_ids.append(req_id)
        args = message.get("args")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
            raise parameter_error("args is a list of one object")
        header = message.get("header")
        self._check_clock(header if isinstance(header, dict) else {})
        headers: dict[str, str] = {}
        answer = self._rest.run(route, args[0], session.account, session.key, headers)
        reply = _trade_answer(session, message, op, answer.code, answer.message)
        reply |= {"data": answer.result, "retExtInfo": answer.ext}
        reply["header"] = {**headers, "Timenow": str(self.exchange.now_ms)}
        # no delay: the round trip of an order is what clients use this stream for
        self.deliver(session, orjson.dumps(reply))

    def _check_clock(self, header: Mapping[str, Any]) -> None:
        sent = str(header.get("X-BAPI-TIMESTAMP") or "")
        if not sent:
            raise parameter_error("header X-BAPI-TIMESTAMP is required")
        window = str(header.get("X-BAPI-RECV-WINDOW") or "5000")
        now = self._rest.server_ms()
        if not sent.isdecimal() or not window.isdecimal():
            raise parameter_error("X-BAPI-TIMESTAMP and X-BAPI-RECV-WINDOW are whole ms")
        if not now - int(window) <= int(sent) < now + 1000:
            raise RefusalError(
                RetCode.TIMESTAMP_OUTSIDE_WINDOW, "invalid request, please check your timestamp"
            )

    # what the exchange says

    def _push(
        self, listeners: Mapping[str, StreamSession], topic: str, frame: bytes, rows: int
    ) -> None:
        for session in tuple(listeners.values()):
            self.frames += 1
            session.rows[topic] += rows
            self.deliver(session, frame)

    def on_trade(self, market: Market, trade: PublicTrade) -> None:
        for topic in self._of_market.get(market.symbol, ()):
            topic.traded(trade)

    def on_market(self, market: Market) -> None:
        for topic in self._of_market.get(market.symbol, ()):
            topic.market_changed()

    def _tell(self, account: PaperAccount, base: str, rows: Callable[[], list[Row]]) -> None:
        names = self._private.get((account.name, base))
        if not names or not any(names.values()):
            return
        data = rows()
        for name, listeners in names.items():
            if not listeners:
                continue
            frame: Row = {"topic": name, "creationTime": self.exchange.now_ms, "data": data}
            if base != "execution.fast":
                frame = {"id": f"{account.uid}_{self.exchange.ids.number()}", **frame}
            self._push(listeners, name, orjson.dumps(frame), len(data))

    def on_order(self, account: PaperAccount, order: PaperOrder) -> None:
        listing = self.exchange.markets[order.symbol].listing
        self._tell(account, "order", lambda: [order_frame_row(order, listing)])

    def on_execution(self, account: PaperAccount, execution: Execution) -> None:
        listing = self.exchange.markets[execution.symbol].listing
        self._tell(account, "execution", lambda: [execution_frame_row(execution, listing)])
        if execution.exec_type is ExecType.TRADE:
            self._tell(account, "execution.fast", lambda: [fast_execution_row(execution, listing)])

    def on_position(
        self, account: PaperAccount, symbol: str, legs: tuple[DirectionType, ...]
    ) -> None:
        market = self.exchange.markets[symbol]
        self._tell(account, "position", lambda: position_frame_rows(account, market, legs))

    def on_wallet(self, account: PaperAccount) -> None:
        self._tell(account, "wallet", lambda: [wallet_row(account)])


def _told(session: StreamSession) -> tuple[str, Row]:
    return session.conn_id, {
        "channel": session.channel.value,
        "account": None if session.account is None else session.account.name,
        "is_open": session.is_open,
        "rows": dict(session.rows),
    }


def send_if_open(session: StreamSession, frame: bytes) -> None:
    """Hand a frame to the transport, unless the connection is gone."""
    if session.is_open:
        session.send(frame)


def private_base(name: str) -> str | None:
    """Return the private topic that a name means, None for an unknown one."""
    base = name.removesuffix(".linear")
    return base if base in PRIVATE_TOPICS else None


def _args(message: Mapping[str, Any]) -> list[str]:
    args = message.get("args")
    if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args):
        raise parameter_error("args is a list of topics")
    return args


def _ack(session: StreamSession, message: Mapping[str, Any], op: str) -> Row:
    answer: Row = {"success": True, "ret_msg": "", "conn_id": session.conn_id}
    if op == "auth" and session.channel is Channel.PRIVATE:
        return {"success": True, "ret_msg": "", "op": "auth", "conn_id": session.conn_id}
    return {**answer, "req_id": message.get("req_id", ""), "op": op}


def _trade_answer(
    session: StreamSession, message: Mapping[str, Any], op: str, code: int, text: str
) -> Row:
    return {
        "reqId": str(message.get("reqId") or ""),
        "retCode": int(code),
        "retMsg": text,
        "op": op,
        "data": {},
        "retExtInfo": {},
        "header": {},
        "connId": session.conn_id,
    }
