"""The whole decision of one strategy on one symbol of one account.

`GridStrategy` composes the engine, the position rules, the tracked orders and the guards. It
learns everything through messages, events and commands, and answers each with a `Decision`: final
intents (quantity set, guards passed, nothing doubled), what it booked, what it refused. Live bot,
shadow mode, paper trading and backtest run this same object.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gridcore import strategy_state, view
from gridcore.account import AccountMirror
from gridcore.admission import Admission, Refusal
from gridcore.books import Books
from gridcore.codec import Message
from gridcore.command_effects import compare, obey
from gridcore.commands import AdoptOrders, ResetSameOrder
from gridcore.decider import Decider
from gridcore.decision import CHANGED, NOTHING, BookedFill, Decision, Refused
from gridcore.engine import GridEngine
from gridcore.errors import ConfigError, GridError, InvalidEventError, SnapshotError
from gridcore.events import (
    AccountEvent,
    CancelResultEvent,
    Event,
    ExecutionEvent,
    ExecutionKind,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    TickerEvent,
)
from gridcore.instrument import InstrumentInfo
from gridcore.intents import CancelReason, Intent, PlaceLimitIntent
from gridcore.order_desk import OrderDesk, OrdersReport
from gridcore.orders import LimitOrder, OrderBook
from gridcore.position import Position
from gridcore.position_checks import PositionChecks
from gridcore.quiet import QuietBand, QuietFinder
from gridcore.sides import LONG, SHORT
from gridcore.strategy_config import StrategyConfig
from gridcore.view import Marks, StrategyView

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


class GridStrategy:
    """One strategy: messages in, decisions out. Not thread-safe; one actor feeds it.

    The face: `handle` takes any message, `on_event`, `on_price` and `adopt_orders` are its short
    forms; `view`, `trips`, `limits`, `marks` and `quiet_band` tell how it is; `snapshot`, `guards`
    and the three `restore` methods carry it to a later process. The parts (engine, book, account
    and the others) are for this package and its tests alone, and their work is theirs: that is why
    there are more than twenty methods here, and why most are short.
    """

    def __init__(
        self,
        config: StrategyConfig,
        *,
        anchor_price: Decimal | float | str | None = None,
        levels: list[Mapping[str, object]] | None = None,
    ) -> None:
        """`anchor_price` (USDT) and `levels` restore a grid, as in GridEngine."""
        self._assemble(config, anchor_price, levels)

    def _assemble(
        self,
        config: StrategyConfig,
        anchor_price: Decimal | float | str | None = None,
        levels: list[Mapping[str, object]] | None = None,
    ) -> None:
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
        self.books = Books(self.account, self.admission)
        self.decider = Decider(config, self.engine, self.book, self.admission, self.desk)
        self.checks = PositionChecks(
            config.position_check_interval, self.positions, self.account, self.admission
        )
        self._quiet = QuietFinder(
            config.instrument, self.engine, self.account, self.admission, self.desk
        )
        self._symbol = config.symbol
        self._now = EPOCH
        self._check_changed = False  # a position check, since the last decision
        self._refusals: tuple[Refused, ...] = ()  # of the last look
        self._band: QuietBand | None = None
        self._band_low = self._band_high = Decimal(0)
        self._band_until = EPOCH

    # messages in, decisions out

    def handle(self, message: Message) -> Decision:
        """Take one message, an event or a command; return what follows from it.

        Raises InvalidEventError for another symbol's event and for what is no message, ConfigError
        for rules of another contract; nothing is changed then.
        """
        if type(message) is TickerEvent:
            return self._on_ticker(message)
        if not isinstance(message, Event):
            self._end_quiet()
            return obey(self, message, self._now)
        if message.symbol != self._symbol:
            raise InvalidEventError(f"{self.config.strat_id}: given an event of {message.symbol}")
        if type(message) is AccountEvent:
            return self._on_account(message)
        self._end_quiet()
        match message:
            case ExecutionEvent():
                return self._on_execution(message)
            case PlaceResultEvent():
                return self._on_place_result(message)
            case OrderUpdateEvent():
                return self._on_order_update(message)
            case PublicTradeEvent():
                return NOTHING
            case CancelResultEvent():
                self.desk.on_cancel_result(message)
                return CHANGED
            case OpenOrdersEvent():
                return compare(self, message.orders, message.exchange_ts, message.absent)
            case _:
                raise InvalidEventError(f"{type(message).__name__} is no event of a strategy")

    def on_event(self, event: Event) -> list[Intent]:
        """Apply one fact; return the intents that follow, in submission order.

        The short form of `handle` for whoever needs the intents only.
        """
        if type(event) is TickerEvent and event.symbol == self._symbol:
            return self.on_price(event.last_price, event.exchange_ts)
        return list(self.handle(event).intents)

    def on_price(self, price: Decimal, now: datetime) -> list[Intent]:
        """Take what a ticker tells (price in USDT, above zero; UTC); return the intents.

        The short form of `handle` for whoever feeds many tickers and has checked the prices.
        """
        if self.pass_quiet(price, now):
            return []
        intents = self._look(price, now)
        self._check_changed = False
        return intents

    def adopt_orders(
        self, orders: Iterable[LimitOrder], ts: datetime, absent: frozenset[str] | None = None
    ) -> OrdersReport:
        """Compare the exchange's open orders of the symbol, as of `ts`, with the tracked ones.

        The short form of `handle(AdoptOrders(...))`. From here on the open orders count as
        confirmed.
        """
        found = self.handle(AdoptOrders(orders=tuple(orders), as_of=ts, absent=absent))
        return OrdersReport(found.adopted, found.ended, tuple(self.foreign_orders))

    def reset_same_order(self) -> None:
        """End the same-order error by hand: the short form of `handle(ResetSameOrder())`."""
        self.handle(ResetSameOrder())

    def pass_quiet(self, price: Decimal, now: datetime) -> bool:
        """Take a ticker (price in USDT) if it is quiet; False when it has to be looked at.

        Does what the event would do.
        """
        if self._band is None:
            return False
        if self._band_low <= price <= self._band_high and (
            now < self._band_until or self._is_only_checked(price, now)
        ):
            self.engine.last_close, self._now = price, now
            return True
        self._end_quiet()
        return False

    def _on_ticker(self, event: TickerEvent) -> Decision:
        if event.symbol != self._symbol:
            raise InvalidEventError(f"{self.config.strat_id}: given a ticker of {event.symbol}")
        price, now = event.last_price, event.exchange_ts
        if self.pass_quiet(price, now):
            return NOTHING
        before = self._visible()
        intents = self._look(price, now)
        refused = self.admission.refused
        refusals = tuple(map(Refused, refused, refused.values())) if refused else ()
        changed = (
            bool(intents)
            or self._check_changed
            or refusals != self._refusals
            or self._visible() != before
        )
        self._check_changed, self._refusals = False, refusals
        return Decision(tuple(intents), (), refusals, changed)

    def _look(self, price: Decimal, now: datetime) -> list[Intent]:
        """Decide at a price; afterwards the quiet band is known where nothing is done."""
        self._now = now
        if not self.account.is_known:
            return []
        loss = self.admission.loss
        if loss.limit is not None and loss.check(self.account.unrealised_pnl(price), now):
            text = view.loss_text(loss, self.account.unrealised_pnl(price))
            log.error("%s: session loss limit reached: %s", self.config.strat_id, text)
        if now >= self.checks.next and self.checks.run(price, now):
            self._check_changed = True
        if loss.is_tripped:
            self.engine.last_close = price
            self.admission.starvation.forget()
            return self.decider.cancel_all(CancelReason.LOSS_BREAKER, now)
        intents = self.decider.decide(price, now)
        if not intents:
            self.quiet_band()
        return intents

    def _visible(self) -> tuple[object, ...]:
        """Return what a look can change that others may see, intents and refusals apart."""
        admission = self.admission
        loss = admission.loss
        return (
            self.engine.grid.version,
            self.decider.grid_error,
            loss.is_tripped,
            loss.started_ts,
            admission.starvation.sides,
        )

    def _on_account(self, event: AccountEvent) -> Decision:
        account = self.account
        band, available = self._band, account.free_margin.available
        is_repeated = account.is_repeated_by(event)
        if band is not None and (band.wallet_matters or not is_repeated):
            self._end_quiet()
        has_ended = self.books.report(event)
        if account.corrected or has_ended:
            self._end_quiet()
        if account.corrected:
            return Decision((), (), (), True, account.corrected)
        changed = has_ended or not is_repeated or available != account.free_margin.available
        return CHANGED if changed else NOTHING

    def _on_execution(self, event: ExecutionEvent) -> Decision:
        same_order = self.admission.same_order
        before = same_order.ends_from
        realised = self.books.book(event, self.engine.last_close)
        if realised is None:
            return NOTHING
        if event.kind is ExecutionKind.TRADE and self.desk.on_execution(event):
            try:
                self.engine.apply_fill(event.price)
            except GridError as error:
                self.decider.note_grid_error(error)
        is_double = same_order.ends_from is not before
        refusals = (Refused(Refusal.SAME_ORDER_ERROR, 0),) if is_double else ()
        return Decision((), (BookedFill(event, realised),), refusals, True)

    def _on_place_result(self, event: PlaceResultEvent) -> Decision:
        if event.outcome is PlaceOutcome.ACCEPTED:
            self.desk.on_place_result(event)
            return CHANGED
        breakers = self.admission.reduce_only.values()
        stopped = sum(breaker.is_tripped for breaker in breakers)
        self.desk.on_place_result(event)
        refused = Refused(event.reject_reason or event.outcome, 1, event.message)
        refusals: tuple[Refused, ...] = (refused,)
        if sum(breaker.is_tripped for breaker in breakers) > stopped:
            refusals += (Refused(Refusal.REDUCE_ONLY_BREAKER, 0),)
        return Decision((), (), refusals, True)

    def _on_order_update(self, event: OrderUpdateEvent) -> Decision:
        was_live = self.book.get(event.order_id) is not None
        self.engine.on_event(event)
        self.desk.on_order_update(event)
        if was_live and self.book.get(event.order_id) is None:
            return Decision(changed=True, ended=(event.order_id,))
        return CHANGED

    def use_rules(self, instrument: InstrumentInfo) -> None:
        """Do what `AdoptRules` asks for. Raises ConfigError for another contract."""
        if instrument.symbol != self._symbol:
            raise ConfigError(
                f"{self.config.strat_id}: it trades {self._symbol}, and was given the rules of"
                f" {instrument.symbol}"
            )
        config = replace(self.config, instrument=instrument)
        if instrument.tick_size == self.engine.tick_size:
            self.config = self.desk.config = self.decider.config = config
            self._quiet.instrument = instrument
            self.admission.use_rules(config)
            return
        memory, holds = self.snapshot(), dict(self.admission.holds)
        self._assemble(config)
        strategy_state.restore_memory(self, memory)
        for name, keep in holds.items():
            self.admission.hold(name, keep=keep)

    # quiet

    def _end_quiet(self) -> None:
        """Forget where nothing happens: the one place that every change of state goes through."""
        self._band = None

    def _is_only_checked(self, price: Decimal, now: datetime) -> bool:
        """Run a position check that is due inside the band; True when nothing comes of it."""
        band, checks = self._band, self.checks
        if band is None or (band.until is not None and now >= band.until):
            return False
        if now >= checks.next:
            if checks.run(price, now):
                self._check_changed = True
                return False  # what it changes is known anew only after a whole look
            if band.check_matters:
                return False
        self._band_until = min(band.until or NEVER, checks.next)
        return True

    def quiet_band(self) -> QuietBand | None:
        """Return where further tickers change nothing but the last price; None when nowhere.

        Valid until the next message that is no ticker. Exact: at a price beyond an edge or at a
        time from `until` on, a ticker may have an effect.
        """
        if self._band is None:
            band = self._quiet.find(self._now)
            if band is None or self.decider.grid_error is not None:
                return None
            tick_size = self.config.instrument.tick_size
            self._band = band
            self._band_low = tick_size * band.low_ticks
            self._band_high = tick_size * band.high_ticks
            self._band_until = min(band.until or NEVER, self.checks.next)
        return self._band

    @property
    def next_position_check(self) -> datetime:
        """Event time from which the next ticker runs the position check."""
        return self.checks.next

    # how it is

    @property
    def view(self) -> StrategyView:
        """How the strategy is now, as one frozen value."""
        return view.view_of(self)

    @property
    def trips(self) -> dict[str, str]:
        """What keeps the strategy from trading freely, by name, each with its reason."""
        return view.trips_of(self, self._now)

    @property
    def limits(self) -> dict[str, str]:
        """What keeps a part of the wanted orders away, by name, while others are placed."""
        return view.limits_of(self, self._now)

    @property
    def foreign_orders(self) -> tuple[str, ...]:
        """Open orders on the symbol that are not of this strategy, by exchange id."""
        return tuple(self.desk.foreign.by_id)

    @property
    def marks(self) -> Marks:
        """What the kept state rests on: while it is equal, `snapshot` need not be kept anew."""
        return view.marks_of(self)

    def still_wants(self, intent: PlaceLimitIntent) -> bool:
        """Tell whether an order that has not reached the exchange is still wished for."""
        if self.admission.holds or not self.account.is_known:
            return False
        if self.book.unacknowledged(intent.client_order_id) is None:
            return False
        return any(
            level["price"] == intent.price and level["side"].value == intent.side.value
            for level in self.engine.grid.grid
        )

    # from process to process

    def snapshot(self) -> dict[str, Any]:
        """Return what a later process needs to go on as if nothing had happened, for JSON.

        Orders and sizes are confirmed from the exchange before anything is decided; what is kept of
        them shows where a list of it lags.
        """
        return strategy_state.snapshot(self)

    def guards(self) -> dict[str, Any]:
        """Return the part of the snapshot that stops trading, and what is on its way, for JSON."""
        return strategy_state.guards_of(self)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot, before the first message.

        Raises SnapshotError, with nothing changed, when it is of another version, strategy,
        symbol, tick size, step or count: then the caller starts afresh, with `restore_memory`.
        """
        self._take_over(state, strategy_state.restore)

    def restore_memory(self, state: Mapping[str, Any]) -> None:
        """Take over all of a snapshot but the grid. Raises SnapshotError, with nothing changed."""
        self._take_over(state, strategy_state.restore_memory)

    def restore_guards(self, state: Mapping[str, Any]) -> None:
        """Take over what `guards` gave. Raises SnapshotError, with nothing changed."""
        self._take_over(state, strategy_state.restore_guards)

    def _take_over(
        self,
        state: Mapping[str, Any],
        part: Callable[[GridStrategy, Mapping[str, Any]], None],
    ) -> None:
        try:
            # on a strategy of no consequence first, so that a damaged state leaves this one alone
            part(GridStrategy(self.config), state)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            if isinstance(error, SnapshotError):
                raise
            raise SnapshotError(
                f"{self.config.strat_id}: the snapshot is damaged: {error!r}"
            ) from error
        part(self, state)
        self._end_quiet()
