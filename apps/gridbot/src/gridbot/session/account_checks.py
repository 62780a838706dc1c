"""What is looked at from time to time for all strategies of one account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from zlib import crc32

from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.ports import ExchangeClock, Rest
from gridbot.session.preflight import measure_clock
from gridbot.session.reconciler import Reconciler

MARGIN_MODE = "margin_mode"
CLOCK = "clock"
LOOKS_IN_AN_INTERVAL = 10  # whether it is over


class ComparisonsInTurn:
    """Lets the strategies of an account be compared with the exchange, one after the other.

    All rows of all strategies at once would hold up orders for a good part of a second.
    """

    def __init__(
        self, account: str, runners: Mapping[str, StrategyRunner], reconciler: Reconciler
    ) -> None:
        self._account = account
        self._runners = runners
        self._reconciler = reconciler

    async def orders(self, interval_s: float) -> None:
        """Compare everything of every strategy once in an interval, for ever; 0 never does."""
        if not interval_s:
            return
        accounts_turn = crc32(self._account.encode()) / 2**32  # accounts take turns too
        await asyncio.sleep(interval_s / max(1, len(self._runners)) * accounts_turn)
        while True:
            for runner in tuple(self._runners.values()):
                self._reconciler.request(runner, "in turn")
                await asyncio.sleep(interval_s / len(self._runners))
            if not self._runners:
                await asyncio.sleep(interval_s)

    async def positions(self, interval_s: float) -> None:
        """Compare executions and positions of whom nobody has looked at for an interval."""
        while True:
            for runner in tuple(self._runners.values()):
                if self._reconciler.seconds_since_look(runner) >= interval_s:
                    self._reconciler.request(runner, "positions", orders=False)
                await asyncio.sleep(interval_s / LOOKS_IN_AN_INTERVAL / len(self._runners))
            if not self._runners:
                await asyncio.sleep(interval_s)


class AccountChecks:
    """Looks whether margin mode, clock and shadows' contracts are still as they have to be.

    `runners` are all strategies of the account, those that only decide too. Raises BybitError.
    """

    def __init__(
        self,
        account: str,
        rest: Rest,
        clock: ExchangeClock,
        alerts: Alerts,
        runners: Callable[[], Collection[StrategyRunner]],
        max_drift_s: float,
    ) -> None:
        self._account = account
        self._rest = rest
        self._clock = clock
        self._alerts = alerts
        self._runners = runners
        self._max_drift_s = max_drift_s
        self._is_clock_off = False

    async def check_margin_mode(self) -> None:
        """Hold everything while the account is not in cross margin, as somebody may set by hand."""
        info = await self._rest.get_account_info()
        for runner in self._runners():
            if not info.is_cross_margin:
                runner.hold(
                    MARGIN_MODE,
                    f"account {self._account} is in {info.margin_mode}; it has to be in cross"
                    " margin, switch it back",
                )
            elif runner.health.explains(MARGIN_MODE):
                runner.release(MARGIN_MODE)

    async def check_clock(self) -> None:
        """Measure the clock; one that is far off degrades the strategies."""
        drift = (await measure_clock(self._rest, self._clock)).total_seconds()
        text = f"account {self._account}: the clock differs from the exchange's by {drift:+.2f} s"
        is_off = abs(drift) > self._max_drift_s
        if is_off and not self._is_clock_off:
            self._alerts.alert(AlertKey.CLOCK_DRIFT, text, about=self._account)
        self._is_clock_off = is_off
        for runner in self._runners():
            runner.health.doubt(CLOCK, text if is_off else "")

    async def look_at_shadowed_contracts(self) -> None:
        """Ask for the contracts of those whose orders and legs there are none to compare of."""
        for runner in self._runners():
            if runner.is_shadow and runner.stopped_because is None:
                runner.tell(await self._rest.get_instrument(runner.symbol))
