"""Whether an order that the engine wants may be placed, and with which quantity.

Every refusal depends on events and on event time alone, never on the market price: that is what
makes the quiet band of a strategy exact while it waits with refused orders.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from gridcore.account import AccountMirror
from gridcore.guards import (
    LossBreaker,
    OrderRate,
    RejectBreaker,
    RetryHold,
    SameOrderDetector,
    is_covered,
)
from gridcore.orders import OrderBook
from gridcore.position import Position
from gridcore.qty import AmountKind, OrderSizer
from gridcore.sides import LONG, DirectionType, SideType
from gridcore.starvation import Starvation
from gridcore.strategy_config import StrategyConfig
from gridcore.wants import WantPlace

log = logging.getLogger(__name__)
ONE = Decimal(1)


class Refusal(StrEnum):
    """Why a wanted order is not placed."""

    HELD = "held"
    SAME_ORDER_ERROR = "same_order_error"
    LOSS_BREAKER = "loss_breaker"
    OCCUPIED = "occupied"
    RETRY_HOLD = "retry_hold"
    NO_QTY = "no_qty"
    CLOSING_BLOCKED = "closing_blocked"
    REDUCE_ONLY_BREAKER = "reduce_only_breaker"
    NOT_COVERED = "not_covered"
    MARGIN_CAP = "margin_cap"
    NOTIONAL_CAP = "notional_cap"
    FREE_MARGIN = "free_margin"
    MAX_OPEN_ORDERS = "max_open_orders"
    ORDER_RATE = "order_rate"


# what is no want of an order at all, or says by itself that it stops one
NOT_STARVING = frozenset(
    {
        Refusal.HELD,
        Refusal.SAME_ORDER_ERROR,
        Refusal.LOSS_BREAKER,
        Refusal.REDUCE_ONLY_BREAKER,
        Refusal.OCCUPIED,
        Refusal.NOT_COVERED,
        Refusal.NOTIONAL_CAP,
        Refusal.MAX_OPEN_ORDERS,
        Refusal.ORDER_RATE,
    }
)
TIMED = frozenset({Refusal.RETRY_HOLD, Refusal.ORDER_RATE, Refusal.LOSS_BREAKER})


class Admission:
    """Asks every guard about one wanted order; owns the guards that have a memory."""

    def __init__(
        self,
        config: StrategyConfig,
        account: AccountMirror,
        book: OrderBook,
        positions: dict[DirectionType, Position],
    ) -> None:
        self.config = config
        self.account = account
        self.book = book
        self.positions = positions
        caps = config.safety_caps
        self.same_order = SameOrderDetector()
        self.loss = LossBreaker(caps.session_loss_limit, caps.session_loss_reset)
        self.rate = OrderRate(caps.max_orders_per_minute)
        self.retry = RetryHold()
        self.reduce_only = {direction: RejectBreaker() for direction in DirectionType}
        self.holds: dict[str, bool] = {}  # by name: whether a later process keeps it
        self.refused: Counter[Refusal] = Counter()
        self.starvation = Starvation()
        self._sizer = OrderSizer(config.amount, config.instrument)
        self._qty: dict[tuple[DirectionType, SideType, int], Decimal | None] = {}

    def hold(self, name: str, *, keep: bool = False) -> None:
        """Place nothing until `release(name)`; `keep` holds for later processes as well."""
        self.holds[name] = keep or self.holds.get(name, False)

    def release(self, name: str) -> None:
        """End one hold."""
        self.holds.pop(name, None)
        if not self.holds:
            self.starvation.forget()

    @property
    def kept_holds(self) -> list[str]:
        """The holds that later processes keep."""
        return [name for name, keep in self.holds.items() if keep]

    def size_confirmed(self, direction: DirectionType, ts: datetime) -> None:
        """Take in that the exchange confirmed what a leg holds, as of `ts`."""
        if self.reduce_only[direction].confirmed(ts):
            log.warning(
                "%s: the size of the %s leg is confirmed; its orders go on",
                self.config.strat_id,
                direction,
            )

    def use_rules(self, config: StrategyConfig) -> None:
        """Go on with other rules of the contract."""
        self.config = config
        self._sizer = OrderSizer(config.amount, config.instrument)
        self._qty.clear()

    def uncovered_legs(self, highest_closing: Mapping[DirectionType, int]) -> set[DirectionType]:
        """Return the legs of which no closing order up to a price, in ticks, would be covered."""
        return {leg for leg, ticks in highest_closing.items() if self.is_uncovered(leg, ticks)}

    def is_uncovered(self, direction: DirectionType, price_ticks: int) -> bool:
        """Tell whether a closing order at a price is not covered, and so none at a lower price.

        The lower the price, the larger the order; asked once for all that a leg wants to close.
        """
        qty = self._quantity(direction, direction.closing_side, price_ticks, closing=True)
        return qty is not None and not self._covers(direction, qty)

    def covers_nothing(self, direction: DirectionType) -> bool:
        """Tell whether not even the smallest closing order of the contract would be covered."""
        return not self._covers(direction, self.config.instrument.min_qty)

    def _covers(self, direction: DirectionType, qty: Decimal) -> bool:
        leg = self.account.legs[direction]
        held_back = self.book.closing_qty[direction] + leg.awaited.closing_qty
        return is_covered(leg.size, held_back, qty)

    def look(self, now: datetime) -> Look:
        """Begin to judge what one look at the market wants."""
        return Look(self, now)

    def against_all(self) -> Refusal | None:
        """Return what stands against every order, None where nothing does."""
        if self.holds:
            return Refusal.HELD
        if self.same_order.is_set:
            return Refusal.SAME_ORDER_ERROR
        if self.loss.is_tripped:
            return Refusal.LOSS_BREAKER
        return None

    def against_side(self, direction: DirectionType, *, closing: bool) -> Refusal | None:
        """Return what stands against all closing, or all opening, orders of a leg."""
        if closing and self.account.is_closing_blocked(direction):
            return Refusal.CLOSING_BLOCKED
        if self.reduce_only[direction].is_tripped:
            # what the exchange refuses to close shows that the size is not known
            return Refusal.REDUCE_ONLY_BREAKER
        if closing:
            return None
        ratio = self.account.margin_ratio(direction)
        if ratio is None or ratio >= self.positions[direction].config.max_margin:
            return Refusal.MARGIN_CAP
        return None

    def closing_qty(self, want: WantPlace) -> Decimal | Refusal:
        """Return the quantity (base coin) of a closing order, or why there is none."""
        qty = self._quantity(want.direction, want.side, want.price_ticks, closing=True)
        if qty is None:
            return Refusal.NO_QTY
        return qty if self._covers(want.direction, qty) else Refusal.NOT_COVERED

    def opening_qty(self, want: WantPlace, now: datetime) -> Decimal | Refusal:
        """Return the quantity (base coin) of an opening order, or why there is none."""
        direction, account, config = want.direction, self.account, self.config
        qty = self._quantity(direction, want.side, want.price_ticks, closing=False)
        if qty is None:
            return Refusal.NO_QTY
        notional = qty * config.instrument.to_price(want.price_ticks)
        most = config.safety_caps.max_notional
        if most is not None:
            exposure = account.position_value() + self.book.opening_notional + notional
            if exposure > most:
                return Refusal.NOTIONAL_CAP
        if not account.free_margin.carries(notional, account.legs[direction].leverage, now):
            return Refusal.FREE_MARGIN
        return qty

    def _quantity(
        self, direction: DirectionType, side: SideType, price_ticks: int, *, closing: bool
    ) -> Decimal | None:
        key = (direction, side, price_ticks)
        if key in self._qty:
            return self._qty[key]
        config = self.config
        qty = self._sizer.qty(
            price_ticks,
            opening=not closing,
            multiplier=self.positions[direction].amount_multiplier(side),
            long_koef=config.long_koef if direction is LONG else ONE,
            wallet_balance=self.account.wallet_balance,
        )
        if len(self._qty) > 10_000:
            self._qty.clear()
        self._qty[key] = qty
        return qty

    def explain(self, refusal: Refusal, want: WantPlace, now: datetime) -> str:
        """Return in words what stands against a wanted order."""
        direction = want.direction
        margin = self.account.free_margin
        match refusal:
            case Refusal.FREE_MARGIN if margin.available is None:
                return "the available balance is not known"
            case Refusal.FREE_MARGIN if margin.expires is not None and now > margin.expires:
                return "the last word about the available balance is too old"
            case Refusal.FREE_MARGIN:
                return f"the available balance of {margin.available} USDT carries no further order"
            case Refusal.MARGIN_CAP:
                ratio = self.account.margin_ratio(direction)
                if ratio is None:
                    return f"the wallet holds {self.account.wallet_balance} USDT"
                cap = self.positions[direction].config.max_margin
                return f"the leg is {ratio:.3g} times the wallet, max_margin is {cap:g}"
            case Refusal.NO_QTY:
                return f"a wallet of {self.account.wallet_balance} USDT gives no order quantity"
            case Refusal.CLOSING_BLOCKED:
                return "a closing order was refused, and the size is not confirmed since"
            case Refusal.RETRY_HOLD:
                return self.starvation.last_refusal(direction, closing=want.closing)
            case _:
                return refusal.value.replace("_", " ")

    def cap_text(self, refusal: Refusal) -> str | None:
        """Return the safety cap that a refusal comes from, in words; None for no cap."""
        caps = self.config.safety_caps
        match refusal:
            case Refusal.NOTIONAL_CAP:
                return f"max_notional of {caps.max_notional} USDT is used up"
            case Refusal.MAX_OPEN_ORDERS:
                return f"max_open_orders of {caps.max_open_orders} is reached"
            case Refusal.ORDER_RATE:
                return f"max_orders_per_minute of {caps.max_orders_per_minute} is reached"
            case _:
                return None

    def forget_quantities(self) -> None:
        """Compute quantities anew, after multipliers changed."""
        self._qty.clear()

    def wallet_changed(self) -> None:
        """Compute quantities anew where they follow the wallet balance."""
        if self.config.amount.kind is AmountKind.WALLET_SHARE:
            self._qty.clear()


class Look:
    """Judges the orders that one look at the market wants.

    What stands against all orders, or all of a side of a leg, does not change from one order of a
    look to the next, and is asked once.
    """

    def __init__(self, admission: Admission, now: datetime) -> None:
        self._admission = admission
        self._now = now
        self._against_all = admission.against_all()
        self._against_side: dict[tuple[DirectionType, bool], Refusal | None] = {}

    def judge(self, want: WantPlace) -> Decimal | Refusal:
        """Return the quantity (base coin) to place, or why nothing is placed."""
        if self._against_all is not None:
            return self._against_all
        admission, now = self._admission, self._now
        direction, ticks, closing = want.direction, want.price_ticks, want.closing
        if admission.book.is_occupied(direction, ticks):
            return Refusal.OCCUPIED
        if admission.retry.held_until((direction, ticks), now) is not None:
            return Refusal.RETRY_HOLD
        side = direction, closing
        if side not in self._against_side:
            self._against_side[side] = admission.against_side(direction, closing=closing)
        refusal = self._against_side[side]
        if refusal is not None:
            return refusal
        verdict = admission.closing_qty(want) if closing else admission.opening_qty(want, now)
        if isinstance(verdict, Refusal):
            return verdict
        most = admission.config.safety_caps.max_open_orders
        if most is not None and len(admission.book) >= most:
            return Refusal.MAX_OPEN_ORDERS
        return verdict if admission.rate.allows(now) else Refusal.ORDER_RATE
