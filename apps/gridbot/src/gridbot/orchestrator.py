"""Wires the bot together and runs it from its start to its end. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from grid_db import DatabaseFactory, GridDbError
from grid_service.redaction import Redactor
from grid_service.tasks import TaskSet
from gridbot.accounts.account_starter import AccountStarter
from gridbot.accounts.bot_status import BotStatus
from gridbot.accounts.markets import Markets
from gridbot.accounts.served_account import ServedAccount
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey
from gridbot.alerts.notifier import Notifier, TelegramChat, telegram_chat
from gridbot.control.chat_commands import BotCommands
from gridbot.control.telegram_commands import CommandDesk
from gridbot.control.telegram_listener import CommandsOnLoop, TelegramListener
from gridbot.records.recorder import Recorder
from gridbot.settings.config import GridbotConfig
from gridbot.views.life import Life
from gridbot.views.metrics import BotMetrics
from gridbot.views.metrics_server import MetricsServer
from gridbot.words.snapshot import BotSnapshot

log = logging.getLogger(__name__)

SETTLE_S = 8.0
TRY_AGAIN_S = 60.0  # what could not be started


class StartError(Exception):
    """The bot cannot start; nothing was placed. The text is one sentence for each reason."""


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
        self.stopped = asyncio.Event()
        self.recorder: Recorder | None = None
        self.sizes: dict[str, str] = {}  # what was asked for and what is placed, by strategy
        self._redactor = redactor
        self._embedded_port = embedded_port
        self._database = database or DatabaseFactory(config.database_settings())
        self._chat: TelegramChat | None = telegram_chat(config.notification.telegram)
        self.notifier = Notifier(self._chat, redactor=redactor)
        self._accounts: list[ServedAccount] = []
        self._markets = Markets(config, self)
        self._life = Life(config.strategies)
        self._status = BotStatus(
            self._accounts, self._markets, self._life, self.metrics, self, config.status_path
        )
        self._tasks = TaskSet(self._task_failed)
        self._server: MetricsServer | None = None
        self._listener: TelegramListener | None = None

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
            starter = AccountStarter(
                self.config, recorder, self, self.metrics, self._life, self._embedded_port
            )
            self.sizes = starter.sizes
            failures = await starter.start_all(self._accounts)
            if not self.runners:
                self._let_go(recorder)
                raise StartError("\n".join(failure for _, failure in failures))
            for name, failure in failures:
                self.alert(AlertKey.STRATEGY_STOPPED, f"not started: {failure}", about=name)
            recorder.start()
            await self._begin_trading(starter, recorder)
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

    async def _begin_trading(self, starter: AccountStarter, recorder: Recorder) -> None:
        config, loop = self.config, asyncio.get_running_loop()
        self._life.begin()
        self._tasks.spawn(self._every(config.status_interval, self._beat))
        self._tasks.spawn(self._every(1.0, self._status.show))
        await asyncio.gather(*(account.session.start() for account in self._accounts))
        for account in self._accounts:
            for runner in account.shadows:
                self._tasks.spawn(runner.run())
        await self._markets.open(self._accounts, recorder)
        if self._chat is not None and config.notification.telegram.commands:
            control = CommandsOnLoop(BotCommands(self), loop)
            self._listener = TelegramListener(
                self._chat, CommandDesk(control, redactor=self._redactor)
            )
            self._listener.start()
        self._tasks.spawn(self._every(config.health_check_interval, self._check_health))
        self._tasks.spawn(
            self._every(
                config.order_sync_interval or TRY_AGAIN_S, lambda: self._start_waiting(starter)
            )
        )

    async def _start_waiting(self, starter: AccountStarter) -> None:
        """Try again what could not be started: the reason may be gone."""
        for account in self._accounts:
            for strat_id in list(account.waiting):
                one = next(s for s in self.config.strategies if s.strat_id == strat_id)
                runner = await starter.try_strategy(account, one)
                if runner is None:
                    log.warning("not started yet: %s", account.waiting[strat_id])
                    continue
                if runner.is_shadow:
                    self._tasks.spawn(runner.run())
                await self._markets.add(account, runner)
                self.alert(
                    AlertKey.STRATEGY_UNBLOCKED, f"{strat_id}: it is started now", about=strat_id
                )

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
        await self._status.write(await self._status.unhurried_snapshot())
        if self.recorder is not None:
            self.recorder.heartbeat()

    def _check_health(self) -> None:
        runners = self.runners
        if runners and all(one.stopped_because is not None for one in runners):
            log.error("no strategy runs any more")
            self._life.fail("no strategy runs any more")
            self.stopped.set()

    @property
    def runners(self) -> list[StrategyRunner]:
        """All strategies."""
        return [runner for account in self._accounts for runner in account.runners]

    def run_id_of(self, strat_id: str) -> str:
        """Return the id of a strategy's run. Raises KeyError."""
        for account in self._accounts:
            if strat_id in account.run_ids:
                return account.run_ids[strat_id]
        raise KeyError(strat_id)

    def snapshot(self) -> BotSnapshot:
        """Return the bot as it is now."""
        return self._status.snapshot()

    # end

    async def stop(self) -> BotSnapshot:
        """Stop deciding, settle what is in flight, flush, close the runs; return the end."""
        self._life.stopping()
        await self._tasks.cancel()
        if self.recorder is not None:
            await self.recorder.stop_listening()
        await self._markets.stop()
        await asyncio.gather(*(self._stop_account(one) for one in self._accounts))
        if self.config.cancel_on_shutdown:
            self._life.cancelled(self.runners)
        self._life.ended()
        last = self.snapshot()
        if self._life.has_begun:
            await self._status.write(last)
        self.alert(AlertKey.BOT_STOPPED, self._life.reason or "in order")
        await self._release()
        return last

    async def _stop_account(self, account: ServedAccount) -> None:
        for runner in account.shadows:
            await runner.finish(0.0, cancel_orders=False)
        for runner in account.runners:
            runner.state.keep()
        await account.session.stop(SETTLE_S, cancel_orders=self.config.cancel_on_shutdown)

    async def _release(self) -> None:
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
        if self._chat is not None:
            self._chat.api.close()
        if self.recorder is not None:
            failures = {
                run_id: reason
                for account in self._accounts
                for run_id, reason in account.failures().items()
            }
            await asyncio.to_thread(self.recorder.close, failures)
        await asyncio.to_thread(self.notifier.close)
        await asyncio.to_thread(self._database.dispose)
