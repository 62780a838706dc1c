"""Instrument rules and risk limits in the store: Bybit's own rows.

STORE/instruments.json    one row of each symbol    STORE/risk_limits.json    rows of each symbol
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from gridcore.pnl import MMTiers, parse_risk_limit_tiers
from market_data.basics.data_errors import UnreadableFileError
from market_data.files.column_folder import locked, write_atomically
from market_data.rules.market_rules import MarketRules, parse_instrument

_INSTRUMENTS = "instruments"
_RISK_LIMITS = "risk_limits"


class RulesStore:
    """The newest rules that were imported. Safe for any number of readers and writers."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def symbols(self) -> list[str]:
        """Return the symbols with instrument rules, sorted."""
        return sorted(self._read(_INSTRUMENTS))

    def risk_limit_symbols(self) -> list[str]:
        """Return the symbols with risk limits, sorted."""
        return sorted(self._read(_RISK_LIMITS))

    def put_instruments(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows of instruments-info, over older ones of the same symbols."""
        self._update(_INSTRUMENTS, {row["symbol"]: row for row in rows})

    def put_risk_limits(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows of risk-limit, over all older ones of the same symbols."""
        symbols = {row["symbol"] for row in rows}
        grouped = {name: [row for row in rows if row["symbol"] == name] for name in symbols}
        self._update(_RISK_LIMITS, grouped)

    def rules(self, symbol: str) -> MarketRules | None:
        """Return the rules of a symbol, if imported. Raises UnreadableFileError."""
        row = self._read(_INSTRUMENTS).get(symbol)
        return None if row is None else parse_instrument(row)

    def tick_size(self, symbol: str) -> Decimal | None:
        """Return the tick size of a symbol, if its rules were imported."""
        rules = self.rules(symbol)
        return None if rules is None else rules.instrument.tick_size

    def risk_limits(self, symbol: str) -> MMTiers | None:
        """Return the margin tiers of a symbol, if imported. Raises UnreadableFileError."""
        rows = self._read(_RISK_LIMITS).get(symbol)
        return None if rows is None else parse_risk_limit_tiers(rows)

    def _update(self, name: str, rows: Mapping[str, Any]) -> None:
        with locked(self.root, name):
            merged = {**self._read(name), **rows}
            text = json.dumps(merged, indent=1, sort_keys=True)
            write_atomically(self.root / f"{name}.json", text.encode())

    def _read(self, name: str) -> dict[str, Any]:
        file = self.root / f"{name}.json"
        try:
            return dict(json.loads(file.read_bytes()))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise UnreadableFileError(f"{file}: {error}; import the file again") from error
