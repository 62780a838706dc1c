"""Orders: /v5/order/*, and /v5/execution/list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from paper_exchange.basics.wire import Row
from paper_exchange.book.order_request import parse_amend, parse_link_id, parse_order
from paper_exchange.book.orders import ExecType, PaperOrder, Status
from paper_exchange.rest.calls import Answer, Call, Route
from paper_exchange.rest.rows import execution_row, order_row

CATEGORY = "linear"
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MOST_IN_BATCH = 20
RECENT_CLOSED = 500
FILTERS = ("", "Order", "StopOrder", "OpenOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder")
Single = Callable[[Call], PaperOrder]


def _place(call: Call) -> PaperOrder:
    market = call.market()
    hedge = call.account.book(market.listing).hedge_mode
    request = parse_order(call.params, market.listing, hedge_mode=hedge)
    return call.exchange.place(call.account, request)


def _cancel(call: Call) -> PaperOrder:
    symbol = call.market().symbol
    link_id = parse_link_id(call.params)
    return call.exchange.cancel(call.account, symbol, call.text("orderId"), link_id)


def _amend(call: Call) -> PaperOrder:
    market = call.market()
    request = parse_amend(call.params, market.listing)
    link_id = parse_link_id(call.params)
    return call.exchange.amend(call.account, market.symbol, call.text("orderId"), link_id, request)


def _ids(order: PaperOrder) -> Row:
    return {"orderId": order.order_id, "orderLinkId": order.link_id}


def create(call: Call) -> Answer:
    """POST /v5/order/create: acknowledged before it is on the book."""
    call.require_linear()
    return Answer(_ids(_place(call)))


def amend(call: Call) -> Answer:
    """POST /v5/order/amend."""
    call.require_linear()
    return Answer(_ids(_amend(call)))


def cancel(call: Call) -> Answer:
    """POST /v5/order/cancel."""
    call.require_linear()
    return Answer(_ids(_cancel(call)))


def cancel_all(call: Call) -> Answer:
    """POST /v5/order/cancel-all: what is listed is accepted, not yet cancelled."""
    call.require_linear()
    symbols = call.symbols()
    if call.text("orderFilter") == "StopOrder":
        return Answer({"list": [], "success": "1"})
    orders = call.exchange.cancel_all(call.account, symbols)
    return Answer({"list": [_ids(order) for order in orders], "success": "1"})


def batch_items(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the orders of a batch. Raises RefusalError."""
    items = params.get("request")
    if not isinstance(items, list) or not items:
        raise parameter_error("request is a list of orders")
    if len(items) > MOST_IN_BATCH:
        raise parameter_error(f"request has {len(items)} orders; {MOST_IN_BATCH} is the most")
    if not all(isinstance(item, dict) for item in items):
        raise parameter_error("request is a list of objects")
    return items


@dataclass(frozen=True, slots=True)
class BatchSpoiler:
    """Lets every `every`-th item of a batch fail, carried out or not."""

    every: int
    refusal: RefusalError
    executed: bool

    def strikes(self, number: int) -> bool:
        """Tell whether an item fails, counted from 0."""
        return number % self.every == self.every - 1


def run_batch(
    call: Call,
    single: Single,
    allowed: int,
    *,
    creates: bool = False,
    spoiler: BatchSpoiler | None = None,
) -> Answer:
    """Carry out a batch: the outer code is 0, each item has its own.

    `allowed` items pass the rate limit; the rest is refused.
    """
    call.require_linear()
    rows: list[Row] = []
    verdicts: list[Row] = []
    for number, item in enumerate(batch_items(call.params)):
        row: Row = {
            "category": CATEGORY,
            "symbol": str(item.get("symbol", "")),
            "orderId": "",
            "orderLinkId": "",
        }
        if creates:
            row["createAt"] = ""
        verdict: Row = {"code": 0, "msg": "OK"}
        try:
            if number >= allowed:
                raise RefusalError(RetCode.RATE_LIMIT, "Too many visits!")
            struck = spoiler is not None and spoiler.strikes(number)
            if spoiler is not None and struck and not spoiler.executed:
                raise spoiler.refusal
            order = single(Call(call.exchange, item, call.account))
            if spoiler is not None and struck:
                raise spoiler.refusal
            row |= _ids(order)
            if creates:
                row["createAt"] = str(order.created_ms)
        except RefusalError as refusal:
            verdict = {"code": int(refusal.code), "msg": refusal.message}
            row["orderLinkId"] = "" if creates else str(item.get("orderLinkId", ""))
        rows.append(row)
        verdicts.append(verdict)
    return Answer({"list": rows}, ext={"list": verdicts})


BATCHES: dict[str, tuple[Single, bool]] = {
    "create-batch": (_place, True),
    "amend-batch": (_amend, False),
    "cancel-batch": (_cancel, False),
}


def _batch(name: str) -> Callable[[Call], Answer]:
    single, creates = BATCHES[name]

    def handler(call: Call) -> Answer:
        return run_batch(call, single, MOST_IN_BATCH, creates=creates)

    return handler


def realtime(call: Call) -> Answer:
    """GET /v5/order/realtime: open orders; by id also what has ended; newest first.

    What is acknowledged and has not reached the book yet is nowhere to be seen, as on the stream.
    """
    call.require_linear()
    account = call.account
    limit, after = call.limit(20, 50), call.after()
    order_filter = call.text("orderFilter")
    if order_filter not in FILTERS:
        raise parameter_error(f"orderFilter {order_filter[:20]!r} is unknown")
    order_id, link_id = call.text("orderId"), call.text("orderLinkId")
    if order_id or link_id:
        order = account.find_order(order_id, link_id)
        return _listed(call, [] if order is None else [order], limit, after)
    symbols = set(call.symbols())
    open_only = call.whole("openOnly", 0, 0, 2)
    if order_filter == "StopOrder":
        return _listed(call, [], limit, after)
    if open_only:
        recent = list(account.closed_orders)[-RECENT_CLOSED:]
        closed = (order for order in reversed(recent) if order.symbol in symbols)
        return _listed(call, closed, limit, after)
    # numbers grow with creation and the dict keeps that order
    newest = (one for one in reversed(account.open_orders.values()) if one.symbol in symbols)
    return _listed(call, newest, limit, after)


def history(call: Call) -> Answer:
    """GET /v5/order/history: what has ended, newest first.

    Cancelled without a fill: for a day; filled ones for two years, as far as records reach.
    """
    call.require_linear()
    account = call.account
    limit, after = call.limit(20, 50), call.after()
    order_id, link_id = call.text("orderId"), call.text("orderLinkId")
    if order_id or link_id:
        order = account.find_order(order_id, link_id)
        ended = [] if order is None or order.status.is_open else [order]
        return _listed(call, ended, limit, after)
    start, end = call.time_range()
    symbols = set(call.symbols(required=False))
    status = call.text("orderStatus")
    oldest_unfilled = call.now_ms - DAY_MS
    ended_orders = (
        order
        for order in reversed(account.closed_orders)
        if order.symbol in symbols
        and start <= order.created_ms <= end
        and (not status or order.status.value == status)
        and (order.filled_qty or order.updated_ms >= oldest_unfilled)
    )
    return _listed(call, ended_orders, limit, after)


def _listed(call: Call, orders: Iterable[PaperOrder], limit: int, after: int | None) -> Answer:
    rows, cursor = call.listed(
        ((order.number, order) for order in orders if order.status is not Status.ACCEPTED),
        lambda order: order_row(order, call.exchange.market(order.symbol).listing),
        limit,
        after,
    )
    return Answer({"category": CATEGORY, "list": rows, "nextPageCursor": cursor})


def executions(call: Call) -> Answer:
    """GET /v5/execution/list, newest first."""
    call.require_linear()
    limit, after = call.limit(50, 100), call.after()
    order_id, link_id = call.text("orderId"), call.text("orderLinkId")
    exec_type = call.text("execType")
    if exec_type and exec_type not in [one.value for one in ExecType]:
        raise parameter_error(f"execType {exec_type[:20]!r} is unknown")
    start, end = call.time_range()
    symbols = set(call.symbols(required=False))
    if order_id or link_id:
        start, end, symbols = 0, 10**16, set(call.exchange.markets)
    rows, cursor = call.listed(
        (
            (one.number, one)
            for one in reversed(call.account.executions)
            if one.symbol in symbols
            and start <= one.ts_ms <= end
            and (not exec_type or one.exec_type.value == exec_type)
            and (not order_id or one.order_id == order_id)
            and (order_id or not link_id or one.link_id == link_id)
        ),
        lambda one: execution_row(one, call.exchange.market(one.symbol).listing),
        limit,
        after,
    )
    return Answer({"category": CATEGORY, "list": rows, "nextPageCursor": cursor})


def routes() -> list[Route]:
    """Return the endpoints of this module."""
    commands = {"create": create, "amend": amend, "cancel": cancel, "cancel-all": cancel_all}
    found = [
        Route("POST", f"/v5/order/{name}", handler, limit=10, writes=True)
        for name, handler in commands.items()
    ]
    found += [
        Route("POST", f"/v5/order/{name}", _batch(name), limit=10, writes=True) for name in BATCHES
    ]
    return [
        *found,
        Route("GET", "/v5/order/realtime", realtime),
        Route("GET", "/v5/order/history", history),
        Route("GET", "/v5/execution/list", executions),
    ]
