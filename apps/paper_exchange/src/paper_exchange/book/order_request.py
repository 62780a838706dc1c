"""What a client asks for: parameters as they come over the wire, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from exchange_model.rules.codes import parameter_error
from exchange_model.rules.contract import check_price, check_qty
from gridcore import DirectionType, SideType
from paper_exchange.book.orders import OrderType, TimeInForce
from paper_exchange.market.listing import Listing

Kind = TypeVar("Kind", bound=StrEnum)

LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
UNSUPPORTED = (
    "triggerPrice", "takeProfit", "stopLoss", "tpLimitPrice", "slLimitPrice", "orderIv", "mmp",
    "slippageTolerance", "bboSideType",
)  # fmt: skip
LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order to place. `price` is None for a market order, `qty` 0 to close all there is."""

    symbol: str
    side: SideType
    order_type: OrderType
    time_in_force: TimeInForce
    direction: DirectionType
    price: Decimal | None
    qty: Decimal
    link_id: str
    reduce_only: bool
    close_on_trigger: bool
    create_type: str = "CreateByUser"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendRequest:
    """What changes of an order: price in USDT, qty the new total in base coin; None stays."""

    price: Decimal | None
    qty: Decimal | None


def parse_order(params: Mapping[str, Any], listing: Listing, *, hedge_mode: bool) -> OrderRequest:
    """Return the order that the parameters of order/create describe. Raises RefusalError."""
    side = _member(params, "side", SideType)
    order_type = _member(params, "orderType", OrderType)
    for name in UNSUPPORTED:
        if _text(params, name) not in ("", "0"):
            raise parameter_error(f"{name} is not supported by this exchange")
    direction = parse_leg(params, hedge_mode=hedge_mode)
    reduce_only = parse_flag(params, "reduceOnly")
    close = parse_flag(params, "closeOnTrigger")
    qty = parse_number(params, "qty")
    if qty is None:
        raise parameter_error("qty is missing")
    if qty or not (reduce_only and close):
        is_market = order_type is OrderType.MARKET
        check_qty(qty, listing.instrument, listing.limits, is_market=is_market, splits=reduce_only)
    price: Decimal | None = None
    time_in_force = TimeInForce.IOC
    if order_type is OrderType.LIMIT:
        price = parse_number(params, "price")
        if price is None:
            raise parameter_error("price is missing; a Limit order has one")
        check_price(price, listing.instrument, listing.limits)
        time_in_force = TimeInForce.GTC
        if _text(params, "timeInForce"):
            time_in_force = _member(params, "timeInForce", TimeInForce)
    return OrderRequest(
        symbol=listing.symbol,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        direction=direction,
        price=price,
        qty=qty,
        link_id=parse_link_id(params),
        reduce_only=reduce_only,
        close_on_trigger=close,
    )


def parse_amend(params: Mapping[str, Any], listing: Listing) -> AmendRequest:
    """Return the change that the parameters of order/amend describe. Raises RefusalError."""
    for name in UNSUPPORTED:
        if _text(params, name) not in ("", "0"):
            raise parameter_error(f"{name} is not supported by this exchange")
    price, qty = parse_number(params, "price"), parse_number(params, "qty")
    if price is not None:
        check_price(price, listing.instrument, listing.limits)
    if qty is not None:
        check_qty(qty, listing.instrument, listing.limits, is_market=False, splits=False)
    if price is None and qty is None:
        raise parameter_error("order not modified; give a price or a qty")
    return AmendRequest(price=price, qty=qty)


def parse_link_id(params: Mapping[str, Any]) -> str:
    """Return the order link id, "" without one. Raises RefusalError."""
    link_id = _text(params, "orderLinkId")
    if link_id and not LINK_ID.fullmatch(link_id):
        raise parameter_error("orderLinkId has up to 36 letters, digits, - and _")
    return link_id


def parse_leg(params: Mapping[str, Any], *, hedge_mode: bool) -> DirectionType:
    """Return the leg that positionIdx names. Raises RefusalError outside of hedge mode."""
    index = _text(params, "positionIdx") or "0"
    if index not in ("0", "1", "2"):
        raise parameter_error(f"positionIdx {index[:20]!r}; it is 1 or 2 in hedge mode")
    if not hedge_mode:
        raise parameter_error(
            "position idx not match position mode; this exchange trades in hedge mode only,"
            " switch-mode with mode 3 first"
        )
    if index == "0":
        raise parameter_error("position idx not match position mode")
    return DirectionType.LONG if index == "1" else DirectionType.SHORT


def parse_flag(params: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, False when it is absent. Raises RefusalError."""
    value = params.get(name)
    if value is None or value == "":
        return False
    text = str(value).lower()
    if text not in ("true", "false"):
        raise parameter_error(f"{name} is {str(value)[:20]!r}; it is true or false")
    return text == "true"


def parse_number(params: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a number, None when it is absent or empty. Raises RefusalError."""
    value = params.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise parameter_error(f"{name} is no number; write it as a string")
    text = str(value)
    try:
        number = Decimal(text) if len(text) <= LONGEST_NUMBER else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or not -30 < number.adjusted() < 30:
        raise parameter_error(f"{name} {text[:LONGEST_NUMBER]!r} is no number")
    if number < 0:
        raise parameter_error(f"{name} {text} is below zero")
    return number


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise parameter_error(f"{name} is no text")
    return str(value)


def _member(params: Mapping[str, Any], name: str, kind: type[Kind]) -> Kind:
    text = _text(params, name)
    for member in kind:
        if member.value == text:
            return member
    allowed = ", ".join(member.value for member in kind)
    raise parameter_error(f"{name} {text[:20]!r} invalid; it is one of {allowed}")
