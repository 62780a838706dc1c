"""What a leg holds, put together from two streams that arrive in any order.

Account updates tell a leg's whole size, executions tell its changes, and either may be first. A
closing order that relies on size which a fill has already taken would be refused or, worse, close
too much; so the size that guards use counts every fill once, whichever message brought it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gridcore.events import ExecutionEvent, LegSnapshot
from gridcore.pnl import calc_margin_ratio, calc_position_value, calc_unrealised_pnl
from gridcore.position import PositionState
from gridcore.sides import DirectionType

ZERO = Decimal(0)


@dataclass(slots=True)
class _Unsettled:
    """Quantity of an order that ended as filled before its executions arrived."""

    order_id: str
    qty: Decimal
    price: Decimal
    closing: bool
    ts: datetime


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
        self.reported_ts: datetime | None = None
        self._fills: list[tuple[datetime, Decimal]] = []  # counted, and not older than the report
        self._base_ts: datetime | None = None  # of the first report: what it contains is not told
        self._presumed = ZERO  # closed in the moment of the report, and taken to be in it
        self._unsettled: list[_Unsettled] = []

    @property
    def is_known(self) -> bool:
        """Whether the exchange has reported this leg at all."""
        return self.reported_ts is not None

    @property
    def unsettled_closing_qty(self) -> Decimal:
        """Closing quantity (base coin) that filled, but that `size` may still contain."""
        if not self._unsettled:
            return ZERO
        return sum((item.qty for item in self._unsettled if item.closing), ZERO)

    @property
    def unsettled_opening_value(self) -> Decimal:
        """Value (USDT) of opening orders that filled, but that `size` may not contain yet."""
        return sum((i.qty * i.price for i in self._unsettled if not i.closing), ZERO)

    def report(self, snapshot: LegSnapshot, ts: datetime) -> None:
        """Take over what the exchange reports as of `ts`; an older report changes nothing.

        Fills that happened after `ts` stay counted on top of it.
        """
        if self.reported_ts is not None and ts < self.reported_ts:
            return
        surplus = snapshot.size - self.size
        for fill_ts, change in self._fills:
            if fill_ts > ts:
                surplus += change
        if surplus and self.reported_ts is not None:
            if surplus > 0:
                # of two fills in one moment the report may contain the first only: a closing fill
                # that is already counted is not taken back
                closed = sum((-c for fill_ts, c in self._fills if fill_ts == ts and c < 0), ZERO)
                surplus = max(ZERO, surplus - closed)
            self.unexplained += surplus
        if surplus:
            self.size += surplus
        if self.reported_ts is None:
            self._base_ts = ts
        if ts != self.reported_ts:
            self._presumed = ZERO
        self.reported_ts = ts
        if snapshot.size:
            self.entry_price = snapshot.entry_price
        self.liquidation_price = snapshot.liquidation_price
        if snapshot.leverage is not None:
            self.leverage = snapshot.leverage
        if self._fills:
            self._fills = [fill for fill in self._fills if fill[0] >= ts]
        if self._unsettled:
            # of two fills in one moment the report may lack the one that ended the order
            self._unsettled = [item for item in self._unsettled if item.ts >= ts]

    def is_repeated_by(self, snapshot: LegSnapshot) -> bool:
        """Tell whether a report says what is known anyway, and no fill is still to be counted."""
        return (
            self.is_known
            and snapshot.size == self.size
            and (not self.size or snapshot.entry_price == self.entry_price)
            and snapshot.liquidation_price == self.liquidation_price
            and snapshot.leverage in (None, self.leverage)
            and not self._unsettled
        )

    def fill(self, event: ExecutionEvent) -> None:
        """Count one execution of this leg, unless a report already contains it."""
        closing = event.closed_size > 0
        change = -event.qty if closing else event.qty
        if self._unsettled:
            self._settle(event.order_id, event.qty)
        if self.reported_ts is not None and event.exchange_ts <= self.reported_ts:
            is_older = event.exchange_ts < self.reported_ts
            if self.unexplained * change > 0 and abs(self.unexplained) >= event.qty:
                self.unexplained -= change
                if closing and not is_older:
                    self._presumed += event.qty
                return
            if closing and is_older:
                self._count_presumed(event)
            # a report of the same moment may lack this fill; believing the smaller size is safe
            if not closing or is_older:
                return
        if not closing:
            self.entry_price = self._average_entry(event)
        self._fills.append((event.exchange_ts, change))
        self.size = max(ZERO, self.size + change)

    def _count_presumed(self, event: ExecutionEvent) -> None:
        """Count what was taken to be in the report, now that an older fill turns out to be.

        The report contains what is older for certain. Where nothing of its change is left for
        that, a fill of its own moment was taken for the explanation, and is missing in it.
        """
        if self.reported_ts is None or self._base_ts is None or event.exchange_ts <= self._base_ts:
            return
        missing = min(event.qty, self._presumed)
        if missing:
            self._presumed -= missing
            self._fills.append((self.reported_ts, -missing))
            self.size = max(ZERO, self.size - missing)

    def accept_unexplained(self) -> None:
        """Stop waiting for executions that would explain the last reported size."""
        self.unexplained = ZERO

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
        if qty > 0 and (self.reported_ts is None or ts >= self.reported_ts):
            self._unsettled.append(_Unsettled(order_id, qty, price, closing, ts))

    def _settle(self, order_id: str, qty: Decimal) -> None:
        for item in self._unsettled:
            if item.order_id == order_id:
                item.qty -= qty
                if item.qty <= 0:
                    self._unsettled.remove(item)
                return

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
