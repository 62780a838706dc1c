"""Orders over a stream: the commands of REST in other clothes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from paper_exchange.basics.wire import Row
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.rest.rest import RestApi
from paper_exchange.stream.session import StreamSession

TRADE_OPS = {
    f"order.{name}": f"/v5/order/{name}"
    for name in ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
}


class TradeStream:
    """Takes the commands of trade connections."""

    def __init__(self, exchange: PaperExchange, rest: RestApi) -> None:
        self._exchange = exchange
        self._rest = rest

    def on_message(self, session: StreamSession, op: str, message: Mapping[str, Any]) -> Row:
        """Carry out a command of a client; return the answer. Raises RefusalError."""
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
        reply = trade_answer(session, message, op, answer.code, answer.message)
        reply |= {"data": answer.result, "retExtInfo": answer.ext}
        reply["header"] = {**headers, "Timenow": str(self._exchange.now_ms)}
        return reply

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


def trade_answer(
    session: StreamSession, message: Mapping[str, Any], op: str, code: int, text: str
) -> Row:
    """Return the frame of an answer; a refusal has a code and a text."""
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
