"""Orders and settings of one account, over REST. Nothing here is ever sent twice by itself."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from bybit_adapter.basics.errors import NotModified
from bybit_adapter.http.wire import SignedCall, Wire
from bybit_adapter.records.requests import BatchItem, OrderAck, OrderKey, PlaceRequest
from bybit_adapter.rest import commands


class TradeCalls:
    """The writing part of the REST client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def place_order(self, order: PlaceRequest) -> OrderAck:
        """Place one order.

        Raises OrderRejected and its kinds for a refusal, DuplicateOrderLinkId, RateLimited or
        ExchangeUnavailable when nothing was placed, AmbiguousResult when it may rest.
        """
        return self._wire.send(commands.place_order(order))

    def amend_order(
        self, key: OrderKey, *, qty: Decimal | None = None, price: Decimal | None = None
    ) -> OrderAck:
        """Change the total quantity (base coin) or the price (USDT) of an open order."""
        return self._wire.send(commands.amend_order(key, qty=qty, price=price))

    def cancel_order(self, key: OrderKey) -> OrderAck:
        """Cancel one order. Raises OrderNotFound when it is gone already."""
        return self._wire.send(commands.cancel_order(key))

    def cancel_all_orders(self, symbol: str) -> list[OrderAck]:
        """Cancel every limit order of a symbol; return those whose cancel was accepted.

        Conditional orders stay: a stop loss somebody set by hand is not ours to take away. Bybit
        takes 500 at once: repeat until the list is empty.
        """
        return self._wire.send(commands.cancel_all_orders(symbol))

    def place_batch(self, orders: Sequence[PlaceRequest]) -> list[BatchItem]:
        """Place any number of orders, ten to a request; one outcome each, in their order."""
        return commands.place_batch(orders).run(self._wire.send)

    def cancel_batch(self, keys: Sequence[OrderKey]) -> list[BatchItem]:
        """Cancel any number of orders, ten to a request; one outcome each, in their order."""
        return commands.cancel_batch(keys).run(self._wire.send)

    def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of both legs; fine when it is that already."""
        self._set(commands.set_leverage(symbol, leverage))

    def switch_position_mode(self, symbol: str, *, hedge: bool = True) -> None:
        """Switch a symbol to hedge mode or back; fine when it is in it already.

        Raises SettingRefused while it has a position or orders.
        """
        self._set(commands.switch_position_mode(symbol, hedge=hedge))

    def set_dcp(self, time_window_s: int) -> None:
        """Arm disconnect-cancel-all: 3 to 300 s. Bybit gives it to institutional accounts only."""
        self._set(commands.set_dcp(time_window_s))

    def _set(self, command: SignedCall[None]) -> None:
        try:
            self._wire.send(command)
        except NotModified:
            return
