"""What a person does in the exchange's app while a program trades the same account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exchange_model.rules.codes import parameter_error
from gridcore import DirectionType, SideType
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import MarginMode, PaperAccount
from paper_exchange.book.order_request import parse_amend, parse_order
from paper_exchange.book.orders import PaperOrder
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.host import actions as do

HandAction = (
    do.SetMarginMode
    | do.SetLeverage
    | do.SwitchMode
    | do.PlaceOrder
    | do.AmendOrder
    | do.CancelOrder
    | do.CancelOrders
    | do.ClosePosition
)


class Hand:
    """Goes the way of every other order, without an order link id."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def run(self, action: HandAction) -> Row:
        """Carry out one action; return what there is to say. Raises RefusalError."""
        exchange = self._exchange
        account = exchange.account(action.account)
        match action:
            case do.SetMarginMode(mode=mode):
                exchange.options.set_margin_mode(account, MarginMode(mode))
            case do.SetLeverage(symbol=symbol, leverage=leverage):
                exchange.set_leverage(account, symbol, leverage)
            case do.SwitchMode(symbol=symbol, hedge=hedge):
                exchange.switch_mode(account, [symbol], hedge=hedge)
            case do.PlaceOrder():
                return {"order_id": self._place(account, action).order_id}
            case do.AmendOrder():
                return {"order_id": self._amend(account, action).order_id}
            case do.CancelOrder(symbol=symbol):
                order = self._chosen(account, action)
                exchange.cancel(account, symbol, order.order_id, "")
                return {"order_id": order.order_id}
            case do.CancelOrders(symbol=symbol, cancel_type=cancel_type):
                exchange.market(symbol)
                orders = exchange.cancel_all(account, [symbol], cancel_type)
                return {"cancelled": len(orders)}
            case do.ClosePosition(symbol=symbol, direction=direction, qty=qty):
                leg = DirectionType(direction)
                order = exchange.operator.close_by_hand(account, symbol, leg, qty)
                return {"order_id": order.order_id}
        return {}

    def _place(self, account: PaperAccount, action: do.PlaceOrder) -> PaperOrder:
        listing = self._exchange.market(action.symbol).listing
        params = {
            "side": action.side,
            "orderType": "Market" if action.price is None else "Limit",
            "qty": f"{action.qty:f}",
            "price": None if action.price is None else f"{action.price:f}",
            "positionIdx": 1 if action.direction == "long" else 2,
        }
        hedge_mode = account.book(listing).hedge_mode
        request = parse_order(params, listing, hedge_mode=hedge_mode)
        closes = request.direction.is_closing(SideType(action.side))
        usual = "CreateByClosing" if closes else "CreateByUser"
        request = replace(request, create_type=action.create_type or usual)
        return self._exchange.place(account, request)

    def _amend(self, account: PaperAccount, action: do.AmendOrder) -> PaperOrder:
        order = self._chosen(account, action)
        changes = {
            name: f"{value:f}"
            for name, value in (("price", action.price), ("qty", action.qty))
            if value is not None
        }
        listing = self._exchange.market(action.symbol).listing
        request = parse_amend(changes, listing)
        return self._exchange.amend(account, action.symbol, order.order_id, "", request)

    def _chosen(self, account: PaperAccount, action: do.AmendOrder | do.CancelOrder) -> PaperOrder:
        self._exchange.market(action.symbol)
        order = next(_fitting(account, action), None)
        if order is None:
            raise parameter_error(f"{account.name} has no such open order in {action.symbol}")
        return order


def _fitting(account: PaperAccount, action: do.AmendOrder | do.CancelOrder) -> Iterator[PaperOrder]:
    for order in account.orders_of(action.symbol):
        if (
            action.order_id in ("", order.order_id)
            and action.order_link_id in ("", order.link_id)
            and action.direction in (None, order.direction.value)
            and action.side in (None, order.side.value)
        ):
            yield order
