"""One leg as others may see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gridcore.events import LegSnapshot
from gridcore.leg_cost import Moment
from gridcore.pnl import calc_unrealised_pnl
from gridcore.sides import DirectionType

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegView:
    """One leg at one moment, by everything known. Prices are USDT, sizes base coin.

    entry_price is None for an empty leg. margin_ratio is position value / wallet balance, None
    without a wallet. `unexplained` is what reports show more than fills do; unsettled_closing_qty
    is what closed by orders whose executions are still to come.
    """

    direction: DirectionType
    is_known: bool  # the exchange has reported it
    size: Decimal
    entry_price: Decimal | None
    liquidation_price: Decimal | None
    leverage: Decimal
    margin_ratio: float | None
    unexplained: Decimal
    unsettled_closing_qty: Decimal
    contained: Moment | None  # the last report, also of an earlier process
    newest: Moment | None  # of all that is known: the last report, the last fill

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return the profit in USDT at `price`, 0 for an empty leg."""
        if not self.size or self.entry_price is None:
            return ZERO
        return calc_unrealised_pnl(self.direction, self.entry_price, price, self.size)

    def is_contradicted_by(self, snapshot: LegSnapshot, ts: datetime) -> bool:
        """Tell whether a report shows another size, and is not older than what is known.

        A list may lag; what it showed before the last fill or report is no contradiction.
        """
        now = _moment(snapshot, ts)
        is_old = self.newest is not None and now.is_before(self.newest)
        return not is_old and snapshot.size != self.size

    def is_newer_than(self, snapshot: LegSnapshot, ts: datetime) -> bool:
        """Tell whether a report as of `ts` lags behind an earlier one, and so confirms nothing."""
        return self.contained is not None and _moment(snapshot, ts).is_lagging(ts, self.contained)


def _moment(snapshot: LegSnapshot, ts: datetime) -> Moment:
    return Moment(ts if snapshot.updated_ts is None else snapshot.updated_ts, snapshot.seq)
