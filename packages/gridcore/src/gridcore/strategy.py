"""The whole decision of one strategy on one symbol of one account.

`GridStrategy` composes the engine, the position rules, the tracked orders and the guards. It learns
everything through events and answers with final intents: quantity set, guards passed, nothing
doubled. Live bot, shadow mode, paper trading and backtest run this same object.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from gridcore import strategy_state
from gridcore.account import AccountMirror
from gridcore.admission import NOT_STARVING, Admission, Refusal
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
    PlaceResultEvent,
    PublicTradeEvent,
    TickerEvent,
)
from gridcore.guards import LossReset
from gridcore.instrument import InstrumentInfo
from gridcore.intents import CancelReason, Intent
from gridcore.order_desk import OrderDesk, OrdersReport
from gridcore.orders import LimitOrder, OrderBook
from gridcore.position import Position
from gridcore.quiet import QuietBand, QuietFinder
from gridcore.sides import LONG, SHORT, DirectionType
from gridcore.starvation import Side
from gridcore.strategy_config import StrategyConfig
from gridcore.strategy_state import SeenExecutions
from gridcore.wants import Want, WantCancel, WantPlace

log = logging.getLogger(__name__)

ZERO = Decimal(0)
NOT_COVERED: Final = Refusal.NOT_COVERED
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


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
        self.executions = SeenExecutions()
        self.next_position_check = EPOCH  # event time from which the next ticker runs it
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
                self.adopt_orders(event.orders, event.exchange_ts, event.absent)
            case _:
                raise InvalidEventError(f"{type(event).__name__} is no event of a strategy")
        return []

    def _on_account(self, event: AccountEvent) -> None:
        band = self._band
        if band is not None and (band.wallet_matters or not self.account.is_repeated_by(event)):
            self._band = None
        if self.account.apply(event):
            self.admission.wallet_changed()
        if self.account.corrected:
            self.admission.loss.add_realised(self.account.corrected, ZERO)
            self._band = None
        for leg in self.account.confirmed:
            if self.admission.reduce_only[leg].is_tripped:
                self.admission.size_confirmed(leg, event.exchange_ts)
                self._band = None

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
        if now >= self.next_position_check:
            self._check_positions(price, now)
        if loss.is_tripped:
            self.engine.last_close = price
            self.admission.starvation.forget()
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
        if now >= self.next_position_check and (
            self._check_positions(price, now) or band.check_matters
        ):
            return False  # what it would change is known anew only after a whole look
        self._band_until = min(band.until or NEVER, self.next_position_check)
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
        wanting: dict[Side, str] = {}
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
                if verdict not in NOT_STARVING and (leg, want.closing) not in wanting:
                    wanting[leg, want.closing] = self.admission.explain(verdict, want, now)
            else:
                intents.append(self.desk.place(want, verdict, now))
                told = self.admission.starvation.last_refusal(leg, closing=want.closing)
                wanting.setdefault((leg, want.closing), told)
                if want.closing:
                    del uncovered[leg]  # the next one may not be covered any more
        self.admission.starvation.looked(
            now, wanting, {(one.direction, one.reduce_only) for one in self.book.in_flight()}
        )
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
        if event.exec_id in self.executions:
            self.duplicate_executions += 1
            return
        self.executions.add(event.exec_id)
        loss, close = self.admission.loss, self.engine.last_close
        if loss.limit is not None and close is not None:
            # what happened after midnight belongs to the new day, whichever message is first
            loss.roll_over(self.account.unrealised_pnl(close), event.exchange_ts)
        if event.kind is ExecutionKind.FUNDING:
            loss.add_realised(ZERO, ZERO if event.fee is None else event.fee)
            return
        realised = self.account.fill(event)
        if event.fee is None:
            loss.assume_fee(event.price * event.qty)
        loss.add_realised(realised, ZERO if event.fee is None else event.fee)
        if event.kind is ExecutionKind.TRADE and self.desk.on_execution(event):
            try:
                self.engine.apply_fill(event.price)
            except GridError as error:
                self._note_grid_error(error)

    def adopt_orders(
        self, orders: Iterable[LimitOrder], ts: datetime, absent: frozenset[str] | None = None
    ) -> OrdersReport:
        """Compare the exchange's open orders of the symbol, as of `ts`, with the tracked ones.

        See `OrderDesk.compare`. From here on the open orders count as confirmed.
        """
        self._band = None
        return self.desk.compare(orders, ts, absent)

    @property
    def foreign_orders(self) -> Mapping[str, LimitOrder]:
        """Open orders on the symbol that are not of this strategy, by exchange id."""
        return self.desk.foreign.by_id

    # periodic

    def _check_positions(self, price: Decimal, now: datetime) -> bool:
        """Set the multipliers anew; True when one changed."""
        interval = self.config.position_check_interval
        self.next_position_check = EPOCH + ((now - EPOCH) // interval + 1) * interval
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
            self._band_until = min(band.until or NEVER, self.next_position_check)
        return self._band

    # state as users see it

    @property
    def trips(self) -> dict[str, str]:
        """What keeps the strategy from trading freely, by name, each with its reason."""
        found = {name: f"held by {name}" for name in self.admission.holds}
        if not self.account.is_known:
            found["account_unknown"] = f"not confirmed: {', '.join(self.account.missing)}"
        if self.admission.same_order.is_set:
            found["same_order_error"] = (
                "two orders of one leg, price and side were live at once and filled; it ends with a"
                " list of open orders that shows no double, or with a clean fill of that leg"
            )
        if self.admission.loss.is_tripped:
            found["loss_breaker"] = self._loss_text()
        for direction, breaker in self.admission.reduce_only.items():
            if breaker.is_tripped:
                found[f"reduce_only_{direction}"] = (
                    f"closing orders of the {direction} leg were refused three times; the leg"
                    " places nothing until the exchange confirms its size"
                    f"{_from(breaker.ends_from, breaker.tripped_ts)}"
                )
        if self._grid_error is not None:
            found["grid"] = self._grid_error
        for refusal, count in self.admission.refused.items():
            cap = self.admission.cap_text(refusal)
            if cap is not None:
                found[refusal.value] = f"{count} wanted orders wait: {cap}"
        if self.admission.starvation.is_total(self._now):
            found["starved"] = "; ".join(self._starved().values())
        return found

    @property
    def limits(self) -> dict[str, str]:
        """What keeps a part of the wanted orders away, by name, while others are placed."""
        starvation = self.admission.starvation
        return {} if starvation.is_total(self._now) else self._starved()

    def _starved(self) -> dict[str, str]:
        return {
            f"no_{one.direction}_{'closing' if one.closing else 'opening'}": (
                f"the {one.direction} leg {'closes' if one.closing else 'opens'} nothing since"
                f" {one.since:%Y-%m-%d %H:%M:%S} UTC: {one.reason}"
            )
            for one in self.admission.starvation.starved(self._now)
        }

    def _loss_text(self) -> str:
        loss = self.admission.loss
        price = self.engine.last_close
        if price is None or not self.account.is_known:
            text = f"the session has lost its limit of {loss.limit} USDT"
        else:
            profit = loss.session_pnl(self.account.unrealised_pnl(price))
            text = f"session profit {profit} USDT, limit -{loss.limit} USDT"
        if loss.assumed_fees:
            text += (
                f"; {loss.assumed_fees} USDT of it are taker's fees assumed for fills whose fee is"
                " not known in USDT"
            )
        midnight = loss.reset_rule is LossReset.UTC_MIDNIGHT
        return f"{text}; it ends {'at UTC midnight, or ' if midnight else ''}by a reset"

    def _note_grid_error(self, error: GridError) -> None:
        if self._grid_error != str(error):
            log.error("%s: %s", self.config.strat_id, error)
        self._grid_error = str(error)

    def hold(self, name: str, *, keep: bool = False) -> None:
        """Place nothing until `release(name)`; cancels go on.

        `keep` puts the hold into the snapshot, so that a later process goes on with it.
        """
        self.admission.hold(name, keep=keep)
        self._band = None

    def release(self, name: str) -> None:
        """End one hold; others stay."""
        self.admission.release(name)
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

    def adopt_rules(self, instrument: InstrumentInfo) -> None:
        """Go on with other rules of the contract. Raises ConfigError for another tick size."""
        if instrument.symbol != self._symbol or instrument.tick_size != self.engine.tick_size:
            raise ConfigError(
                f"{self.config.strat_id}: the grid stands on {self.engine.tick_size} ticks of"
                f" {self._symbol}, not on {instrument.tick_size} of {instrument.symbol}"
            )
        self.config = self.desk.config = replace(self.config, instrument=instrument)
        self._quiet.instrument = instrument
        self.admission.use_rules(self.config)
        self._band = None

    def on_other_ticks(self, instrument: InstrumentInfo) -> GridStrategy:
        """Return a strategy for the same contract with another tick size, the grid built anew.

        What was seen, what stops trading and what is on its way goes over to it; legs, wallet and
        open orders have to be confirmed again. Orders between two of its ticks are cancelled.
        """
        other = GridStrategy(replace(self.config, instrument=instrument))
        other.restore_memory(self.snapshot())
        for name, keep in self.admission.holds.items():
            other.hold(name, keep=keep)
        return other

    # snapshot

    def snapshot(self) -> dict[str, Any]:
        """Return what a later process needs to go on as if nothing had happened, for JSON.

        Resting orders, positions and wallet are not in it: they are confirmed from the exchange.
        """
        return strategy_state.snapshot(self)

    def guards(self) -> dict[str, Any]:
        """Return the part of the snapshot that stops trading, and what is on its way, for JSON."""
        return strategy_state.guards_of(self)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot, before the first event.

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
        self._band = None


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


def _from(moment: datetime | None, tripped: datetime | None) -> str:
    if moment is None or tripped is None or moment <= tripped:
        return ""
    return f", not before {moment:%H:%M:%S} UTC"
