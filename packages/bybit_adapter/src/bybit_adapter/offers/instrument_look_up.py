"""Rules of one contract as rows of the exchange, for whoever keeps them as such.

Offered as the entry point `backtest.instrument_look_up`.
"""

from __future__ import annotations

import json
from typing import Any

from bybit_adapter.basics.environment import MAINNET, Environment
from bybit_adapter.basics.errors import SettingRefused
from bybit_adapter.records.instrument import RiskTier
from bybit_adapter.rest.client import BybitRestClient

TIMEOUT_S = 5.0

Row = dict[str, Any]


def look_up(symbol: str, environment: Environment = MAINNET) -> tuple[Row, list[Row]] | None:
    """Return the row of instruments-info and the rows of risk-limit; None for no such contract.

    Asks once, without keys. Raises BybitError when there is no answer within some seconds.
    """
    with BybitRestClient(
        environment=environment, query_timeout_s=TIMEOUT_S, query_attempts=1
    ) as client:
        try:
            instrument = client.get_instrument(symbol)
        except SettingRefused:
            return None
        tiers = client.get_risk_limit(symbol)
    return json.loads(instrument.raw_json), [_as_row(tier) for tier in tiers]


def _as_row(tier: RiskTier) -> Row:
    """Return a tier as risk-limit has it, shares as fractions whatever they were."""
    return {
        "id": tier.risk_id,
        "symbol": tier.symbol,
        "riskLimitValue": f"{tier.limit:f}",
        "maintenanceMargin": f"{tier.maintenance_ratio:f}",
        "initialMargin": f"{tier.initial_ratio:f}",
        "maxLeverage": f"{tier.max_leverage:f}",
        "mmDeduction": f"{tier.deduction:f}",
    }
