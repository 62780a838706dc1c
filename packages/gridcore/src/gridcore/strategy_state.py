"""What a strategy leaves to a later process: three parts, each of use without the others.

The grid fits the configuration that built it. What has been seen (executions, ended orders) and
what the guards know (breakers, holds that a person set, orders on their way) are facts of the
account, which a changed step or count does not undo.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gridcore.errors import SnapshotError
from gridcore.sides import SideType

if TYPE_CHECKING:
    from gridcore.strategy import GridStrategy

SNAPSHOT_VERSION = 2
READABLE_VERSIONS = (1, SNAPSHOT_VERSION)
# a comparison with the exchange reads again from a minute before the last one that succeeded, which
# is hours ago where the exchange did not answer
REMEMBERED_EXECUTIONS = 20_000
STORED_IDS = 2_000


class SeenExecutions:
    """Ids of executions that were counted, the newest 20,000."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, exec_id: str) -> bool:
        return exec_id in self._ids

    def add(self, exec_id: str) -> None:
        """Remember one."""
        self._ids[exec_id] = None
        if len(self._ids) > REMEMBERED_EXECUTIONS:
            self._ids.popitem(last=False)

    def newest(self) -> list[str]:
        """Return the newest ones, oldest first, as many as a snapshot keeps."""
        return list(self._ids)[-STORED_IDS:]

    def restore(self, ids: Iterable[str]) -> None:
        """Take over what an earlier process had seen."""
        for exec_id in ids:
            self.add(exec_id)


def snapshot(strategy: GridStrategy) -> dict[str, Any]:
    """Return all three parts, for JSON."""
    config, engine = strategy.config, strategy.engine
    return {
        "version": SNAPSHOT_VERSION,
        "strat_id": config.strat_id,
        "symbol": config.symbol,
        "tick_size": str(config.instrument.tick_size),
        "grid_count": config.grid.grid_count,
        "grid_step": str(config.grid.grid_step),
        "anchor_price": _text(engine.get_anchor_price()),
        "levels": engine.grid.snapshot(),
        "last_close": _text(engine.last_close),
        "last_filled_price": _text(engine.last_filled_price),
        "next_check": strategy.checks.next.isoformat(),
        "multipliers": {
            leg.value: {side.value: mult for side, mult in position.get_amount_multiplier().items()}
            for leg, position in strategy.positions.items()
        },
        "executions": strategy.books.executions.newest(),
        "ended_orders": strategy.book.past.newest(STORED_IDS),
        "guards": guards_of(strategy),
    }


def guards_of(strategy: GridStrategy) -> dict[str, Any]:
    """Return what keeps the strategy from trading, and its live orders, for JSON. Quickly made."""
    admission = strategy.admission
    return {
        "strat_id": strategy.config.strat_id,
        "symbol": strategy.config.symbol,
        "holds": admission.kept_holds,
        "same_order": admission.same_order.snapshot(),
        "loss": admission.loss.snapshot(),
        "rate": admission.rate.snapshot(),
        "reduce_only": {
            leg.value: breaker.snapshot() for leg, breaker in admission.reduce_only.items()
        },
        "orders": strategy.book.snapshot(),
        "legs": {leg.value: one.snapshot() for leg, one in strategy.account.legs.items()},
    }


def restore(strategy: GridStrategy, state: Mapping[str, Any]) -> None:
    """Take over all parts of a snapshot. Raises SnapshotError when the grid does not fit."""
    refuse_other_grid(strategy, state)
    restore_grid(strategy, state)
    restore_memory(strategy, state)


def restore_grid(strategy: GridStrategy, state: Mapping[str, Any]) -> None:
    """Take over levels, prices and multipliers."""
    engine = strategy.engine
    levels = state["levels"]
    if levels:
        engine.grid.restore(levels, _decimal(state["anchor_price"]))
    engine.last_close = _decimal(state["last_close"])
    engine.last_filled_price = _decimal(state["last_filled_price"])
    strategy.checks.next = datetime.fromisoformat(state["next_check"])
    for leg, position in strategy.positions.items():
        for side, mult in state["multipliers"][leg.value].items():
            position.set_amount_multiplier(SideType(side), float(mult))
    strategy.admission.forget_quantities()


def restore_memory(strategy: GridStrategy, state: Mapping[str, Any]) -> None:
    """Take over what was seen, and the guards."""
    strategy.books.executions.restore(state["executions"])
    strategy.book.past.restore(state["ended_orders"])
    # an older version kept its three guards among the rest
    restore_guards(strategy, state.get("guards", state))


def restore_guards(strategy: GridStrategy, state: Mapping[str, Any]) -> None:
    """Take over the guards."""
    refuse_other_strategy(strategy, state)
    admission = strategy.admission
    admission.same_order.restore(state["same_order"])
    admission.loss.restore(state["loss"])
    admission.rate.restore(state["rate"])
    if "reduce_only" in state:
        for leg, breaker in admission.reduce_only.items():
            breaker.restore(state["reduce_only"][leg.value])
        for name in state["holds"]:
            admission.hold(str(name), keep=True)
        strategy.book.restore(state["orders"], strategy.config.instrument.tick_size)
        for leg, one in strategy.account.legs.items():
            one.restore(state["legs"][leg.value])


def refuse_other_strategy(strategy: GridStrategy, state: Mapping[str, Any]) -> None:
    """Raise SnapshotError for what another strategy, or another symbol's, left."""
    config = strategy.config
    _refuse(config.strat_id, state, {"strat_id": config.strat_id, "symbol": config.symbol})


def refuse_other_grid(strategy: GridStrategy, state: Mapping[str, Any]) -> None:
    """Raise SnapshotError for a grid that another version or configuration built."""
    config = strategy.config
    if state.get("version") not in READABLE_VERSIONS:
        raise SnapshotError(
            f"{config.strat_id}: the snapshot has version {state.get('version')!r}; this program"
            f" reads {' and '.join(map(str, READABLE_VERSIONS))}; start afresh"
        )
    refuse_other_strategy(strategy, state)
    _refuse(
        config.strat_id,
        state,
        {
            "tick_size": str(config.instrument.tick_size),
            "grid_count": config.grid.grid_count,
            "grid_step": str(config.grid.grid_step),
        },
    )


def _refuse(strat_id: str, state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if state.get(name) != value:
            raise SnapshotError(
                f"{strat_id}: the snapshot has {name} {state.get(name)!r}, the configuration"
                f" {value!r}; start afresh"
            )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
