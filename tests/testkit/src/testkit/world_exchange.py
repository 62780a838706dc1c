"""The exchange of a small world: the true books of one account, and what it tells of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from gridcore import (
    AccountEvent,
    DirectionType,
    ExchangeOrderStatus,
    ExecutionEvent,
    LegSnapshot,
    LimitOrder,
    OpenOrdersEvent,
    OrderUpdateEvent,
    SideType,
    StrategyConfig,
    TickerEvent,
    WalletSnapshot,
)
from testkit.builders import START

ZERO = Decimal(0)
FEE_RATE = Decimal("0.0002")
REMEMBERED_STATES = 6


@dataclass
class ExchangeOrder:
    """One order as the exchange keeps it."""

    order_id: str
    link_id: str
    direction: DirectionType
    side: SideType
    price: Decimal
    qty: Decimal
    leaves: Decimal
    created: datetime
    reduce_only: bool


@dataclass
class ExchangeLeg:
    """One leg as the exchange keeps it."""

    size: Decimal = ZERO
    cost: Decimal = ZERO  # size x average entry
    updated: datetime = START
    seq: int = 0
    earlier: list[LegSnapshot] = field(default_factory=list)  # newest last

    @property
    def snapshot(self) -> LegSnapshot:
        """The row as a list of positions shows it now."""
        return LegSnapshot(
            size=self.size,
            entry_price=self.entry if self.size else None,
            updated_ts=self.updated,
            seq=self.seq,
        )

    def changed(self, now: datetime, seq: int) -> None:
        """Note a change that has just been made."""
        self.updated, self.seq = now, seq

    def remember(self) -> None:
        """Keep the present row, before a change."""
        self.earlier = [*self.earlier, self.snapshot][-REMEMBERED_STATES:]

    @property
    def entry(self) -> Decimal:
        return self.cost / self.size


class WorldExchange:
    """The books of one account on one symbol. `margin_elsewhere` is what others hold, USDT."""

    def __init__(self, config: StrategyConfig, wallet: Decimal, rng: random.Random) -> None:
        self._symbol = config.symbol
        self._instrument = config.instrument
        self.leverage = config.leverage
        self._rng = rng
        self.now = START
        self.wallet = wallet
        self.margin_elsewhere = ZERO
        self.orders: dict[str, ExchangeOrder] = {}
        self.legs = {direction: ExchangeLeg() for direction in DirectionType}
        self.executions: list[ExecutionEvent] = []
        self.orders_made = 0  # ever
        self._seq = 0

    def new_order(
        self,
        name: str,
        direction: DirectionType,
        side: SideType,
        price: Decimal,
        qty: Decimal,
        *,
        link_id: str = "",
        reduce_only: bool = False,
    ) -> ExchangeOrder:
        """Return an order that does not rest yet; the next number goes behind `name`.

        `link_id` gets the number too, in hexadecimal; without one an order is somebody else's.
        """
        self.orders_made += 1
        return ExchangeOrder(
            order_id=f"{name}{self.orders_made}",
            link_id=f"{link_id}-{self.orders_made:x}" if link_id else "",
            direction=direction,
            side=side,
            price=price,
            qty=qty,
            leaves=qty,
            created=self.now,
            reduce_only=reduce_only,
        )

    def fill(self, order: ExchangeOrder, qty: Decimal) -> ExecutionEvent:
        """Fill a part of an order, or all that is left of it."""
        order.leaves -= qty
        leg = self.legs[order.direction]
        leg.remember()
        self._seq += 1
        leg.changed(self.now, self._seq)
        pnl = ZERO
        if order.reduce_only:
            move = order.price - leg.entry
            pnl = qty * (move if order.direction is DirectionType.LONG else -move)
            leg.cost -= qty * leg.entry
            leg.size -= qty
        else:
            leg.cost += qty * order.price
            leg.size += qty
        fee = qty * order.price * FEE_RATE
        self.wallet += pnl - fee
        execution = ExecutionEvent(
            symbol=self._symbol,
            exchange_ts=self.now,
            local_ts=self.now,
            exec_id=f"x{len(self.executions)}",
            order_id=order.order_id,
            order_link_id=order.link_id,
            side=order.side,
            price=order.price,
            qty=qty,
            fee=fee,
            closed_pnl=pnl if order.reduce_only else None,
            closed_size=qty if order.reduce_only else ZERO,
            leaves_qty=order.leaves,
            seq=self._seq,
        )
        self.executions.append(execution)
        if not order.leaves:
            self.orders.pop(order.order_id, None)
        return execution

    # what it tells

    def ticker(self, price: Decimal) -> TickerEvent:
        """Return the present ticker."""
        return TickerEvent(
            symbol=self._symbol, exchange_ts=self.now, local_ts=self.now, last_price=price
        )

    def update(self, order: ExchangeOrder, status: ExchangeOrderStatus) -> OrderUpdateEvent:
        """Return the state of an order as the order stream tells it."""
        gone = status is ExchangeOrderStatus.CANCELLED
        return OrderUpdateEvent(
            symbol=self._symbol,
            exchange_ts=self.now,
            local_ts=self.now,
            order_id=order.order_id,
            order_link_id=order.link_id,
            status=status,
            side=order.side,
            price=order.price,
            qty=order.qty,
            # the exchange reports nothing left of a cancelled order
            leaves_qty=ZERO if gone else order.leaves,
            reduce_only=order.reduce_only,
        )

    def account_report(self, *directions: DirectionType, lag: float = 0.0) -> AccountEvent:
        """Return the state of some legs, with the wallet; what is asked for may lag."""
        legs = {}
        for direction in directions:
            leg = self.legs[direction]
            lags = lag and leg.earlier and self._rng.random() < lag
            legs[direction] = self._rng.choice(leg.earlier) if lags else leg.snapshot
        return AccountEvent(
            symbol=self._symbol,
            exchange_ts=self.now,
            local_ts=self.now,
            long=legs.get(DirectionType.LONG),
            short=legs.get(DirectionType.SHORT),
            wallet=WalletSnapshot(wallet_balance=self.wallet, available_balance=self.available()),
        )

    def open_orders(self) -> OpenOrdersEvent:
        """Return the exchange's list of open orders."""
        return OpenOrdersEvent(
            symbol=self._symbol,
            exchange_ts=self.now,
            local_ts=self.now,
            orders=tuple(
                LimitOrder(
                    order_id=order.order_id,
                    order_link_id=order.link_id,
                    direction=order.direction,
                    side=order.side,
                    price_ticks=self._instrument.to_ticks(order.price),
                    qty=order.qty,
                    leaves_qty=order.leaves,
                    age_rank=int(order.created.timestamp() * 1000),
                    created_ts=order.created,
                )
                for order in self.orders.values()
            ),
        )

    def closing_qty(self, direction: DirectionType) -> Decimal:
        """Return the resting closing quantity (base coin) of a leg at the exchange."""
        return sum(
            (o.leaves for o in self.orders.values() if o.direction is direction and o.reduce_only),
            ZERO,
        )

    def used_margin(self) -> Decimal:
        """Return the margin (USDT) of legs and opening orders at the exchange."""
        cost = sum((leg.cost for leg in self.legs.values()), ZERO)
        opening = sum((o.leaves * o.price for o in self.orders.values() if not o.reduce_only), ZERO)
        return (cost + opening) / self.leverage

    def available(self) -> Decimal:
        """Return the available balance (USDT) that the exchange reports."""
        return self.wallet - self.used_margin() - self.margin_elsewhere
