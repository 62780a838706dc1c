"""What an order looks like, how large it is, and what forbids it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bbu_reference.rounding import ceil_to_step, shed_noise
from bbu_reference.switches import LegacySwitches

Direction = Literal["long", "short"]
Side = Literal["Buy", "Sell"]
Multipliers = dict[tuple[Direction, Side], float]

MIN_NOTIONAL_USDT = 5.0
PRICE_DECIMALS = (
    8  # as many as the price of an order is rounded to, to see whether it is on a level
)


def is_reduce_only(direction: Direction, side: Side) -> bool:
    """Return whether an order closes: long Sell and short Buy do."""
    return (direction, side) in {("long", "Sell"), ("short", "Buy")}


def position_idx(direction: Direction) -> int:
    """Return Bybit's positionIdx in hedge mode: long 1, short 2."""
    return 1 if direction == "long" else 2


def neutral_multipliers() -> Multipliers:
    """Return 1 for both sides of both legs."""
    return {("long", "Buy"): 1, ("long", "Sell"): 1, ("short", "Buy"): 1, ("short", "Sell"): 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOrder:
    """A limit order that rests at the exchange."""

    order_id: str
    side: Side
    price: float  # USDT
    qty: float  # base coin
    reduce_only: bool

    @property
    def direction(self) -> Direction:
        """The leg it belongs to."""
        return "long" if (self.side == "Buy") != self.reduce_only else "short"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order to be placed."""

    direction: Direction
    side: Side
    price: float  # USDT
    qty: float  # base coin

    @property
    def reduce_only(self) -> bool:
        """Whether it closes."""
        return is_reduce_only(self.direction, self.side)

    @property
    def position_idx(self) -> int:
        """Bybit's positionIdx."""
        return position_idx(self.direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The configured amount and the contract's quantity rules."""

    amount: str  # "0.5", "x0.001" or "b250"; see `base_amount`
    qty_step: float  # base coin
    min_qty: float  # base coin
    min_notional_usdt: float = MIN_NOTIONAL_USDT  # a constant; no contract has one of its own
    long_koef: float = 1.0  # factor; see `koef_of`


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSeen:
    """What the quantity looks at of the account."""

    wallet_usdt: float
    other_coins_usd: float = 0.0  # what the wallet's other coins are worth
    position_ratio: float = 1.0  # long size / short size
    has_liq_price: bool = False  # whether a leg has a liquidation price


def base_amount(amount: str, wallet: float, price: float) -> float:
    """Return the configured amount in base coin, not rounded yet; `price` in USDT is the order's.

    "0.5" is the quantity itself, "x0.001" a fraction (0-1) of the wallet (USDT), "b250" what 250
    USDT buy. Raises ValueError for any other text.
    """
    if amount.startswith("x"):
        return wallet / price * float(amount[1:])
    if amount.startswith("b"):
        return float(amount[1:]) / price
    return float(amount)


def koef_of(
    direction: Direction, long_koef: float, account: AccountSeen, switches: LegacySwitches
) -> float:
    """Return the factor by which `long_koef` enlarges an order of this leg."""
    if switches.long_koef_by_position_ratio:
        applies = 1.1 < account.position_ratio < 10 and not account.has_liq_price
    else:
        applies = direction == "long"
    return long_koef if applies else 1.0


def order_qty(
    direction: Direction,
    side: Side,
    price: float,
    *,
    sizing: Sizing,
    account: AccountSeen,
    multipliers: Mapping[tuple[Direction, Side], float],
    switches: LegacySwitches,
) -> float:
    """Return the order's quantity in base coin, a multiple of the quantity step.

    Raised to the minimum and rounded up, then multiplied and rounded up again: a multiplier of
    0.5 halves the minimum as well.
    """
    wallet = account.wallet_usdt
    if switches.other_coins_in_wallet:
        wallet += account.other_coins_usd
    amount = base_amount(sizing.amount, wallet, price)
    minimum = sizing.min_qty
    if switches.minimum_notional_for_closing_orders or not is_reduce_only(direction, side):
        minimum = max(minimum, sizing.min_notional_usdt / price)
    factor = multipliers[direction, side] * koef_of(direction, sizing.long_koef, account, switches)
    step = sizing.qty_step
    if switches.quantity_rounded_before_multiplying:
        return ceil_to_step(ceil_to_step(max(amount, minimum), step) * factor, step)
    return ceil_to_step(max(amount * factor, minimum), step)


def at_price(
    orders: Iterable[LimitOrder], price: float, switches: LegacySwitches
) -> list[LimitOrder]:
    """Return the orders at a price (USDT)."""
    if switches.prices_compared_as_floats:
        return [order for order in orders if order.price == price]
    price = round(price, PRICE_DECIMALS)
    return [order for order in orders if round(order.price, PRICE_DECIMALS) == price]


def identical_rests(
    order: NewOrder, resting: Iterable[LimitOrder], switches: LegacySwitches
) -> bool:
    """Return whether an order of the same price, quantity, side and reduce-only rests."""
    return any(
        shed_noise(other.qty) == shed_noise(order.qty)
        and (other.side, other.reduce_only) == (order.side, order.reduce_only)
        for other in at_price(resting, order.price, switches)
    )


def is_covered(order: NewOrder, resting: Iterable[LimitOrder], position_size: float) -> bool:
    """Return whether the position (base coin) exceeds what would close it, this order included.

    Strictly: the last part of a position is never offered. An opening order is always covered.
    """
    if not order.reduce_only:
        return True
    closing = [other.qty for other in resting if other.reduce_only and other.side == order.side]
    return shed_noise(position_size) > shed_noise(sum(closing) + order.qty)
