"""A small world for one strategy: an exchange whose answers come late, twice, in any order.

The exchange's own books are the truth. The strategy only sees messages, and the world decides when
each arrives. After every event the invariants of the strategy are checked against the truth, not
against what the strategy believes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from gridcore import (
    AcceptSize,
    AccountEvent,
    AdoptRules,
    CancelAll,
    CancelIntent,
    CancelOutcome,
    CancelResultEvent,
    Command,
    Decision,
    DirectionType,
    Event,
    ExchangeOrderStatus,
    ExecutionEvent,
    GridStrategy,
    Hold,
    Intent,
    LegSnapshot,
    LimitOrder,
    Message,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    Reconfirm,
    RejectReason,
    Release,
    ResetLossBreaker,
    ResetReduceOnly,
    ResetSameOrder,
    SideType,
    StrategyConfig,
    TickerEvent,
    WalletSnapshot,
)
from testkit.builders import START

ZERO = Decimal(0)
FEE_RATE = Decimal("0.0002")


class InvariantError(AssertionError):
    """A promise of the strategy that did not hold."""


@dataclass(frozen=True)
class Faults:
    """How unkind the exchange is; probabilities per command or message."""

    reject: float = 0.0
    fail: float = 0.0  # the command certainly never arrived
    cancel_fail: float = 0.0
    no_position: float = 0.0  # of closing orders: refused, as if the leg held nothing
    duplicate: float = 0.0
    lose: float = 0.0  # of stream messages; commands are always answered
    partial: float = 0.0
    lag: float = 0.0  # of answers to questions: the row is as it was before the last changes
    by_hand: float = 0.0  # per step: somebody trades on the account
    foreign: float = 0.0  # per step: somebody lets an order rest, or takes one off
    operator: float = 0.0  # per step: a person gives the strategy a command
    in_order: bool = False  # deliver messages as they were sent


KIND = Faults(in_order=True)
UNKIND = Faults(reject=0.03, fail=0.02, cancel_fail=0.03, duplicate=0.05, lose=0.03, partial=0.3)
UNTRUE = replace(UNKIND, lag=0.4, by_hand=0.003)
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


@dataclass
class World:
    """One strategy, one exchange, and everything that is on its way between them."""

    rng: random.Random
    config: StrategyConfig
    faults: Faults = KIND
    wallet: Decimal = Decimal(10_000)
    price_ticks: int = 600_000
    volatility_ticks: int = 150
    now: datetime = START
    strategy: GridStrategy = field(init=False)
    orders: dict[str, ExchangeOrder] = field(default_factory=dict)
    legs: dict[DirectionType, ExchangeLeg] = field(
        default_factory=lambda: {direction: ExchangeLeg() for direction in DirectionType}
    )
    commands: list[Intent] = field(default_factory=list)
    messages: list[Event] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)
    executions: list[ExecutionEvent] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    events: int = 0
    _next_id: int = 0
    _seq: int = 0

    def __post_init__(self) -> None:
        self.strategy = GridStrategy(self.config)

    # the market moves, the exchange works

    def step(self) -> None:
        """Let one thing happen."""
        self.now += timedelta(milliseconds=self.rng.randint(1, 400))
        if self.faults.by_hand and self.rng.random() < self.faults.by_hand:
            self.trade_by_hand()
        if self.faults.foreign and self.rng.random() < self.faults.foreign:
            self.order_by_hand()
        if self.faults.operator and self.rng.random() < self.faults.operator:
            self.operate()
        choices = ["tick"]
        choices += ["command"] * (2 if self.commands else 0)
        choices += ["message"] * (3 if self.messages else 0)
        match self.rng.choice(choices):
            case "tick":
                self.move()
            case "command":
                self.execute(self.commands.pop(0))
            case _:
                index = 0 if self.faults.in_order else self.rng.randrange(len(self.messages))
                self.deliver(self.messages.pop(index))

    def run(self, steps: int, resync_every: int = 150) -> None:
        """Take so many steps, with a comparison against the exchange now and then."""
        for number in range(steps):
            if number % resync_every == 0:
                self.resync()
                self.deliver(ResetSameOrder())
            self.step()

    def move(self, price_ticks: int | None = None) -> None:
        """Let the market trade at a price; fill what it trades through; tell the strategy."""
        if price_ticks is None:
            price_ticks = self.price_ticks + round(self.rng.gauss(0, self.volatility_ticks))
        self.price_ticks = max(1000, price_ticks)
        price = self.config.instrument.to_price(self.price_ticks)
        for order in list(self.orders.values()):
            crossed = price < order.price if order.side is SideType.BUY else price > order.price
            if crossed:
                self.fill(order)
        self.deliver(self.ticker(price))

    def ticker(self, price: Decimal) -> TickerEvent:
        """Return the present ticker."""
        return TickerEvent(
            symbol=self.config.symbol, exchange_ts=self.now, local_ts=self.now, last_price=price
        )

    def fill(self, order: ExchangeOrder) -> None:
        """Fill an order, whole or in part, and put the messages about it on their way."""
        step = self.config.instrument.qty_step
        qty = order.leaves
        if self.rng.random() < self.faults.partial and order.leaves > step:
            qty = step * self.rng.randint(1, int(order.leaves / step) - 1)
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
            symbol=self.config.symbol,
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
        status = (
            ExchangeOrderStatus.PARTIALLY_FILLED if order.leaves else ExchangeOrderStatus.FILLED
        )
        self.send(execution)
        self.send(self.update(order, status))
        self.send(self.account_report(order.direction))

    def trade_by_hand(self) -> None:
        """Let a person open a little of a leg at the market, while there is plenty of margin.

        Nobody can know of a close by hand before it is told, so promises cannot hold meanwhile.
        """
        if self.available() < self.wallet / 2:
            return
        direction = self.rng.choice(list(DirectionType))
        qty = self.config.instrument.qty_step
        self._next_id += 1
        self.fill(
            ExchangeOrder(
                order_id=f"hand{self._next_id}",
                link_id="",
                direction=direction,
                side=direction.opening_side,
                price=self.config.instrument.to_price(self.price_ticks),
                qty=qty,
                leaves=qty,
                created=self.now,
                reduce_only=False,
            )
        )

    def order_by_hand(self) -> None:
        """Let somebody place a small order far below the market, or cancel what was so placed."""
        mine = [order for order in self.orders.values() if not order.link_id]
        if mine:
            order = self.rng.choice(mine)
            del self.orders[order.order_id]
            self.send(self.update(order, ExchangeOrderStatus.CANCELLED))
            return
        self._next_id += 1
        step = self.config.instrument.qty_step
        order = ExchangeOrder(
            order_id=f"hand{self._next_id}",
            link_id="",
            direction=DirectionType.LONG,
            side=SideType.BUY,
            price=self.config.instrument.to_price(self.price_ticks // 2 + self._next_id),
            qty=step,
            leaves=step,
            created=self.now,
            reduce_only=False,
        )
        self.orders[order.order_id] = order
        self.send(self.update(order, ExchangeOrderStatus.NEW))

    def operate(self) -> None:
        """Give the strategy one of the commands that a person, or the program, may give."""
        notional = Decimal(self.rng.choice([5, 20, 60]))
        command: Command = self.rng.choice(
            [
                Hold("operator"),
                Hold("kept", keep=True),
                *[Release("operator"), Release("kept")] * 4,  # most of the time nothing is held
                ResetSameOrder(),
                ResetLossBreaker(),
                ResetReduceOnly(),
                Reconfirm(),
                AcceptSize(self.rng.choice(list(DirectionType))),
                AdoptRules(replace(self.config.instrument, min_notional=notional)),
                CancelAll(),
            ]
        )
        self.deliver(command)
        if isinstance(command, Reconfirm):
            self.resync()

    def execute(self, intent: Intent) -> None:
        """Carry out one command at the exchange."""
        if isinstance(intent, CancelIntent):
            self._cancel(intent)
        else:
            self._place(intent)
        self.check_truth()

    def _place(self, intent: PlaceLimitIntent) -> None:
        luck = self.rng.random()
        leg = self.legs[intent.direction]
        if luck < self.faults.fail:
            self.answer(intent, PlaceOutcome.FAILED)
        elif intent.reduce_only and (
            self.closing_qty(intent.direction) + intent.qty > leg.size
            or (self.faults.no_position and self.rng.random() < self.faults.no_position)
        ):
            self.answer(intent, PlaceOutcome.REJECTED, RejectReason.REDUCE_ONLY)
        elif luck < self.faults.fail + self.faults.reject:
            reason = self.rng.choice([RejectReason.OTHER, RejectReason.INSUFFICIENT_BALANCE])
            self.answer(intent, PlaceOutcome.REJECTED, reason)
        else:
            self._next_id += 1
            order = ExchangeOrder(
                order_id=f"o{self._next_id}",
                link_id=f"{intent.client_order_id}-{self._next_id:x}",
                direction=intent.direction,
                side=intent.side,
                price=intent.price,
                qty=intent.qty,
                leaves=intent.qty,
                created=self.now,
                reduce_only=intent.reduce_only,
            )
            self.orders[order.order_id] = order
            self.answer(intent, PlaceOutcome.ACCEPTED, order=order)
            self.send(self.update(order, ExchangeOrderStatus.NEW))

    def answer(
        self,
        intent: PlaceLimitIntent,
        outcome: PlaceOutcome,
        reason: RejectReason | None = None,
        order: ExchangeOrder | None = None,
    ) -> None:
        """Put the answer to a placement on its way; answers are never lost."""
        self.messages.append(
            PlaceResultEvent(
                symbol=self.config.symbol,
                exchange_ts=self.now,
                local_ts=self.now,
                client_order_id=intent.client_order_id,
                outcome=outcome,
                order_id=order.order_id if order else None,
                order_link_id=order.link_id if order else None,
                reject_reason=reason,
            )
        )

    def _cancel(self, intent: CancelIntent) -> None:
        order = self.orders.get(intent.order_id)
        if self.rng.random() < self.faults.cancel_fail:
            outcome = CancelOutcome.FAILED
        elif order is None:
            outcome = CancelOutcome.GONE
        else:
            outcome = CancelOutcome.ACCEPTED
            del self.orders[order.order_id]
            self.send(self.update(order, ExchangeOrderStatus.CANCELLED))
        self.messages.append(
            CancelResultEvent(
                symbol=self.config.symbol,
                exchange_ts=self.now,
                local_ts=self.now,
                order_id=intent.order_id,
                client_order_id=intent.client_order_id,
                outcome=outcome,
            )
        )

    # messages

    def send(self, event: Event) -> None:
        """Put a stream message on its way; it may be doubled or lost."""
        if self.rng.random() < self.faults.lose:
            self.lost.append(event)
            return
        self.messages.append(event)
        if self.rng.random() < self.faults.duplicate:
            self.messages.append(event)

    def update(self, order: ExchangeOrder, status: ExchangeOrderStatus) -> OrderUpdateEvent:
        """Return the state of an order as the order stream tells it."""
        gone = status is ExchangeOrderStatus.CANCELLED
        return OrderUpdateEvent(
            symbol=self.config.symbol,
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
            lags = lag and leg.earlier and self.rng.random() < lag
            legs[direction] = self.rng.choice(leg.earlier) if lags else leg.snapshot
        return AccountEvent(
            symbol=self.config.symbol,
            exchange_ts=self.now,
            local_ts=self.now,
            long=legs.get(DirectionType.LONG),
            short=legs.get(DirectionType.SHORT),
            wallet=WalletSnapshot(wallet_balance=self.wallet, available_balance=self.available()),
        )

    def open_orders(self) -> OpenOrdersEvent:
        """Return the exchange's list of open orders."""
        return OpenOrdersEvent(
            symbol=self.config.symbol,
            exchange_ts=self.now,
            local_ts=self.now,
            orders=tuple(
                LimitOrder(
                    order_id=order.order_id,
                    order_link_id=order.link_id,
                    direction=order.direction,
                    side=order.side,
                    price_ticks=self.config.instrument.to_ticks(order.price),
                    qty=order.qty,
                    leaves_qty=order.leaves,
                    age_rank=int(order.created.timestamp() * 1000),
                    created_ts=order.created,
                )
                for order in self.orders.values()
            ),
        )

    def resync(self) -> None:
        """Confirm everything from the exchange, as a reconciler does after a lost connection."""
        self.deliver(self.account_report(*DirectionType, lag=self.faults.lag))
        for execution in self.executions[-200:]:
            self.deliver(execution)
        self.lost.clear()
        self.deliver(self.open_orders())

    def heal(self) -> None:
        """Stop all faults, let everything arrive, and confirm once more."""
        self.faults = KIND
        for _ in range(20):
            self.drain()
            self.now += timedelta(seconds=10)
            self.resync()
            self.drain()
            self.move(self.price_ticks)

    def drain(self) -> None:
        """Carry out and deliver everything that is on its way."""
        while self.commands or self.messages:
            self.now += timedelta(milliseconds=1)
            if self.commands:
                self.execute(self.commands.pop(0))
            else:
                self.deliver(self.messages.pop(0))

    def ask(self, message: Message) -> Decision:
        """Let the strategy decide."""
        return self.strategy.handle(message)

    def deliver(self, message: Message) -> None:
        """Hand one message to the strategy, take its intents, and check every promise."""
        self.events += 1
        known = "account_unknown" not in self.strategy.trips
        intents = list(self.ask(message).intents)
        trips = self.strategy.trips
        if intents and not known and not isinstance(message, CancelAll):
            raise InvariantError(f"intents before the account is known: {intents}")
        places = [intent for intent in intents if isinstance(intent, PlaceLimitIntent)]
        if places and "same_order_error" in trips:
            raise InvariantError(f"placed during the same-order error: {places}")
        if places and "loss_breaker" in trips:
            raise InvariantError(f"placed after the loss breaker: {places}")
        self._check_not_repeated(intents)
        self.commands.extend(intents)
        self.intents.extend(intents)
        self.check_truth()

    # what must hold at every moment

    def _check_not_repeated(self, intents: list[Intent]) -> None:
        # that of a foreign order goes out again after every list that shows it
        cancels = [
            i.order_id
            for i in (*self.commands, *intents)
            if isinstance(i, CancelIntent) and i.client_order_id
        ]
        if len(cancels) != len(set(cancels)):
            raise InvariantError(f"a cancel is repeated while it is in flight: {cancels}")

    def _placements(self) -> Iterator[PlaceLimitIntent]:
        return (i for i in self.commands if isinstance(i, PlaceLimitIntent))

    def _closing_in_flight(self, direction: DirectionType) -> Decimal:
        return sum(
            (i.qty for i in self._placements() if i.direction is direction and i.reduce_only), ZERO
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
        return (cost + opening) / self.config.leverage

    def available(self) -> Decimal:
        """Return the available balance (USDT) that the exchange reports."""
        return self.wallet - self.used_margin()

    def check_truth(self) -> None:
        """Check the promises against the exchange's books and what is on its way there."""
        keys = [(o.direction, o.price) for o in self.orders.values()]
        keys += [(i.direction, i.price) for i in self._placements()]
        if len(keys) != len(set(keys)):
            doubled = sorted(key for key in set(keys) if keys.count(key) > 1)
            raise InvariantError(f"two orders at one price: {doubled}")
        for direction, leg in self.legs.items():
            closing = self.closing_qty(direction) + self._closing_in_flight(direction)
            if closing and closing >= leg.size:
                raise InvariantError(f"{direction}: {closing} closing orders for {leg.size} held")
        wanted = sum((i.qty * i.price for i in self._placements() if not i.reduce_only), ZERO)
        if wanted and self.used_margin() + wanted / self.config.leverage > self.wallet:
            raise InvariantError(f"opening orders need {wanted} more than the margin carries")

    def check_agreement(self) -> None:
        """Check that the strategy's books equal the exchange's; for a world that has healed."""
        tracked = {
            order.order_id: (order.direction, order.side, order.price, order.leaves_qty)
            for order in self.strategy.view.orders
        }
        real = {
            order.order_id: (order.direction, order.side, order.price, order.leaves)
            for order in self.orders.values()
        }
        if tracked != real:
            raise InvariantError(f"order books differ: {tracked.items() ^ real.items()}")
        for direction, leg in self.legs.items():
            believed = self.strategy.view.leg(direction).size
            if believed != leg.size:
                raise InvariantError(f"{direction} leg: believed {believed}, held {leg.size}")
