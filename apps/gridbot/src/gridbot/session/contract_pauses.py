"""Contracts that take no orders for a while are left alone for a while."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bybit_adapter import BybitError
from gridbot.actor.runner import StrategyRunner
from gridbot.session.reconciler import Reconciler

MAINTENANCE = "exchange_maintenance"
PAUSES_S = (30.0, 60.0, 120.0, 300.0)


@dataclass(slots=True)
class _Pause:
    times: int = 0  # since an order was taken
    timer: asyncio.TimerHandle | None = None  # what ends it, while it is on


class ContractPauses:
    """Holds the strategy of a contract: for 30 s, then longer each time until an order is taken.

    After a pause the strategy is compared with the exchange and goes on. The account's other
    contracts are none of its business.
    """

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._pauses: dict[str, _Pause] = {}  # by symbol

    def begin(self, runner: StrategyRunner, error: BybitError) -> None:
        """Hold the strategy of a contract; nothing while its pause is on."""
        pause = self._pauses.setdefault(runner.symbol, _Pause())
        if pause.timer is not None:
            return
        seconds = PAUSES_S[min(pause.times, len(PAUSES_S) - 1)]
        pause.times += 1
        runner.hold(
            MAINTENANCE,
            f"{runner.symbol}: the exchange takes no orders: {error.message}; tried again every"
            f" {seconds:.0f} s",
        )
        pause.timer = asyncio.get_running_loop().call_later(seconds, self._end, runner)

    def _end(self, runner: StrategyRunner) -> None:
        self._pauses[runner.symbol].timer = None
        runner.release(MAINTENANCE)
        self._reconciler.request(runner, "trading may be possible again")

    def order_taken(self, symbol: str) -> None:
        """Begin with the shortest pause next time."""
        pause = self._pauses.get(symbol)
        if pause is not None:
            pause.times = 0

    def close(self) -> None:
        """End no pause any more."""
        for pause in self._pauses.values():
            if pause.timer is not None:
                pause.timer.cancel()
                pause.timer = None
