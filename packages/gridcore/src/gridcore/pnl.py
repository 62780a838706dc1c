"""Profit, margin and liquidation of hedge-mode legs on a USDT linear contract. Pure functions.

Sources: docs/exchange.md, "Profit and margin" and "Risk tiers". Money is USDT, size is base coin,
both Decimal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from gridcore.errors import GridcoreError, TierError
from gridcore.sides import LONG, SHORT, DirectionType, direction_named

if TYPE_CHECKING:
    from gridcore.position import PositionState

ZERO = Decimal(0)
TAKER_FEE_RATE = Decimal("0.00055")  # VIP 0
SMALLEST_PRICE = Decimal("1E-12")  # USDT


def _check_price(name: str, price: Decimal) -> None:
    if not price.is_finite() or price <= 0:
        raise GridcoreError(f"{name} is {price}; a price is above zero")


def calc_unrealised_pnl(direction: str, entry: Decimal, price: Decimal, size: Decimal) -> Decimal:
    """Return the profit in USDT of `size` held from `entry` and valued at `price`."""
    if direction is not LONG and direction is not SHORT:
        direction = direction_named(direction)
    move = price - entry if direction is LONG else entry - price
    return move * size


def calc_unrealised_pnl_pct(
    direction: str, entry: Decimal, price: Decimal, leverage: Decimal
) -> Decimal:
    """Return the profit in percent as (1/entry - 1/price) x entry x 100 x leverage for a long.

    Mirrored for a short. Raises GridcoreError unless both prices are above zero.
    """
    _check_price("entry", entry)
    _check_price("price", price)
    if direction is not LONG and direction is not SHORT:
        direction = direction_named(direction)
    long_pct = (price - entry) / price * 100 * leverage
    return long_pct if direction is LONG else -long_pct


def calc_position_value(size: Decimal, price: Decimal) -> Decimal:
    """Return size x price in USDT."""
    return size * price


def calc_initial_margin(value: Decimal, leverage: Decimal) -> Decimal:
    """Return the initial margin in USDT of a position value. Raises unless leverage > 0."""
    if not leverage.is_finite() or leverage <= 0:
        raise GridcoreError(f"leverage is {leverage}; it is above zero")
    return value / leverage


def calc_liq_ratio(liquidation_price: Decimal | None, last_price: Decimal) -> Decimal:
    """Return liquidation price / last price; 0 when the leg has no liquidation price."""
    _check_price("last_price", last_price)
    return ZERO if liquidation_price is None else liquidation_price / last_price


def calc_imr_pct(initial_margin: Decimal, margin_balance: Decimal) -> Decimal:
    """Return the account's initial-margin rate in percent. Raises unless the balance > 0."""
    return _rate_pct(initial_margin, margin_balance)


def calc_mmr_pct(maintenance_margin: Decimal, margin_balance: Decimal) -> Decimal:
    """Return the account's maintenance-margin rate in percent; liquidation starts at 100."""
    return _rate_pct(maintenance_margin, margin_balance)


def _rate_pct(margin: Decimal, balance: Decimal) -> Decimal:
    if not balance.is_finite() or balance <= 0:
        raise GridcoreError(f"the margin balance is {balance}; the rate has no meaning")
    return margin / balance * 100


def calc_margin_ratio(position_value: Decimal, wallet_balance: Decimal) -> Decimal:
    """Return position value / wallet balance. Raises GridcoreError unless the balance > 0."""
    if not wallet_balance.is_finite() or wallet_balance <= 0:
        raise GridcoreError(f"the wallet balance is {wallet_balance}; the ratio has no meaning")
    return position_value / wallet_balance


@dataclass(frozen=True, slots=True)
class MMTier:
    """One step of the risk-limit ladder, for position values up to `limit` USDT."""

    limit: Decimal  # USDT
    maintenance_rate: Decimal  # 0-1
    initial_rate: Decimal  # 0-1
    deduction: Decimal  # USDT


@dataclass(frozen=True, slots=True)
class MMTiers:
    """The risk-limit ladder of one contract, lowest tier first. Raises TierError when wrong."""

    tiers: tuple[MMTier, ...]

    def __post_init__(self) -> None:
        if not self.tiers:
            raise TierError("the list of risk tiers is empty")
        previous: MMTier | None = None
        for number, tier in enumerate(self.tiers, 1):
            _check_tier(number, tier, previous)
            previous = tier

    def for_value(self, value: Decimal) -> MMTier:
        """Return the tier of a position value in USDT; the last one beyond its limit."""
        for tier in self.tiers:
            if value <= tier.limit:
                return tier
        return self.tiers[-1]


def _check_tier(number: int, tier: MMTier, previous: MMTier | None) -> None:
    if not tier.limit > 0 or tier.deduction < 0:
        raise TierError(f"tier {number}: limit {tier.limit}, deduction {tier.deduction}")
    if not 0 < tier.maintenance_rate < 1 or not 0 < tier.initial_rate <= 1:
        raise TierError(
            f"tier {number}: maintenance rate {tier.maintenance_rate} and initial rate"
            f" {tier.initial_rate} are shares between 0 and 1"
        )
    if previous is None:
        return
    if tier.limit == previous.limit:
        raise TierError(f"tier {number} repeats the limit {tier.limit}")
    if tier.limit < previous.limit or tier.maintenance_rate < previous.maintenance_rate:
        raise TierError(f"tier {number} lies below tier {number - 1}; lowest tier first")


def parse_risk_limit_tiers(rows: Sequence[Mapping[str, object]]) -> MMTiers:
    """Parse the rows of Bybit's `GET /v5/market/risk-limit` for one symbol.

    Rates are fractions or percents (both occur; `initialMargin x maxLeverage` is about 1 for a
    fraction and about 100 for a percentage); an empty mmDeduction is computed from the tiers
    before it: D1 = 0, Dn = Dn-1 + limit n-1 x (rate n - rate n-1). Raises TierError.
    """
    tiers: list[MMTier] = []
    for number, row in enumerate(rows, 1):
        limit = _tier_decimal(number, row, "riskLimitValue")
        maintenance = _tier_decimal(number, row, "maintenanceMargin")
        initial = _tier_decimal(number, row, "initialMargin")
        if initial * _tier_decimal(number, row, "maxLeverage") > 10:
            maintenance, initial = maintenance / 100, initial / 100
        if row.get("mmDeduction") not in (None, ""):
            deduction = _tier_decimal(number, row, "mmDeduction")
        elif tiers:
            last = tiers[-1]
            deduction = last.deduction + last.limit * (maintenance - last.maintenance_rate)
        else:
            deduction = ZERO
        tiers.append(MMTier(limit, maintenance, initial, deduction))
    return MMTiers(tuple(tiers))


def _tier_decimal(number: int, row: Mapping[str, object], field: str) -> Decimal:
    try:
        value = Decimal(str(row[field]))
    except (KeyError, ArithmeticError) as error:
        raise TierError(f"tier {number}: {field} is {row.get(field)!r}, not a number") from error
    if not value.is_finite():
        raise TierError(f"tier {number}: {field} is {value}")
    return value


def calc_maintenance_margin(value: Decimal, tiers: MMTiers) -> Decimal:
    """Return the maintenance margin in USDT of a position value, without the fee to close."""
    if not value.is_finite() or value < 0:
        raise GridcoreError(f"the position value is {value}; it is 0 or more")
    tier = tiers.for_value(value)
    return value * tier.maintenance_rate - tier.deduction


def calc_fee_to_close(
    leg: PositionState, hedged_size: Decimal, taker_fee_rate: Decimal = TAKER_FEE_RATE
) -> Decimal:
    """Return the reserve in USDT for closing a leg at its bankruptcy price.

    (size + hedged size) x entry x (1 - 1/leverage) x taker rate for a long, 1 + 1/leverage for a
    short; the part that the other leg hedges counts twice.
    """
    share = 1 / leg.leverage
    factor = 1 - share if leg.direction == LONG else 1 + share
    return (leg.size + hedged_size) * leg.entry_price * factor * taker_fee_rate


def calc_pair_fees_to_close(
    long: PositionState, short: PositionState, taker_fee_rate: Decimal = TAKER_FEE_RATE
) -> Decimal:
    """Return the reserve in USDT for closing both legs, as `calc_fee_to_close`."""
    hedged = min(long.size, short.size)
    fees = calc_fee_to_close(long, hedged, taker_fee_rate) if long.size else ZERO
    if short.size:
        fees += calc_fee_to_close(short, hedged, taker_fee_rate)
    return fees


@dataclass(frozen=True, slots=True)
class LegMargin:
    """Margin of one leg in USDT, the fee to close included in both."""

    initial: Decimal
    maintenance: Decimal


def calc_pair_margins(
    long: PositionState,
    short: PositionState,
    mark_price: Decimal,
    tiers: MMTiers,
    *,
    taker_fee_rate: Decimal = TAKER_FEE_RATE,
) -> tuple[LegMargin, LegMargin]:
    """Return the margins (long, short) of a hedged pair in cross margin at a mark price in USDT.

    With h the hedged size: every leg reserves its fee to close; the larger leg carries
    size x mark / leverage of initial margin and (size - h) x mark x rate - deduction of
    maintenance margin; the smaller leg carries its fee alone. Equal legs count the long one as
    the larger. Source: docs/exchange.md, "Margin of both legs".
    """
    _check_price("mark_price", mark_price)
    hedged = min(long.size, short.size)
    larger = long if long.size >= short.size else short
    margins = []
    for leg in (long, short):
        if not leg.size:
            margins.append(LegMargin(ZERO, ZERO))
            continue
        fee = calc_fee_to_close(leg, hedged, taker_fee_rate)
        initial = maintenance = fee
        if leg is larger:
            initial += calc_initial_margin(leg.size * mark_price, leg.leverage)
            maintenance += calc_maintenance_margin((leg.size - hedged) * mark_price, tiers)
        margins.append(LegMargin(initial, maintenance))
    return margins[0], margins[1]


def calc_pair_initial_line(
    long: PositionState,
    short: PositionState,
    *,
    taker_fee_rate: Decimal = TAKER_FEE_RATE,
    fees_to_close: Decimal | None = None,
) -> tuple[Decimal, Decimal]:
    """Return (a, b) such that both legs together hold a + b x mark price of initial margin, USDT.

    The same formula as `calc_pair_margins`, for whoever asks at many prices. `fees_to_close` is
    `calc_pair_fees_to_close` where it is known already.
    """
    if fees_to_close is None:
        fees_to_close = calc_pair_fees_to_close(long, short, taker_fee_rate)
    larger = long if long.size >= short.size else short
    return fees_to_close, larger.size / larger.leverage


def calc_order_margin(
    direction: DirectionType,
    qty: Decimal,
    price: Decimal,
    leverage: Decimal,
    taker_fee_rate: Decimal = TAKER_FEE_RATE,
) -> Decimal:
    """Return the margin in USDT that a resting opening order holds.

    qty x price / leverage, the fee to open, and the fee to close at the bankruptcy price
    (1 - 1/leverage for a long, 1 + 1/leverage for a short). Source: docs/exchange.md,
    "Margin of an order".
    """
    notional = qty * price
    share = 1 / leverage
    factor = 1 - share if direction_named(direction) is LONG else 1 + share
    return calc_initial_margin(notional, leverage) + notional * taker_fee_rate * (1 + factor)


def estimate_liquidation_prices(
    long: PositionState,
    short: PositionState,
    equity: Decimal,
    tiers: MMTiers,
    *,
    taker_fee_rate: Decimal = TAKER_FEE_RATE,
    fees_to_close: Decimal | None = None,
) -> tuple[Decimal | None, Decimal | None]:
    """Return the liquidation prices (long, short) in USDT of a hedged pair in cross margin.

    `equity` is what both legs share: the wallet balance in USDT, without the unrealised profit of
    the two legs. The price is where equity equals maintenance margin. Only the larger leg has one;
    equal legs have none, and neither has a long that would survive at price zero. The tier follows
    the value of the unhedged part at that price. Source of the formula: docs/exchange.md,
    "Liquidation price"; W = equity, F = both fees to close (given where known), D = deduction:
    net long  P = (L x El - S x Es - W + F - D) / ((L - S)(1 - MMR)),
    net short P = (W - L x El + S x Es - F + D) / ((S - L)(1 + MMR)).
    """
    net = long.size - short.size
    if not net:
        return None, None
    fees = fees_to_close
    if fees is None:
        fees = calc_pair_fees_to_close(long, short, taker_fee_rate)
    cost = long.size * long.entry_price - short.size * short.entry_price
    lower_limit = ZERO
    for tier in tiers.tiers:
        if net > 0:
            price = (cost - equity + fees - tier.deduction) / (net * (1 - tier.maintenance_rate))
        else:
            price = (equity - cost - fees + tier.deduction) / (-net * (1 + tier.maintenance_rate))
        value = abs(net) * price
        is_last = tier is tiers.tiers[-1]
        if value <= lower_limit and lower_limit:
            price = lower_limit / abs(net)  # rounding at the border of two tiers
            break
        if value <= tier.limit or is_last:
            break
        lower_limit = tier.limit
    if net < 0:
        # equity that no price can save still has a liquidation price: the lowest there is
        return None, max(price, SMALLEST_PRICE)
    return (price, None) if price > 0 else (None, None)
