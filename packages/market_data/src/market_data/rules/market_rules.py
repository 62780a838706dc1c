"""Readers of Bybit's instruments-info and risk-limit answers (JSON, plain or gzip)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gridcore.errors import GridcoreError
from gridcore.instrument import InstrumentInfo
from gridcore.pnl import MMTiers, parse_risk_limit_tiers
from market_data.basics.data_errors import UnreadableFileError
from market_data.files.line_blocks import read_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLimits:
    """What a row of instruments-info says beyond `InstrumentInfo`; None where it does not.

    Prices in USDT, `max_market_qty` in base coin, the ratios are shares of the mark price.
    """

    min_price: Decimal | None = None
    max_price: Decimal | None = None
    max_market_qty: Decimal | None = None
    max_leverage: Decimal | None = None
    price_ratio_x: Decimal | None = None
    price_ratio_y: Decimal | None = None


@dataclass(frozen=True, slots=True)
class MarketRules:
    """Rules of one contract as the exchange gave them, with the interval of its funding."""

    instrument: InstrumentInfo
    funding_interval_min: int
    limits: PublishedLimits = field(default_factory=PublishedLimits)


def read_instruments(path: str | Path) -> dict[str, MarketRules]:
    """Return the rules of every linear contract in the file. Raises UnreadableFileError."""
    path = Path(path)
    rules = {}
    for row in read_answer(path):
        try:
            rules[row["symbol"]] = parse_instrument(row)
        except (KeyError, TypeError, ValueError, InvalidOperation, GridcoreError) as error:
            raise UnreadableFileError(
                f"{path.name}: instrument {row.get('symbol')!r} cannot be read: {error!r}"
            ) from error
    return rules


def parse_instrument(row: dict[str, Any]) -> MarketRules:
    """Return one row of instruments-info. Raises KeyError, ValueError, InvalidOperation."""
    lot = row["lotSizeFilter"]
    return MarketRules(
        InstrumentInfo(
            symbol=row["symbol"],
            tick_size=Decimal(row["priceFilter"]["tickSize"]),
            qty_step=Decimal(lot["qtyStep"]),
            min_qty=Decimal(lot["minOrderQty"]),
            min_notional=Decimal(lot.get("minNotionalValue") or 0),
            max_qty=Decimal(lot["maxOrderQty"]),
        ),
        int(row["fundingInterval"]),
        parse_limits(row),
    )


def parse_limits(row: Mapping[str, Any]) -> PublishedLimits:
    """Return the limits of a row of instruments-info. Raises InvalidOperation."""

    def number(part: str, name: str) -> Decimal | None:
        text = (row.get(part) or {}).get(name)
        return Decimal(text) if text else None

    return PublishedLimits(
        min_price=number("priceFilter", "minPrice"),
        max_price=number("priceFilter", "maxPrice"),
        max_market_qty=number("lotSizeFilter", "maxMktOrderQty"),
        max_leverage=number("leverageFilter", "maxLeverage"),
        price_ratio_x=number("riskParameters", "priceLimitRatioX"),
        price_ratio_y=number("riskParameters", "priceLimitRatioY"),
    )


def read_risk_limits(path: str | Path) -> dict[str, MMTiers]:
    """Return the maintenance margin tiers of every symbol in the file.

    Raises UnreadableFileError.
    """
    path = Path(path)
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    try:
        for row in read_answer(path):
            by_symbol.setdefault(row["symbol"], []).append(row)
        return {symbol: parse_risk_limit_tiers(rows) for symbol, rows in by_symbol.items()}
    except (KeyError, ValueError, GridcoreError) as error:
        raise UnreadableFileError(f"{path.name}: risk limits cannot be read: {error}") from error


def read_answer(path: str | Path) -> list[dict[str, Any]]:
    """Return `result.list` of a saved REST answer. Raises UnreadableFileError."""
    path = Path(path)
    text, _ = read_whole(path)
    try:
        answer = json.loads(text)
        if answer.get("retCode", 0) != 0:
            raise UnreadableFileError(
                f"{path.name}: the answer is an error of Bybit: {answer.get('retMsg')}"
            )
        rows = answer["result"]["list"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, UnreadableFileError):
            raise
        raise UnreadableFileError(f"{path.name}: no answer of Bybit ({error!r})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnreadableFileError(f"{path.name}: result.list is no list of objects")
    return rows
