"""Rules of a contract, whoever knows them: cache, exchange, an old cache, or built-in defaults.

The exchange itself is asked by a function that is handed in; nothing here opens a connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

from gridcore import InstrumentInfo, MMTiers, parse_risk_limit_tiers
from gridcore.errors import GridcoreError
from market_data.files.column_folder import write_atomically
from market_data.rules.built_in import CONTRACTS, FUNDING_INTERVAL_MIN, default_tiers
from market_data.rules.market_rules import MarketRules, PublishedLimits, parse_instrument

__all__ = [
    "FUNDING_INTERVAL_MIN",
    "ExchangeRows",
    "FoundRules",
    "InstrumentInfoProvider",
    "RulesSource",
    "default_rules",
    "default_tiers",
]

log = logging.getLogger(__name__)

TIME_TO_LIVE = timedelta(hours=24)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExchangeRows:
    """What the exchange says of one contract: its row of instruments-info, its risk limits."""

    instrument: Row
    risk_limits: Sequence[Row]


LookUp = Callable[[str], ExchangeRows | None]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


class RulesSource(StrEnum):
    """Where rules come from, best first."""

    FRESH_CACHE = "cache"
    EXCHANGE = "exchange"
    STALE_CACHE = "old cache"
    DEFAULTS = "built-in defaults"


@dataclass(frozen=True, slots=True)
class FoundRules:
    """Rules of one contract. `as_of` is when the exchange said so, None for defaults."""

    instrument: InstrumentInfo
    tiers: MMTiers
    funding_interval_min: int
    source: RulesSource
    as_of: datetime | None
    limits: PublishedLimits = field(default_factory=PublishedLimits)

    def describe(self) -> str:
        """Return the source in words."""
        if self.as_of is None:
            return f"{self.source.value}"
        return f"{self.source.value}, as of {self.as_of:%Y-%m-%d %H:%M} UTC"


class InstrumentInfoProvider:
    """Looks for the rules of a symbol: fresh cache, exchange, stale cache, defaults.

    The cache is one JSON file per symbol, good for 24 hours. A file that cannot be read counts as
    absent and is kept aside. `look_up` may fail in any way: then the next source is tried.
    """

    def __init__(
        self, cache: str | Path | None, look_up: LookUp | None = None, clock: Clock | None = None
    ) -> None:
        self._cache = None if cache is None else Path(cache)
        self._look_up = look_up
        self._clock = clock or utc_now

    def get(self, symbol: str) -> FoundRules | None:
        """Return the best rules there are; None for a symbol without any, not even defaults."""
        cached = self._cached(symbol)
        now = self._clock()
        if cached is not None and cached.as_of is not None and now - cached.as_of <= TIME_TO_LIVE:
            return cached
        asked = self._ask(symbol, now)
        if asked is not None:
            return asked
        if cached is not None:
            log.warning("%s: rules are from %s; the exchange was not asked", symbol, cached.as_of)
            return FoundRules(
                cached.instrument,
                cached.tiers,
                cached.funding_interval_min,
                RulesSource.STALE_CACHE,
                cached.as_of,
                cached.limits,
            )
        return default_rules(symbol)

    def _ask(self, symbol: str, now: datetime) -> FoundRules | None:
        if self._look_up is None:
            return None
        try:
            rows = self._look_up(symbol)
            if rows is None:
                return None
            found = _parse(rows, RulesSource.EXCHANGE, now)
        except Exception:
            # whatever went wrong on the way to the exchange, there is a next source
            log.warning("%s: the exchange could not be asked for rules", symbol, exc_info=True)
            return None
        if self._cache is not None:
            contents = {
                "as_of": now.isoformat(),
                "instrument": dict(rows.instrument),
                "risk_limits": [dict(row) for row in rows.risk_limits],
            }
            try:
                write_atomically(self._file(self._cache, symbol), json.dumps(contents).encode())
            except OSError as error:
                log.warning("%s: the exchange's answer cannot be kept: %s", symbol, error)
        return found

    def _cached(self, symbol: str) -> FoundRules | None:
        if self._cache is None:
            return None
        file = self._file(self._cache, symbol)
        if not file.exists():
            return None
        try:
            contents = json.loads(file.read_text(encoding="utf-8"))
            as_of = datetime.fromisoformat(contents["as_of"])
            rows = ExchangeRows(contents["instrument"], contents["risk_limits"])
            if as_of.tzinfo is None or rows.instrument["symbol"] != symbol:
                raise ValueError("not what was written for this symbol")
            return _parse(rows, RulesSource.FRESH_CACHE, as_of)
        except (ValueError, KeyError, TypeError, OSError, InvalidOperation, GridcoreError) as error:
            aside = file.with_suffix(".unreadable")
            log.warning("%s: cannot be read (%s); kept as %s", file.name, error, aside.name)
            file.replace(aside)
            return None

    @staticmethod
    def _file(cache: Path, symbol: str) -> Path:
        if not symbol.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{symbol!r} is no symbol of Bybit; write it as BTCUSDT")
        return cache / f"{symbol}.json"


def _parse(rows: ExchangeRows, source: RulesSource, as_of: datetime) -> FoundRules:
    rules: MarketRules = parse_instrument(dict(rows.instrument))
    tiers = parse_risk_limit_tiers(list(rows.risk_limits))
    return FoundRules(
        rules.instrument, tiers, rules.funding_interval_min, source, as_of, rules.limits
    )


def default_rules(symbol: str) -> FoundRules | None:
    """Return built-in rules of a well-known symbol; None for any other."""
    known = CONTRACTS.get(symbol)
    if known is None:
        return None
    tick, step, most = (Decimal(text) for text in known)
    instrument = InstrumentInfo(symbol, tick, step, step, Decimal(5), most)
    return FoundRules(
        instrument, default_tiers(symbol), FUNDING_INTERVAL_MIN, RulesSource.DEFAULTS, None
    )
