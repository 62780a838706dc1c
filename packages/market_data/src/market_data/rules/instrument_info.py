"""Rules of a contract, whoever knows them: cache, exchange, an old cache, or built-in defaults.

The exchange itself is asked by a function that is handed in; nothing here opens a connection.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

from gridcore import InstrumentInfo, MMTier, MMTiers, parse_risk_limit_tiers
from gridcore.errors import GridcoreError
from market_data.files.column_folder import write_atomically
from market_data.rules.market_rules import MarketRules, parse_instrument

log = logging.getLogger(__name__)

TIME_TO_LIVE = timedelta(hours=24)
FUNDING_INTERVAL_MIN = 480

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
        self, cache: Path | None, look_up: LookUp | None = None, clock: Clock | None = None
    ) -> None:
        self._cache = cache
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
    return FoundRules(rules.instrument, tiers, rules.funding_interval_min, source, as_of)


# what Bybit's instruments-info said of some contracts on 2026-08-09:
# tick size, quantity step, largest order
_CONTRACTS = {
    "BTCUSDT": ("0.10", "0.001", "1500"),
    "ETHUSDT": ("0.01", "0.01", "10000"),
    "SOLUSDT": ("0.010", "0.1", "96000"),
    "XRPUSDT": ("0.0001", "0.1", "7500000"),
    "BNBUSDT": ("0.10", "0.01", "940"),
    "DOGEUSDT": ("0.00001", "1", "43678900"),
    "ADAUSDT": ("0.0001", "1", "1500000"),
    "LTCUSDT": ("0.01", "0.1", "8800"),
    "LINKUSDT": ("0.001", "0.1", "41000"),
    "AVAXUSDT": ("0.001", "0.1", "110000"),
}
# the first tiers of BTCUSDT: limit in USDT, maintenance and initial rate
_BTC_LADDER = (
    ("300000", "0.0033", "0.0066"),
    ("2000000", "0.005", "0.01"),
    ("2600000", "0.0056", "0.0111"),
    ("3200000", "0.0063", "0.0125"),
    ("3800000", "0.0067", "0.0133"),
    ("4400000", "0.0071", "0.0143"),
    ("5000000", "0.0077", "0.0154"),
    ("5600000", "0.0091", "0.0182"),
)
# stricter than any large contract, so that a simulated account rather dies too early
_GENERAL_LADDER = (
    ("200000", "0.01", "0.02"),
    ("400000", "0.015", "0.03"),
    ("600000", "0.02", "0.04"),
    ("800000", "0.025", "0.05"),
    ("100000000", "0.05", "0.1"),
)


def _ladder(rows: Sequence[tuple[str, str, str]]) -> MMTiers:
    tiers: list[MMTier] = []
    for limit, maintenance, initial in rows:
        rate, deduction = Decimal(maintenance), Decimal(0)
        if tiers:
            last = tiers[-1]
            deduction = last.deduction + last.limit * (rate - last.maintenance_rate)
        tiers.append(MMTier(Decimal(limit), rate, Decimal(initial), deduction))
    return MMTiers(tuple(tiers))


GENERAL_TIERS = _ladder(_GENERAL_LADDER)


def default_tiers(symbol: str) -> MMTiers:
    """Return built-in margin tiers: BTCUSDT's own, a stricter ladder for everything else."""
    return _ladder(_BTC_LADDER) if symbol == "BTCUSDT" else GENERAL_TIERS


def default_rules(symbol: str) -> FoundRules | None:
    """Return built-in rules of a well-known symbol; None for any other."""
    known = _CONTRACTS.get(symbol)
    if known is None:
        return None
    tick, step, most = (Decimal(text) for text in known)
    instrument = InstrumentInfo(symbol, tick, step, step, Decimal(5), most)
    return FoundRules(
        instrument, default_tiers(symbol), FUNDING_INTERVAL_MIN, RulesSource.DEFAULTS, None
    )
