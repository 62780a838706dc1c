"""One account: its streams, its strategies, what is done for them from time to time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from functools import partial
from typing import Any
from zlib import crc32

from bybit_adapter import (
    AuthError,
    BybitError,
    EventQueue,
    ExecutionRecord,
    Order,
    StreamKind,
    StreamUpdate,
    Wallet,
    ticker_symbol,
)
from event_saver.writers.records import as_update
from grid_service.tasks import TaskSet
from gridbot.actor.executor import Placement
from gridbot.actor.messages import Confirmation
from gridbot.actor.runner import StrategyRunner
from gridbot.actor.strategy_health import STARTING, STREAM_LOST
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.occasions import Occasions
from gridbot.ports import ExchangeClock, OpenPrivate, Rest, Stream
from gridbot.session.preflight import AccountReport, look_at_account, measure_clock, one_way_problem
from gridbot.session.reconciler import NotConfirmedError, Reconciler
from gridbot.settings.session_settings import SessionSettings
from gridcore import AccountEvent, DirectionType, Hold, Intent, Reconfirm
from gridcore.order_desk import ORPHAN_LAG

log = logging.getLogger(__name__)

MAINTENANCE = "exchange_maintenance"
PAUSES_S = (30.0, 60.0, 120.0, 300.0)
MARGIN_MODE = "margin_mode"
CLOCK = "clock"
LOOKS_IN_AN_INTERVAL = 10  # whether it is over


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
        self.clock = clock
        self.reconciler = Reconciler(rest, clock, alerts, self, settings.wallet_interval_s)
        self.wallet: Wallet | None = None
        self.stopped_because: str | None = None
        self.stream: Stream | None = None
        self.disconnects = 0
        self._report = report
        self._open_private = open_private
        self._alerts = alerts
        self._settings = settings
        self._on_update = on_update
        self._queue: EventQueue[StreamUpdate | _StreamChange] | None = None
        self._tasks = TaskSet(self._task_failed)
        self._lost_at: datetime | None = None
        self._is_loss_told = False
        self._is_clock_off = False
        self._occasions = Occasions(clock.monotonic)
        self._pauses: dict[str, ContractPause] = {}
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

    def _take(self, runner: StrategyRunner) -> None:
        self.runners[runner.symbol] = runner
        self._pauses[runner.symbol] = ContractPause()
        runner.compare = partial(self.reconciler.request, runner)

    def _begin(self, runner: StrategyRunner) -> None:
        self._tasks.spawn(runner.run())
        if self._lost_at is not None:
            runner.hold(STREAM_LOST)
        # what happened between the confirmation and the first frame of the stream
        self.reconciler.request(runner, "the streams have begun")
        runner.release(STARTING)
        if any(order.is_orphan for order in runner.strategy.view.orders):
            self._tasks.spawn(self._end_orphans(runner))

    async def _end_orphans(self, runner: StrategyRunner) -> None:
        """Look again for what an earlier process sent, when it would have to be listed."""
        await asyncio.sleep(ORPHAN_LAG.total_seconds() + 1)
        self.reconciler.request(runner, "orders of the process before")

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
        self._queue = EventQueue(_conflation_key)
        self._tasks.spawn(self._pump())
        self.stream = self._open_private(self)
        connected = await self._settings.blocking(self.stream.connect)
        if not connected:
            self.on_disconnect(self.clock.local())
        if self._settings.dcp_window_s:
            await self._arm_dcp()
        self._has_started = True
        for runner in self.runners.values():
            self._begin(runner)
        self._tasks.spawn(self._compare_in_turn(self._settings.sync_interval_s))
        self._tasks.spawn(self._compare_positions(self._settings.position_interval_s))
        self._tasks.spawn(self._every(self._settings.clock_interval_s, self._check_clock))
        self._tasks.spawn(self._every(self._settings.account_interval_s, self._check_account))
        self._tasks.spawn(self._every(1.0, self._look_at_trips))

    async def _arm_dcp(self) -> None:
        try:
            await self.rest.set_dcp(self._settings.dcp_window_s)
        except BybitError as error:
            log.warning("account %s: disconnect-cancel-all is not to be had: %s", self.name, error)

    async def stop(self, timeout_s: float, *, cancel_orders: bool) -> None:
        """Settle what is on its way and disconnect."""
        await asyncio.gather(
            *(one.finish(timeout_s, cancel_orders=cancel_orders) for one in self.runners.values())
        )
        await self.reconciler.close()
        await self._tasks.cancel()
        for pause in self._pauses.values():
            pause.cancel()
        if self._queue is not None:
            self._queue.close()
        if self.stream is not None:
            await self._settings.blocking(self.stream.disconnect)
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
        for runner in self.runners.values():
            runner.stop(f"account {self.name}: {reason}")

    # the private stream; called on its threads

    def on_event(self, update: StreamUpdate) -> None:
        """Take an update of the private stream."""
        if self._queue is not None:
            self._queue.put(update)

    def on_disconnect(self, ts: datetime) -> None:
        """Take note that the private stream is gone."""
        if self._queue is not None:
            self._queue.put(_StreamChange(ts, None))

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        """Take note that the private stream is back."""
        if self._queue is not None:
            self._queue.put(_StreamChange(disconnected_at, reconnected_at))

    async def _pump(self) -> None:
        queue = self._queue
        if queue is None:
            return
        while (item := await queue.get()) is not None:
            try:
                if isinstance(item, _StreamChange):
                    self._on_stream_change(item)
                else:
                    self._dispatch(item)
            except Exception:
                # a message that cannot be handled must not end the stream of all the others
                log.exception("account %s: a message of the stream was not handled", self.name)
                if not self._occasions.is_new("message"):
                    continue
                self._alerts.alert(
                    AlertKey.INTERNAL_ERROR,
                    f"account {self.name}: a message of the stream was not handled; see the log",
                    about=self.name,
                )

    def _on_stream_change(self, change: _StreamChange) -> None:
        if change.back_at is None:
            self.disconnects += 1
            self._lost_at = change.lost_at
            log.warning("account %s: the private stream is gone since %s", self.name,
                        change.lost_at)  # fmt: skip
            for runner in self.runners.values():
                runner.hold(STREAM_LOST)
            return
        self._lost_at, self._is_loss_told = None, False
        gap = (change.back_at - change.lost_at).total_seconds()
        log.warning("account %s: the private stream is back after %.1f s", self.name, gap)
        if gap > self._settings.stream_alert_s:
            self._alerts.alert(
                AlertKey.STREAM_DOWN,
                f"account {self.name}: the private stream was gone for {gap:.0f} s",
                about=self.name,
            )
        for runner in self.runners.values():
            self.reconciler.missed_since(runner, change.lost_at)
            runner.tell(Reconfirm())
            runner.release(STREAM_LOST)
            self.reconciler.request(runner, "the private stream is back")

    def _dispatch(self, update: StreamUpdate) -> None:
        if self._on_update is not None:
            self._on_update(update)
        if update.kind is StreamKind.WALLET:
            self._on_wallet(update)
            return
        runner = self.runners.get(update.symbol or "")
        if runner is None:
            return
        record = update.record
        if isinstance(record, ExecutionRecord | Order):
            runner.tell(record)
            return
        if update.kind is StreamKind.POSITION and update.event is None:
            self.reconciler.request(runner, "a position outside of hedge mode")
        if update.event is not None:
            runner.tell(update.event)

    def _on_wallet(self, update: StreamUpdate) -> None:
        record = update.record
        if isinstance(record, Wallet):
            self._share_wallet(record, tuple(self.runners.values()))

    def _share_wallet(self, wallet: Wallet, runners: Iterable[StrategyRunner]) -> None:
        if self.wallet is None or wallet.as_of >= self.wallet.as_of:
            self.wallet = wallet
        snapshot = wallet.snapshot
        if snapshot is None:
            return
        for runner in runners:
            runner.tell(
                AccountEvent(
                    symbol=runner.symbol,
                    exchange_ts=wallet.as_of,
                    local_ts=self.clock.local(),
                    wallet=snapshot,
                )
            )

    # what the reconciler finds

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
            self._share_wallet(found.wallet, others)

    # troubles of the executors

    def troubles_of(self, runner: StrategyRunner) -> RunnerTroubles:
        """Return who is told when commands of a strategy tell more than that they failed."""
        return RunnerTroubles(self, runner, self._alerts)

    def auth_failed(self, error: BybitError) -> None:
        """Stop the account: no retry helps."""
        if self.stopped_because is not None:
            return  # what was on its way is refused as well
        self._alerts.alert(
            AlertKey.AUTH_ERROR, f"account {self.name}: {error.message}", about=self.name
        )
        self.fail(f"the exchange refuses the key: {error.message}")

    def trading_paused(self, runner: StrategyRunner, error: BybitError) -> None:
        """Hold the strategy of a contract that is not traded for a while, then compare and go on.

        The account's other contracts are none of its business.
        """
        pause = self._pauses[runner.symbol]
        seconds = pause.begin()
        if seconds is None:
            return
        runner.hold(
            MAINTENANCE,
            f"{runner.symbol}: the exchange takes no orders: {error.message}; tried again every"
            f" {seconds:.0f} s",
        )
        pause.ends_by(asyncio.get_running_loop().call_later(seconds, self._end_pause, runner))

    def _end_pause(self, runner: StrategyRunner) -> None:
        self._pauses[runner.symbol].cancel()
        runner.release(MAINTENANCE)
        self.reconciler.request(runner, "trading may be possible again")

    def trading_goes_on(self, runner: StrategyRunner) -> None:
        """Take note that the exchange took an order of a contract."""
        self._pauses[runner.symbol].over()

    # from time to time

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

    async def _compare_in_turn(self, interval_s: float) -> None:
        """Compare every strategy once in an interval, one after the other.

        All rows of all strategies at once would hold up orders for a good part of a second.
        """
        if not interval_s:
            return
        accounts_turn = crc32(self.name.encode()) / 2**32  # accounts take turns too
        await asyncio.sleep(interval_s / max(1, len(self.runners)) * accounts_turn)
        while True:
            for runner in tuple(self.runners.values()):
                self.reconciler.request(runner, "in turn")
                await asyncio.sleep(interval_s / len(self.runners))
            if not self.runners:
                await asyncio.sleep(interval_s)

    async def _compare_positions(self, interval_s: float) -> None:
        """Compare executions and positions of whom nobody has looked at for an interval."""
        while True:
            for runner in tuple(self.runners.values()):
                if self.reconciler.seconds_since_look(runner) >= interval_s:
                    self.reconciler.request(runner, "positions", orders=False)
                await asyncio.sleep(interval_s / LOOKS_IN_AN_INTERVAL / len(self.runners))
            if not self.runners:
                await asyncio.sleep(interval_s)

    def _check_stream(self) -> None:
        """Tell once, while it lasts, that the private stream is gone."""
        lost = self._lost_at
        if lost is None or self._is_loss_told:
            return
        seconds = (self.clock.local() - lost).total_seconds()
        if seconds > self._settings.stream_alert_s:
            self._is_loss_told = True
            self._alerts.alert(
                AlertKey.STREAM_DOWN,
                f"account {self.name}: the private stream is gone for {seconds:.0f} s; nothing is"
                " decided until it is back",
                about=self.name,
            )

    def _notice_first_connection(self) -> None:
        """A stream that did not connect in time at the start tells nobody when it does."""
        lost, stream = self._lost_at, self.stream
        if lost is not None and stream is not None:
            state = stream.get_connection_state()
            if state.is_alive and state.disconnected_at is None:
                self.on_reconnect(lost, self.clock.local())

    async def _check_account(self) -> None:
        """Hold everything while the account is not in cross margin, as somebody may set by hand."""
        info = await self.rest.get_account_info()
        for runner in self.runners.values():
            if not info.is_cross_margin:
                runner.hold(
                    MARGIN_MODE,
                    f"account {self.name} is in {info.margin_mode}; it has to be in cross margin,"
                    " switch it back",
                )
            elif runner.health.explains(MARGIN_MODE):
                runner.release(MARGIN_MODE)

    async def _check_clock(self) -> None:
        drift = (await measure_clock(self.rest, self.clock)).total_seconds()
        text = f"account {self.name}: the clock differs from the exchange's by {drift:+.2f} s"
        is_off = abs(drift) > self._settings.max_drift_s
        if is_off and not self._is_clock_off:
            self._alerts.alert(AlertKey.CLOCK_DRIFT, text, about=self.name)
        self._is_clock_off = is_off
        for runner in self.runners.values():
            runner.health.doubt(CLOCK, text if is_off else "")

    async def _look_at_trips(self) -> None:
        self._notice_first_connection()
        self._check_stream()
        for runner in self.runners.values():
            runner.look_at_blocks()

    @property
    def is_connected(self) -> bool:
        """Whether the private stream is alive."""
        return self.stream is not None and self.stream.get_connection_state().is_alive


class ContractPause:
    """How long a contract that takes no orders is left alone: 30 s, then longer each time."""

    def __init__(self) -> None:
        self._times = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> float | None:
        """Begin a pause; return how many seconds it takes, None while one is on."""
        if self._timer is not None:
            return None
        seconds = PAUSES_S[min(self._times, len(PAUSES_S) - 1)]
        self._times += 1
        return seconds

    def ends_by(self, timer: asyncio.TimerHandle) -> None:
        """Keep what ends the pause."""
        self._timer = timer

    def cancel(self) -> None:
        """End the pause."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def over(self) -> None:
        """Begin with the shortest pause next time."""
        self._times = 0


class _StreamChange:
    """The private stream went, or came back, in its order among the events."""

    def __init__(self, lost_at: datetime, back_at: datetime | None) -> None:
        self.lost_at = lost_at
        self.back_at = back_at


def _conflation_key(item: StreamUpdate | _StreamChange) -> str | None:
    return None if isinstance(item, _StreamChange) else ticker_symbol(item)


class RunnerTroubles:
    """Hands the troubles of one strategy's commands to its account."""

    def __init__(self, session: AccountSession, runner: StrategyRunner, alerts: Alerts) -> None:
        self._session = session
        self._runner = runner
        self._alerts = alerts

    def auth_failed(self, error: BybitError) -> None:
        """Stop the account."""
        self._session.auth_failed(error)

    def leg_in_doubt(self, direction: DirectionType) -> None:
        """Ask for the size of a leg before the next closing order."""
        self._session.reconciler.request(self._runner, f"the {direction} leg is in doubt")

    def wallet_in_doubt(self) -> None:
        """Ask for the wallet."""
        self._session.reconciler.wallet_in_doubt()
        self._session.reconciler.request(self._runner, "the balance is in doubt")

    def trading_paused(self, error: BybitError) -> None:
        """Hold the strategy of this contract."""
        self._session.trading_paused(self._runner, error)

    def trading_goes_on(self) -> None:
        """An order was taken."""
        self._session.trading_goes_on(self._runner)

    def order_refused(self, intent: Intent, error: BybitError) -> None:
        """Tell of an order that the exchange refuses, and look what is wrong."""
        if self._runner.occasions.is_new(f"refused: {error.code or error.message}"):
            code = "" if error.code is None else f" (code {error.code})"
            self._alerts.alert(
                AlertKey.ORDER_REJECTED,
                f"{self._runner.strat_id}: {intent.side.value} at {intent.price}: {error.message}"
                f"{code}",
                about=self._runner.strat_id,
            )
        self.orders_in_doubt()

    def unresolved(self, placement: Placement, seconds: float) -> None:
        """Tell of an order of which nobody knows whether it exists."""
        if not self._runner.occasions.is_new("unresolved"):
            return
        self._alerts.alert(
            AlertKey.AMBIGUOUS_UNRESOLVED,
            f"{self._runner.strat_id}: whether {placement.intent.side.value} at"
            f" {placement.intent.price} exists is not known for {seconds:.0f} s; its place stays"
            " taken until the exchange answers",
            about=self._runner.strat_id,
        )

    def orders_in_doubt(self) -> None:
        """Compare the orders."""
        self._session.reconciler.request(self._runner, "orders are in doubt")

    def failed(self, error: BaseException) -> None:
        """Stop the strategy: what became of an order is not known, a start finds out."""
        self._runner.stop(f"a command failed unexpectedly: {type(error).__name__}: {error}")
