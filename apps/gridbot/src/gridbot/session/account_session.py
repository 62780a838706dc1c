"""One account: its strategies begin, hear the private stream, and end together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from bybit_adapter import (
    AuthError,
    BybitError,
    ExecutionRecord,
    Order,
    StreamKind,
    StreamUpdate,
    Wallet,
)
from event_saver.writers.records import as_update
from grid_service.tasks import TaskSet
from gridbot.actor.messages import Confirmation
from gridbot.actor.runner import StrategyRunner
from gridbot.actor.strategy_health import STARTING, STREAM_LOST
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.ports import ExchangeClock, OpenPrivate, Rest
from gridbot.session.account_checks import AccountChecks, ComparisonsInTurn
from gridbot.session.contract_pauses import ContractPauses
from gridbot.session.funding_watch import FundingWatch
from gridbot.session.outcome_handler import OutcomeHandler
from gridbot.session.preflight import AccountReport, look_at_account, one_way_problem
from gridbot.session.private_stream import PrivateStream
from gridbot.session.reconciler import NotConfirmedError, Reconciler
from gridbot.session.shared_wallet import SharedWallet
from gridbot.settings.session_settings import SessionSettings
from gridcore import Hold, Reconfirm
from gridcore.order_desk import ORPHAN_LAG

log = logging.getLogger(__name__)


class AccountSession:
    """Runs the strategies of one account, at most one on a symbol."""

    def __init__(
        self,
        name: str,
        rest: Rest,
        open_private: OpenPrivate,
        runners: Iterable[StrategyRunner],
        clock: ExchangeClock,
        alerts: Alerts,
        settings: SessionSettings,
        on_update: Callable[[StreamUpdate], None] | None = None,
        report: AccountReport | None = None,
    ) -> None:
        """`report` is what was found of the account a moment ago, so as not to ask again."""
        self.name = name
        self.rest = rest
        self.runners: dict[str, StrategyRunner] = {}
        self._shadows: list[StrategyRunner] = []
        self.clock = clock
        self.reconciler = Reconciler(rest, clock, alerts, self, settings.wallet_interval_s)
        self.wallet = SharedWallet(clock)
        self.stream = PrivateStream(name, open_private, self, clock, alerts, settings)
        self.stopped_because: str | None = None
        self._report = report
        self._alerts = alerts
        self._settings = settings
        self._on_update = on_update
        self._pauses = ContractPauses(self.reconciler)
        self._funding = FundingWatch(alerts, settings.funding_alert_rate)
        self._tasks = TaskSet(self._task_failed)
        self._has_started = False
        for runner in runners:
            self._take(runner)

    # start and end

    async def prepare(self) -> None:
        """Confirm clock, account and every strategy over REST; nothing is sent but leverage.

        Raises NotConfirmedError with a sentence.
        """
        report = self._report or await look_at_account(self.name, self.rest, self.clock)
        if report.problems:
            raise NotConfirmedError("\n".join(report.problems))
        for runner in self.runners.values():
            await self._prepare_runner(runner)

    async def add(self, runner: StrategyRunner) -> None:
        """Confirm one strategy more, also while the others trade. Raises NotConfirmedError."""
        await self._prepare_runner(runner)
        self._take(runner)
        if self._has_started:
            self._begin(runner)

    def follow(self, shadow: StrategyRunner) -> None:
        """Look after one that sends nothing, as after the others; whoever made it runs it."""
        self._shadows.append(shadow)

    def _everybody(self) -> tuple[StrategyRunner, ...]:
        return (*self.runners.values(), *self._shadows)

    def _take(self, runner: StrategyRunner) -> None:
        self.runners[runner.symbol] = runner
        runner.compare = partial(self.reconciler.request, runner)

    def _begin(self, runner: StrategyRunner) -> None:
        self._tasks.spawn(runner.run())
        if self.stream.is_lost:
            runner.hold(STREAM_LOST)
        # what happened between the confirmation and the first frame of the stream
        self.reconciler.request(runner, "the streams have begun")
        runner.release(STARTING)
        if any(order.is_orphan for order in runner.strategy.view.orders):
            self._tasks.spawn(_end_orphans(self.reconciler, runner))

    async def _prepare_runner(self, runner: StrategyRunner) -> None:
        runner.strategy.handle(Hold(STARTING))
        try:
            positions = await self.rest.get_positions(runner.symbol)
            problem = one_way_problem(runner.strat_id, runner.symbol, positions)
            if problem is not None:
                raise NotConfirmedError(problem)
            wanted = runner.strategy.config.leverage
            if any(one.leverage != wanted for one in positions):
                await self.rest.set_leverage(runner.symbol, wanted)
        except BybitError as error:
            raise NotConfirmedError(f"{runner.strat_id}: {error}") from error
        await self.reconciler.confirm_at_start(runner)
        if runner.stopped_because is not None:
            raise NotConfirmedError(f"{runner.strat_id}: {runner.stopped_because}")

    async def start(self) -> None:
        """Begin to listen and to trade. Call `prepare` first."""
        settings = self._settings
        await self.stream.start(self._tasks.spawn)
        if settings.dcp_window_s:
            await _arm_dcp(self.rest, settings.dcp_window_s, self.name)
        self._has_started = True
        for runner in self.runners.values():
            self._begin(runner)
        comparisons = ComparisonsInTurn(self.name, self.runners, self.reconciler)
        checks = AccountChecks(
            self.name, self.rest, self.clock, self._alerts, self._everybody, settings.max_drift_s
        )
        self._tasks.spawn(comparisons.orders(settings.sync_interval_s))
        self._tasks.spawn(comparisons.positions(settings.position_interval_s))
        self._tasks.spawn(self._every(settings.clock_interval_s, checks.check_clock))
        self._tasks.spawn(self._every(settings.account_interval_s, checks.check_margin_mode))
        self._tasks.spawn(
            self._every(settings.position_interval_s, checks.look_at_shadowed_contracts)
        )
        self._tasks.spawn(self._every(1.0, self._look))

    async def _every(self, seconds: float, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not seconds:
            return
        while True:
            await asyncio.sleep(seconds)
            try:
                await action()
            except AuthError as error:
                self.auth_failed(error)
            except BybitError as error:
                log.warning("account %s: %s", self.name, error)

    async def _look(self) -> None:
        self.stream.look()
        for runner in self._everybody():
            runner.look_at_blocks()
            self._funding.look(runner)

    async def stop(self, timeout_s: float, *, cancel_orders: bool) -> None:
        """Settle what is on its way and disconnect."""
        await asyncio.gather(
            *(one.finish(timeout_s, cancel_orders=cancel_orders) for one in self.runners.values())
        )
        await self.reconciler.close()
        await self._tasks.cancel()
        self._pauses.close()
        await self.stream.stop()
        self.rest.close()

    def _task_failed(self, error: BaseException) -> None:
        # one supervisor per account: a task that dies takes the account with it, and says so
        log.error("account %s: failed", self.name, exc_info=error)
        self._alerts.alert(
            AlertKey.INTERNAL_ERROR,
            f"account {self.name}: an unexpected error stopped it; see the log",
            about=self.name,
        )
        self.fail("an unexpected error; see the log")

    def fail(self, reason: str) -> None:
        """Stop this account; others go on. Its orders stay as they are."""
        if self.stopped_because is not None:
            return
        self.stopped_because = reason
        for runner in self._everybody():
            runner.stop(f"account {self.name}: {reason}")

    # what the private stream brings

    def take(self, update: StreamUpdate) -> None:
        """Hand an update of the private stream to its strategy."""
        if self._on_update is not None:
            self._on_update(update)
        record = update.record
        if update.kind is StreamKind.WALLET:
            if isinstance(record, Wallet):
                self.wallet.share(record, tuple(self.runners.values()))
            return
        runner = self.runners.get(update.symbol or "")
        if runner is None:
            return
        if isinstance(record, ExecutionRecord | Order):
            runner.tell(record)
            return
        if update.kind is StreamKind.POSITION and update.event is None:
            self.reconciler.request(runner, "a position outside of hedge mode")
        if update.event is not None:
            runner.tell(update.event)

    def stream_lost(self) -> None:
        """Hold all strategies: what happens now is not told."""
        for runner in self.runners.values():
            runner.hold(STREAM_LOST)

    def stream_back(self, lost_at: datetime) -> None:
        """Let all strategies go on once what was missed is compared."""
        for runner in self.runners.values():
            self.reconciler.missed_since(runner, lost_at)
            runner.tell(Reconfirm())
            runner.release(STREAM_LOST)
            self.reconciler.request(runner, "the private stream is back")

    # what the reconciler and the executors find

    def confirmed(self, runner: StrategyRunner, found: Confirmation) -> None:
        """Record fills that the stream may not have brought, and let all know the wallet."""
        if self._on_update is not None:
            local = self.clock.local()
            for one in found.executions:
                self._on_update(as_update(StreamKind.EXECUTION, one, local))
            for order in found.ended:
                self._on_update(as_update(StreamKind.ORDER, order, local))
        if found.wallet is not None:
            # read once for all strategies of the account
            others = [one for one in self.runners.values() if one is not runner]
            self.wallet.share(found.wallet, others)

    def outcome_handler(self, runner: StrategyRunner) -> OutcomeHandler:
        """Return who acts when answers to a strategy's commands say more than that they failed."""
        return OutcomeHandler(runner, self, self.reconciler, self._pauses, self._alerts)

    def auth_failed(self, error: BybitError) -> None:
        """Stop the account: no retry helps."""
        if self.stopped_because is not None:
            return  # what was on its way is refused as well
        self._alerts.alert(
            AlertKey.AUTH_ERROR, f"account {self.name}: {error.message}", about=self.name
        )
        self.fail(f"the exchange refuses the key: {error.message}")


async def _end_orphans(reconciler: Reconciler, runner: StrategyRunner) -> None:
    """Look again for what an earlier process left, when it would have to be listed."""
    await asyncio.sleep(ORPHAN_LAG.total_seconds() + 1)
    reconciler.request(runner, "orders of the process before")


async def _arm_dcp(rest: Rest, window_s: int, account: str) -> None:
    try:
        await rest.set_dcp(window_s)
    except BybitError as error:
        log.warning("account %s: disconnect-cancel-all is not to be had: %s", account, error)
