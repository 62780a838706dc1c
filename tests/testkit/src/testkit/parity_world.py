"""What both are told: the contract, the orders that rest, the legs, the wallet, the last fills."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal

from bbu_reference.orders import LimitOrder as OracleOrder
from bbu_reference.orders import Multipliers, Side, Sizing, neutral_multipliers
from gridcore import (
    AmountKind,
    AmountSpec,
    DirectionType,
    GridConfig,
    LimitOrder,
    SideType,
)
from gridcore.orders import RestingSide
from testkit.parity_cases import Contract

ENDLESS = Decimal(10) ** 12


def wire_side(side: SideType) -> Side:
    """Return the side in the oracle's type."""
    return "Buy" if side is SideType.BUY else "Sell"


def same_number(value: Decimal | float) -> str:
    """Return 15 significant digits, as many as a float carries."""
    return f"{float(value):.15g}"


def oracle_amount(amount: AmountSpec) -> str:
    """Return an amount as the older bot writes it: b for USDT, a plain number for coins."""
    forms = {AmountKind.USDT: "b", AmountKind.BASE: "", AmountKind.WALLET_SHARE: "x"}
    return f"{forms[amount.kind]}{amount.value}"


@dataclass(slots=True)
class World:
    """One symbol and account, as both see it."""

    contract: Contract
    config: GridConfig
    amount: AmountSpec
    wallet: Decimal = Decimal(10_000)
    sizes: dict[DirectionType, Decimal] = field(
        default_factory=lambda: dict.fromkeys(DirectionType, ENDLESS)
    )
    orders: dict[str, LimitOrder] = field(default_factory=dict)
    oracle_orders: dict[str, OracleOrder] = field(default_factory=dict)
    resting: dict[DirectionType, RestingSide] = field(
        default_factory=lambda: {leg: RestingSide() for leg in DirectionType}
    )
    multipliers: Multipliers = field(default_factory=neutral_multipliers)
    last_completed: Decimal | None = None  # price (USDT) of the last order that filled wholly
    next_id: int = 0

    @property
    def tick(self) -> Decimal:
        """Tick size in USDT."""
        return self.contract.info.tick_size

    def rest(
        self,
        direction: DirectionType,
        side: SideType,
        ticks: int,
        qty: Decimal,
        leaves: Decimal | None = None,
    ) -> LimitOrder:
        """Let one more order rest."""
        self.next_id += 1
        order = LimitOrder(
            order_id=f"o{self.next_id}",
            order_link_id="",
            direction=direction,
            side=side,
            price_ticks=ticks,
            qty=qty,
            leaves_qty=qty if leaves is None else leaves,
            age_rank=self.next_id,
        )
        self._take_in(order)
        return order

    def _take_in(self, order: LimitOrder) -> None:
        self.orders[order.order_id] = order
        self.oracle_orders[order.order_id] = OracleOrder(
            order_id=order.order_id,
            side=wire_side(order.side),
            price=float(self.tick * order.price_ticks),  # as the exchange's text reads
            qty=float(order.leaves_qty),
            reduce_only=order.reduce_only,
        )
        self.resting[order.direction].add(order)

    def drop(self, order: LimitOrder) -> None:
        """Let an order rest no more."""
        del self.orders[order.order_id], self.oracle_orders[order.order_id]
        self.resting[order.direction].remove(order)

    def change(self, order: LimitOrder, changed: LimitOrder) -> None:
        """Let an order rest as another state of itself."""
        self.resting[order.direction].remove(order)
        self._take_in(changed)

    def clear(self) -> None:
        """Let nothing rest."""
        for order in tuple(self.orders.values()):
            self.drop(order)

    def of(self, direction: DirectionType) -> list[LimitOrder]:
        """Return the orders of one leg, oldest first."""
        return [order for order in self.orders.values() if order.direction is direction]

    def exchange_list(self) -> list[OracleOrder]:
        """Return the open orders as the exchange lists them: the newest first."""
        return list(reversed(self.oracle_orders.values()))

    @property
    def sizing(self) -> Sizing:
        """The amount and the contract's rules, for the oracle."""
        info = self.contract.info
        return Sizing(
            amount=oracle_amount(self.amount),
            qty_step=float(info.qty_step),
            min_qty=float(info.min_qty),
            min_notional_usdt=float(info.min_notional),
        )


def random_amount(rng: random.Random, contract: Contract) -> AmountSpec:
    """Return an amount in base coin, as a share of the wallet or in USDT."""
    kind = rng.choice(list(AmountKind))
    value = {
        AmountKind.BASE: contract.info.qty_step * rng.randint(1, 500),
        AmountKind.WALLET_SHARE: Decimal(rng.randint(1, 500)).scaleb(-4),
        AmountKind.USDT: Decimal(rng.randint(1, 1000)),
    }[kind]
    return AmountSpec(kind, value)


def random_qty(rng: random.Random, contract: Contract) -> tuple[Decimal, Decimal]:
    """Return a quantity (base coin) and what of it is left."""
    steps = rng.randint(2, 50)
    left = rng.randint(1, steps) if rng.random() < 0.2 else steps
    return contract.info.qty_step * steps, contract.info.qty_step * left
