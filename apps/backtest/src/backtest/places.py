"""Where market data and answers of the exchange are kept, unless a command is told otherwise."""

import os
from pathlib import Path

STORE_VARIABLE = "HEDGE_GRID_STORE"


def default_store() -> Path:
    """Return the store used without --store: $HEDGE_GRID_STORE or a folder in the user's cache."""
    named = os.environ.get(STORE_VARIABLE)
    return Path(named) if named else _user_cache() / "market-data"


def rules_cache() -> Path:
    """Return the folder where answers of the exchange about contracts are kept."""
    return _user_cache() / "contracts"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hedge-grid"
