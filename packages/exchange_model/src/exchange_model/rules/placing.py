"""What an account may place: count, price limit, reduce-only, notional, leverage, free margin.

In the order in which the exchange looks: a code is the first thing that is wrong.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Protocol

from exchange_model.account.simulated_account import SimulatedAccount, SimulatedPair
from exchange_model.rules.codes import RefusalError, RetCode
from exchange_model.rules.contract import ContractLimits, check_price, check_qty, largest_qty
from exchange_model.rules.prices import MarketView, price_limits
from gridcore import DirectionType, InstrumentInfo, MMTiers, SideType
from gridcore.sides import BUY

ZERO = Decimal(0)
# how long a link id stays taken after its order. Source: docs/exchange.md, "Order link ids"
LINK_RESERVED_MS: Final = 2 * 3_600_000


class AskedOrder(Protocol):
    """An order as it is asked for; price None is a market order."""

    @property
    def direction(self) -> DirectionType: ...
    @property
    def side(self) -> SideType: ...
    @property
    def price(self) -> Decimal | None: ...
    @property
    def qty(self) -> Decimal:
        """Base coin; 0 closes all there is."""

    @property
    def reduce_only(self) -> bool: ...


class Book(Protocol):
    """The orders of one account in one symbol, those on their way included."""

    @property
    def pair(self) -> SimulatedPair: ...
    def order_count(self) -> int:
        """Return how many orders are open."""

    def closing_budget(self, direction: DirectionType) -> Decimal:
        """Return what of a leg no closing order covers yet, in base coin."""

    def opening_value(self) -> Decimal:
        """Return what opening orders are worth at their limits, USDT."""


# what an order gets: quantity after truncation, price after the price limit, the margin that it
# holds (USDT), and whether it closes, whatever it says of itself
Granted = tuple[Decimal, Decimal, Decimal, bool]


class OrderRules:
    """The rules of one contract; every simulated exchange asks them about every order."""

    def __init__(self, instrument: InstrumentInfo, limits: ContractLimits | None = None) -> None:
        self.instrument = instrument
        self.limits = limits or ContractLimits()
        # a leverage that tiers are known to allow at any value
        self._free_tiers: MMTiers | None = None
        self._free_leverage: Decimal | None = None

    def check(self, order: AskedOrder) -> None:
        """Check an order against the contract alone. Raises RefusalError."""
        price = order.price
        check_qty(
            order.qty,
            self.instrument,
            self.limits,
            is_market=price is None,
            splits=order.reduce_only,
        )
        if price is not None:
            check_price(price, self.instrument, self.limits)

    def admit(
        self,
        money: SimulatedAccount,
        book: Book,
        market: MarketView,
        order: AskedOrder,
        *,
        moves_price: bool = True,
    ) -> Granted:
        """Return what an order gets that the contract allows. Raises RefusalError."""
        most = self.limits.max_open_orders
        if most is not None and book.order_count() >= most:
            raise RefusalError(
                RetCode.TOO_MANY_ORDERS, f"already had {most} working orders in this symbol"
            )
        if not market.is_open:
            raise RefusalError(RetCode.NO_MARKET_PRICE, "there is no market price yet")
        price = self.allowed_price(market, order.side, order.price, moves=moves_price)
        if order.direction.is_closing(order.side):
            return self.closing_qty(book, order), price, ZERO, True
        if order.reduce_only:
            raise RefusalError(
                RetCode.REDUCE_ONLY_ZERO, "reduce-only order has same side with current position"
            )
        return order.qty, price, self._opening_margin(money, book, market, order, price), False

    def allowed_price(
        self, market: MarketView, side: SideType, price: Decimal | None, *, moves: bool
    ) -> Decimal:
        """Return the price in USDT that an order gets: moved to the price limit if beyond it.

        An account that does not let prices be moved has the order refused. `price` None is a
        market order, whose price is the limit itself. Raises RefusalError.
        """
        mark = market.mark
        if mark is None:
            raise RefusalError(RetCode.NO_MARKET_PRICE, "there is no market price yet")
        is_buy = side is BUY
        # the limit of a Buy is never below the mark price, that of a Sell never above it
        if price is not None and (price <= mark if is_buy else price >= mark):
            return price
        tick = self.instrument.tick_size
        found = price_limits(market, self.limits, tick)
        if found is None:
            return price if price is not None else market.opposite(side) or mark
        limit = tick * found[0 if is_buy else 1]
        if price is None:
            return limit
        if not (price > limit if is_buy else price < limit):
            return price
        if not moves:
            raise RefusalError(
                RetCode.PRICE_OUT_OF_RANGE, f"order price {price} exceeds the limit {limit}"
            )
        return limit

    def closing_qty(self, book: Book, order: AskedOrder) -> Decimal:
        """Return what of a closing order the leg still covers. Raises RefusalError for nothing."""
        direction = order.direction
        if not book.pair.leg(direction).size:
            raise RefusalError(
                RetCode.REDUCE_ONLY_ZERO,
                "current position is zero, cannot fix reduce-only order qty",
            )
        budget = book.closing_budget(direction)
        if budget <= 0:
            raise RefusalError(RetCode.REDUCE_ONLY_ZERO, "orderQty will be truncated to zero")
        if order.qty:
            return min(order.qty, budget)
        # all there is may be less than a step, when the rules changed under the leg
        return min(budget, largest_qty(self.instrument, self.limits, is_market=order.price is None))

    def _opening_margin(
        self,
        money: SimulatedAccount,
        book: Book,
        market: MarketView,
        order: AskedOrder,
        price: Decimal,
    ) -> Decimal:
        pair, direction, qty = book.pair, order.direction, order.qty
        is_market = order.price is None
        notional = qty * ((market.last or price) if is_market else price)
        least = self.instrument.min_notional
        if notional < least:
            raise RefusalError(
                RetCode.NOTIONAL_TOO_SMALL, f"Order does not meet minimum order value {least}USDT"
            )
        if is_market:
            price = market.opposite(order.side) or price
        margin = pair.order_margin_of(direction, qty, price)
        leverage = pair.leg(direction).leverage
        if leverage is not self._free_leverage or pair.tiers is not self._free_tiers:
            self._check_leverage(book, leverage, notional, market.mark or price)
        if margin > money.available():
            raise no_money(money, margin)
        return margin

    def _check_leverage(
        self, book: Book, leverage: Decimal, notional: Decimal, mark: Decimal
    ) -> None:
        """Judge the leverage by the tier of both legs and of every opening order together."""
        pair, most = book.pair, self.limits.max_leverage
        is_above = most is not None and leverage > most
        cap = _largest_value(pair.tiers, leverage)
        if cap is None and not is_above:
            self._free_leverage, self._free_tiers = leverage, pair.tiers
            return
        value = (pair.long.size + pair.short.size) * mark + notional
        # what rests holds at least its value / leverage, which spares the sum
        reserve = pair.order_margin * leverage if pair.taker_rate >= 0 else None
        if not is_above and cap is not None and reserve is not None and value + reserve <= cap:
            return
        value += book.opening_value()
        if is_above or not tier_allows(pair.tiers, leverage, value):
            raise RefusalError(
                RetCode.LEVERAGE_ABOVE_TIER,
                f"leverage {leverage} is above what a value of {value:.0f} USDT allows",
            )


def tier_allows(tiers: MMTiers, leverage: Decimal, value: Decimal) -> bool:
    """Tell whether a leverage is allowed at a value (USDT) of legs and orders together."""
    return leverage * tiers.for_value(value).initial_rate <= 1


def _largest_value(tiers: MMTiers, leverage: Decimal) -> Decimal | None:
    """Return up to which value in USDT every tier allows a leverage; None for any value."""
    cap = ZERO
    for tier in tiers.tiers:
        if leverage * tier.initial_rate > 1:
            return cap
        cap = tier.limit
    return None


def check_link_id(ended_ms: int | None, now_ms: int, *, is_open: bool) -> None:
    """Raise RefusalError while an order link id is taken: by an open order, or a recent one.

    `ended_ms` is when its order ended, None when there was none.
    """
    if is_open or (ended_ms is not None and now_ms - ended_ms < LINK_RESERVED_MS):
        raise RefusalError(RetCode.DUPLICATE_LINK_ID, "OrderLinkedID is duplicate")


def check_added_margin(money: SimulatedAccount, needed: Decimal, held: Decimal) -> None:
    """Check that an order may hold `needed` instead of `held` USDT. Raises RefusalError."""
    if needed - held > max(ZERO, money.available()):
        raise no_money(money, needed - held)


def covered_qty(book: Book, direction: DirectionType, qty: Decimal, own: Decimal) -> Decimal:
    """Return what the leg covers of a closing order that covers `own` of it already."""
    return min(qty, book.closing_budget(direction) + own)


def no_money(money: SimulatedAccount, needed: Decimal) -> RefusalError:
    """Return the refusal of what an account cannot carry; `needed` in USDT."""
    return RefusalError(
        RetCode.INSUFFICIENT_BALANCE,
        f"ab not enough for new order: {needed:.4f} USDT needed, {money.available():.4f} available",
    )
