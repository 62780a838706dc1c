"""Where further tickers change nothing.

This is what lets a backtest skip quiet ticks without changing a single decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gridcore.account import AccountMirror
from gridcore.admission import TIMED, Admission, Refusal
from gridcore.engine import GridEngine
from gridcore.grid import UNBOUNDED
from gridcore.instrument import InstrumentInfo, floor_ceil_ticks
from gridcore.order_desk import OrderDesk
from gridcore.orders import TrackedOrder
from gridcore.sides import DIRECTIONS, DirectionType
from gridcore.wants import Want, WantCancel

# refusals that depend on the size of the order, which a position check may change
SIZED = frozenset({Refusal.NOT_COVERED, Refusal.NOTIONAL_CAP, Refusal.FREE_MARGIN})


class QuietBand(NamedTuple):
    """Where and until when further tickers change nothing but the last price.

    low_ticks and high_ticks are the lowest and highest quiet price, both included. `until` is the
    first event time at which a ticker must be looked at whatever its price; None when there is no
    such time. Whoever skips tickers feeds the newest skipped one before any other event, because a
    fill is judged against the last price. `check_matters` tells whether a position check alone
    could let a refused order through, `wallet_matters` whether a newer report of the same wallet
    could; while one is False, such events inside the band may be skipped but for the last one.
    """

    low_ticks: int
    high_ticks: int
    until: datetime | None
    check_matters: bool
    wallet_matters: bool = False


class QuietFinder:
    """Finds the quiet band of a strategy; reads its parts and changes none."""

    def __init__(
        self,
        instrument: InstrumentInfo,
        engine: GridEngine,
        account: AccountMirror,
        admission: Admission,
        desk: OrderDesk,
    ) -> None:
        self.instrument = instrument
        self.engine = engine
        self.account = account
        self.admission = admission
        self.desk = desk

    def find(self, now: datetime) -> QuietBand | None:
        """Return the quiet band around the last price at event time `now`; None for none."""
        price = self.engine.last_close
        if price is None or not self.account.is_known:
            return None
        loss = self.admission.loss
        if loss.is_tripped:
            return self._until_loss_ends(now)
        if self.desk.config.cancel_foreign_orders and self.desk.foreign.has_any_to_cancel:
            return None
        resting = self.desk.book.sides
        uncovered = self.admission.uncovered_legs(self.engine.highest_closing(resting))
        stable = self.engine.stable_range(resting, uncovered)
        if stable is None:
            return None
        waits = self._refused_until(self.engine.wants_unchanged(resting), uncovered, now)
        if waits is None:
            return None
        times, refusals = waits
        low, high = stable
        if loss.limit is not None:
            loss_low, loss_high = self._loss_range()
            low, high = max(low, loss_low), min(high, loss_high)
            times.append(loss.next_midnight)
        close, _ = floor_ceil_ticks(price, self.instrument.tick_size)
        if not low <= close <= high:
            return None
        check_matters = False
        if not SIZED.isdisjoint(refusals):
            steady = self._steady_range(price, close)
            if steady is None:
                check_matters = True
            else:
                low, high = max(low, steady[0]), min(high, steady[1])
        return QuietBand(
            low,
            high,
            self._earliest(times),
            check_matters=check_matters,
            wallet_matters=Refusal.FREE_MARGIN in refusals,
        )

    def _steady_range(self, price: Decimal, close: int) -> tuple[int, int] | None:
        """Return the closed range of prices, in ticks, at which a position check sets what is set.

        None where a check would change a multiplier now, or could one tick away.
        """
        positions = self.admission.positions
        long, short = (positions[direction] for direction in DIRECTIONS)
        states = self.account.states(price)
        if states is None:
            return None
        if long.trial(*states, price) != (
            long.get_amount_multiplier(),
            short.get_amount_multiplier(),
        ):
            return None
        low, high = 1, UNBOUNDED
        long_state, short_state = states
        edges = (*long.edges(long_state, short_state), *short.edges(short_state, long_state))
        for edge in edges:
            below, above = floor_ceil_ticks(edge, self.instrument.tick_size)
            # an edge is a rounded quotient, so the ticks next to it are left to a real check
            if close > above + 1:
                low = max(low, above + 2)
            elif close < below - 1:
                high = min(high, below - 2)
            else:
                return None
        return low, high

    def _until_loss_ends(self, now: datetime) -> QuietBand | None:
        if any(self.desk.can_cancel(order, now) for order in self.desk.book):
            return None
        times: list[datetime | None] = [self.admission.loss.next_midnight]
        times += [
            self.admission.retry.held_until(order.order_id, now)
            for order in self.desk.book
            if order.order_id is not None
        ]
        return QuietBand(1, UNBOUNDED, self._earliest(times), check_matters=False)

    def _refused_until(
        self, wants: list[Want], uncovered: set[DirectionType], now: datetime
    ) -> tuple[list[datetime | None], set[Refusal]] | None:
        """Return when refusals of these wants may end by time alone, and which there are.

        None if one of the wants is admissible. No closing order of the `uncovered` legs is,
        wanted now or at another price.
        """
        times: list[datetime | None] = []
        refusals: set[Refusal] = set()
        admission, retry = self.admission, self.admission.retry
        if not all(admission.covers_nothing(leg) for leg in uncovered):
            refusals.add(Refusal.NOT_COVERED)  # at its present size
        look = self.admission.look(now)
        for want in wants:
            if isinstance(want, WantCancel):
                order = want.order
                if not isinstance(order, TrackedOrder) or self.desk.can_cancel(order, now):
                    return None
                if order.order_id is not None:
                    times.append(retry.held_until(order.order_id, now))
                continue
            if want.closing and want.direction in uncovered:
                continue
            verdict = look.judge(want)
            if not isinstance(verdict, Refusal):
                return None
            refusals.add(verdict)
            if verdict in TIMED:
                times.append(retry.held_until((want.direction, want.price_ticks), now))
                times.append(self.admission.rate.frees_at)
        return times, refusals

    def _loss_range(self) -> tuple[int, int]:
        """Return the closed range of prices, in ticks, at which the loss breaker holds still."""
        loss = self.admission.loss
        if loss.limit is None or loss.baseline is None:
            return 1, 0
        long, short = (self.account.legs[direction] for direction in DIRECTIONS)
        net = Fraction(long.size) - Fraction(short.size)
        at_zero = Fraction(loss.session_pnl(self.account.unrealised_pnl(Decimal(0))))
        margin = at_zero + Fraction(loss.limit)  # trips where net x price + margin <= 0
        tick = Fraction(self.instrument.tick_size)
        if not net:
            return (1, UNBOUNDED) if margin > 0 else (1, 0)
        edge = -margin / net / tick
        whole, rest = divmod(edge.numerator, edge.denominator)
        if net > 0:
            return max(1, whole + 1), UNBOUNDED
        return 1, whole if rest else whole - 1

    @staticmethod
    def _earliest(times: Iterable[datetime | None]) -> datetime | None:
        return min((ts for ts in times if ts is not None), default=None)
