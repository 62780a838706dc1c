"""What a leg holds, put together from two streams that arrive in any order.

Account updates tell a leg's whole size, executions tell its changes, and either may be first. A
closing order that relies on size which a fill has already taken would be refused or, worse, close
too much; so the size that guards use counts every fill once, whichever message brought it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gridcore.awaited_fills import AwaitedFill, AwaitedFills
from gridcore.events import ExecutionEvent, LegSnapshot
from gridcore.leg_cost import LegCost, Moment, latest
from gridcore.leg_view import LegView
from gridcore.pnl import calc_margin_ratio, calc_position_value, calc_unrealised_pnl
from gridcore.position import PositionState
from gridcore.sides import DirectionType

ZERO = Decimal(0)
ONE_MOMENT = timedelta(seconds=1)  # after it a row that lists something of a moment lists all


class _Fill(NamedTuple):
    moment: Moment
    change: Decimal


class Leg:
    """One leg: the last reported snapshot and the fills that it does not contain yet.

    `size` is what the leg holds by everything known. `unexplained` is the part of all reported
    changes that no execution has accounted for: positive when the exchange shows more than the
    fills do. It returns to zero when the missing executions arrive; a position that was changed
    by liquidation or ADL keeps it until `accept_unexplained`.
    """

    def __init__(self, direction: DirectionType, default_leverage: Decimal) -> None:
        self.direction = direction
        self.size = ZERO
        self.unexplained = ZERO
        self.entry_price: Decimal | None = None
        self.liquidation_price: Decimal | None = None
        self.leverage = default_leverage
        self._cost = LegCost(direction)
        self.corrected = ZERO  # by the last report: realised profit, USDT
        self.reported: Moment | None = None  # what the last report contains
        self._fills: list[_Fill] = []  # counted, and not older than the report
        self._newest_fill: Moment | None = None
        self._contained: Moment | None = None  # in the size, whoever knew it: no fill is kept of it
        self._base: Moment | None = None  # of the first report: what it contains is not told
        self._presumed = ZERO  # closed in the moment of the report, and taken to be in it
        self.awaited = AwaitedFills()

    @property
    def is_known(self) -> bool:
        """Whether the exchange has reported this leg at all."""
        return self.reported is not None

    @property
    def unsettled_closing_qty(self) -> Decimal:
        """Closing quantity (base coin) that filled, but that `size` may still contain."""
        return self.awaited.closing_qty

    @property
    def unsettled_opening_value(self) -> Decimal:
        """Value (USDT) of opening orders that filled, but that `size` may not contain yet."""
        return self.awaited.opening_value

    def report(self, snapshot: LegSnapshot, ts: datetime) -> bool:
        """Take over what the exchange reports as of `ts`; False when it is old news.

        What the report contains follows from when the leg changed last, not from when the answer
        was made: an answer may carry a row that lags. One that is older than an earlier report
        changes nothing. Fills that happened after it stay counted on top of it.
        """
        now = Moment(ts if snapshot.updated_ts is None else snapshot.updated_ts, snapshot.seq)
        self.corrected = ZERO
        before = self.reported
        if before is not None and now.is_before(before):
            return False
        if self._contained is not None and now.is_lagging(ts, self._contained):
            # known from before a lost connection, or from an earlier process
            return False
        newest = self._newest_fill
        is_stale = newest is not None and now.is_before(newest)
        surplus = self._surplus(snapshot.size, now, ts)
        if before is not None:
            self.unexplained += surplus
        else:
            self._base = now
        self.size += surplus
        if before is None or not now.is_with(before):
            self._presumed = ZERO
        self.reported = self._contained = now
        if snapshot.leverage is not None:
            self.leverage = snapshot.leverage
        if not is_stale or before is None:
            self.entry_price = snapshot.entry_price if snapshot.size else self.entry_price
            self.liquidation_price = snapshot.liquidation_price
        if not is_stale or not self._cost.is_known:
            self.corrected = self._cost.compare(self.size, self.entry_price, ts)
        if self._fills:
            self._fills = [fill for fill in self._fills if not fill.moment.is_before(now)]
        if self.awaited.items:
            self.awaited.reported(now.ts, surplus)
        return not is_stale

    def _surplus(self, size: Decimal, now: Moment, ts: datetime) -> Decimal:
        """Return what a report shows more (or, negative, less) than all that is known."""
        surplus = size - self.size
        for fill in self._fills:
            if now.is_before(fill.moment):
                surplus += fill.change
        if surplus > 0 and self.reported is not None:
            # of two fills in one moment the report may contain the first only: a closing fill
            # that is already counted is not taken back, unless the answer is clearly later
            closed = (
                -fill.change
                for fill in self._fills
                if fill.change < 0
                and fill.moment.is_with(now)
                and not fill.moment.is_numbered_as(now)
                and ts < fill.moment.ts + ONE_MOMENT
            )
            surplus = max(ZERO, surplus - sum(closed, ZERO))
        return surplus

    def is_repeated_by(self, snapshot: LegSnapshot) -> bool:
        """Tell whether a report says what is known anyway, and no fill is still to be counted."""
        return (
            self.is_known
            and snapshot.size == self.size
            and (not self.size or snapshot.entry_price == self.entry_price)
            and snapshot.liquidation_price == self.liquidation_price
            and snapshot.leverage in (None, self.leverage)
            and not self.awaited.items
        )

    def fill(self, event: ExecutionEvent) -> Decimal:
        """Count one execution of this leg, unless a report already contains it.

        Returns its realised profit in USDT before fees.
        """
        realised = self._cost.book(event, Moment(event.exchange_ts, event.seq))
        self._fill(event)
        return realised

    def _fill(self, event: ExecutionEvent) -> None:
        closing = event.closed_size > 0
        change = -event.qty if closing else event.qty
        moment = Moment(event.exchange_ts, event.seq)
        if self._newest_fill is None or self._newest_fill.is_before(moment):
            self._newest_fill = moment
        if self.awaited.items:
            self.awaited.executed(event.order_id, event.qty)
        report = self.reported
        if report is not None and not report.is_before(moment):
            is_older = moment.is_before(report)
            if self.unexplained * change > 0 and abs(self.unexplained) >= event.qty:
                self.unexplained -= change
                if closing and not is_older:
                    self._presumed += event.qty
                return
            if moment.is_numbered_as(report):
                return
            if closing and is_older:
                self._count_presumed(moment, event.qty, report)
            # a report of the same moment may lack this fill; believing the smaller size is safe
            if not closing or is_older:
                return
        if not closing:
            self.entry_price = self._average_entry(event)
        self._fills.append(_Fill(moment, change))
        self.size = max(ZERO, self.size + change)

    def _count_presumed(self, moment: Moment, qty: Decimal, report: Moment) -> None:
        """Count what was taken to be in the report, now that an older fill turns out to be.

        The report contains what is older for certain. Where nothing of its change is left for
        that, a fill of its own moment was taken for the explanation, and is missing in it.
        """
        if self._base is None or not self._base.is_before(moment):
            return
        missing = min(qty, self._presumed)
        if missing:
            self._presumed -= missing
            self._fills.append(_Fill(report, -missing))
            self.size = max(ZERO, self.size - missing)

    def forget(self) -> None:
        """Ask for a report again; fills that are known stay counted."""
        self.reported = None

    def snapshot(self) -> dict[str, str | None]:
        """Return size, entry price and what they contain, ready for JSON."""
        entry = self.entry_price
        kept = {"size": str(self.size), "entry_price": None if entry is None else str(entry)}
        if self._cost.size != self.size:
            cost = self._cost.entry_price
            kept["cost_size"] = str(self._cost.size)
            kept["cost_price"] = None if cost is None else str(cost)
        newest = latest(self._contained, self._newest_fill)
        if newest is not None:
            kept["newest_ts"] = newest.ts.isoformat()
            kept["newest_seq"] = None if newest.seq is None else str(newest.seq)
        return kept

    def restore(self, state: Mapping[str, str | None]) -> None:
        """Take over what an earlier process knew: not confirmed, but what fills since then change.

        The profit of a close that nobody here saw follows from it.
        """
        size, entry = state["size"], state["entry_price"]
        self.size = ZERO if size is None else Decimal(size)
        self.entry_price = None if entry is None else Decimal(entry)
        self._cost.take(self.size, self.entry_price)
        if state.get("cost_size") is not None:
            cost = state.get("cost_price")
            cost_price = None if cost is None else Decimal(cost)
            self._cost.take(Decimal(str(state["cost_size"])), cost_price)
        newest = state.get("newest_ts")
        if newest is not None:
            seq = state.get("newest_seq")
            self._contained = Moment(
                datetime.fromisoformat(newest), None if seq is None else int(seq)
            )

    def accept_unexplained(self) -> None:
        """Stop waiting for executions that would explain the last reported size."""
        self.unexplained = ZERO
        self._cost.take(self.size, self.entry_price)

    def _average_entry(self, event: ExecutionEvent) -> Decimal:
        """Return the entry price with an opening fill, until the exchange reports its own."""
        if not self.size or self.entry_price is None:
            return event.price
        cost = self.size * self.entry_price + event.qty * event.price
        return cost / (self.size + event.qty)

    def await_fill(
        self, order_id: str, qty: Decimal, price: Decimal, ts: datetime, *, closing: bool
    ) -> None:
        """Count `qty` (base coin) against the guards until its executions or a newer report arrive.

        Held back from the cover when it closes, added to the exposure at `price` (USDT) when it
        opens.
        """
        if qty > 0 and (self.reported is None or ts >= self.reported.ts):
            self.awaited.add(AwaitedFill(order_id, qty, price, closing, ts))

    def position_value(self) -> Decimal:
        """Return size x entry price in USDT, 0 for an empty leg."""
        if not self.size or self.entry_price is None:
            return ZERO
        return calc_position_value(self.size, self.entry_price)

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return the profit in USDT at `price`, 0 for an empty leg."""
        if not self.size or self.entry_price is None:
            return ZERO
        return calc_unrealised_pnl(self.direction, self.entry_price, price, self.size)

    def view(self, margin_ratio: float | None) -> LegView:
        """Return how the leg is now; the ratio is the account's, which knows the wallet."""
        return LegView(
            direction=self.direction,
            is_known=self.is_known,
            size=self.size,
            entry_price=self.entry_price if self.size else None,
            liquidation_price=self.liquidation_price,
            leverage=self.leverage,
            margin_ratio=margin_ratio,
            unexplained=self.unexplained,
            unsettled_closing_qty=self.unsettled_closing_qty,
            contained=self._contained,
            newest=latest(self.reported, self._contained, self._newest_fill),
        )

    def state(self, price: Decimal, wallet_balance: Decimal) -> PositionState:
        """Return the leg as the position rules see it. Raises unless the balance > 0."""
        if not self.size or self.entry_price is None:
            return PositionState.empty(self.direction, self.leverage)
        value = self.position_value()
        return PositionState(
            direction=self.direction,
            size=self.size,
            entry_price=self.entry_price,
            unrealized_pnl=self.unrealised_pnl(price),
            margin=calc_margin_ratio(value, wallet_balance),
            liquidation_price=self.liquidation_price,
            leverage=self.leverage,
            position_value=value,
        )
