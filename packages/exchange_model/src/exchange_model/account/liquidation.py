"""At which price an account dies, and at which price its legs are taken over.

The account is liquidated where its equity has fallen to its maintenance margin. Both are piecewise
linear in the price, so the edges are computed, not searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from gridcore import calc_pair_margins, estimate_liquidation_prices

if TYPE_CHECKING:
    from exchange_model.account.simulated_account import SimulatedPair

ZERO = Decimal(0)
PRICE_STEP = Decimal("1E-10")  # USDT
SMALLEST_PRICE = Decimal("1E-12")  # USDT; a margin has no meaning at price zero

Edges = tuple[Decimal | None, Decimal | None]


def liquidation_range(pairs: Sequence[SimulatedPair], equity: Decimal) -> Edges:
    """Return the prices (low, high) in USDT at which these legs use up `equity`.

    `equity` (USDT) is what stands behind them without their own unrealised profit. None where no
    price does it. One pair follows the formula of docs/exchange.md, "Liquidation price"; several
    pairs of one symbol follow the same balance, summed.
    """
    open_pairs = [pair for pair in pairs if pair.is_open]
    if not open_pairs:
        return None, None
    if len(open_pairs) == 1:
        pair = open_pairs[0]
        long, short = pair.states()
        return estimate_liquidation_prices(
            long, short, equity, pair.tiers, fees_to_close=pair.fees_to_close()
        )
    return _joint_range(open_pairs, equity)


def _joint_range(pairs: Sequence[SimulatedPair], equity: Decimal) -> Edges:
    """Solve wallet + unrealised profit = maintenance margin over all pairs.

    The left side less the right one is concave in the price, so it has at most one zero on each
    side of a price at which it is positive.
    """
    mark = pairs[0].mark()
    if _surplus(pairs, equity, mark) <= 0:
        return mark, mark
    borders = {
        tier.limit / abs(pair.net_size)
        for pair in pairs
        if pair.net_size
        for tier in pair.tiers.tiers
    }
    below = [mark, *sorted((price for price in borders if price < mark), reverse=True), ZERO]
    above = [mark, *sorted(price for price in borders if price > mark)]
    above.append(above[-1] * 2)
    low = _first_zero(pairs, equity, below)
    high = _first_zero(pairs, equity, above)
    if high is None:
        # beyond the last tier everything is one line
        high = _zero_of_line(pairs, equity, above[-2], above[-1])
    return (low if low is not None and low > 0 else None), high


def _first_zero(
    pairs: Sequence[SimulatedPair], equity: Decimal, prices: Sequence[Decimal]
) -> Decimal | None:
    for near, far in pairwise(prices):
        if _surplus(pairs, equity, far) <= 0:
            return _zero_of_line(pairs, equity, near, far)
    return None


def _zero_of_line(
    pairs: Sequence[SimulatedPair], equity: Decimal, near: Decimal, far: Decimal
) -> Decimal | None:
    at_near, at_far = _surplus(pairs, equity, near), _surplus(pairs, equity, far)
    if at_far >= at_near:
        return None
    return near + (far - near) * at_near / (at_near - at_far)


def _surplus(pairs: Sequence[SimulatedPair], equity: Decimal, price: Decimal) -> Decimal:
    """Return equity less maintenance margin in USDT at a price."""
    total = equity
    at = max(price, SMALLEST_PRICE)
    for pair in pairs:
        long, short = pair.states()
        margins = calc_pair_margins(long, short, at, pair.tiers, taker_fee_rate=pair.taker_rate)
        total += pair.net_size * price - pair.net_cost
        total -= sum((margin.maintenance for margin in margins), ZERO)
    return total


def bankruptcy_price(pairs: Sequence[SimulatedPair], equity: Decimal) -> Decimal | None:
    """Return the price in USDT at which these legs and `equity` behind them are worth nothing.

    Rounded in the account's favour, so that closing everything there leaves no debt. None when
    the legs cancel out, or when no price above zero does it. Source: docs/exchange.md,
    "Bankruptcy price".
    """
    net = sum((pair.net_size for pair in pairs), ZERO)
    if not net:
        return None
    cost = sum((pair.net_cost for pair in pairs), ZERO)
    price = ((cost - equity) / net).quantize(PRICE_STEP, ROUND_CEILING if net > 0 else ROUND_FLOOR)
    return price if price > 0 else None
