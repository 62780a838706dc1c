"""From intents to the simulated exchange, and its answers back as events.

A command arrives `latency_us` after it was sent. What is refused, truncated or cancelled then is in
`exchange_model.rules`; this carries it out and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.fills.fill_simulator import FillModel
from exchange_model.gateway.last_price import LastPriceMarket
from exchange_model.orders.order_manager import BacktestOrderManager, SimulatedOrder
from exchange_model.rules.codes import RefusalError
from exchange_model.rules.contract import ContractLimits
from exchange_model.rules.placing import OrderRules
from exchange_model.rules.prices import takes
from exchange_model.rules.shrinking import closing_cuts
from gridcore import (
    CancelIntent,
    CancelOutcome,
    CancelResultEvent,
    DirectionType,
    Event,
    ExchangeOrderStatus,
    Intent,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    StrategyConfig,
)
from gridcore.moments import moment
from gridcore.refusal_codes import reason_of
from gridcore.sides import BUY

ACCEPTED: Final = PlaceOutcome.ACCEPTED
REJECTED: Final = PlaceOutcome.REJECTED


class BacktestExecutor:
    """Carries the commands of one strategy, in order."""

    def __init__(
        self,
        config: StrategyConfig,
        account: SimulatedAccount,
        orders: BacktestOrderManager,
        fill_model: FillModel,
        latency_us: int = 0,
        limits: ContractLimits | None = None,
    ) -> None:
        """Without `limits` what only the exchange publishes is not checked."""
        self.config = config
        self.account = account
        self.orders = orders
        self.fill_model = fill_model
        self.latency_us = latency_us
        self.rules = OrderRules(config.instrument, limits)
        self._market = LastPriceMarket(orders.pair)
        self._strat_id = config.strat_id
        self.placed = 0
        self.cancelled = 0
        self.rejected = 0
        self._on_the_way: deque[tuple[int, Intent]] = deque()

    def submit(self, intents: Iterable[Intent], ts_us: int, price_ticks: int) -> list[Event]:
        """Send intents at `ts_us`; return the answers that are there already."""
        if self.latency_us:
            self._on_the_way.extend((ts_us + self.latency_us, intent) for intent in intents)
            return []
        answers: list[Event] = []
        ts = moment(ts_us)
        for intent in intents:
            self._carry_out(intent, ts, price_ticks, answers)
        return answers

    @property
    def next_arrival_us(self) -> int | None:
        """When the next command arrives, None when none is on its way."""
        return self._on_the_way[0][0] if self._on_the_way else None

    def arrive(self, ts_us: int, price_ticks: int) -> list[Event]:
        """Carry out what has arrived until `ts_us`; return the answers."""
        answers: list[Event] = []
        while self._on_the_way and self._on_the_way[0][0] <= ts_us:
            due_us, intent = self._on_the_way.popleft()
            self._carry_out(intent, moment(due_us), price_ticks, answers)
        return answers

    def forget(self) -> None:
        """Drop what is on its way and what rests: the account trades no more."""
        self._on_the_way.clear()
        for order_id in list(self.orders.orders):
            self.orders.remove(order_id)

    def order_id_for(self, client_order_id: str) -> str:
        """Return the id that the simulated exchange gives to the order placed just now."""
        return f"{self._strat_id}-o{self.placed}"

    def _carry_out(
        self, intent: Intent, ts: datetime, price_ticks: int, answers: list[Event]
    ) -> None:
        if isinstance(intent, CancelIntent):
            self._cancel(intent, ts, answers)
        else:
            self._place(intent, ts, price_ticks, answers)

    def _place(
        self, intent: PlaceLimitIntent, ts: datetime, price_ticks: int, answers: list[Event]
    ) -> None:
        self.placed += 1
        order_id = self.order_id_for(intent.client_order_id)
        try:
            self.rules.check(intent)
            qty, price, margin, closing = self.rules.admit(
                self.account, self.orders, self._market, intent
            )
        except RefusalError as refusal:
            self.rejected += 1
            answers.append(
                PlaceResultEvent(
                    symbol=intent.symbol,
                    exchange_ts=ts,
                    local_ts=ts,
                    client_order_id=intent.client_order_id,
                    outcome=REJECTED,
                    reject_reason=reason_of(refusal.code),
                    message=f"{refusal.message} (code {refusal.code})",
                )
            )
            return
        ticks = self.config.instrument.to_ticks(price)
        opposite = price_ticks + 1 if intent.side is BUY else price_ticks - 1
        order = SimulatedOrder(
            order_id=order_id,
            client_order_id=intent.client_order_id,
            direction=intent.direction,
            side=intent.side,
            price_ticks=ticks,
            price=price,
            qty=qty,
            leaves_qty=qty,
            reduce_only=closing,
            margin=margin,
            level=intent.grid_level,
            takes=takes(intent.side, ticks, opposite),
        )
        answers.append(
            PlaceResultEvent(
                symbol=intent.symbol,
                exchange_ts=ts,
                local_ts=ts,
                client_order_id=intent.client_order_id,
                outcome=ACCEPTED,
                order_id=order_id,
                order_link_id=intent.client_order_id,
            )
        )
        if order.takes and intent.post_only:
            answers.append(self._update(order, ts, ExchangeOrderStatus.CANCELLED))
            return
        self.fill_model.rest(order)
        self.orders.add(order)
        if qty is not intent.qty or price is not intent.price:
            # an order that is what was asked for is known by the answer
            answers.append(self._update(order, ts, ExchangeOrderStatus.NEW))

    def leg_shrank(self, direction: DirectionType, ts_us: int) -> list[Event]:
        """Cut or cancel closing orders that the leg does not cover; return what is told of it."""
        excess = -self.orders.closing_budget(direction)
        if excess <= 0:
            return []
        ts = moment(ts_us)
        resting = [
            order
            for order in self.orders.orders.values()
            if order.reduce_only and order.direction is direction
        ]
        told: list[Event] = []
        for order, lost in closing_cuts(resting, direction, excess):
            if lost == order.leaves_qty:
                self.orders.remove(order.order_id)
                self.cancelled += 1
                told.append(self._update(order, ts, ExchangeOrderStatus.CANCELLED))
                continue
            self.orders.reduce(order, lost)
            order.qty -= lost
            filled = order.qty > order.leaves_qty
            told.append(
                self._update(
                    order,
                    ts,
                    ExchangeOrderStatus.PARTIALLY_FILLED if filled else ExchangeOrderStatus.NEW,
                )
            )
        return told

    def _cancel(self, intent: CancelIntent, ts: datetime, answers: list[Event]) -> None:
        order = self.orders.remove(intent.order_id)
        answers.append(
            CancelResultEvent(
                symbol=intent.symbol,
                exchange_ts=ts,
                local_ts=ts,
                order_id=intent.order_id,
                outcome=CancelOutcome.GONE if order is None else CancelOutcome.ACCEPTED,
            )
        )
        if order is not None:
            self.cancelled += 1
            answers.append(self._update(order, ts, ExchangeOrderStatus.CANCELLED))

    def _update(
        self, order: SimulatedOrder, ts: datetime, status: ExchangeOrderStatus
    ) -> OrderUpdateEvent:
        return OrderUpdateEvent(
            symbol=self.config.symbol,
            exchange_ts=ts,
            local_ts=ts,
            order_id=order.order_id,
            order_link_id=order.client_order_id,
            status=status,
            side=order.side,
            price=order.price,
            qty=order.qty,
            leaves_qty=order.leaves_qty,
            reduce_only=order.reduce_only,
        )
