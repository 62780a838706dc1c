"""The rules of a contract and the tiers of its risk limit.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Row
from gridcore import InstrumentInfo, InvalidInstrumentError, MMTier, MMTiers

_PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One contract: `rules` are what an order has to follow, the rest is for checks and reports.

    delivery_time is when a contract that is delisted is settled; None for one that goes on.
    """

    rules: InstrumentInfo
    status: str  # Trading, PreLaunch, Delivering, Closed
    delivery_time: datetime | None
    contract_type: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    min_price: Decimal | None
    max_price: Decimal | None
    max_leverage: Decimal | None
    max_market_qty: Decimal | None  # base coin
    funding_interval_min: int | None
    raw_json: str = field(repr=False)

    @property
    def symbol(self) -> str:
        """The contract's name, for example BTCUSDT."""
        return self.rules.symbol

    @property
    def is_trading(self) -> bool:
        """Whether orders are accepted."""
        return self.status == "Trading"

    @property
    def has_ended(self) -> bool:
        """Whether it never trades again."""
        return self.status in ("Delivering", "Closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskTier:
    """One step of a contract's risk limit. Ratios are fractions (0.005), never percents."""

    symbol: str
    risk_id: int
    limit: Decimal  # USDT of position value up to which the tier holds
    maintenance_ratio: Decimal
    initial_ratio: Decimal
    max_leverage: Decimal
    deduction: Decimal  # USDT


def to_mm_tiers(tiers: Iterable[RiskTier]) -> MMTiers:
    """Return the ladder of one contract, lowest tier first. Raises TierError when it is wrong."""
    ordered = sorted(tiers, key=lambda tier: tier.limit)
    return MMTiers(
        tuple(
            MMTier(tier.limit, tier.maintenance_ratio, tier.initial_ratio, tier.deduction)
            for tier in ordered
        )
    )


def parse_instrument(row: Row) -> Instrument:
    """Parse one row of market/instruments-info."""
    prices, lots, leverage = (
        row.child(name) for name in ("priceFilter", "lotSizeFilter", "leverageFilter")
    )
    try:
        rules = InstrumentInfo(
            symbol=row.text("symbol"),
            tick_size=prices.price("tickSize"),
            qty_step=lots.price("qtyStep"),
            min_qty=lots.price("minOrderQty"),
            # A contract without a least notional leaves it empty.
            min_notional=lots.opt_size("minNotionalValue") or Decimal(0),
            max_qty=lots.price("maxOrderQty"),
        )
    except InvalidInstrumentError as error:
        raise row.bad("lotSizeFilter", str(error)) from error
    return Instrument(
        rules=rules,
        status=row.text("status"),
        delivery_time=_delivery(row),
        contract_type=row.text("contractType"),
        base_coin=row.text("baseCoin"),
        quote_coin=row.text("quoteCoin"),
        settle_coin=row.text("settleCoin"),
        min_price=prices.opt_price("minPrice"),
        max_price=prices.opt_price("maxPrice"),
        max_leverage=leverage.opt_price("maxLeverage"),
        max_market_qty=lots.opt_price("maxMktOrderQty"),
        funding_interval_min=row.opt_integer("fundingInterval"),
        raw_json=row.raw_json(),
    )


def _delivery(row: Row) -> datetime | None:
    """Return when the contract ends; a perpetual one that goes on says 0."""
    return row.time("deliveryTime") if row.opt_text("deliveryTime", "0") is not None else None


def parse_risk_tier(row: Row) -> RiskTier:
    """Parse one row of market/risk-limit.

    Some answers give the ratios as percents: the product of initial margin and leverage, which
    is 1 for fractions, tells which.
    """
    initial, leverage = row.price("initialMargin"), row.price("maxLeverage")
    product = initial * leverage
    if Decimal("0.5") < product < 2:
        unit = Decimal(1)
    elif Decimal(50) < product < 200:
        unit = _PERCENT
    else:
        raise row.bad("initialMargin", f"{initial} does not belong to leverage {leverage}")
    return RiskTier(
        symbol=row.text("symbol"),
        risk_id=row.integer("id"),
        limit=row.price("riskLimitValue"),
        maintenance_ratio=row.price("maintenanceMargin") / unit,
        initial_ratio=initial / unit,
        max_leverage=leverage,
        # The lowest tier leaves it empty, and deducts nothing.
        deduction=row.opt_size("mmDeduction") or Decimal(0),
    )
