"""What became of each recorded order: when it was placed, when it ended, and how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from gridcore import ExchangeOrderStatus
from gridcore.intents import extract_client_order_prefix

LIVE_STATUSES = frozenset(status.value for status in ExchangeOrderStatus if status.is_live)
REFUSED = ExchangeOrderStatus.REJECTED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLife:
    """One recorded order. Times are us UTC; `ended_us` is None while it rests.

    `executed` is what the exchange said was filled (base coin), None where it did not say.
    """

    order_id: str
    client_order_id: str
    placed_us: int
    ended_us: int | None
    status: str
    price: Decimal | None
    executed: Decimal | None
    reason: str | None

    @property
    def refused(self) -> bool:
        """Whether the exchange did not take it."""
        return self.status == REFUSED

    def rests_at(self, ts_us: int) -> bool:
        """Tell whether it rested just before that moment."""
        if self.refused or self.placed_us >= ts_us:
            return False
        return self.ended_us is None or self.ended_us >= ts_us


def order_lives(states: pl.DataFrame, client_order_ids: Iterable[str]) -> list[OrderLife]:
    """Return the orders of these client order ids, by the time at which they were placed.

    `states` is what `recorded_columns.read_orders` returns.
    """
    wanted = set(client_order_ids)
    links = states["order_link_id"].unique().to_list()
    ours = {
        link: prefix
        for link in links
        if (prefix := extract_client_order_prefix(link)) is not None and prefix in wanted
    }
    known = states.filter(pl.col("order_link_id").is_in(list(ours)))
    lives = [
        _life(rows.rows(named=True), ours)
        for rows in known.partition_by("order_id", maintain_order=True)
    ]
    return sorted(lives, key=lambda life: life.placed_us)


def _life(states: list[dict[str, object]], ours: dict[str, str]) -> OrderLife:
    first, last = states[0], states[-1]
    # one moment may carry a live and a final state; the final one is the newer
    final = [state for state in states if state["status"] not in LIVE_STATUSES]
    end = final[-1] if final else last
    executed = [_decimal(state["cum_exec_qty"]) for state in states]
    known = [qty for qty in executed if qty is not None]
    created = [int(str(state["created_ts"])) for state in states if state["created_ts"] is not None]
    return OrderLife(
        order_id=str(first["order_id"]),
        client_order_id=ours[str(first["order_link_id"])],
        placed_us=min([*created, int(str(first["exchange_ts"]))]),
        ended_us=int(str(end["exchange_ts"])) if final else None,
        status=str(end["status"]),
        price=_decimal(last["price"]),
        executed=max(known) if known else None,
        reason=_reason(end),
    )


def _reason(state: dict[str, object]) -> str | None:
    for name in ("reject_reason", "cancel_type"):
        value = state[name]
        if value not in (None, "", "EC_NoError", "UNKNOWN"):
            return str(value)
    return None


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
