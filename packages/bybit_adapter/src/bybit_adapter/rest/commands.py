"""The calls that change orders and settings: what is sent, and what the answer becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bybit_adapter.basics.errors import (
    BybitError,
    ExchangeUnavailable,
    RateLimited,
    error_for_code,
)
from bybit_adapter.basics.row import Row
from bybit_adapter.http import endpoints
from bybit_adapter.http.answers import Reply
from bybit_adapter.http.endpoints import Endpoint
from bybit_adapter.http.wire import Send, SignedCall
from bybit_adapter.records.normalizer import CATEGORY
from bybit_adapter.records.requests import (
    BatchItem,
    OrderAck,
    OrderKey,
    PlaceRequest,
    wire_number,
)

BATCH_SIZE = 10  # orders in one request; more than the per-second limit would fail in part


def place_order(order: PlaceRequest) -> SignedCall[OrderAck]:
    """Place one order.

    Raises OrderRejected and its kinds for a refusal, DuplicateOrderLinkId, RateLimited or
    ExchangeUnavailable when nothing was placed, AmbiguousResult when it may rest.
    """
    return _of_one_order(endpoints.PLACE, order.to_wire())


def amend_order(
    key: OrderKey, *, qty: Decimal | None = None, price: Decimal | None = None
) -> SignedCall[OrderAck]:
    """Change the total quantity (base coin) or the price (USDT) of an open order."""
    if qty is None and price is None:
        raise ValueError("give a new qty or price; Bybit refuses an amend that changes nothing")
    changes = {"qty": qty, "price": price}
    told = {name: wire_number(value) for name, value in changes.items() if value is not None}
    return _of_one_order(endpoints.AMEND, {**key.to_wire(), **told})


def cancel_order(key: OrderKey) -> SignedCall[OrderAck]:
    """Cancel one order. Raises OrderNotFound when it is gone already."""
    return _of_one_order(endpoints.CANCEL, key.to_wire())


def cancel_all_orders(symbol: str) -> SignedCall[list[OrderAck]]:
    """Cancel every limit order of a symbol; return those whose cancel was accepted.

    Conditional orders stay: a stop loss somebody set by hand is not ours to take away. Bybit
    takes 500 at once: repeat until the list is empty.
    """
    params = {"category": CATEGORY, "symbol": symbol, "orderFilter": "Order"}
    return SignedCall(
        endpoints.CANCEL_ALL,
        params,
        lambda answer: [_ack({}, row, answer) for row in answer.result.rows("list")],
    )


def place_batch(orders: Sequence[PlaceRequest]) -> OrderBatch:
    """Place any number of orders, ten to a request; one outcome each, in their order."""
    return _batch(endpoints.PLACE_BATCH, [order.to_wire() for order in orders])


def cancel_batch(keys: Sequence[OrderKey]) -> OrderBatch:
    """Cancel any number of orders, ten to a request; one outcome each, in their order."""
    return _batch(endpoints.CANCEL_BATCH, [key.to_wire() for key in keys])


def set_leverage(symbol: str, leverage: Decimal) -> SignedCall[None]:
    """Set the leverage of both legs; NotModified when it is that already."""
    text = wire_number(leverage)
    params = {"category": CATEGORY, "symbol": symbol, "buyLeverage": text, "sellLeverage": text}
    return SignedCall(endpoints.SET_LEVERAGE, params, _nothing)


def switch_position_mode(symbol: str, *, hedge: bool = True) -> SignedCall[None]:
    """Switch a symbol to hedge mode or back; NotModified when it is in it already."""
    params = {"category": CATEGORY, "symbol": symbol, "mode": 3 if hedge else 0}
    return SignedCall(endpoints.SWITCH_MODE, params, _nothing)


def set_dcp(time_window_s: int) -> SignedCall[None]:
    """Arm disconnect-cancel-all: 3 to 300 s. Bybit gives it to institutional accounts only."""
    params = {"product": "DERIVATIVES", "timeWindow": time_window_s}
    return SignedCall(endpoints.SET_DCP, params, _nothing)


@dataclass(frozen=True, slots=True)
class OrderBatch:
    """Orders in requests of at most ten, made one after the other.

    None is made after one that failed: its orders are told that they were not sent.
    """

    parts: Sequence[SignedCall[list[BatchItem]]]
    first: SignedCall[list[BatchItem]] | None  # the first request that is made, None without orders

    def run(self, send: Send) -> list[BatchItem]:
        """Make all requests by `send`; return one outcome for each order. Does not raise."""
        outcomes: list[BatchItem] = []
        failed: BybitError | None = None
        for part in self.parts:
            orders = part.params["request"]
            if failed is not None:
                outcomes += [_not_sent(part.endpoint, wire, failed) for wire in orders]
                continue
            try:
                outcomes += send(part)
            except BybitError as error:
                failed = error
                outcomes += [_copy(error, wire) for wire in orders]
        return outcomes


def _batch(endpoint: Endpoint, wires: Sequence[Mapping[str, object]]) -> OrderBatch:
    parts = [
        SignedCall(
            endpoint,
            {"category": CATEGORY, "request": part},
            _parse_batch(endpoint, part),
            len(part),
        )
        for part in (wires[at : at + BATCH_SIZE] for at in range(0, len(wires), BATCH_SIZE))
    ]
    return OrderBatch(parts, parts[0] if parts else None)


def _of_one_order(endpoint: Endpoint, params: Mapping[str, object]) -> SignedCall[OrderAck]:
    told = {"category": CATEGORY, **params}
    return SignedCall(endpoint, told, lambda answer: _ack(told, answer.result, answer))


def _nothing(answer: Reply) -> None:
    """Accept any result: the code has told all."""


def _ack(wire: Mapping[str, object], row: Row, answer: Reply) -> OrderAck:
    """Read an acknowledgement, which has to be that of this order and of no other one."""
    for name in ("orderId", "orderLinkId"):
        asked, told = wire.get(name), row.opt_text(name)
        if asked and told and asked != told:
            raise row.bad(name, f"the answer belongs to {told}, asked was for {asked}")
    return OrderAck(
        order_id=row.text("orderId"),
        order_link_id=row.opt_text("orderLinkId"),
        time=answer.time,
    )


def _parse_batch(
    endpoint: Endpoint, wires: Sequence[Mapping[str, object]]
) -> Callable[[Reply], list[BatchItem]]:
    """Return the parser of a batch: result.list and retExtInfo.list belong together by index."""

    def parse(answer: Reply) -> list[BatchItem]:
        rows = list(answer.result.rows("list"))
        codes = list(answer.extra.rows("list"))
        if not len(rows) == len(codes) == len(wires):
            raise answer.extra.bad("list", f"{len(codes)} outcomes for {len(wires)} orders")
        return [
            _outcome(endpoint, wire, row, code, answer)
            for wire, row, code in zip(wires, rows, codes, strict=True)
        ]

    return parse


def _outcome(
    endpoint: Endpoint, wire: Mapping[str, object], row: Row, code: Row, answer: Reply
) -> BatchItem:
    number = code.integer("code")
    if number == 0:
        return _ack(wire, row, answer)
    message = str(code.fields().get("msg") or "")
    return error_for_code(number, message, endpoint=str(endpoint), request=wire, is_write=True)


def _copy(error: BybitError, wire: Mapping[str, object]) -> BybitError:
    """Return the error of a whole request as that of one of its orders."""
    copy = type(error)(error.message, code=error.code, endpoint=error.endpoint, request=wire)
    if isinstance(copy, RateLimited) and isinstance(error, RateLimited):
        copy.retry_at = error.retry_at
    return copy


def _not_sent(endpoint: Endpoint, wire: Mapping[str, object], failed: BybitError) -> BybitError:
    return ExchangeUnavailable(
        f"not sent: the request before it failed ({failed.message})",
        endpoint=str(endpoint),
        request=wire,
    )
