"""One order of an account.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Row, ms_of_time
from bybit_adapter.records.execution_type import is_created_by_exchange
from bybit_adapter.records.tags import NO_TAGS, Tags
from gridcore import (
    DirectionType,
    ExchangeOrderStatus,
    LimitOrder,
    OpenOrdersEvent,
    OrderUpdateEvent,
    SideType,
)
from gridcore.instrument import floor_ceil_ticks

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order at `updated`, its last change.

    status is the exchange's word. price is None for a market order. direction is None outside
    hedge mode. Fills are in cum_exec_qty: of a cancelled order leaves_qty says 0.
    """

    symbol: str
    order_id: str
    order_link_id: str | None
    side: SideType
    direction: DirectionType | None
    order_type: str
    time_in_force: str | None
    status: str
    price: Decimal | None
    qty: Decimal
    leaves_qty: Decimal | None
    cum_exec_qty: Decimal | None
    cum_exec_value: Decimal | None
    avg_price: Decimal | None
    cum_fees: Mapping[str, Decimal]  # coin -> what was paid in it; empty before the first fill
    reduce_only: bool
    trigger_price: Decimal | None
    stop_order_type: str | None
    create_type: str | None
    cancel_type: str | None
    reject_reason: str | None
    closed_pnl: Decimal | None
    created: datetime | None
    updated: datetime
    raw_json: str = field(repr=False)

    @property
    def is_forced(self) -> bool:
        """Whether the exchange made it: a liquidation, an ADL, a settlement."""
        return is_created_by_exchange(self.create_type)

    @property
    def is_open(self) -> bool:
        """Whether it can still fill. A status that is new to us counts as open."""
        try:
            return ExchangeOrderStatus(self.status).is_live
        except ValueError:
            return True

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> OrderUpdateEvent | None:
        """Return the strategy's event; None for an order without a quantity of its own.

        Such an order closes what a leg holds when it triggers. Raises InvalidEventError for an
        unknown status.
        """
        if not self.qty:
            return None
        leaves = self.leaves_qty
        return OrderUpdateEvent(
            symbol=self.symbol,
            exchange_ts=self.updated,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            order_id=self.order_id,
            order_link_id=self.order_link_id or "",
            status=self.status,  # type: ignore[arg-type]  # the event turns it into its enum
            side=self.side,
            price=ZERO if self.price is None else self.price,
            qty=self.qty,
            # An order that has ended has nothing left, also where the exchange leaves it empty.
            leaves_qty=ZERO if leaves is None and not self.is_open else leaves,  # type: ignore[arg-type]  # the event refuses None
            reduce_only=self.reduce_only,
        )

    def to_limit_order(self, tick_size: Decimal) -> LimitOrder:
        """Return the order as the strategy's book knows it; tick_size in USDT.

        Raises ValueError for an order that is no plain limit order of a hedge-mode leg.
        """
        if self.price is None or self.direction is None or self.leaves_qty is None:
            raise ValueError(
                f"order {self.order_id}: type {self.order_type}, price {self.price}, leg"
                f" {self.direction}, leaves {self.leaves_qty}; a resting limit order has all"
            )
        below, above = floor_ceil_ticks(self.price, tick_size)
        return LimitOrder(
            order_id=self.order_id,
            order_link_id=self.order_link_id or "",
            direction=self.direction,
            side=self.side,
            price_ticks=below,
            qty=self.qty,
            leaves_qty=self.leaves_qty,
            age_rank=0 if self.created is None else ms_of_time(self.created),
            created_ts=self.created,
            updated_ts=self.updated,
            # an order may rest between two ticks after the tick size changed
            price=None if below == above else self.price,
        )

    @property
    def is_resting_limit(self) -> bool:
        """Whether it is an open limit order on the book, neither conditional nor a market order."""
        return (
            self.order_type == "Limit"
            and self.price is not None
            and self.is_open
            and self.status != ExchangeOrderStatus.UNTRIGGERED
        )


def open_orders_event(
    symbol: str,
    orders: Iterable[Order],
    *,
    tick_size: Decimal,
    as_of: datetime,
    local_ts: datetime,
    tags: Tags = NO_TAGS,
) -> OpenOrdersEvent:
    """Return the resting limit orders of `symbol` as one event; conditional ones are left out."""
    return OpenOrdersEvent(
        symbol=symbol,
        exchange_ts=as_of,
        local_ts=local_ts,
        user_id=tags.user_id,
        account_id=tags.account_id,
        run_id=tags.run_id,
        orders=tuple(
            order.to_limit_order(tick_size)
            for order in orders
            if order.symbol == symbol and order.is_resting_limit
        ),
    )


def parse_order(row: Row) -> Order:
    """Parse one order of the stream, of the open orders or of the history."""
    order_type = row.text("orderType")
    return Order(
        symbol=row.text("symbol"),
        order_id=row.text("orderId"),
        order_link_id=row.opt_text("orderLinkId"),
        side=row.side("side"),
        direction=row.leg("positionIdx"),
        order_type=order_type,
        time_in_force=row.opt_text("timeInForce"),
        status=row.text("orderStatus"),
        # A market order has no price of its own; Bybit shows 0 or its internal limit.
        price=row.price("price") if order_type == "Limit" else row.opt_price("price"),
        qty=row.size("qty"),
        leaves_qty=row.opt_size("leavesQty"),
        cum_exec_qty=row.opt_size("cumExecQty"),
        cum_exec_value=row.opt_size("cumExecValue"),
        avg_price=row.opt_price("avgPrice"),
        cum_fees=_fees_by_coin(row),
        reduce_only=row.flag("reduceOnly"),
        trigger_price=row.opt_price("triggerPrice"),
        stop_order_type=row.opt_text("stopOrderType", "UNKNOWN"),
        create_type=row.opt_text("createType", "UNKNOWN"),
        cancel_type=row.opt_text("cancelType", "UNKNOWN"),
        reject_reason=row.opt_text("rejectReason", "EC_NoError"),
        closed_pnl=row.opt_number("closedPnl"),
        created=row.opt_time("createdTime"),
        updated=row.time("updatedTime"),
        raw_json=row.raw_json(),
    )


def _fees_by_coin(row: Row) -> dict[str, Decimal]:
    if not row.has("cumFeeDetail"):
        return {}
    detail = row.child("cumFeeDetail")
    paid = {coin: detail.opt_number(coin) for coin in detail.fields()}
    return {coin: fee for coin, fee in paid.items() if fee is not None}
