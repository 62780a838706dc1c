"""How the bot is: its snapshot, the status file that a watchdog reads, its figures."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gridbot.accounts.markets import Markets
from gridbot.accounts.served_account import ServedAccount
from gridbot.actor.executor import IntentExecutor
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.views.life import Life
from gridbot.views.metrics import BotMetrics
from gridbot.views.snapshots import account_snapshot, strategy_snapshot
from gridbot.views.status import StatusFile
from gridbot.words.snapshot import BotSnapshot, StrategySnapshot

log = logging.getLogger(__name__)


class BotStatus:
    """Tells how a bot with these accounts is."""

    def __init__(
        self,
        accounts: Sequence[ServedAccount],
        markets: Markets,
        life: Life,
        metrics: BotMetrics,
        alerts: Alerts,
        path: str | Path,
    ) -> None:
        path = Path(path)
        self._accounts = accounts
        self._markets = markets
        self._life = life
        self._metrics = metrics
        self._alerts = alerts
        self._file = StatusFile(path)
        self._is_written = True
        self._retries: dict[str, int] = {}  # that were shown, by strategy
        self._started_at = datetime.now(UTC)

    def snapshot(self) -> BotSnapshot:
        """Return the bot as it is now."""
        return self._snapshot_with(tuple(self._strategies()))

    async def unhurried_snapshot(self) -> BotSnapshot:
        """Return nearly the same: with many strategies one piece would hold up orders for long."""
        found = []
        for one in self._strategies():
            found.append(one)
            await asyncio.sleep(0)
        return self._snapshot_with(tuple(found))

    def _strategies(self) -> Iterator[StrategySnapshot]:
        for account in tuple(self._accounts):
            for runner in account.runners:
                yield strategy_snapshot(runner, account.config.environment)

    def _snapshot_with(self, strategies: tuple[StrategySnapshot, ...]) -> BotSnapshot:
        now = datetime.now(UTC)
        return BotSnapshot(
            taken_at=now,
            started_at=self._started_at,
            pid=os.getpid(),
            state=self._life.state,
            reason=self._life.reason,
            accounts=tuple(
                account_snapshot(
                    one.session,
                    one.config.environment,
                    market_is_alive=self._markets.is_alive(one),
                    now=now,
                )
                for one in self._accounts
            ),
            strategies=strategies,
            unattended=self._life.unattended(
                runner for account in self._accounts for runner in account.runners
            ),
        )

    async def write(self, snapshot: BotSnapshot) -> None:
        """Write the status file; that it cannot be written is told once."""
        try:
            await asyncio.to_thread(self._file.write, snapshot)
        except OSError as error:
            log.error("%s cannot be written: %s", self._file.path, error)
            if self._is_written:
                self._alerts.alert(
                    AlertKey.STATUS_NOT_WRITTEN,
                    f"{self._file.path} cannot be written ({error.strerror}); a watchdog will"
                    " take the bot for dead and its opening orders away",
                )
            self._is_written = False
        else:
            self._is_written = True

    async def show(self) -> None:
        """Bring the figures up to date."""
        self._metrics.show(await self.unhurried_snapshot())
        for account in self._accounts:
            for shadow in account.shadows:  # of the others their account takes care
                shadow.look_at_blocks()
        for account in self._accounts:
            for runner in account.runners:
                executor = runner.executor
                if isinstance(executor, IntentExecutor):
                    known = self._retries.get(runner.strat_id, 0)
                    self._metrics.retries.labels(runner.strat_id).inc(executor.retries - known)
                    self._retries[runner.strat_id] = executor.retries
