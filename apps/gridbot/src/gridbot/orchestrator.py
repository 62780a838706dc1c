"""Wires the bot together and runs it from its start to its end. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from bybit_adapter import BybitError, Instrument
from bybit_adapter import Environment as Place
from grid_db import DatabaseFactory, GridDbError
from grid_service.redaction import Redactor
from grid_service.tasks import TaskSet
from gridbot.actor.executor import IntentExecutor
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey
from gridbot.alerts.notifier import Notifier, TelegramChat, telegram_chat
from gridbot.control.chat_commands import BotCommands
from gridbot.control.telegram_commands import CommandDesk
from gridbot.control.telegram_listener import CommandsOnLoop, TelegramListener
from gridbot.ports import ExchangeClock, MachineTime, Rest
from gridbot.records.recorder import Recorder
from gridbot.records.state_store import StateFiles
from gridbot.session.account_session import AccountSession
from gridbot.session.connections import Connector, open_public
from gridbot.session.market_hub import MarketHub
from gridbot.session.preflight import look_at_account, look_at_strategy
from gridbot.session.reconciler import NotConfirmedError
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig, StrategySettings
from gridbot.settings.session_settings import SessionSettings
from gridbot.shadow import ShadowExecutor, shadow_terms
from gridbot.views.life import Life
from gridbot.views.metrics import BotMetrics
from gridbot.views.metrics_server import MetricsServer
from gridbot.views.observer import BotObserver
from gridbot.views.snapshots import account_snapshot, run_type_of, strategy_snapshot
from gridbot.views.status import StatusFile
from gridbot.views.timed_rest import TimedRest
from gridbot.words.snapshot import BotSnapshot, StrategySnapshot
from gridcore import GridStrategy
from gridcore.errors import GridcoreError

log = logging.getLogger(__name__)

SETTLE_S = 8.0
TRY_AGAIN_S = 60.0  # what could not be started


class StartError(Exception):
    """The bot cannot start; nothing was placed. The text is one sentence for each reason."""


@dataclass(slots=True)
class _Account:
    """One account with everything that serves it."""

    config: AccountConfig
    place: Place
    session: AccountSession
    runners: list[StrategyRunner]
    shadows: list[StrategyRunner]
    run_ids: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)  # strategies not started, and why


class Orchestrator:
    """One bot. `start`, then `run_until_stopped`, then `stop`."""

    def __init__(
        self,
        config: GridbotConfig,
        redactor: Redactor,
        *,
        embedded_port: int | None = None,
        database: DatabaseFactory | None = None,
    ) -> None:
        self.config = config
        self.metrics = BotMetrics()
        self.started_at = datetime.now(UTC)
        self.stopped = asyncio.Event()
        self.recorder: Recorder | None = None
        self._redactor = redactor
        self._embedded_port = embedded_port
        self._database = database or DatabaseFactory(config.database_settings())
        self._chat: TelegramChat | None = telegram_chat(config.notification.telegram)
        self.notifier = Notifier(self._chat, redactor=redactor)
        self._accounts: list[_Account] = []
        self._hubs: dict[str, MarketHub] = {}
        self._tasks = TaskSet(self._task_failed)
        self._status = StatusFile(config.status_path)
        self._server: MetricsServer | None = None
        self._listener: TelegramListener | None = None
        self._retries: dict[str, int] = {}
        self.sizes: dict[str, str] = {}  # what was asked for and what is placed, by strategy
        self._life = Life(config.strategies)
        self._is_status_written = True

    # start

    async def start(self) -> None:
        """Confirm everything, then trade. Raises StartError; then nothing was placed."""
        try:
            await asyncio.to_thread(self._open_database)
        except GridDbError as error:
            raise StartError(f"database: {error}") from error
        recorder = self.recorder
        if recorder is None:
            raise StartError("database: it was not opened")
        self.notifier = Notifier(self._chat, redactor=self._redactor, journal=recorder.journal())
        self.notifier.start()
        try:
            # a port that is taken must be known before the first order
            self._serve_metrics()
            failures = await self._prepare_accounts(recorder)
            if not self.runners:
                self._let_go(recorder)
                raise StartError("\n".join(failure for _, failure in failures))
            for name, failure in failures:
                self.alert(AlertKey.STRATEGY_STOPPED, f"not started: {failure}", about=name)
            recorder.start()
            await self._begin_trading()
        except BaseException as error:
            self._life.fail(f"the start failed: {error}")
            await (self.stop() if self._accounts else self._release())
            raise
        self.alert(AlertKey.BOT_STARTED, ", ".join(one.strat_id for one in self.runners))

    def _let_go(self, recorder: Recorder) -> None:
        """Let go of accounts that have nothing to do, as before they were made."""
        for account in self._accounts:
            recorder.fail_runs(account.config.name, "\n".join(account.waiting.values()))
            account.session.rest.close()
        self._accounts.clear()

    def _open_database(self) -> None:
        self._database.create_tables()
        spool = self.config.state_path / "spool"
        self.recorder = Recorder(
            self._database, self.config.user, spool, self, save_market=self.config.save_events
        )

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        """Tell people; the notifier of the moment takes it."""
        self.metrics.alerts.labels(key.value).inc()
        self.notifier.alert(key, text, about=about)

    def _task_failed(self, error: BaseException) -> None:
        log.error("a task of the bot failed", exc_info=error)
        self.alert(AlertKey.INTERNAL_ERROR, "a task of the bot failed; see the log")

    async def _prepare_accounts(self, recorder: Recorder) -> list[tuple[str, str]]:
        """Make and confirm the sessions; return whom that is not possible for, and why."""
        failures: list[tuple[str, str]] = []
        for account in self.config.accounts:
            if not self.config.strategies_of(account.name):
                continue
            place = account.place(self._embedded_port)
            rest = TimedRest(Connector(account, place).rest(), self.metrics)
            try:
                found = await self._make_account(account, place, rest, recorder)
            except NotConfirmedError as error:
                failures.append((account.name, str(error)))
            except (BybitError, GridcoreError) as error:
                failures.append((account.name, f"account {account.name}: {error}"))
            else:
                self._accounts.append(found)
                failures += found.waiting.items()
                continue
            self._life.not_started(*failures[-1])
            recorder.fail_runs(*failures[-1])
            rest.close()
        return failures

    async def _look_at(
        self, one: StrategySettings, rest: Rest, wallet: Decimal | None
    ) -> Instrument:
        """Refuse what `--check` refuses; return the contract. Raises NotConfirmedError."""
        found = await look_at_strategy(self.config, one, rest, wallet)
        if found.problems or found.instrument is None or found.plan is None:
            raise NotConfirmedError("\n".join(found.problems))
        self.sizes[one.strat_id] = found.plan.sizes_text()
        log.info("%s: %s", one.strat_id, self.sizes[one.strat_id])
        return found.instrument

    async def _begin_runs(self, account: AccountConfig, recorder: Recorder) -> dict[str, str]:
        run_ids = {}
        for one in self.config.strategies_of(account.name):
            run = await asyncio.to_thread(
                recorder.begin_run,
                account.name,
                account.environment,
                one.strat_id,
                one.symbol,
                run_type_of(account.environment, is_shadow=one.shadow_mode),
                one.model_dump(mode="json"),
            )
            run_ids[one.strat_id] = run.run_id
        return run_ids

    async def _make_account(
        self, account: AccountConfig, place: Place, rest: Rest, recorder: Recorder
    ) -> _Account:
        clock = ExchangeClock(MachineTime())
        run_ids = await self._begin_runs(account, recorder)
        report = await look_at_account(account.name, rest, clock)
        if report.problems:
            raise NotConfirmedError("\n".join(report.problems))
        session = AccountSession(
            account.name,
            rest,
            recorder.listen(
                account.name,
                place,
                rest,
                Connector(account, place).open_private(arm_dcp=bool(self.config.dcp_window)),
            ),
            (),
            clock,
            self,
            self._session_settings(),
            lambda update: recorder.private_update(account.name, update),
            report,
        )
        found = _Account(account, place, session, [], [], run_ids)
        for one in self.config.strategies_of(account.name):
            await self._try_strategy(found, one)
        return found

    async def _try_strategy(
        self, account: _Account, one: StrategySettings
    ) -> StrategyRunner | None:
        """Make and confirm one strategy; what keeps it from starting keeps no other one."""
        try:
            runner = await self._make_runner(account, one)
        except NotConfirmedError as error:
            reason = str(error)
        except (BybitError, GridcoreError) as error:
            reason = f"{one.strat_id}: {error}"
        else:
            account.waiting.pop(one.strat_id, None)
            self._life.strategy_started(one.strat_id)
            return runner
        account.waiting[one.strat_id] = reason
        self._life.strategy_not_started(one.strat_id, reason)
        return None

    async def _make_runner(self, account: _Account, one: StrategySettings) -> StrategyRunner:
        session = account.session
        wallet = session.wallet.newest or await session.rest.get_wallet_balance()
        snapshot = wallet.snapshot
        balance = None if snapshot is None else snapshot.wallet_balance
        instrument = await self._look_at(one, session.rest, balance)
        runner = StrategyRunner(
            GridStrategy(self.config.strategy_config(one, instrument.rules)),
            account.config.name,
            session.clock,
            self,
            BotObserver(self.metrics, session.clock),
            StateFiles(self.config.state_path),
            is_shadow=one.shadow_mode,
        )
        restored = runner.restore()
        log.info("%s: %s", one.strat_id, "grid restored" if restored else "begins afresh")
        if one.shadow_mode:
            terms = await shadow_terms(session.rest, instrument)
            shadow = ShadowExecutor(runner, terms.wallet, terms.tiers, terms.fees, terms.limits)
            runner.use(shadow, shadow)
            account.shadows.append(runner)
            return runner
        runner.use(
            IntentExecutor(
                session.rest,
                session.clock,
                runner.tell,
                runner.still_wants,
                session.outcome_handler(runner),
            )
        )
        await session.add(runner)
        account.runners.append(runner)
        return runner

    async def _start_waiting(self) -> None:
        """Try again what could not be started: the reason may be gone."""
        for account in self._accounts:
            for strat_id in list(account.waiting):
                one = next(s for s in self.config.strategies if s.strat_id == strat_id)
                runner = await self._try_strategy(account, one)
                if runner is None:
                    log.warning("not started yet: %s", account.waiting[strat_id])
                    continue
                if runner.is_shadow:
                    self._tasks.spawn(runner.run())
                await self._hubs[account.place.rest_url].add(runner)
                self.alert(
                    AlertKey.STRATEGY_UNBLOCKED, f"{strat_id}: it is started now", about=strat_id
                )

    def _session_settings(self) -> SessionSettings:
        config = self.config
        return SessionSettings(
            sync_interval_s=config.order_sync_interval,
            position_interval_s=config.position_check_interval,
            account_interval_s=config.position_check_interval,
            wallet_interval_s=config.wallet_cache_interval,
            clock_interval_s=config.clock_check_interval,
            max_drift_s=config.max_clock_drift,
            dcp_window_s=config.dcp_window,
        )

    async def _begin_trading(self) -> None:
        loop = asyncio.get_running_loop()
        self._life.begin()
        self._tasks.spawn(self._every(self.config.status_interval, self._beat))
        self._tasks.spawn(self._every(1.0, self._show))
        await asyncio.gather(*(account.session.start() for account in self._accounts))
        for account in self._accounts:
            for runner in account.shadows:
                self._tasks.spawn(runner.run())
        await self._open_markets()
        if self._chat is not None and self.config.notification.telegram.commands:
            control = CommandsOnLoop(BotCommands(self), loop)
            self._listener = TelegramListener(
                self._chat, CommandDesk(control, redactor=self._redactor)
            )
            self._listener.start()
        self._tasks.spawn(self._every(self.config.health_check_interval, self._check_health))
        self._tasks.spawn(
            self._every(
                self._session_settings().sync_interval_s or TRY_AGAIN_S, self._start_waiting
            )
        )

    def _serve_metrics(self) -> None:
        if self.config.metrics_port is None:
            return
        self._server = MetricsServer(
            self.metrics.registry,
            lambda: self.metrics.snapshot,
            port=self.config.metrics_port,
            host=self.config.metrics_host,
        )
        self._server.start()

    async def _open_markets(self) -> None:
        """Open one public stream for each exchange that strategies trade on."""
        by_place: dict[Place, list[StrategyRunner]] = {}
        for account in self._accounts:
            by_place.setdefault(account.place, []).extend((*account.runners, *account.shadows))
        recorder = self.recorder
        for place, runners in by_place.items():
            trades = self.config.save_events or any(
                one.shadow_mode
                for account in self._accounts
                if account.place == place
                for one in self.config.strategies_of(account.config.name)
            )
            opened = open_public(place, trades=trades)
            hub = MarketHub(
                place.name,
                opened if recorder is None else recorder.listen_market(place, opened),
                runners,
                MachineTime(),
                self,
                self._session_settings(),
                None if recorder is None else recorder.market_update,
            )
            self._hubs[place.rest_url] = hub
            await hub.start()

    # while it runs

    async def run_until_stopped(self) -> None:
        """Wait for `request_stop`, or for the last strategy to be stopped."""
        await self.stopped.wait()

    def request_stop(self) -> None:
        """Begin the end that somebody asks for; callable from a signal handler."""
        self._life.ask_for_the_end()
        self.stopped.set()

    async def _every(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something now and then; what fails is told once, and tried again next time."""
        has_failed = False
        while True:
            try:
                result = action()
                if asyncio.iscoroutine(result):
                    await result
            except Exception:
                # without this a heartbeat would end for ever, and the watchdog would act
                log.exception("a periodic task failed")
                if not has_failed:
                    self.alert(AlertKey.INTERNAL_ERROR, "a periodic task failed; see the log")
                has_failed = True
            else:
                has_failed = False
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        await self._write_status(await self._unhurried_snapshot())
        if self.recorder is not None:
            self.recorder.heartbeat()

    async def _write_status(self, snapshot: BotSnapshot) -> None:
        try:
            await asyncio.to_thread(self._status.write, snapshot)
        except OSError as error:
            log.error("%s cannot be written: %s", self._status.path, error)
            if self._is_status_written:
                self.alert(
                    AlertKey.STATUS_NOT_WRITTEN,
                    f"{self._status.path} cannot be written ({error.strerror}); a watchdog will"
                    " take the bot for dead and its opening orders away",
                )
            self._is_status_written = False
        else:
            self._is_status_written = True

    async def _show(self) -> None:
        self.metrics.show(await self._unhurried_snapshot())
        for account in self._accounts:
            for shadow in account.shadows:  # of the others their account takes care
                shadow.look_at_blocks()
        for runner in self.runners:
            executor = runner.executor
            if isinstance(executor, IntentExecutor):
                known = self._retries.get(runner.strat_id, 0)
                self.metrics.retries.labels(runner.strat_id).inc(executor.retries - known)
                self._retries[runner.strat_id] = executor.retries

    def _check_health(self) -> None:
        runners = self.runners
        if runners and all(one.stopped_because is not None for one in runners):
            log.error("no strategy runs any more")
            self._life.fail("no strategy runs any more")
            self.stopped.set()

    @property
    def runners(self) -> list[StrategyRunner]:
        """All strategies."""
        return [one for account in self._accounts for one in (*account.runners, *account.shadows)]

    def run_id_of(self, strat_id: str) -> str:
        """Return the id of a strategy's run. Raises KeyError."""
        for account in self._accounts:
            if strat_id in account.run_ids:
                return account.run_ids[strat_id]
        raise KeyError(strat_id)

    def snapshot(self) -> BotSnapshot:
        """Return the bot as it is now."""
        return self._snapshot_with(tuple(self._strategy_snapshots()))

    async def _unhurried_snapshot(self) -> BotSnapshot:
        """Return nearly the same: with many strategies one piece would hold up orders for long."""
        found = []
        for one in self._strategy_snapshots():
            found.append(one)
            await asyncio.sleep(0)
        return self._snapshot_with(tuple(found))

    def _strategy_snapshots(self) -> Iterator[StrategySnapshot]:
        for one in tuple(self._accounts):
            for runner in (*one.runners, *one.shadows):
                yield strategy_snapshot(runner, one.config.environment)

    def _snapshot_with(self, strategies: tuple[StrategySnapshot, ...]) -> BotSnapshot:
        now = datetime.now(UTC)
        return BotSnapshot(
            taken_at=now,
            started_at=self.started_at,
            pid=os.getpid(),
            state=self._life.state,
            reason=self._life.reason,
            accounts=tuple(
                account_snapshot(
                    one.session,
                    one.config.environment,
                    market_is_alive=self._market_is_alive(one),
                    now=now,
                )
                for one in self._accounts
            ),
            strategies=strategies,
            unattended=self._life.unattended(self.runners),
        )

    def _market_is_alive(self, account: _Account) -> bool:
        hub = self._hubs.get(account.place.rest_url)
        return hub is not None and hub.is_connected

    # end

    async def stop(self) -> BotSnapshot:
        """Stop deciding, settle what is in flight, flush, close the runs; return the end."""
        self._life.stopping()
        await self._tasks.cancel()
        if self.recorder is not None:
            await self.recorder.stop_listening()
        for hub in self._hubs.values():
            await hub.stop()
        await asyncio.gather(*(self._stop_account(one) for one in self._accounts))
        if self.config.cancel_on_shutdown:
            self._life.cancelled(self.runners)
        self._life.ended()
        last = self.snapshot()
        if self._life.has_begun:
            await self._write_status(last)
        self.alert(AlertKey.BOT_STOPPED, self._life.reason or "in order")
        await self._release()
        return last

    async def _stop_account(self, account: _Account) -> None:
        for runner in account.shadows:
            await runner.finish(0.0, cancel_orders=False)
        for runner in (*account.runners, *account.shadows):
            runner.state.keep()
        await account.session.stop(SETTLE_S, cancel_orders=self.config.cancel_on_shutdown)

    async def _release(self) -> None:
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
        if self._chat is not None:
            self._chat.api.close()
        recorder = self.recorder
        if recorder is not None:
            failures = {
                account.run_ids[runner.strat_id]: runner.stopped_because
                for account in self._accounts
                for runner in (*account.runners, *account.shadows)
                if runner.stopped_because is not None
            }
            for account in self._accounts:
                for strat_id, reason in account.waiting.items():
                    failures[account.run_ids[strat_id]] = f"not started: {reason}"
            await asyncio.to_thread(recorder.close, failures)
        await asyncio.to_thread(self.notifier.close)
        await asyncio.to_thread(self._database.dispose)
