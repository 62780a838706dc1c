"""Orders and settings of one account, over REST. Nothing here is ever sent twice by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from bybit_adapter.basics.errors import (
    BybitError,
    ExchangeUnavailable,
    NotModified,
    RateLimited,
    error_for_code,
)
from bybit_adapter.basics.row import Row
from bybit_adapter.records.normalizer import CATEGORY
from bybit_adapter.records.requests import (
    BatchItem,
    OrderAck,
    OrderKey,
    PlaceRequest,
    wire_number,
)
from bybit_adapter.wire import endpoints
from bybit_adapter.wire.caller import Caller
from bybit_adapter.wire.endpoints import Endpoint
from bybit_adapter.wire.transport import Answer

BATCH_SIZE = 10  # orders in one request; more than the per-second limit would fail in part


class TradeCalls:
    """The writing part of the REST client."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def place_order(self, order: PlaceRequest) -> OrderAck:
        """Place one order.

        Raises OrderRejected and its kinds for a refusal, DuplicateOrderLinkId, RateLimited or
        ExchangeUnavailable when nothing was placed, AmbiguousResult when it may rest.
        """
        params = {"category": CATEGORY, **order.to_wire()}
        return self._caller.write(endpoints.PLACE, params, _parse_ack(params))

    def amend_order(
        self, key: OrderKey, *, qty: Decimal | None = None, price: Decimal | None = None
    ) -> OrderAck:
        """Change the total quantity (base coin) or the price (USDT) of an open order."""
        if qty is None and price is None:
            raise ValueError("give a new qty or price; Bybit refuses an amend that changes nothing")
        params = {
            "category": CATEGORY,
            **key.to_wire(),
            "qty": None if qty is None else wire_number(qty),
            "price": None if price is None else wire_number(price),
        }
        return self._caller.write(endpoints.AMEND, params, _parse_ack(params))

    def cancel_order(self, key: OrderKey) -> OrderAck:
        """Cancel one order. Raises OrderNotFound when it is gone already."""
        params = {"category": CATEGORY, **key.to_wire()}
        return self._caller.write(endpoints.CANCEL, params, _parse_ack(params))

    def cancel_all_orders(self, symbol: str) -> list[OrderAck]:
        """Cancel every limit order of a symbol; return those whose cancel was accepted.

        Conditional orders stay: a stop loss somebody set by hand is not ours to take away. Bybit
        takes 500 at once: repeat until the list is empty.
        """
        params = {"category": CATEGORY, "symbol": symbol, "orderFilter": "Order"}
        return self._caller.write(
            endpoints.CANCEL_ALL,
            params,
            lambda answer: [_ack({}, row, answer) for row in answer.result.rows("list")],
        )

    def place_batch(self, orders: Sequence[PlaceRequest]) -> list[BatchItem]:
        """Place any number of orders, ten to a request; one outcome each, in their order."""
        return self._batch(endpoints.PLACE_BATCH, [order.to_wire() for order in orders])

    def cancel_batch(self, keys: Sequence[OrderKey]) -> list[BatchItem]:
        """Cancel any number of orders, ten to a request; one outcome each, in their order."""
        return self._batch(endpoints.CANCEL_BATCH, [key.to_wire() for key in keys])

    def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of both legs; fine when it is that already."""
        text = wire_number(leverage)
        params = {
            "category": CATEGORY,
            "symbol": symbol,
            "buyLeverage": text,
            "sellLeverage": text,
        }
        self._set(endpoints.SET_LEVERAGE, params)

    def switch_position_mode(self, symbol: str, *, hedge: bool = True) -> None:
        """Switch a symbol to hedge mode or back; fine when it is in it already.

        Raises SettingRefused while it has a position or orders.
        """
        params = {"category": CATEGORY, "symbol": symbol, "mode": 3 if hedge else 0}
        self._set(endpoints.SWITCH_MODE, params)

    def set_dcp(self, time_window_s: int) -> None:
        """Arm disconnect-cancel-all: 3 to 300 s. Bybit gives it to institutional accounts only."""
        params = {"product": "DERIVATIVES", "timeWindow": time_window_s}
        self._set(endpoints.SET_DCP, params)

    def _set(self, endpoint: Endpoint, params: Mapping[str, object]) -> None:
        try:
            self._caller.write(endpoint, params, _nothing)
        except NotModified:
            return

    def _batch(self, endpoint: Endpoint, wires: list[dict[str, object]]) -> list[BatchItem]:
        outcomes: list[BatchItem] = []
        failed: BybitError | None = None
        for start in range(0, len(wires), BATCH_SIZE):
            part = wires[start : start + BATCH_SIZE]
            if failed is not None:
                outcomes += [_not_sent(endpoint, wire, failed) for wire in part]
                continue
            try:
                outcomes += self._caller.write(
                    endpoint,
                    {"category": CATEGORY, "request": part},
                    _parse_batch(endpoint, part),
                    cost=len(part),
                )
            except BybitError as error:
                failed = error
                outcomes += [_copy(error, wire) for wire in part]
        return outcomes


def _nothing(answer: Answer) -> None:
    """Accept any result: the code has told all."""


def _parse_ack(wire: Mapping[str, object]) -> Callable[[Answer], OrderAck]:
    return lambda answer: _ack(wire, answer.result, answer)


def _ack(wire: Mapping[str, object], row: Row, answer: Answer) -> OrderAck:
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
    endpoint: Endpoint, wires: list[dict[str, object]]
) -> Callable[[Answer], list[BatchItem]]:
    """Return the parser of a batch: result.list and retExtInfo.list belong together by index."""

    def parse(answer: Answer) -> list[BatchItem]:
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
    endpoint: Endpoint, wire: dict[str, object], row: Row, code: Row, answer: Answer
) -> BatchItem:
    number = code.integer("code")
    if number == 0:
        return _ack(wire, row, answer)
    message = str(code.fields().get("msg") or "")
    return error_for_code(number, message, endpoint=str(endpoint), request=wire, is_write=True)


def _copy(error: BybitError, wire: dict[str, object]) -> BybitError:
    """Return the error of a whole request as that of one of its orders."""
    copy = type(error)(error.message, code=error.code, endpoint=error.endpoint, request=wire)
    if isinstance(copy, RateLimited) and isinstance(error, RateLimited):
        copy.retry_at = error.retry_at
    return copy


def _not_sent(endpoint: Endpoint, wire: dict[str, object], failed: BybitError) -> BybitError:
    return ExchangeUnavailable(
        f"not sent: the request before it failed ({failed.message})",
        endpoint=str(endpoint),
        request=wire,
    )
