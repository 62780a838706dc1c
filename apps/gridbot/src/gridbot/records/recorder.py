"""What happens goes into the database: runs, executions, orders, positions, wallet, market data.

Rows go through event_saver's writers and its spool: trading never waits for the database. What is
lost on the way, or was not received, is seen to by `record_gaps`, and people are told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bybit_adapter import Environment as Place
from bybit_adapter import StreamKind, StreamUpdate
from event_saver.basics.owner import Owner
from event_saver.collectors.progress import StreamKey
from event_saver.spool.spool import Spool
from event_saver.writers import BatchWriter, DatabaseState, WriteLoop, WriterSet
from grid_db import (
    AlertRecord,
    AlertSeverity,
    DatabaseFactory,
    Environment,
    GridDbError,
    RunStatus,
    RunType,
    SnapshotSource,
    TenantScope,
    UserRepository,
    account_id_for,
    require_shared_writer,
)
from gridbot.alerts.alert_throttle import Alert
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.ports import OpenPrivate, OpenPublic, Rest
from gridbot.records.record_gaps import RecordGaps

log = logging.getLogger(__name__)
STOP_S = 6.0
END_S = 3.0
HANGS_S = 10.0


@dataclass(frozen=True, slots=True)
class StartedRun:
    """One start of one strategy."""

    run_id: str
    owner: Owner


class Recorder:
    """Writes for one user of one database. `database` has its schema."""

    def __init__(
        self,
        database: DatabaseFactory,
        user: str,
        spool_folder: Path,
        alerts: Alerts,
        *,
        save_market: bool,
    ) -> None:
        """Raises SpoolError for a folder that is in use, GridDbError for the database."""
        self._database = database
        self._alerts = alerts
        self._save_market = save_market
        self.writers = WriterSet()
        self._spool = Spool(spool_folder)
        self._loop = WriteLoop(database, self._spool, self.writers.all)
        self.gaps = RecordGaps(
            database,
            spool_folder,
            self.writers,
            self._loop,
            lambda: {key: run.owner for key, run in tuple(self._runs.items())},
        )
        self._spool.may_hold = self.gaps.streams
        self._private: Mapping[StreamKind, BatchWriter] = {
            StreamKind.EXECUTION: self.writers.executions,
            StreamKind.ORDER: self.writers.orders,
            StreamKind.POSITION: self.writers.positions,
            StreamKind.WALLET: self.writers.wallets,
        }
        self._runs: dict[tuple[str, str], StartedRun] = {}
        self._failures: dict[str, str] = {}
        self._down_told = False
        self._told = _Told()
        self._last_moments: list[tuple[StreamKey, datetime]] = []
        self._beating: threading.Thread | None = None
        self._beat_at = 0.0
        try:
            with database.get_session() as session:
                self.user_id = str(UserRepository(session).get_or_create(user).id)
                if save_market:
                    require_shared_writer(session, "market data (save_events)")
        except GridDbError:
            self._spool.close()
            raise

    async def stop_listening(self) -> None:
        """Fetch no more for the record; while the streams are still there."""
        self._last_moments = self.gaps.moments()
        await self.gaps.stop()

    def begin_run(
        self,
        account: str,
        environment: Environment,
        strat_id: str,
        symbol: str,
        run_type: RunType,
        config: Mapping[str, Any],
    ) -> StartedRun:
        """Store the strategy and a run of it; runs that crashed are closed as stale. Blocking."""
        now = datetime.now(UTC)
        with self._database.get_session() as session:
            scope = TenantScope(session, self.user_id)
            account_id = scope.accounts.get_or_create(account, environment).id
            strategy = scope.strategies.save(account_id, strat_id, symbol, config)
            # the lock of the spool tells that no other process works here: what runs has crashed
            closed = scope.runs.close_stale_running_runs(now, strategy.id)
            run = scope.runs.create(
                run_type, now, account_id=account_id, strategy_id=strategy.id, symbol=symbol,
                config=config,
            )  # fmt: skip
        if closed:
            log.warning("%s: %d earlier runs had crashed; closed", strat_id, closed)
        is_paper = environment is Environment.PAPER
        owner = Owner(
            user_id=self.user_id,
            account_id=str(account_id),
            run_id=str(run.id),
            source=SnapshotSource.PAPER if is_paper else SnapshotSource.LIVE,
        )
        started = StartedRun(str(run.id), owner)
        self._runs[account, symbol] = started
        return started

    def fail_runs(self, account: str, reason: str) -> None:
        """Let the runs of an account end as failed; they end with `close`."""
        for (name, _), run in self._runs.items():
            if name == account:
                self._failures[run.run_id] = reason

    def start(self) -> None:
        """Begin to write; on the event loop."""
        self._loop.start()
        self.gaps.start()

    def private_update(self, account: str, update: StreamUpdate) -> None:
        """Take an update of an account's stream."""
        run = self._run_of(account, update.symbol)
        if run is not None:
            self._private[update.kind].add((update,), run.owner)
        self.gaps.recorded(account, update)

    def listen(
        self, account: str, place: Place, rest: Rest, open_private: OpenPrivate
    ) -> OpenPrivate:
        """Return what opens an account's stream, so that its breaks are in the record too."""
        account_id = str(account_id_for(self.user_id, account))
        return self.gaps.listen(account, account_id, place, rest, open_private)

    def listen_market(self, place: Place, open_public: OpenPublic) -> OpenPublic:
        """Return the same of an exchange's market data, where that is kept."""
        return self.gaps.listen_market(place, open_public) if self._save_market else open_public

    def market_update(self, update: StreamUpdate) -> None:
        """Take market data, where it is to be kept."""
        if not self._save_market:
            return
        if update.kind is StreamKind.TICKER:
            self.writers.tickers.add((update,))
        else:
            self.writers.trades.add((update,))
            self.gaps.traded(update)

    def _run_of(self, account: str, symbol: str | None) -> StartedRun | None:
        if symbol is not None:
            return self._runs.get((account, symbol))
        # the wallet belongs to all strategies of the account
        return next((run for (name, _), run in self._runs.items() if name == account), None)

    def heartbeat(self) -> None:
        """Note that all runs are alive, and tell of a record that is not complete. Returns at once.

        Nobody waits for the database: a heartbeat that hangs there is a sign of it by itself.
        """
        beating = self._beating
        hangs = time.monotonic() - self._beat_at if beating and beating.is_alive() else 0.0
        state = self._loop.database_state()
        self._tell_of_losses(state)
        error = state.error
        if error is None and hangs > HANGS_S:
            error = f"a statement has been running for {hangs:.0f} s"
        if error is not None and not self._down_told:
            self._down_told = True
            self._alerts.alert(
                AlertKey.DATABASE_DOWN,
                f"the database takes nothing ({error}); rows wait on disk, trading goes on",
            )
        if error is None:
            self._down_told = False
            if not hangs:
                self._beat_at = time.monotonic()
                self._beating = threading.Thread(
                    target=self._heartbeat, name="heartbeat of the runs", daemon=True
                )
                self._beating.start()

    def _tell_of_losses(self, state: DatabaseState) -> None:
        """Alert once for each thing that got worse."""
        dropped = sum(one.dropped + one.failed for one in self.writers.stats().values())
        if self._told.is_more("dropped", dropped):
            self._alert_loss(f"{dropped} rows could not be kept so far: no room, or refused")
        if self._told.is_more("damages", self._spool.damages):
            self._alert_loss("what waited on disk is damaged in part")
        if self._told.is_more("writer", not self._loop.is_alive):
            self._alert_loss("the thread that writes has ended; start the bot again")
        if self._told.is_more("journal", state.journal_held_s > 0):
            self._alert_loss(
                f"the log of the database has {state.journal_bytes >> 20} MB and grows: another"
                " program has been reading for long; end it"
            )

    def _alert_loss(self, text: str) -> None:
        self._alerts.alert(AlertKey.RECORD_INCOMPLETE, f"the record: {text}; trading goes on")

    def _heartbeat(self) -> None:
        now = datetime.now(UTC)
        try:
            with self._database.get_session() as session:
                runs = TenantScope(session, self.user_id).runs
                for run in self._runs.values():
                    runs.heartbeat(run.run_id, now)
        except GridDbError as error:
            log.warning("the heartbeat of the runs was not stored: %s", error)

    async def durable(self, timeout_s: float) -> bool:
        """Wait until everything so far is stored or on disk."""
        return await self._loop.durable(timeout_s)

    def close(self, failures: Mapping[str, str]) -> None:
        """Store what waits and end the runs; `failures` are reasons by run id.

        Blocking, for ten seconds at most; what a database that hangs does not take is on disk, and
        its runs are closed as stale by the next start.
        """
        if self._beating is not None:
            self._beating.join(0.5)
        if not self._loop.stop(STOP_S):
            log.warning("rows that are not stored yet wait on disk for the next start")
        if not self._loop.losses.pending:
            self.gaps.advance(self._last_moments)
        self._spool.close()
        reasons = self._failures | dict(failures)
        ending = threading.Thread(
            target=self._end_runs, args=(reasons,), name="end of the runs", daemon=True
        )
        ending.start()
        ending.join(END_S)
        if ending.is_alive():
            log.warning("the end of the runs is not stored: the database hangs")

    def _end_runs(self, reasons: Mapping[str, str]) -> None:
        now = datetime.now(UTC)
        try:
            with self._database.get_session() as session:
                runs = TenantScope(session, self.user_id).runs
                for run in self._runs.values():
                    reason = reasons.get(run.run_id)
                    status = RunStatus.COMPLETED if reason is None else RunStatus.FAILED
                    runs.finish(run.run_id, status, now, reason)
        except GridDbError as error:
            log.warning("the end of the runs was not stored: %s", error)

    def journal(self) -> DatabaseJournal:
        """Return a keeper of alerts."""
        return DatabaseJournal(self._database, self.user_id)


class _Told:
    """What was told of already."""

    def __init__(self) -> None:
        self._most: dict[str, float] = {}

    def is_more(self, what: str, value: float) -> bool:
        """Tell whether a figure has grown since it was last asked for."""
        before, self._most[what] = self._most.get(what, 0), value
        return value > before


class DatabaseJournal:
    """Keeps alerts in the database."""

    def __init__(self, database: DatabaseFactory, user_id: str) -> None:
        self._database = database
        self._user_id = user_id

    def add(self, alert: Alert) -> int | None:
        """Keep an alert; return its number."""
        with self._database.get_session() as session:
            kept = TenantScope(session, self._user_id).alerts.add(
                AlertRecord(
                    severity=AlertSeverity(alert.severity),
                    alert_key=alert.topic,
                    message=alert.message,
                    raised_at=alert.raised_at,
                )
            )
        return kept.id

    def mark_delivered(self, number: int, at: datetime) -> None:
        """Note that somebody was told."""
        with self._database.get_session() as session:
            TenantScope(session, self._user_id).alerts.mark_delivered(number, at)
