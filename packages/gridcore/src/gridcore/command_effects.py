"""What each command does to a strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gridcore.commands import (
    SHUTDOWN_HOLD,
    AcceptSize,
    AdoptOrders,
    AdoptRules,
    CancelAll,
    Command,
    Hold,
    IgnoreExecution,
    Reconfirm,
    Release,
    ResetLossBreaker,
    ResetReduceOnly,
    ResetSameOrder,
    Shutdown,
)
from gridcore.decision import CHANGED, NOTHING, Decision
from gridcore.errors import InvalidEventError
from gridcore.intents import CancelReason
from gridcore.order_records import LimitOrder

if TYPE_CHECKING:
    from gridcore.strategy import GridStrategy


def obey(strategy: GridStrategy, command: Command, now: datetime) -> Decision:
    """Do what a command asks for at event time `now`. Raises InvalidEventError for none of ours."""
    effect = _EFFECTS.get(type(command))
    if effect is None:
        raise InvalidEventError(f"{command!r} is no message of a strategy")
    return effect(strategy, command, now) or CHANGED


def compare(
    strategy: GridStrategy,
    orders: Iterable[LimitOrder],
    ts: datetime,
    absent: frozenset[str] | None,
) -> Decision:
    """Compare a list of open orders with the tracked ones; see `AdoptOrders`."""
    report = strategy.desk.compare(orders, ts, absent)
    return Decision(changed=True, adopted=report.adopted, ended=report.closed)


def _hold(strategy: GridStrategy, command: Hold, now: datetime) -> None:
    strategy.admission.hold(command.name, keep=command.keep)


def _release(strategy: GridStrategy, command: Release, now: datetime) -> None:
    strategy.admission.release(command.name)


def _reconfirm(strategy: GridStrategy, command: Reconfirm, now: datetime) -> None:
    strategy.account.forget()


def _reset_same_order(strategy: GridStrategy, command: ResetSameOrder, now: datetime) -> None:
    strategy.admission.same_order.reset()


def _reset_loss_breaker(strategy: GridStrategy, command: ResetLossBreaker, now: datetime) -> None:
    strategy.admission.loss.begin_anew()


def _reset_reduce_only(strategy: GridStrategy, command: ResetReduceOnly, now: datetime) -> None:
    for breaker in strategy.admission.reduce_only.values():
        breaker.reset()


def _adopt_orders(strategy: GridStrategy, command: AdoptOrders, now: datetime) -> Decision:
    return compare(strategy, command.orders, command.as_of, command.absent)


def _adopt_rules(strategy: GridStrategy, command: AdoptRules, now: datetime) -> None:
    strategy.use_rules(command.instrument)


def _accept_size(strategy: GridStrategy, command: AcceptSize, now: datetime) -> None:
    strategy.account.legs[command.direction].accept_unexplained()


def _ignore_execution(
    strategy: GridStrategy, command: IgnoreExecution, now: datetime
) -> Decision | None:
    return None if strategy.books.ignore(command.exec_id) else NOTHING


def _cancel_all(strategy: GridStrategy, command: CancelAll, now: datetime) -> Decision:
    return Decision(tuple(strategy.decider.cancel_all(command.reason, now)), changed=True)


def _shutdown(strategy: GridStrategy, command: Shutdown, now: datetime) -> Decision | None:
    strategy.admission.hold(SHUTDOWN_HOLD)
    if not command.cancel_orders:
        return None
    return Decision(tuple(strategy.decider.cancel_all(CancelReason.SHUTDOWN, now)), changed=True)


_EFFECTS: dict[type[Command], Callable[[GridStrategy, Any, datetime], Decision | None]] = {
    AcceptSize: _accept_size,
    AdoptOrders: _adopt_orders,
    AdoptRules: _adopt_rules,
    CancelAll: _cancel_all,
    Hold: _hold,
    IgnoreExecution: _ignore_execution,
    Reconfirm: _reconfirm,
    Release: _release,
    ResetLossBreaker: _reset_loss_breaker,
    ResetReduceOnly: _reset_reduce_only,
    ResetSameOrder: _reset_same_order,
    Shutdown: _shutdown,
}
