"""Asks the exchange for the rules of a contract, through whoever is installed to do so.

Nothing here knows an exchange's client: a package offers a function under the entry point group
`backtest.instrument_look_up`. It is called with a symbol and returns the contract's row of
instruments-info with its rows of risk-limit, or None for a contract that is not listed.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from market_data.rules.instrument_info import ExchangeRows

GROUP = "backtest.instrument_look_up"


def ask_exchange(symbol: str) -> ExchangeRows | None:
    """Return what the exchange says, None where nobody can ask it or it has no such contract.

    Looks for somebody only when it is called, so that a run which knows its contracts loads no
    client. Raises whatever the client raises.
    """
    for point in entry_points(group=GROUP):
        rows = point.load()(symbol)
        return None if rows is None else ExchangeRows(*rows)
    return None
