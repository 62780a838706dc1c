"""What is done for the record now and then: progress kept, gaps tried again, accounts audited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bybit_adapter import Environment as Place
from event_saver.reconcile.reconciler import GapReconciler
from grid_db import GridDbError
from gridbot.records.recorded_streams import AccountStream, RecordedMarketStream

log = logging.getLogger(__name__)

KEEP_S = 5.0
RETRY_S = 60.0
AUDIT_S = 600.0

Work = Callable[[], Coroutine[Any, Any, None]]


class RecordUpkeep:
    """Looks after the streams that are recorded; the collections grow while it runs."""

    def __init__(
        self,
        keep: Work,
        reconcilers: Mapping[Place, GapReconciler],
        accounts: Mapping[str, AccountStream],
        markets: Sequence[RecordedMarketStream],
    ) -> None:
        self._keep = keep
        self._reconcilers = reconcilers
        self._accounts = accounts
        self._markets = markets
        self._audited: dict[tuple[str, str], datetime] = {}

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield what goes on for ever."""
        yield self._every(KEEP_S, self._keep)
        yield self._every(RETRY_S, self._retry)
        yield self._every(AUDIT_S, self._audit)

    async def _every(self, seconds: float, work: Work) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception:  # upkeep goes on, whatever one round meets
                log.exception("the upkeep of the record failed this time")

    def _open_accounts(self) -> list[AccountStream]:
        """Return the accounts that were confirmed: the others have no stream."""
        return [one for one in self._accounts.values() if one.stream is not None]

    async def _retry(self) -> None:
        symbols = {symbol for market in self._markets for symbol in market.symbols}
        for place, reconciler in self._reconcilers.items():
            accounts = [one for one in self._open_accounts() if one.reconciler is reconciler]
            feeds = [feed for account in accounts for feed in account.feeds()]
            mine = symbols if any(one.reconciler is reconciler for one in self._markets) else ()
            try:
                await reconciler.retry(feeds, symbols=frozenset(mine))
            except GridDbError as error:
                log.warning("%s: the ledger was not read: %s", place.name, error)

    async def _audit(self) -> None:
        interval = timedelta(seconds=AUDIT_S)
        for account in self._open_accounts():
            for feed in account.feeds():
                now = datetime.now(UTC)
                # one that failed is made up for by the next that does not
                since = min(now, self._audited.setdefault(feed.key, now - interval)) - interval
                if await account.reconciler.audit_account(feed, since):
                    self._audited[feed.key] = now
