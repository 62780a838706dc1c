"""Asks the exchange what is the case, and hands it to the strategies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from bybit_adapter import AuthError, BybitError, Order, OrderKey, PagedRows, PositionRecord, Wallet
from gridbot.actor.messages import Confirmation
from gridbot.actor.runner import StrategyRunner
from gridbot.actor.strategy_health import NOT_COMPARED
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.ports import ExchangeClock, Rest

log = logging.getLogger(__name__)

OVERLAP = timedelta(seconds=60)  # executions are read again from this long before the last one
LIST_LAG = timedelta(seconds=5)  # what was confirmed since may not be listed yet
NOWHERE_AFTER = timedelta(seconds=60)
NOT_COMPARED_ALERT_S = 120.0
START_RETRIES_S = (2.0, 5.0, 10.0)
LAST_RETRY_S = 15.0


class NotConfirmedError(Exception):
    """The account could not be confirmed; nothing may be placed. The text says why."""


class AccountOwner(Protocol):
    """The account that is asked about: it learns what concerns more than one strategy."""

    def confirmed(self, runner: StrategyRunner, found: Confirmation) -> None: ...
    def auth_failed(self, error: BybitError) -> None: ...


class Reconciler:
    """Confirms the strategies of one account over REST, one confirmation of each at a time."""

    def __init__(
        self,
        rest: Rest,
        clock: ExchangeClock,
        alerts: Alerts,
        owner: AccountOwner,
        wallet_interval_s: float,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._alerts = alerts
        self._owner = owner
        self._wallet_interval_s = wallet_interval_s
        self._wallet_at: float | None = None
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._with_orders: set[str] = set()  # whose orders the next look compares too
        self._looked_at: dict[str, float] = {}
        self._since: dict[str, datetime] = {}
        self.count = 0
        self.failures = 0

    def missed_since(self, runner: StrategyRunner, moment: datetime) -> None:
        """Note that executions from a moment on may have been missed."""
        known = self._since.get(runner.strat_id)
        if known is None or moment < known:
            self._since[runner.strat_id] = moment

    def request(self, runner: StrategyRunner, reason: str, *, orders: bool = True) -> None:
        """Confirm a strategy soon; what is asked for meanwhile leads to one more confirmation.

        Without `orders` only executions, sizes and the wallet are compared.
        """
        if runner.stopped_because is not None:
            return
        if orders:
            self._with_orders.add(runner.strat_id)
        if runner.strat_id in self._busy:
            self._again.add(runner.strat_id)
            return
        log.info("%s: comparing with the exchange: %s", runner.strat_id, reason)
        task = asyncio.get_running_loop().create_task(self._until_confirmed(runner))
        self._busy[runner.strat_id] = task
        task.add_done_callback(lambda done: self._done(runner, done))

    def _done(self, runner: StrategyRunner, task: asyncio.Task[None]) -> None:
        self._busy.pop(runner.strat_id, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s: comparing failed", runner.strat_id, exc_info=task.exception())
            runner.stop(f"comparing with the exchange failed: {task.exception()}")
        elif not task.cancelled() and runner.strat_id in self._again:
            self._again.discard(runner.strat_id)
            self.request(runner, "asked for again meanwhile", orders=False)

    def seconds_since_look(self, runner: StrategyRunner) -> float:
        """Return how long ago a strategy was compared with the exchange; infinite for never."""
        looked_at = self._looked_at.get(runner.strat_id)
        return float("inf") if looked_at is None else self._clock.monotonic() - looked_at

    async def _until_confirmed(self, runner: StrategyRunner) -> None:
        """Try until it succeeds: as long as a strategy is unconfirmed it decides nothing."""
        begun = self._clock.monotonic()
        for attempt in range(1_000_000):
            # who is not confirmed yet has to know of its orders
            orders = runner.strat_id in self._with_orders or not runner.strategy.view.is_known
            self._with_orders.discard(runner.strat_id)
            try:
                found = await self.look(runner, orders=orders)
                runner.tell(found)
                if not _confirms_nothing(runner, found):
                    runner.health.doubt(NOT_COMPARED, "")
                    return
                problem = "the list of positions lags behind what is known here"
            except AuthError as error:
                self._owner.auth_failed(error)
                return
            except BybitError as error:
                problem = error.message
                log.warning("%s: cannot be compared yet: %s", runner.strat_id, error)
            if orders:
                self._with_orders.add(runner.strat_id)
            self.failures += 1
            self._tell_not_compared(runner, problem, self._clock.monotonic() - begun)
            delay = START_RETRIES_S[attempt] if attempt < 3 else LAST_RETRY_S
            await asyncio.sleep(delay)
            if runner.stopped_because is not None:
                return

    def _tell_not_compared(self, runner: StrategyRunner, problem: str, seconds: float) -> None:
        if seconds < NOT_COMPARED_ALERT_S:
            return
        text = f"nothing could be compared with the exchange for {seconds:.0f} s: {problem}"
        is_told = NOT_COMPARED in runner.health.doubts
        runner.health.doubt(NOT_COMPARED, text)
        if is_told:
            return
        self._alerts.alert(
            AlertKey.NOT_COMPARED, f"{runner.strat_id}: {text}", about=runner.strat_id
        )

    async def confirm_at_start(self, runner: StrategyRunner) -> None:
        """Confirm a strategy before it trades. Raises NotConfirmedError after four attempts."""
        for delay in (*START_RETRIES_S, None):
            try:
                runner.handle(await self.look(runner, with_wallet=True))
                return
            except AuthError as error:
                raise NotConfirmedError(str(error)) from error
            except BybitError as error:
                if delay is None:
                    raise NotConfirmedError(str(error)) from error
                log.warning("%s: %s; trying again in %g s", runner.strat_id, error, delay)
                await asyncio.sleep(delay)

    async def look(
        self, runner: StrategyRunner, *, with_wallet: bool = False, orders: bool = True
    ) -> Confirmation:
        """Return what REST says of a strategy's symbol. Raises BybitError.

        Fills are read first, so that what they explain is explained when the sizes come.
        """
        self.count += 1
        self._looked_at[runner.strat_id] = self._clock.monotonic()
        symbol = runner.symbol
        instrument = await self._rest.get_instrument(symbol)
        since = self._since.get(runner.strat_id, runner.started_at)
        last = runner.tally.last_at
        start = since if last is None else min(since, last)
        asked = self._clock.now()
        executions = await self._rest.get_executions_all(symbol, start=start - OVERLAP)
        if instrument.has_ended:
            found = Confirmation(
                executions=tuple(executions), orders=(), orders_as_of=executions.as_of,
                positions=(), wallet=None, instrument=instrument,
            )  # fmt: skip
            self._owner.confirmed(runner, found)
            return found
        resting: tuple[Order, ...] | None = None
        ended: list[Order] = []
        absent: frozenset[str] = frozenset()
        as_of = executions.as_of
        if orders:
            rows = await self._rest.get_open_orders(symbol)
            listed, ended, absent = await self._missing(runner, rows)
            resting, as_of = (*rows, *listed), rows.as_of
        positions = await self._rest.get_positions(symbol)
        wallet = await self._wallet(force=with_wallet or not runner.strategy.view.is_known)
        self._check_legs(runner, tuple(positions))
        # what came before this look is seen; the overlap covers lists that lag
        self._since[runner.strat_id] = asked
        found = Confirmation(
            executions=tuple(executions),
            orders=resting,
            orders_as_of=as_of,
            positions=tuple(positions),
            wallet=wallet,
            ended=tuple(ended),
            absent=absent,
            instrument=instrument,
        )
        self._owner.confirmed(runner, found)
        return found

    async def _missing(
        self, runner: StrategyRunner, orders: PagedRows[Order]
    ) -> tuple[list[Order], list[Order], frozenset[str]]:
        """Look up what the list should show and does not: it may lag, for as long as it likes.

        Returns orders that live all the same, orders that have ended, and the ids of those that
        are nowhere, a minute and more after they were last seen.
        """
        known = {one.order_id for one in orders}
        listed: list[Order] = []
        ended: list[Order] = []
        absent: set[str] = set()
        for order in runner.strategy.view.orders:
            confirmed = order.confirmed_ts
            if order.order_id is None or order.order_id in known or confirmed is None:
                continue
            if confirmed + LIST_LAG > orders.as_of:
                continue
            key = OrderKey(symbol=runner.symbol, order_id=order.order_id)
            found = await self._rest.find_order(key)
            if found is not None:
                (listed if found.is_open else ended).append(found)
            elif confirmed + NOWHERE_AFTER <= orders.as_of:
                absent.add(order.order_id)
        return listed, ended, frozenset(absent)

    async def _wallet(self, *, force: bool) -> Wallet | None:
        now = self._clock.monotonic()
        last, interval = self._wallet_at, self._wallet_interval_s
        if not force and last is not None and (not interval or now - last < interval):
            return None
        self._wallet_at = now
        return await self._rest.get_wallet_balance()

    def wallet_in_doubt(self) -> None:
        """Read the wallet at the next look."""
        self._wallet_at = None

    def _check_legs(self, runner: StrategyRunner, positions: Sequence[PositionRecord]) -> None:
        """Stop a strategy whose legs are not what it was started with."""
        if any(one.direction is None for one in positions):
            text = f"{runner.symbol} is not in hedge mode any more"
            self._alerts.alert(AlertKey.HEDGE_MODE_OFF, text, about=runner.strat_id)
            runner.stop(text)
            return
        self._check_leverage(runner, positions)

    def _check_leverage(self, runner: StrategyRunner, positions: Sequence[PositionRecord]) -> None:
        wanted: Decimal = runner.strategy.config.leverage
        found = {one.leverage for one in positions} - {None, wanted}
        if not found:
            runner.health.doubt("leverage", "")
            return
        shown = ", ".join(sorted(str(one) for one in found))
        text = f"the leverage of {runner.symbol} is {shown}, not {wanted}"
        if runner.health.doubts.get("leverage") != text:
            self._alerts.alert(AlertKey.LEVERAGE_CHANGED, text, about=runner.strat_id)
        runner.health.doubt("leverage", text)

    async def close(self) -> None:
        """Stop comparing."""
        tasks = tuple(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _confirms_nothing(runner: StrategyRunner, found: Confirmation) -> bool:
    """Tell whether a strategy waits for its legs, and the list shows an older state of one."""
    view = runner.strategy.view
    return not view.is_known and any(
        one.direction is not None and view.leg(one.direction).is_newer_than(one.leg, one.as_of)
        for one in found.positions
    )
