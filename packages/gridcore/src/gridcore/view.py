"""A strategy as others may see it: one frozen value, for status, metrics and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from gridcore.admission import Refusal
from gridcore.grid import GridSideType
from gridcore.leg_view import LegView
from gridcore.loss_breaker import LossBreaker, LossReset
from gridcore.order_records import OrderStatus, TrackedOrder
from gridcore.sides import LONG, SHORT, DirectionType, SideType, direction_named

if TYPE_CHECKING:
    from gridcore.strategy import GridStrategy

ZERO = Decimal(0)


class LevelView(NamedTuple):
    """One level of the grid; price in USDT."""

    price: Decimal
    side: GridSideType


class OrderView(NamedTuple):
    """One live or in-flight order of the strategy. Prices are USDT, quantities base coin.

    order_id is None while the placement is not answered. confirmed_ts is the newest word of the
    exchange that it lives. An orphan was sent by an earlier process and not answered since.
    """

    order_id: str | None
    client_order_id: str
    direction: DirectionType
    side: SideType
    price: Decimal
    qty: Decimal
    leaves_qty: Decimal
    reduce_only: bool
    status: OrderStatus
    confirmed_ts: datetime | None
    is_orphan: bool


class LossView(NamedTuple):
    """The session's loss limit (USDT; None: no limit) and what counts against it, realised."""

    limit: Decimal | None
    realised: Decimal
    is_tripped: bool


class Marks(NamedTuple):
    """What the kept state rests on: equal to earlier ones while it need not be kept anew.

    `grid` stands for levels and sides, `stops` for what keeps the strategy from trading. Orders on
    their way, which `guards()` holds as well, change with every intent.
    """

    grid: int
    stops: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyView:
    """How a strategy is at one moment. Prices and money are USDT, sizes base coin.

    `trips` keep it from trading freely, `limits` keep a part of its orders away, each name with
    its reason. `refused` counts what the last look wanted and did not place, by reason.
    """

    strat_id: str
    symbol: str
    is_known: bool  # legs, wallet and open orders are confirmed
    missing: tuple[str, ...]  # of these
    holds: tuple[str, ...]
    trips: Mapping[str, str]
    limits: Mapping[str, str]
    refused: Mapping[Refusal, int]
    last_price: Decimal | None
    last_filled_price: Decimal | None
    anchor_price: Decimal | None
    levels: tuple[LevelView, ...]  # lowest price first
    orders: tuple[OrderView, ...]
    foreign_orders: tuple[str, ...]  # exchange ids
    long: LegView
    short: LegView
    wallet_balance: Decimal | None
    available_balance: Decimal | None
    loss: LossView
    reduce_only_stopped: tuple[DirectionType, ...]
    multipliers: Mapping[DirectionType, Mapping[SideType, float]]
    duplicate_executions: int

    def leg(self, direction: DirectionType) -> LegView:
        """Return one leg."""
        return self.long if direction_named(direction) is LONG else self.short

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return the profit in USDT of both legs at a price."""
        return self.long.unrealised_pnl(price) + self.short.unrealised_pnl(price)


def view_of(strategy: GridStrategy) -> StrategyView:
    """Return how a strategy is now."""
    admission, account, engine = strategy.admission, strategy.account, strategy.engine
    grid, loss = engine.grid, admission.loss
    return StrategyView(
        strat_id=strategy.config.strat_id,
        symbol=strategy.config.symbol,
        is_known=account.is_known,
        missing=tuple(account.missing),
        holds=tuple(admission.holds),
        trips=strategy.trips,
        limits=strategy.limits,
        refused=dict(admission.refused),
        last_price=engine.last_close,
        last_filled_price=engine.last_filled_price,
        anchor_price=grid.anchor_price,
        levels=tuple(
            LevelView(grid.tick_size * ticks, side)
            for ticks, side in zip(grid.ticks, grid.sides, strict=True)
        ),
        orders=tuple(map(_order_view, strategy.book)),
        foreign_orders=tuple(strategy.desk.foreign.by_id),
        long=account.legs[LONG].view(account.margin_ratio(LONG)),
        short=account.legs[SHORT].view(account.margin_ratio(SHORT)),
        wallet_balance=account.wallet_balance,
        available_balance=account.free_margin.available,
        loss=LossView(loss.limit, loss.realised, loss.is_tripped),
        reduce_only_stopped=tuple(
            leg for leg, breaker in admission.reduce_only.items() if breaker.is_tripped
        ),
        multipliers={
            leg: position.get_amount_multiplier() for leg, position in strategy.positions.items()
        },
        duplicate_executions=strategy.books.duplicates,
    )


def _order_view(order: TrackedOrder) -> OrderView:
    return OrderView(
        order.order_id,
        order.client_order_id,
        order.direction,
        order.side,
        order.price,
        order.qty,
        order.leaves_qty,
        order.reduce_only,
        order.status,
        order.confirmed_ts,
        order.is_orphan,
    )


def marks_of(strategy: GridStrategy) -> Marks:
    """Return what the kept state of a strategy rests on."""
    admission = strategy.admission
    return Marks(
        strategy.engine.grid.version,
        (
            admission.loss.is_tripped,
            admission.loss.realised,
            admission.same_order.is_set,
            tuple(breaker.tripped_ts for breaker in admission.reduce_only.values()),
            admission.kept_holds,
        ),
    )


def trips_of(strategy: GridStrategy, now: datetime) -> dict[str, str]:
    """Return what keeps a strategy from trading freely, by name, each with its reason."""
    admission = strategy.admission
    found = {name: f"held by {name}" for name in admission.holds}
    if not strategy.account.is_known:
        found["account_unknown"] = f"not confirmed: {', '.join(strategy.account.missing)}"
    if admission.same_order.is_set:
        found["same_order_error"] = (
            "two orders of one leg, price and side were live at once and filled; it ends with a"
            " list of open orders that shows no double, or with a clean fill of that leg"
        )
    if admission.loss.is_tripped:
        found["loss_breaker"] = loss_text(admission.loss, _unrealised(strategy))
    for direction, breaker in admission.reduce_only.items():
        if breaker.is_tripped:
            found[f"reduce_only_{direction}"] = (
                f"closing orders of the {direction} leg were refused three times; the leg"
                " places nothing until the exchange confirms its size"
                f"{_from(breaker.ends_from, breaker.tripped_ts)}"
            )
    if strategy.decider.grid_error is not None:
        found["grid"] = strategy.decider.grid_error
    for refusal, count in admission.refused.items():
        cap = admission.cap_text(refusal)
        if cap is not None:
            found[refusal.value] = f"{count} wanted orders wait: {cap}"
    if admission.starvation.is_total(now):
        found["starved"] = "; ".join(_starved(strategy, now).values())
    return found


def limits_of(strategy: GridStrategy, now: datetime) -> dict[str, str]:
    """Return what keeps a part of the wanted orders away, by name, while others are placed."""
    starvation = strategy.admission.starvation
    return {} if starvation.is_total(now) else _starved(strategy, now)


def _starved(strategy: GridStrategy, now: datetime) -> dict[str, str]:
    return {
        f"no_{one.direction}_{'closing' if one.closing else 'opening'}": (
            f"the {one.direction} leg {'closes' if one.closing else 'opens'} nothing since"
            f" {one.since:%Y-%m-%d %H:%M:%S} UTC: {one.reason}"
        )
        for one in strategy.admission.starvation.starved(now)
    }


def _unrealised(strategy: GridStrategy) -> Decimal | None:
    price = strategy.engine.last_close
    if price is None or not strategy.account.is_known:
        return None
    return strategy.account.unrealised_pnl(price)


def loss_text(loss: LossBreaker, unrealised: Decimal | None) -> str:
    """Return in words what a session has lost; unrealised is USDT, None when not known."""
    if unrealised is None:
        text = f"the session has lost its limit of {loss.limit} USDT"
    else:
        profit = loss.session_pnl(unrealised)
        text = f"session profit {profit} USDT, limit -{loss.limit} USDT"
    if loss.assumed_fees:
        text += (
            f"; {loss.assumed_fees} USDT of it are taker's fees assumed for fills whose fee is"
            " not known in USDT"
        )
    midnight = loss.reset_rule is LossReset.UTC_MIDNIGHT
    return f"{text}; it ends {'at UTC midnight, or ' if midnight else ''}by a reset"


def _from(moment: datetime | None, tripped: datetime | None) -> str:
    if moment is None or tripped is None or moment <= tripped:
        return ""
    return f", not before {moment:%H:%M:%S} UTC"
