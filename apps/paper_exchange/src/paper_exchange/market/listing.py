"""A contract as it is listed: its rules for the matching, its rows for instruments-info and
risk-limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from exchange_model.rules.contract import ContractLimits
from gridcore import InstrumentInfo, MMTiers, parse_risk_limit_tiers
from market_data.rules.instrument_info import FoundRules
from market_data.rules.market_rules import parse_instrument
from paper_exchange.basics.wire import Row, money, plain, stepped

ONE = Decimal(1)
QUOTE = "USDT"
# where a row does not say it
USUAL_RATIO_X, USUAL_RATIO_Y = Decimal("0.05"), Decimal("0.1")


class ContractStatus(StrEnum):
    """`status` of instruments-info."""

    PRE_LAUNCH = "PreLaunch"
    TRADING = "Trading"
    DELIVERING = "Delivering"
    CLOSED = "Closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Rules of one linear contract. `row` and `risk_rows` are what the exchange publishes."""

    instrument: InstrumentInfo
    tiers: MMTiers
    min_price: Decimal  # USDT
    max_price: Decimal  # USDT
    max_market_qty: Decimal  # base coin
    max_leverage: Decimal
    leverage_step: Decimal
    funding_interval_min: int
    funding_cap: Decimal  # largest rate per interval
    price_ratio_x: Decimal
    price_ratio_y: Decimal
    row: Row
    risk_rows: tuple[Row, ...]
    price_places: int  # of the finest tick so far
    qty_places: int

    @property
    def symbol(self) -> str:
        """The contract's name."""
        return self.instrument.symbol

    @property
    def limits(self) -> ContractLimits:
        """What orders are checked against beside the instrument."""
        return ContractLimits.of(self)

    def price_text(self, price: Decimal) -> str:
        """Return a price in USDT with the places of the tick size, or of a finer one it had."""
        return _stepped(price, self.instrument.tick_size, self.price_places)

    def qty_text(self, qty: Decimal) -> str:
        """Return a quantity in base coin with the places of the quantity step, as prices."""
        return _stepped(qty, self.instrument.qty_step, self.qty_places)

    def with_places(self, price_places: int, qty_places: int) -> Listing:
        """Return the contract after one that was written with so many places."""
        return replace(
            self,
            price_places=max(price_places, self.price_places),
            qty_places=max(qty_places, self.qty_places),
        )

    @property
    def status(self) -> str:
        """Where the contract is in its life, one of `ContractStatus` as a rule."""
        return str(self.row["status"])

    @property
    def delivery_ms(self) -> int:
        """When the contract ends, 0 when that is not announced."""
        return int(self.row.get("deliveryTime") or 0)

    def with_status(self, status: ContractStatus, delivery_ms: int = 0) -> Listing:
        """Return the contract in another state of its life."""
        row = {**self.row, "status": status.value, "deliveryTime": str(delivery_ms)}
        return replace(self, row=row)

    def with_tick_size(self, tick_size: Decimal) -> Listing:
        """Return a contract that has another tick size from the beginning."""
        row = dict(self.row)
        row["priceFilter"] = {**row["priceFilter"], "tickSize": f"{tick_size:f}"}
        row["priceScale"] = str(places(tick_size))
        instrument = replace(self.instrument, tick_size=tick_size)
        return replace(self, instrument=instrument, row=row, price_places=places(tick_size))


def places(step: Decimal) -> int:
    """Return how many decimal places a step is written with."""
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def listing_of_rows(row: Mapping[str, Any], risk_rows: Sequence[Mapping[str, Any]]) -> Listing:
    """Return the listing that published rows describe. Raises what parsing them raises."""
    rules = parse_instrument(dict(row))
    price, leverage, lot = row["priceFilter"], row["leverageFilter"], row["lotSizeFilter"]
    return Listing(
        instrument=rules.instrument,
        tiers=parse_risk_limit_tiers(list(risk_rows)),
        min_price=Decimal(price["minPrice"]),
        max_price=Decimal(price["maxPrice"]),
        max_market_qty=Decimal(lot["maxMktOrderQty"]),
        max_leverage=Decimal(leverage["maxLeverage"]),
        leverage_step=Decimal(leverage["leverageStep"]),
        funding_interval_min=rules.funding_interval_min,
        funding_cap=Decimal(row.get("upperFundingRate") or "0.00375"),
        price_ratio_x=_or_usual(rules.limits.price_ratio_x, USUAL_RATIO_X),
        price_ratio_y=_or_usual(rules.limits.price_ratio_y, USUAL_RATIO_Y),
        row=dict(row),
        risk_rows=tuple(dict(one) for one in risk_rows),
        price_places=places(rules.instrument.tick_size),
        qty_places=places(rules.instrument.qty_step),
    )


def _or_usual(value: Decimal | None, usual: Decimal) -> Decimal:
    return usual if value is None else value


def listing_of_rules(rules: FoundRules, number: int = 1) -> Listing:
    """Return a listing made from rules alone, with rows in the exchange's form.

    `number` is its symbolId.
    """
    instrument, tiers = rules.instrument, rules.tiers
    risk_rows = [
        {
            "id": place,
            "symbol": instrument.symbol,
            "riskLimitValue": plain(tier.limit),
            "maintenanceMargin": plain(tier.maintenance_rate),
            "initialMargin": plain(tier.initial_rate),
            "isLowestRisk": 1 if place == 1 else 0,
            "maxLeverage": f"{ONE / tier.initial_rate:.2f}",
            "mmDeduction": money(tier.deduction) if tier.deduction else "",
        }
        for place, tier in enumerate(tiers.tiers, 1)
    ]
    return listing_of_rows(_row(rules, risk_rows[0]["maxLeverage"], number), risk_rows)


def _row(rules: FoundRules, max_leverage: object, number: int) -> Row:
    one = rules.instrument
    base = one.symbol.removesuffix(QUOTE)
    most = f"{one.max_qty.quantize(one.qty_step):f}"
    market = (one.max_qty / 5 // one.qty_step or ONE) * one.qty_step
    return {
        "symbol": one.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": base,
        "quoteCoin": QUOTE,
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(places(one.tick_size)),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": max_leverage,
            "leverageStep": "0.01",
        },
        "priceFilter": {
            "minPrice": f"{one.tick_size:f}",
            "maxPrice": f"{one.tick_size * 19_999_998:f}",
            "tickSize": f"{one.tick_size:f}",
        },
        "lotSizeFilter": {
            "maxOrderQty": most,
            "minOrderQty": f"{one.min_qty:f}",
            "qtyStep": f"{one.qty_step:f}",
            "postOnlyMaxOrderQty": most,
            "maxMktOrderQty": f"{market:f}",
            "minNotionalValue": plain(one.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": rules.funding_interval_min,
        "settleCoin": QUOTE,
        "copyTrading": "both",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {
            "priceLimitRatioX": str(USUAL_RATIO_X),
            "priceLimitRatioY": str(USUAL_RATIO_Y),
        },
        "displayName": "",
        "symbolType": "",
        "forbidUplWithdrawal": False,
        "symbolId": number,
    }


def _stepped(value: Decimal, step: Decimal, places: int) -> str:
    """Return a value with the places of its step; of one between two steps no digit is lost."""
    if value % step:
        exponent = value.normalize().as_tuple().exponent
        digits = -exponent if isinstance(exponent, int) else 0
        return stepped(value, ONE.scaleb(-max(places, digits)))
    return stepped(value, step)
