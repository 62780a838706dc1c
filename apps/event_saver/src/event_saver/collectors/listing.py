"""Which contracts are traded: looked at from time to time, because that changes both ways."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bybit_adapter import BybitAsyncClient, BybitError, SettingRefused

log = logging.getLogger(__name__)

# A contract before its launch is traded in an auction, and one may want to have that.
TRADED = frozenset({"Trading", "PreLaunch"})


class Listings:
    """Asks the exchange for the state of contracts, and remembers the last answers."""

    def __init__(self, client: BybitAsyncClient, symbols: Sequence[str]) -> None:
        self._client = client
        self._symbols = tuple(symbols)
        self.untraded: dict[str, str] = {}  # symbol -> why, as the exchange says

    async def look(self) -> None:
        """Ask for all; where there is no answer, what was known stays."""
        for symbol in self._symbols:
            try:
                instrument = await self._client.get_instrument(symbol)
            except SettingRefused as error:
                self._note(symbol, f"not listed: {error.message}")
            except BybitError as error:
                log.warning("the state of the contracts is not known now: %s", error)
                return
            else:
                status = instrument.status
                self._note(symbol, None if status in TRADED else f"not traded: {status}")

    def _note(self, symbol: str, why: str | None) -> None:
        if why is None:
            self.untraded.pop(symbol, None)
        else:
            self.untraded[symbol] = why
