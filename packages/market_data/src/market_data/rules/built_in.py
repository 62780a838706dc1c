"""Built-in rules of well-known contracts and risk tiers, for whom nobody has told better ones."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from gridcore import MMTier, MMTiers

FUNDING_INTERVAL_MIN: Final = 480

# what Bybit's instruments-info said of some contracts on 2026-08-09:
# tick size, quantity step, largest order
CONTRACTS: Final = {
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
