"""What an account and the state of a market allow, after the contract's own limits are kept."""

from __future__ import annotations

from decimal import Decimal

from gridcore import SideType
from paper_exchange.basics.ret_codes import RefusalError, RetCode
from paper_exchange.book.account import PaperAccount, SymbolBook
from paper_exchange.book.order_request import OrderRequest
from paper_exchange.book.orders import OrderType
from paper_exchange.market.market import Market


def limit_price(
    account: PaperAccount, market: Market, side: SideType, price: Decimal | None
) -> Decimal:
    """Return the price that the order gets: moved to the price limit when it is beyond it."""
    limits = market.price_limits()
    if limits is None:
        raise RefusalError(RetCode.NO_MARKET_PRICE, "there is no market price yet")
    highest, lowest = (market.price(ticks) for ticks in limits)
    if price is None:
        return highest if side is SideType.BUY else lowest
    beyond = price > highest if side is SideType.BUY else price < lowest
    if not beyond:
        return price
    limit = highest if side is SideType.BUY else lowest
    if not account.moves_price:
        raise RefusalError(
            RetCode.PRICE_OUT_OF_RANGE,
            f"order price {price} exceeds the limit {market.listing.price_text(limit)}",
        )
    return limit


def opening_margin(
    account: PaperAccount,
    book: SymbolBook,
    market: Market,
    request: OrderRequest,
    qty: Decimal,
    price: Decimal,
) -> Decimal:
    """Return the margin in USDT of an order that opens. Raises RefusalError."""
    is_market = request.order_type is OrderType.MARKET
    last = market.price(market.last_ticks or 1)
    notional = qty * (last if is_market else price)
    least = market.listing.instrument.min_notional
    if notional < least:
        raise RefusalError(
            RetCode.NOTIONAL_TOO_SMALL, f"Order does not meet minimum order value {least}USDT"
        )
    if is_market:
        taken = market.ask_ticks if request.side is SideType.BUY else market.bid_ticks
        price = market.price(taken or 1)
    pair = book.pair
    leverage = pair.leg(request.direction).leverage
    mark = market.mark or price
    value = (pair.long.size + pair.short.size) * mark + notional
    value += book.orders.opening_value + book.arriving_value
    tier = market.listing.tiers.for_value(value)
    if leverage * tier.initial_rate > 1 or leverage > market.listing.max_leverage:
        raise RefusalError(
            RetCode.LEVERAGE_ABOVE_TIER,
            f"leverage {leverage} is above what a value of {value:.0f} USDT allows",
        )
    margin = book.orders.margin_of(request.direction, qty, price)
    if margin > account.money.available():
        raise no_money(account, margin)
    return margin


def closing_qty(book: SymbolBook, market: Market, request: OrderRequest) -> Decimal:
    """Return what of the order the leg still covers. Raises RefusalError for nothing."""
    direction = request.direction
    if not book.pair.leg(direction).size:
        raise RefusalError(
            RetCode.REDUCE_ONLY_ZERO,
            "current position is zero, cannot fix reduce-only order qty",
        )
    budget = book.closing_budget(direction)
    if budget <= 0:
        raise RefusalError(RetCode.REDUCE_ONLY_ZERO, "orderQty will be truncated to zero")
    if request.qty:
        return min(request.qty, budget)
    is_market = request.order_type is OrderType.MARKET
    most = market.listing.max_market_qty if is_market else market.listing.instrument.max_qty
    # all there is may be less than a step, when the rules changed under the leg
    return min(budget, most)


def check_trading(market: Market) -> None:
    """Raise RefusalError while a contract takes no new orders and no changes of them."""
    stopped = market.stopped
    if stopped is not None:
        raise RefusalError(stopped.code, stopped.why)


def no_money(account: PaperAccount, needed: Decimal) -> RefusalError:
    """Return the refusal of what an account cannot carry; `needed` in USDT."""
    return RefusalError(
        RetCode.INSUFFICIENT_BALANCE,
        f"ab not enough for new order: {needed:.4f} USDT needed,"
        f" {account.money.available():.4f} available",
    )
