"""The wallet of one account, which all its strategies share."""

from __future__ import annotations

from collections.abc import Iterable

from bybit_adapter import Wallet
from gridbot.actor.runner import StrategyRunner
from gridbot.ports import ExchangeClock
from gridcore import AccountEvent


class SharedWallet:
    """Hands the wallet to strategies; `newest` is what is known of it."""

    def __init__(self, clock: ExchangeClock) -> None:
        self._clock = clock
        self.newest: Wallet | None = None

    def share(self, wallet: Wallet, runners: Iterable[StrategyRunner]) -> None:
        """Let strategies know of the wallet, read once for all of them."""
        if self.newest is None or wallet.as_of >= self.newest.as_of:
            self.newest = wallet
        snapshot = wallet.snapshot
        if snapshot is None:
            return
        for runner in runners:
            runner.tell(
                AccountEvent(
                    symbol=runner.symbol,
                    exchange_ts=wallet.as_of,
                    local_ts=self._clock.local(),
                    wallet=snapshot,
                )
            )
