"""The whole decision of one strategy on one symbol of one account.

`GridStrategy` composes the engine, the position rules, the tracked orders and the guards. It learns
everything through events and answers with final intents: quantity set, guards passed, nothing
doubled. Live bot, shadow mode, paper trading and backtest run this same object.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from gridcore.account import AccountMirror
from gridcore.admission import Admission, Refusal
from gridcore.engine import GridEngine, Want, WantCancel, WantPlace
from gridcore.errors import GridError, InvalidEventError, SnapshotError
from gridcore.events import (
    AccountEvent,
    CancelResultEvent,
    Event,
    ExecutionEvent,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceResultEvent,
    PublicTradeEvent,
    TickerEvent,
)
from gridcore.intents import CancelReason, Intent
from gridcore.order_desk import OrderDesk, OrdersReport
from gridcore.orders import LimitOrder, OrderBook
from gridcore.position import Position
from gridcore.quiet import QuietBand, QuietFinder
from gridcore.sides import LONG, SHORT, DirectionType, SideType
from gridcore.strategy_config import StrategyConfig

log = logging.getLogger(__name__)

SNAPSHOT_VERSION = 1
NOT_COVERED: Final = Refusal.NOT_COVERED
ZERO = Decimal(0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
# a comparison with the exchange reads again from a minute before the last one that succeeded, which
# is hours ago where the exchange did not answer
REMEMBERED_EXECUTIONS = 20_000
STORED_IDS = 2_000
# an order is judged missing only when it was confirmed this long before the list was made:
# lists may lag behind the matching engine
LIST_LAG = timedelta(seconds=5)


class GridStrategy:
    """One strategy: events in, final intents out. Not thread-safe; one actor feeds it."""

    def __init__(
        self,
        config: StrategyConfig,
        *,
        anchor_price: Decimal | None = None,
        levels: list[Mapping[str, object]] | None = None,
    ) -> None:
        """`anchor_price` (USDT) and `levels` restore a grid, as in GridEngine."""
        self.config = config
        self.engine = GridEngine(
            config.symbol,
            config.instrument.tick_size,
            config.grid,
            config.strat_id,
            anchor_price,
            levels,
        )
        long, short = Position.create_linked_pair(config.risk, config.short_risk)
        self.positions = {LONG: long, SHORT: short}
        self.book = OrderBook()
        self.account = AccountMirror(config.leverage, config.wallet_max_age)
        self.admission = Admission(config, self.account, self.book, self.positions)
        self.desk = OrderDesk(config, self.engine, self.book, self.account, self.admission)
        self._quiet = QuietFinder(
            config.instrument, self.engine, self.account, self.admission, self.desk
        )
        self._symbol = config.symbol
        self._executions: OrderedDict[str, None] = OrderedDict()
        self._next_check = EPOCH
        self._now = EPOCH
        self._grid_error: str | None = None
        self._band: QuietBand | None = None
        self._band_low = self._band_high = Decimal(0)
        self._band_until = EPOCH
        self.duplicate_executions = 0

    # events

    def on_event(self, event: Event) -> list[Intent]:
        """Apply one fact; return the intents that follow, in submission order.

        Only tickers lead to intents. Raises InvalidEventError for another symbol's event.
        """
        if type(event) is TickerEvent:
            return self._on_ticker(event)
        if event.symbol != self._symbol:
            raise InvalidEventError(f"{self.config.strat_id}: given an event of {event.symbol}")
        if type(event) is AccountEvent:
            self._on_account(event)
            return []
        self._band = None
        match event:
            case ExecutionEvent():
                self._on_execution(event)
            case PlaceResultEvent():
                self.desk.on_place_result(event)
            case PublicTradeEvent():
                pass
            case OrderUpdateEvent():
                self.engine.on_event(event)
                self.desk.on_order_update(event)
            case CancelResultEvent():
                self.desk.on_cancel_result(event)
            case OpenOrdersEvent():
                self.adopt_orders(event.orders, event.exchange_ts)
            case _:
                raise InvalidEventError(f"{type(event).__name__} is no event of a strategy")
        return []

    def _on_account(self, event: AccountEvent) -> None:
        band = self._band
        if band is not None and (band.wallet_matters or not self.account.is_repeated_by(event)):
            self._band = None
        if self.account.apply(event):
            self.admission.wallet_changed()

    def pass_quiet(self, price: Decimal, now: datetime) -> bool:
        """Take a ticker (price in USDT) if it is quiet; False when it has to come as an event.

        Does what the event would do. For whoever feeds many tickers of which few matter.
        """
        if (
            self._band is not None
            and self._band_low <= price <= self._band_high
            and (now < self._band_until or self._is_only_checked(price, now))
        ):
            self.engine.last_close, self._now = price, now
            return True
        self._band = None
        return False

    def _on_ticker(self, event: TickerEvent) -> list[Intent]:
        if event.symbol != self._symbol:
            raise InvalidEventError(f"{self.config.strat_id}: given a ticker of {event.symbol}")
        return self.on_price(event.last_price, event.exchange_ts)

    def on_price(self, price: Decimal, now: datetime) -> list[Intent]:
        """Take what a ticker tells (price in USDT, above zero; UTC); return the intents.

        For whoever feeds many tickers and has checked the prices already.
        """
        if self.pass_quiet(price, now):
            return []
        self._now = now
        if not self.account.is_known:
            return []
        loss = self.admission.loss
        if loss.limit is not None and loss.check(self.account.unrealised_pnl(price), now):
            log.error("%s: session loss limit reached: %s", self.config.strat_id, self._loss_text())
        if now >= self._next_check:
            self._check_positions(price, now)
        if loss.is_tripped:
            self.engine.last_close = price
            return self.cancel_all(CancelReason.LOSS_BREAKER)
        intents = self._decide(price, now)
        if not intents:
            self.quiet_band()
        return intents

    def _is_only_checked(self, price: Decimal, now: datetime) -> bool:
        """Run a position check that is due inside the band; True when nothing comes of it."""
        band = self._band
        if band is None or (band.until is not None and now >= band.until):
            return False
        if now >= self._next_check and (self._check_positions(price, now) or band.check_matters):
            return False  # what it would change is known anew only after a whole look
        self._band_until = min(band.until or NEVER, self._next_check)
        return True

    def _decide(self, price: Decimal, now: datetime) -> list[Intent]:
        try:
            wants = self.engine.step(price, self.book.sides)
        except GridError as error:
            self._note_grid_error(error)
            return []
        self._grid_error = None
        intents: list[Intent] = []
        refused = self.admission.refused
        refused.clear()
        highest = _highest_closing(wants)
        uncovered: dict[DirectionType, bool] = {}  # asked when a leg wants to close
        for want in wants:
            if isinstance(want, WantCancel):
                intent = self.desk.cancel(want, now)
                if intent is not None:
                    intents.append(intent)
                continue
            leg = want.direction
            if want.closing:
                if leg not in uncovered:
                    uncovered[leg] = self.admission.is_uncovered(leg, highest[leg])
                if uncovered[leg]:
                    refused[NOT_COVERED] += 1
                    continue
            verdict = self.admission.judge(want, now)
            if isinstance(verdict, Refusal):
                refused[verdict] += 1
            else:
                intents.append(self.desk.place(want, verdict, now))
                if want.closing:
                    del uncovered[leg]  # the next one may not be covered any more
        if self.config.cancel_foreign_orders:
            intents.extend(self.desk.cancel_foreign())
        return intents

    def cancel_all(self, reason: CancelReason) -> list[Intent]:
        """Return cancels for every live order that has none on its way."""
        intents = []
        for order in list(self.book):
            intent = self.desk.cancel(WantCancel(order, reason), self._now)
            if intent is not None:
                intents.append(intent)
        if intents:
            self._band = None
        return list[Intent](intents)

    def _on_execution(self, event: ExecutionEvent) -> None:
        if event.exec_id in self._executions:
            self.duplicate_executions += 1
            return
        self._remember_execution(event.exec_id)
        realised = self.account.fill(event)
        loss = self.admission.loss
        if event.fee is None:
            loss.assume_fee(event.price * event.qty)
        loss.add_realised(realised, ZERO if event.fee is None else event.fee)
        if self.desk.on_execution(event):
            self.admission.same_order.add(event)
            try:
                self.engine.apply_fill(event.price)
            except GridError as error:
                self._note_grid_error(error)

    def _remember_execution(self, exec_id: str) -> None:
        self._executions[exec_id] = None
        if len(self._executions) > REMEMBERED_EXECUTIONS:
            self._executions.popitem(last=False)

    def adopt_orders(self, orders: Iterable[LimitOrder], ts: datetime) -> OrdersReport:
        """Compare the exchange's open orders of the symbol, as of `ts`, with the tracked ones.

        See `OrderDesk.compare`. From here on the open orders count as confirmed.
        """
        self._band = None
        return self.desk.compare(orders, ts)

    @property
    def foreign_orders(self) -> Mapping[str, LimitOrder]:
        """Open orders on the symbol that are not of this strategy, by exchange id."""
        return self.desk.foreign_orders

    # periodic

    def _check_positions(self, price: Decimal, now: datetime) -> bool:
        """Set the multipliers anew; True when one changed."""
        interval = self.config.position_check_interval
        self._next_check = EPOCH + ((now - EPOCH) // interval + 1) * interval
        long, short = self.positions[LONG], self.positions[SHORT]
        before = long.get_amount_multiplier(), short.get_amount_multiplier()
        long.reset_amount_multiplier()
        short.reset_amount_multiplier()
        states = self.account.states(price)
        if states is not None:
            long_state, short_state = states
            long.calculate_amount_multiplier(long_state, short_state, price)
            short.calculate_amount_multiplier(short_state, long_state, price)
        if before == (long.get_amount_multiplier(), short.get_amount_multiplier()):
            return False
        self.admission.forget_quantities()
        return True

    @property
    def next_position_check(self) -> datetime:
        """Event time from which the next ticker runs the position check."""
        return self._next_check

    # quiet

    def quiet_band(self) -> QuietBand | None:
        """Return where further tickers change nothing but the last price; None when nowhere.

        Valid until the next event that is no ticker. Exact: at a price beyond an edge or at a time
        from `until` on, a ticker may have an effect.
        """
        if self._band is None:
            band = self._quiet.find(self._now)
            if band is None or self._grid_error is not None:
                return None
            tick_size = self.config.instrument.tick_size
            self._band = band
            self._band_low = tick_size * band.low_ticks
            self._band_high = tick_size * band.high_ticks
            self._band_until = min(band.until or NEVER, self._next_check)
        return self._band

    # state as users see it

    @property
    def trips(self) -> dict[str, str]:
        """What keeps the strategy from trading freely, by name, each with its reason."""
        found = {name: f"held by {name}" for name in self.admission.holds}
        if not self.account.is_known:
            found["account_unknown"] = f"not confirmed: {', '.join(self.account.missing)}"
        if self.admission.same_order.is_set:
            found["same_order_error"] = "two full fills in a row at one price and side"
        if self.admission.loss.is_tripped:
            found["loss_breaker"] = self._loss_text()
        for direction, breaker in self.admission.reduce_only.items():
            if breaker.is_tripped:
                found[f"reduce_only_{direction}"] = "closing orders were refused three times"
        if self._grid_error is not None:
            found["grid"] = self._grid_error
        for refusal, count in self.admission.refused.items():
            if refusal in (Refusal.NOTIONAL_CAP, Refusal.MAX_OPEN_ORDERS, Refusal.ORDER_RATE):
                found[refusal.value] = f"{count} wanted orders wait"
        return found

    def _loss_text(self) -> str:
        loss = self.admission.loss
        price = self.engine.last_close
        unrealised = self.account.unrealised_pnl(price) if price is not None else Decimal(0)
        text = f"session profit {loss.session_pnl(unrealised)} USDT, limit -{loss.limit} USDT"
        if loss.assumed_fees:
            text += (
                f"; {loss.assumed_fees} USDT of it are taker's fees assumed for fills whose fee is"
                " not known in USDT"
            )
        return text

    def _note_grid_error(self, error: GridError) -> None:
        if self._grid_error != str(error):
            log.error("%s: %s", self.config.strat_id, error)
        self._grid_error = str(error)

    def hold(self, name: str) -> None:
        """Place nothing until `release(name)`; cancels go on."""
        self.admission.holds[name] = None
        self._band = None

    def release(self, name: str) -> None:
        """End one hold; others stay."""
        self.admission.holds.pop(name, None)
        self._band = None

    def reset_same_order(self) -> None:
        """End the same-order error by hand."""
        self.admission.same_order.reset()
        self._band = None

    def reset_loss_breaker(self) -> None:
        """Begin a new loss session by hand, from the next ticker on."""
        self.admission.loss.baseline = None
        self.admission.loss.is_tripped = False
        self._band = None

    def reset_reduce_only(self) -> None:
        """Let closing orders through again after repeated refusals."""
        for breaker in self.admission.reduce_only.values():
            breaker.reset()
        self._band = None

    def require_confirmation(self) -> None:
        """Decide nothing until orders, legs and wallet are confirmed again."""
        self.account.forget()
        self._band = None

    # snapshot

    def snapshot(self) -> dict[str, Any]:
        """Return what a later process needs to go on as if nothing had happened, for JSON.

        Orders, positions and wallet are not in it: they are confirmed from the exchange.
        """
        config, engine = self.config, self.engine
        anchor = engine.get_anchor_price()
        return {
            "version": SNAPSHOT_VERSION,
            "strat_id": config.strat_id,
            "symbol": config.symbol,
            "tick_size": str(config.instrument.tick_size),
            "grid_count": config.grid.grid_count,
            "grid_step": str(config.grid.grid_step),
            "anchor_price": _text(anchor),
            "levels": engine.grid.snapshot(),
            "last_close": _text(engine.last_close),
            "last_filled_price": _text(engine.last_filled_price),
            "next_check": self._next_check.isoformat(),
            "multipliers": {
                leg.value: {
                    side.value: mult for side, mult in position.get_amount_multiplier().items()
                }
                for leg, position in self.positions.items()
            },
            "same_order": self.admission.same_order.snapshot(),
            "loss": self.admission.loss.snapshot(),
            "rate": self.admission.rate.snapshot(),
            "executions": list(self._executions)[-STORED_IDS:],
            "ended_orders": {
                order_id: ts.isoformat()
                for order_id, ts in self.book.newest_ended(STORED_IDS).items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot, before the first event.

        Raises SnapshotError, with nothing changed, when it is of another version, strategy,
        symbol, tick size, step or count: then the caller starts afresh.
        """
        self._refuse_other(state)
        try:
            # on a strategy of no consequence first, so that a damaged state leaves this one alone
            GridStrategy(self.config)._take_over(state)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise SnapshotError(
                f"{self.config.strat_id}: the snapshot is damaged: {error!r}"
            ) from error
        self._take_over(state)
        self._band = None

    def _take_over(self, state: Mapping[str, Any]) -> None:
        levels = state["levels"]
        if levels:
            self.engine.grid.restore(levels, _decimal(state["anchor_price"]))
        self.engine.last_close = _decimal(state["last_close"])
        self.engine.last_filled_price = _decimal(state["last_filled_price"])
        self._next_check = datetime.fromisoformat(state["next_check"])
        for leg, position in self.positions.items():
            for side, mult in state["multipliers"][leg.value].items():
                position.set_amount_multiplier(SideType(side), float(mult))
        self.admission.same_order.restore(state["same_order"])
        self.admission.loss.restore(state["loss"])
        self.admission.rate.restore(state["rate"])
        for exec_id in state["executions"]:
            self._remember_execution(exec_id)
        self.book.restore_ended(
            {k: datetime.fromisoformat(ts) for k, ts in state["ended_orders"].items()}
        )
        self.admission.forget_quantities()

    def _refuse_other(self, state: Mapping[str, Any]) -> None:
        config = self.config
        expected = {
            "version": SNAPSHOT_VERSION,
            "strat_id": config.strat_id,
            "symbol": config.symbol,
            "tick_size": str(config.instrument.tick_size),
            "grid_count": config.grid.grid_count,
            "grid_step": str(config.grid.grid_step),
        }
        for name, value in expected.items():
            if state.get(name) != value:
                raise SnapshotError(
                    f"{config.strat_id}: the snapshot has {name} {state.get(name)!r},"
                    f" the configuration {value!r}; start afresh"
                )


def _highest_closing(wants: Iterable[Want]) -> dict[DirectionType, int]:
    """Return the highest price, in ticks, at which each leg is to close.

    Of the wants and not of the grid: the look at the second leg may have moved it on since.
    """
    highest: dict[DirectionType, int] = {}
    for want in wants:
        if isinstance(want, WantPlace) and want.closing:
            direction, ticks = want.direction, want.price_ticks
            if ticks > highest.get(direction, 0):
                highest[direction] = ticks
    return highest


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
