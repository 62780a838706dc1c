"""Rules of a contract that change while it trades, as the exchange announces and does it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from exchange_model.rules.codes import parameter_error
from gridcore.errors import GridcoreError
from market_data.basics.data_errors import DataError
from paper_exchange.basics.wire import Row, plain
from paper_exchange.market.listing import Listing, listing_of_rows, places

ONE = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """The rules that change; None stays. Prices in USDT, quantities in base coin."""

    tick_size: Decimal | None = None
    qty_step: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None  # limit orders
    max_market_qty: Decimal | None = None
    min_notional: Decimal | None = None  # USDT
    price_limit_ratio_x: Decimal | None = None
    price_limit_ratio_y: Decimal | None = None
    max_leverage: Decimal | None = None

    def applied_to(self, listing: Listing) -> Listing:
        """Return the contract with the new rules. Raises RefusalError for rules that contradict."""
        if all(getattr(self, one.name) is None for one in fields(self)):
            names = ", ".join(one.name for one in fields(self))
            raise parameter_error(f"no rule is given that changes; there are {names}")
        leverage = self.max_leverage
        if leverage is not None and (leverage < ONE or leverage % listing.leverage_step):
            raise parameter_error(
                f"max_leverage {leverage}: it is 1 or more, in steps of {listing.leverage_step}"
            )
        try:
            changed = listing_of_rows(self._row(listing), self._risk_rows(listing))
        except (GridcoreError, DataError) as error:
            raise parameter_error(f"{error}; change what depends on it with it") from error
        if changed.price_ratio_x > changed.price_ratio_y:
            raise parameter_error(
                f"price_limit_ratio_x {changed.price_ratio_x} is above price_limit_ratio_y"
                f" {changed.price_ratio_y}"
            )
        market, one = changed.max_market_qty, changed.instrument
        if market < one.min_qty or market % one.qty_step:
            raise parameter_error(
                f"max_market_qty {market} is no multiple of the qty step {one.qty_step} from"
                f" {one.min_qty} on; change it with it"
            )
        # what is on the book keeps its digits
        return changed.with_places(listing.price_places, listing.qty_places)

    def _row(self, listing: Listing) -> Row:
        row = dict(listing.row)
        row["priceFilter"] = _with(row["priceFilter"], {"tickSize": self.tick_size})
        if self.tick_size is not None:
            row["priceScale"] = str(places(self.tick_size))
        row["lotSizeFilter"] = _with(
            row["lotSizeFilter"],
            {
                "qtyStep": self.qty_step,
                "minOrderQty": self.min_qty,
                "maxOrderQty": self.max_qty,
                "postOnlyMaxOrderQty": self.max_qty,
                "maxMktOrderQty": self.max_market_qty,
                "minNotionalValue": self.min_notional,
            },
        )
        row["riskParameters"] = _with(
            row.get("riskParameters") or {},
            {
                "priceLimitRatioX": self.price_limit_ratio_x,
                "priceLimitRatioY": self.price_limit_ratio_y,
            },
        )
        row["leverageFilter"] = _with(row["leverageFilter"], {"maxLeverage": self.max_leverage})
        return row

    def _risk_rows(self, listing: Listing) -> list[Row]:
        """Return the tiers, none above the new leverage; the first one is brought to it."""
        most = self.max_leverage
        if most is None:
            return [dict(row) for row in listing.risk_rows]
        rows = []
        for place, row in enumerate(listing.risk_rows):
            allowed = most if place == 0 else min(most, Decimal(row["maxLeverage"]))
            if allowed != Decimal(row["maxLeverage"]):
                rate = plain((ONE / allowed).quantize(Decimal("1E-10")))
                rows.append({**row, "maxLeverage": f"{allowed:.2f}", "initialMargin": rate})
            else:
                rows.append(dict(row))
        return rows


def _with(part: Row, changes: dict[str, Any]) -> Row:
    given = {name: f"{value:f}" for name, value in changes.items() if value is not None}
    return {**part, **given}
