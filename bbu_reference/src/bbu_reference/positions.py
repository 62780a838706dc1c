"""The position check: from both legs' risk to the four quantity multipliers."""

from collections.abc import Callable
from dataclasses import dataclass

from bbu_reference.orders import Direction, Multipliers, Side, neutral_multipliers
from bbu_reference.switches import LegacySwitches

POSITION_CHECK_INTERVAL_S = 63.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One leg as the exchange reports it; all zero when there is none."""

    size: float  # base coin, never negative
    entry_price: float | None  # USDT; None when the exchange sends an empty field
    position_value: float  # USDT
    liq_price: float | None  # USDT; None when the exchange sends an empty field
    leverage: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """The configured thresholds."""

    min_liq_ratio: float  # long leg: liquidation price / last price, below 1
    max_liq_ratio: float  # short leg: the same ratio, above 1
    min_total_margin: float  # both legs' position value / wallet balance
    increase_same_position_on_low_margin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LastCheck:
    """What a position check leaves to the next one."""

    position_ratio: float = 1.0  # long size / short size
    short_margin: float = 1.0  # position value / wallet balance


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """One leg with all that its rules look at."""

    direction: Direction
    opening: Side
    closing: Side
    liq_ratio: float
    legs_equal: bool
    margin_is_low: bool
    losing: bool


def unrealised_pct(direction: Direction, position: Position, last_price: float) -> float:
    """Return the unrealised result in percent of the margin at entry; 0 without an entry price.

    Raises ZeroDivisionError for an entry price of 0, which an empty leg may have.
    """
    entry = position.entry_price
    if entry is None:
        return 0.0
    change = 1 / entry - 1 / last_price if direction == "long" else 1 / last_price - 1 / entry
    return change * entry * 100 * position.leverage


def liq_ratio(position: Position, last_price: float) -> float:
    """Return liquidation price / last price; an empty liquidation price counts as 0."""
    return (position.liq_price or 0.0) / last_price


def position_ratio(long: Position, short: Position) -> float:
    """Return long size / short size: infinity for a lone long, 1 when there is neither."""
    if short.size == 0:
        return 1.0 if long.size == 0 else float("inf")
    return long.size / short.size


def multipliers_for(
    long: Position,
    short: Position,
    *,
    last_price: float,
    wallet_usdt: float,
    limits: RiskLimits,
    before: LastCheck,
    switches: LegacySwitches,
) -> Multipliers:
    """Return the multipliers after one check. Raises ZeroDivisionError for an empty wallet.

    The long leg is judged first, the short leg second; each sets at most one multiplier, and
    where both set the same one, the short leg's stays. An empty leg has no rules.
    """
    result = neutral_multipliers()
    long_margin = long.position_value / wallet_usdt
    short_margin = short.position_value / wallet_usdt
    ratio = position_ratio(long, short)
    short_margin_of_long_rules = short_margin_of_short_rules = short_margin
    if switches.checks_use_previous_check:
        ratio = before.position_ratio
        short_margin_of_long_rules = before.short_margin
        if switches.short_rules_use_previous_short_margin:
            short_margin_of_short_rules = before.short_margin

    if long.size == 0 and long.entry_price == 0 and switches.empty_long_leg_raises:
        return result  # 1 / entry price raises, and the short leg's rules are not reached
    if long.size:
        other = short_margin_of_long_rules
        leg = _Leg(
            direction="long",
            opening="Buy",
            closing="Sell",
            liq_ratio=liq_ratio(long, last_price),
            legs_equal=_equal(long_margin, other),
            margin_is_low=long_margin + other < limits.min_total_margin,
            losing=unrealised_pct("long", long, last_price) < 0,
        )
        result |= _long_rule(leg, ratio, limits)
    if short.size:
        own = short_margin_of_short_rules
        leg = _Leg(
            direction="short",
            opening="Sell",
            closing="Buy",
            liq_ratio=liq_ratio(short, last_price),
            legs_equal=_equal(own, long_margin),
            margin_is_low=long_margin + own < limits.min_total_margin,
            losing=unrealised_pct("short", short, last_price) < 0,
        )
        result |= _short_rule(leg, ratio, limits, switches)
    return result


def _long_rule(leg: _Leg, ratio: float, limits: RiskLimits) -> Multipliers:
    if leg.liq_ratio > 1.05 * limits.min_liq_ratio:
        return {("long", "Sell"): 1.5}
    if leg.liq_ratio > limits.min_liq_ratio:
        return {("short", "Buy"): 0.5}
    if leg.legs_equal and leg.margin_is_low:
        return _low_margin_rule(leg, limits)
    if ratio < 0.5 and leg.losing:
        return {("long", "Buy"): 2}
    if ratio < 0.20:
        return {("long", "Buy"): 2}
    return {}


def _short_rule(
    leg: _Leg, ratio: float, limits: RiskLimits, switches: LegacySwitches
) -> Multipliers:
    high_risk = 0 < leg.liq_ratio < 0.95 * limits.max_liq_ratio
    moderate_risk = 0 < leg.liq_ratio < limits.max_liq_ratio
    if switches.short_liquidation_operator_inverted:
        high_risk = leg.liq_ratio > 0.95 * limits.max_liq_ratio
        moderate_risk = leg.liq_ratio > limits.max_liq_ratio
    if high_risk:
        return {("short", "Buy"): 1.5}
    if moderate_risk:
        return {("long", "Sell"): 0.5}
    if leg.legs_equal and leg.margin_is_low:
        return _low_margin_rule(leg, limits)
    if ratio > 2 and leg.losing:
        return {("short", "Sell"): 2}
    if ratio > 5:
        return {("short", "Sell"): 2}
    return {}


def _low_margin_rule(leg: _Leg, limits: RiskLimits) -> Multipliers:
    if limits.increase_same_position_on_low_margin:
        return {(leg.direction, leg.opening): 2}
    return {(leg.direction, leg.closing): 0.5}


def _equal(own_margin: float, other_margin: float) -> bool:
    # the bounds are not reciprocal, so one leg may find the legs equal and the other not
    return other_margin != 0 and 0.94 < own_margin / other_margin < 1.05


class PositionCheck:
    """The timer: keeps the multipliers of the last check until the next one is due."""

    def __init__(self, limits: RiskLimits, switches: LegacySwitches | None = None) -> None:
        self.multipliers = neutral_multipliers()  # changed in place, never replaced
        self.last = LastCheck()
        self._limits = limits
        self._switches = switches or LegacySwitches()
        self._last_check_s: float | None = None

    def run(
        self,
        now_s: float,
        *,
        fetch_positions: Callable[[], tuple[Position, Position]],
        last_price: float,
        wallet_usdt: float,
    ) -> bool:
        """Check if 63 s have passed since the last time; return whether it did.

        `fetch_positions` gives (long, short) and is called only when the check is due.
        """
        last_s = self._last_check_s
        if last_s is not None and now_s - last_s < POSITION_CHECK_INTERVAL_S:
            return False
        self._last_check_s = now_s
        long, short = fetch_positions()
        self.check(long, short, last_price=last_price, wallet_usdt=wallet_usdt)
        return True

    def check(
        self, long: Position, short: Position, *, last_price: float, wallet_usdt: float
    ) -> None:
        """Set the multipliers anew, and remember what the next check goes by (prices in USDT)."""
        self.multipliers.update(
            multipliers_for(
                long,
                short,
                last_price=last_price,
                wallet_usdt=wallet_usdt,
                limits=self._limits,
                before=self.last,
                switches=self._switches,
            )
        )
        self.last = LastCheck(
            position_ratio=position_ratio(long, short),
            short_margin=short.position_value / wallet_usdt,
        )
