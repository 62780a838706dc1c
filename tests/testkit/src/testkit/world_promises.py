"""What a strategy promises, checked at every moment against the exchange's own books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from gridcore import (
    CancelAll,
    CancelIntent,
    DirectionType,
    GridStrategy,
    Intent,
    Message,
    PlaceLimitIntent,
)
from testkit.world_exchange import WorldExchange

ZERO = Decimal(0)


class InvariantError(AssertionError):
    """A promise of the strategy that did not hold."""


class Promises:
    """Checks the promises; `commands` are those that are on their way to the exchange."""

    def __init__(self, exchange: WorldExchange, commands: Sequence[Intent]) -> None:
        self._exchange = exchange
        self._commands = commands

    def check_decision(
        self, message: Message, intents: Sequence[Intent], trips: dict[str, str], *, was_known: bool
    ) -> None:
        """Check what was decided, before it is on its way."""
        if intents and not was_known and not isinstance(message, CancelAll):
            raise InvariantError(f"intents before the account is known: {intents}")
        places = [intent for intent in intents if isinstance(intent, PlaceLimitIntent)]
        if places and "same_order_error" in trips:
            raise InvariantError(f"placed during the same-order error: {places}")
        if places and "loss_breaker" in trips:
            raise InvariantError(f"placed after the loss breaker: {places}")
        # that of a foreign order goes out again after every list that shows it
        cancels = [
            i.order_id
            for i in (*self._commands, *intents)
            if isinstance(i, CancelIntent) and i.client_order_id
        ]
        if len(cancels) != len(set(cancels)):
            raise InvariantError(f"a cancel is repeated while it is in flight: {cancels}")

    def _placements(self) -> Iterator[PlaceLimitIntent]:
        return (i for i in self._commands if isinstance(i, PlaceLimitIntent))

    def _closing_in_flight(self, direction: DirectionType) -> Decimal:
        return sum(
            (i.qty for i in self._placements() if i.direction is direction and i.reduce_only), ZERO
        )

    def check_books(self) -> None:
        """Check the promises against the exchange's books and what is on its way there."""
        keys = [(o.direction, o.price) for o in self._exchange.orders.values()]
        keys += [(i.direction, i.price) for i in self._placements()]
        if len(keys) != len(set(keys)):
            doubled = sorted(key for key in set(keys) if keys.count(key) > 1)
            raise InvariantError(f"two orders at one price: {doubled}")
        for direction, leg in self._exchange.legs.items():
            closing = self._exchange.closing_qty(direction) + self._closing_in_flight(direction)
            if closing and closing >= leg.size:
                raise InvariantError(f"{direction}: {closing} closing orders for {leg.size} held")
        wanted = sum((i.qty * i.price for i in self._placements() if not i.reduce_only), ZERO)
        if (
            wanted
            and self._exchange.used_margin() + wanted / self._exchange.leverage
            > self._exchange.wallet
        ):
            raise InvariantError(f"opening orders need {wanted} more than the margin carries")

    def check_agreement(self, strategy: GridStrategy) -> None:
        """Check that the strategy's books equal the exchange's; for a world that has healed."""
        tracked = {
            order.order_id: (order.direction, order.side, order.price, order.leaves_qty)
            for order in strategy.view.orders
        }
        real = {
            order.order_id: (order.direction, order.side, order.price, order.leaves)
            for order in self._exchange.orders.values()
        }
        if tracked != real:
            raise InvariantError(f"order books differ: {tracked.items() ^ real.items()}")
        for direction, leg in self._exchange.legs.items():
            believed = strategy.view.leg(direction).size
            if believed != leg.size:
                raise InvariantError(f"{direction} leg: believed {believed}, held {leg.size}")
