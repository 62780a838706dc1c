"""The end of a strategy that somebody asked for: what is on its way settles, orders may go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gridbot.actor.roles import Executor
from gridbot.actor.strategy_health import STREAM_LOST
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.words.decisions import log_decisions
from gridcore import CancelAll, CancelIntent, GridStrategy

LAST_WORDS_S = 2.0
ONE_BATCH = 10  # orders: what one request, and one second of the account's limit, takes


class OrderlyEnd:
    """Ends one strategy. `handle_waiting` handles the messages that wait in its inbox."""

    def __init__(
        self,
        strategy: GridStrategy,
        executor: Executor,
        alerts: Alerts,
        handle_waiting: Callable[[], None],
        *,
        is_shadow: bool,
    ) -> None:
        self._strategy = strategy
        self._strat_id = strategy.config.strat_id
        self._executor = executor
        self._alerts = alerts
        self._handle_waiting = handle_waiting
        self._is_shadow = is_shadow

    async def settle(self, timeout_s: float) -> None:
        """Send nothing more, and wait for the outcome of what is on its way."""
        self._executor.close()
        await self._executor.settle(timeout_s)
        self._executor.abandon()
        # outcomes that came while settling still belong to the books
        self._handle_waiting()

    async def cancel_and_settle(self, timeout_s: float, *, may_cancel: bool) -> None:
        """Cancel all orders before; tell of those that may be left. Stopped ones cancel nothing."""
        executor = self._executor
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        if may_cancel:
            # an order whose answer is still on its way cannot be cancelled before it comes
            await executor.settle(timeout_s / 2)
            self._handle_waiting()
            self._cancel_all()
        executor.close()
        await executor.settle(max(0.0, end - loop.time()))
        executor.abandon()
        # accepted is not yet cancelled: the stream tells, and a fill may have been faster
        await self._empty_book(LAST_WORDS_S)
        self._handle_waiting()
        self._tell_of_orders_left()

    def _cancel_all(self) -> None:
        intents = list(self._strategy.handle(CancelAll()).intents)
        cancels = [one for one in intents if isinstance(one, CancelIntent)]
        # while the stream is away others may place what nobody tells of
        is_blind = STREAM_LOST in self._strategy.trips
        log_decisions(self._strat_id, intents, shadow=self._is_shadow)
        if len(cancels) > ONE_BATCH and not self._strategy.foreign_orders and not is_blind:
            self._executor.sweep(cancels)
        elif intents:
            self._executor.submit(intents)

    async def _empty_book(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._strategy.view.orders and loop.time() < end:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)

    def _tell_of_orders_left(self) -> None:
        left = len(self._strategy.view.orders)
        if left:
            self._alerts.alert(
                AlertKey.ORDERS_LEFT,
                f"{self._strat_id}: {left} orders may still rest on the exchange: nothing says that"
                " they are cancelled; look there and cancel them, or start the bot again",
                about=self._strat_id,
            )
