"""A small world for one strategy: an exchange whose answers come late, twice, in any order.

The exchange's own books are the truth. The strategy only sees messages, and the world decides when
each arrives. After every event the invariants of the strategy are checked against the truth, not
against what the strategy believes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from gridcore import (
    AcceptSize,
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
    GridStrategy,
    Hold,
    InstrumentInfo,
    Intent,
    Message,
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
)
from testkit.world_exchange import ExchangeOrder, WorldExchange
from testkit.world_promises import Promises


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


def operators_commands(rng: random.Random, instrument: InstrumentInfo) -> list[Command]:
    """Return what a person, or the program, may ask of a strategy; each as often as it comes."""
    notional = Decimal(rng.choice([5, 20, 60]))
    return [
        Hold("operator"),
        Hold("kept", keep=True),
        *[Release("operator"), Release("kept")] * 4,  # most of the time nothing is held
        ResetSameOrder(),
        ResetLossBreaker(),
        ResetReduceOnly(),
        Reconfirm(),
        AcceptSize(rng.choice(list(DirectionType))),
        AdoptRules(replace(instrument, min_notional=notional)),
        CancelAll(),
    ]


@dataclass
class World:
    """One strategy, one exchange, and everything that is on its way between them."""

    rng: random.Random
    config: StrategyConfig
    faults: Faults = KIND
    deposit: Decimal = Decimal(10_000)  # USDT
    price_ticks: int = 600_000
    volatility_ticks: int = 150
    strategy: GridStrategy = field(init=False)
    exchange: WorldExchange = field(init=False)
    promises: Promises = field(init=False)
    commands: list[Intent] = field(default_factory=list)
    messages: list[Event] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    events: int = 0

    def __post_init__(self) -> None:
        self.strategy = GridStrategy(self.config)
        self.exchange = WorldExchange(self.config, self.deposit, self.rng)
        self.promises = Promises(self.exchange, self.commands)

    # the market moves, the exchange works

    def step(self) -> None:
        """Let one thing happen."""
        self.exchange.now += timedelta(milliseconds=self.rng.randint(1, 400))
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
        for order in list(self.exchange.orders.values()):
            crossed = price < order.price if order.side is SideType.BUY else price > order.price
            if crossed:
                self.fill(order)
        self.deliver(self.exchange.ticker(price))

    def fill(self, order: ExchangeOrder) -> None:
        """Fill an order, whole or in part, and put the messages about it on their way."""
        step = self.config.instrument.qty_step
        qty = order.leaves
        if self.rng.random() < self.faults.partial and order.leaves > step:
            qty = step * self.rng.randint(1, int(order.leaves / step) - 1)
        execution = self.exchange.fill(order, qty)
        status = (
            ExchangeOrderStatus.PARTIALLY_FILLED if order.leaves else ExchangeOrderStatus.FILLED
        )
        self.send(execution)
        self.send(self.exchange.update(order, status))
        self.send(self.exchange.account_report(order.direction))

    def trade_by_hand(self) -> None:
        """Let a person open a little of a leg at the market, while there is plenty of margin.

        Nobody can know of a close by hand before it is told, so promises cannot hold meanwhile.
        """
        if self.exchange.available() < self.exchange.wallet / 2:
            return
        direction = self.rng.choice(list(DirectionType))
        qty = self.config.instrument.qty_step
        price = self.config.instrument.to_price(self.price_ticks)
        self.fill(self.exchange.new_order("hand", direction, direction.opening_side, price, qty))

    def order_by_hand(self) -> None:
        """Let somebody place a small order far below the market, or cancel what was so placed."""
        mine = [order for order in self.exchange.orders.values() if not order.link_id]
        if mine:
            order = self.rng.choice(mine)
            del self.exchange.orders[order.order_id]
            self.send(self.exchange.update(order, ExchangeOrderStatus.CANCELLED))
            return
        instrument = self.config.instrument
        price = instrument.to_price(self.price_ticks // 2 + self.exchange.orders_made + 1)
        order = self.exchange.new_order(
            "hand", DirectionType.LONG, SideType.BUY, price, instrument.qty_step
        )
        self.exchange.orders[order.order_id] = order
        self.send(self.exchange.update(order, ExchangeOrderStatus.NEW))

    def operate(self) -> None:
        """Give the strategy one of the commands that a person, or the program, may give."""
        command = self.rng.choice(operators_commands(self.rng, self.config.instrument))
        self.deliver(command)
        if isinstance(command, Reconfirm):
            self.resync()

    def execute(self, intent: Intent) -> None:
        """Carry out one command at the exchange."""
        if isinstance(intent, CancelIntent):
            self._cancel(intent)
        else:
            self._place(intent)
        self.promises.check_books()

    def _place(self, intent: PlaceLimitIntent) -> None:
        luck = self.rng.random()
        leg = self.exchange.legs[intent.direction]
        if luck < self.faults.fail:
            self.answer(intent, PlaceOutcome.FAILED)
        elif intent.reduce_only and (
            self.exchange.closing_qty(intent.direction) + intent.qty > leg.size
            or (self.faults.no_position and self.rng.random() < self.faults.no_position)
        ):
            self.answer(intent, PlaceOutcome.REJECTED, RejectReason.REDUCE_ONLY)
        elif luck < self.faults.fail + self.faults.reject:
            reason = self.rng.choice([RejectReason.OTHER, RejectReason.INSUFFICIENT_BALANCE])
            self.answer(intent, PlaceOutcome.REJECTED, reason)
        else:
            order = self.exchange.new_order(
                "o", intent.direction, intent.side, intent.price, intent.qty,
                link_id=intent.client_order_id, reduce_only=intent.reduce_only,
            )  # fmt: skip
            self.exchange.orders[order.order_id] = order
            self.answer(intent, PlaceOutcome.ACCEPTED, order=order)
            self.send(self.exchange.update(order, ExchangeOrderStatus.NEW))

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
                exchange_ts=self.exchange.now,
                local_ts=self.exchange.now,
                client_order_id=intent.client_order_id,
                outcome=outcome,
                order_id=order.order_id if order else None,
                order_link_id=order.link_id if order else None,
                reject_reason=reason,
            )
        )

    def _cancel(self, intent: CancelIntent) -> None:
        order = self.exchange.orders.get(intent.order_id)
        if self.rng.random() < self.faults.cancel_fail:
            outcome = CancelOutcome.FAILED
        elif order is None:
            outcome = CancelOutcome.GONE
        else:
            outcome = CancelOutcome.ACCEPTED
            del self.exchange.orders[order.order_id]
            self.send(self.exchange.update(order, ExchangeOrderStatus.CANCELLED))
        self.messages.append(
            CancelResultEvent(
                symbol=self.config.symbol,
                exchange_ts=self.exchange.now,
                local_ts=self.exchange.now,
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

    def resync(self) -> None:
        """Confirm everything from the exchange, as a reconciler does after a lost connection."""
        self.deliver(self.exchange.account_report(*DirectionType, lag=self.faults.lag))
        for execution in self.exchange.executions[-200:]:
            self.deliver(execution)
        self.lost.clear()
        self.deliver(self.exchange.open_orders())

    def heal(self) -> None:
        """Stop all faults, let everything arrive, and confirm once more."""
        self.faults = KIND
        for _ in range(20):
            self.drain()
            self.exchange.now += timedelta(seconds=10)
            self.resync()
            self.drain()
            self.move(self.price_ticks)

    def drain(self) -> None:
        """Carry out and deliver everything that is on its way."""
        while self.commands or self.messages:
            self.exchange.now += timedelta(milliseconds=1)
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
        self.promises.check_decision(message, intents, self.strategy.trips, was_known=known)
        self.commands.extend(intents)
        self.intents.extend(intents)
        self.promises.check_books()

    def check_agreement(self) -> None:
        """Check that the strategy's books equal the exchange's; for a world that has healed."""
        self.promises.check_agreement(self.strategy)
