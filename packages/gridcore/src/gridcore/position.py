"""Legs, sides and the rules that resize orders when a position becomes risky.

Rules and their order are the older bot's, applied to both legs as they are now. A short's danger is
read the right way round: its liquidation price lies above the market, so its
`liquidation price / last price` falls towards 1 as danger grows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Self, assert_never

from gridcore.errors import ConfigError, GridcoreError
from gridcore.pnl import calc_liq_ratio, calc_unrealised_pnl_pct
from gridcore.quick_init import with_quick_init
from gridcore.sides import (
    BUY,
    LONG,
    SELL,
    SHORT,
    DirectionType,
    SideType,
    direction_named,
    side_named,
)

__all__ = [
    "DirectionType",
    "Position",
    "PositionRiskManager",
    "PositionState",
    "RiskConfig",
    "RiskRule",
    "SideType",
]

log = logging.getLogger(__name__)

EQUAL_LEGS = (0.94, 1.05)  # own margin / other margin strictly between these counts as equal
HIGH_LIQ_FACTOR_LONG = Decimal("1.05")
HIGH_LIQ_FACTOR_SHORT = Decimal("0.95")
NO_LIMIT = float("inf")


@with_quick_init
@dataclass(frozen=True, slots=True)
class PositionState:
    """One leg of a hedge-mode symbol, as of the last account update.

    `margin` is the ratio position value / wallet balance, never the exchange's positionIM.
    `liquidation_price` is None when the exchange gives none.
    """

    direction: DirectionType
    size: Decimal  # base coin, never negative
    entry_price: Decimal  # USDT, 0 for an empty leg
    unrealized_pnl: Decimal  # USDT
    margin: Decimal  # ratio
    liquidation_price: Decimal | None  # USDT
    leverage: Decimal
    position_value: Decimal  # USDT, size x entry price

    @classmethod
    def empty(cls, direction: DirectionType, leverage: Decimal = Decimal(1)) -> Self:
        """Return a leg that holds nothing."""
        zero = Decimal(0)
        return cls(direction, zero, zero, zero, zero, None, leverage, zero)


@dataclass(frozen=True, slots=True)
class RiskConfig:
    """Thresholds of the position rules; ratios, not percentages.

    min_liq_ratio guards the long leg (liquidation below the market, ratio below 1), max_liq_ratio
    the short one (above 1). A leg whose margin reaches max_margin opens nothing more. Below
    min_total_margin of both legs together, equal legs are let grow.
    """

    min_liq_ratio: float
    max_liq_ratio: float
    max_margin: float
    min_total_margin: float
    increase_same_position_on_low_margin: bool = False

    def __post_init__(self) -> None:
        for name in ("min_liq_ratio", "max_liq_ratio", "max_margin", "min_total_margin"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
                raise ConfigError(f"{name} is {value!r}; it is a ratio, 0 or more")


class RiskRule(StrEnum):
    """Which rule set a multiplier."""

    HIGH_LIQUIDATION_RISK = "high_liquidation_risk"
    MODERATE_LIQUIDATION_RISK = "moderate_liquidation_risk"
    LOW_TOTAL_MARGIN = "low_total_margin"
    LOSING_AND_SMALL = "losing_and_small"
    VERY_SMALL = "very_small"


Trial = tuple[dict[SideType, float], dict[SideType, float]]  # multipliers (long, short)


class Position:
    """Order-size multipliers of one leg, and the rules that set them.

    Two linked objects per symbol: a rule of one leg may resize the other leg's orders. The
    direction may be given by its name, "long" or "short"; GridcoreError for another word.
    """

    def __init__(self, direction: DirectionType, config: RiskConfig) -> None:
        self.direction = direction = direction_named(direction)
        self.config = config
        self.opposite: Position | None = None
        self.last_rule: RiskRule | None = None
        self._multiplier = _ones()
        # liquidation price / last price beyond which the leg is at risk, and at high risk
        if direction is LONG:
            limit, factor = config.min_liq_ratio, HIGH_LIQ_FACTOR_LONG
        else:
            limit, factor = config.max_liq_ratio, HIGH_LIQ_FACTOR_SHORT
        self._risky = Decimal(str(limit))
        self._very_risky = factor * self._risky

    @classmethod
    def create_linked_pair(
        cls, long_config: RiskConfig, short_config: RiskConfig | None = None
    ) -> tuple[Position, Position]:
        """Return (long, short), linked; the short leg takes the long leg's config by default."""
        long = cls(LONG, long_config)
        short = cls(SHORT, short_config or long_config)
        long.set_opposite(short)
        short.set_opposite(long)
        return long, short

    def set_opposite(self, opposite: Position) -> None:
        """Link the other leg. Raises GridcoreError for a leg of the same direction."""
        if opposite.direction is self.direction:
            raise GridcoreError(f"both positions are {self.direction}; link a long with a short")
        self.opposite = opposite

    def reset_amount_multiplier(self) -> None:
        """Set both multipliers of this leg to 1."""
        self._multiplier[BUY] = self._multiplier[SELL] = 1.0

    def set_amount_multiplier(self, side: SideType, mult: float) -> None:
        """Set (not multiply) the multiplier of one side; it must be above zero."""
        if not 0 < mult < NO_LIMIT:
            raise GridcoreError(f"the multiplier is {mult!r}; it must be a number above zero")
        self._multiplier[side_named(side)] = mult

    def get_amount_multiplier(self) -> dict[SideType, float]:
        """Return {side: multiplier}; a copy."""
        return dict(self._multiplier)

    def amount_multiplier(self, side: SideType) -> float:
        """Return the multiplier of one side."""
        return self._multiplier[side]

    def calculate_amount_multiplier(
        self, position: PositionState, opposite_position: PositionState, last_close: Decimal
    ) -> RiskRule | None:
        """Apply the first rule that matches; return it, or None.

        `position` is this leg, `opposite_position` the other, `last_close` the market in USDT.
        The long leg is evaluated first and resets both legs; the short leg is evaluated second
        and keeps what the long leg set. An empty leg changes nothing. Raises GridcoreError (a
        ValueError) when the legs are not linked, belong to the wrong directions, or the price is
        not positive.
        """
        opposite = self.opposite
        if opposite is None:
            raise GridcoreError(
                f"the {self.direction} position has no opposite; use Position.create_linked_pair"
            )
        if (
            position.direction != self.direction
            or opposite_position.direction != self.direction.opposite
        ):
            raise GridcoreError(
                f"the {self.direction} position was given {position.direction} and"
                f" {opposite_position.direction}; own leg first, then the other"
            )
        if not last_close.is_finite() or last_close <= 0:
            raise GridcoreError(f"last_close is {last_close}; it must be above zero")
        if not position.size:
            return None
        if self.direction is LONG:
            self.reset_amount_multiplier()
            opposite.reset_amount_multiplier()
        rule = self.judge(position, opposite_position, last_close)
        if rule is not None:
            self._apply(rule, opposite)
        if rule is not self.last_rule:
            log.info(
                "%s leg: rule %s, multipliers %s", self.direction, rule or "none", self._multiplier
            )
            self.last_rule = rule
        return rule

    def trial(self, position: PositionState, opposite: PositionState, price: Decimal) -> Trial:
        """Return what a check of both legs at a price (USDT) would set; changes nothing.

        Called on the long leg, with its own state first. Raises GridcoreError as a check does.
        """
        if self.opposite is None:
            raise GridcoreError("the position has no opposite; use Position.create_linked_pair")
        found = {self.direction: _ones(), self.opposite.direction: _ones()}
        for leg, own, other in ((self, position, opposite), (self.opposite, opposite, position)):
            rule = leg.judge(own, other, price) if own.size else None
            if rule is not None:
                direction, side, mult = leg._effect(rule)
                found[direction][side] = mult
        return found[LONG], found[SHORT]

    def edges(
        self, position: PositionState, opposite: PositionState | None = None
    ) -> list[Decimal]:
        """Return the prices (USDT) at which a rule of this leg may begin or end to hold.

        Between two neighbouring edges of both legs a check comes to one result: every rule
        compares the price with the liquidation price or with the entry. The entry is left out
        where the `opposite` leg shows that the rule about small legs cannot hold.
        """
        if not position.size:
            return []
        found = []
        if opposite is None or (opposite.size and self._is_small(position, opposite)):
            found.append(position.entry_price)
        liquidation = position.liquidation_price
        if liquidation is not None and self._risky:
            found += [liquidation / self._risky, liquidation / self._very_risky]
        return found

    def judge(
        self, own: PositionState, other: PositionState, last_close: Decimal
    ) -> RiskRule | None:
        """Return the first rule that matches a leg that holds something; changes nothing."""
        if own.liquidation_price is not None:
            rule = self._liquidation_rule(calc_liq_ratio(own.liquidation_price, last_close))
            if rule is not None:
                return rule
        if not other.size:
            return None  # every further rule compares the two legs
        margin, other_margin = float(own.margin), float(other.margin)
        relative = margin / other_margin if other_margin else NO_LIMIT
        is_low = margin + other_margin < self.config.min_total_margin
        if is_low and EQUAL_LEGS[0] < relative < EQUAL_LEGS[1]:
            return RiskRule.LOW_TOTAL_MARGIN
        if self._is_small(own, other):
            percent = calc_unrealised_pnl_pct(
                self.direction, own.entry_price, last_close, own.leverage
            )
            if percent < 0:
                return RiskRule.LOSING_AND_SMALL
            if self._is_small(own, other, much=True):
                return RiskRule.VERY_SMALL
        return None

    def _is_small(self, own: PositionState, other: PositionState, *, much: bool = False) -> bool:
        """Tell whether this leg is less than half, or `much` less (a fifth), of the other."""
        if self.direction is LONG:
            return float(own.size / other.size) < (0.20 if much else 0.5)
        return float(other.size / own.size) > (5 if much else 2)

    def _liquidation_rule(self, liq_ratio: Decimal) -> RiskRule | None:
        """Judge liquidation price / last price, exactly: the boundary itself is not yet beyond."""
        if self.direction is LONG:
            if liq_ratio > self._very_risky:
                return RiskRule.HIGH_LIQUIDATION_RISK
            if liq_ratio > self._risky:
                return RiskRule.MODERATE_LIQUIDATION_RISK
        else:
            if 0 < liq_ratio < self._very_risky:
                return RiskRule.HIGH_LIQUIDATION_RISK
            if 0 < liq_ratio < self._risky:
                return RiskRule.MODERATE_LIQUIDATION_RISK
        return None

    def _apply(self, rule: RiskRule, opposite: Position) -> None:
        direction, side, mult = self._effect(rule)
        (self if direction is self.direction else opposite).set_amount_multiplier(side, mult)

    def _effect(self, rule: RiskRule) -> tuple[DirectionType, SideType, float]:
        """Return which multiplier a rule of this leg sets: of which leg and side, to what."""
        opening = self.direction.opening_side
        closing = opening.opposite
        match rule:
            case RiskRule.HIGH_LIQUIDATION_RISK:
                return self.direction, closing, 1.5
            case RiskRule.MODERATE_LIQUIDATION_RISK:
                # the other leg's closing side equals this leg's opening side
                return self.direction.opposite, opening, 0.5
            case RiskRule.LOW_TOTAL_MARGIN:
                if self.config.increase_same_position_on_low_margin:
                    return self.direction, opening, 2.0
                return self.direction, closing, 0.5
            case RiskRule.LOSING_AND_SMALL | RiskRule.VERY_SMALL:
                return self.direction, opening, 2.0
        assert_never(rule)


def _ones() -> dict[SideType, float]:
    return {BUY: 1.0, SELL: 1.0}


PositionRiskManager = Position
