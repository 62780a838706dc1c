"""What happened to a simulated account, one record per fact."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from gridcore import DirectionType, SideType
from gridcore.moments import moment


class TradeKind(StrEnum):
    """Why a simulated trade took place."""

    GRID = "grid"  # an order of the strategy filled
    LIQUIDATION = "liquidation"  # taken over at the bankruptcy price
    WIND_DOWN = "wind_down"  # closed at the end of the run, as taker


class BacktestTrade(NamedTuple):
    """One simulated fill; prices and money in USDT, quantities in base coin, time in us UTC.

    `fee` is paid when positive; `realised_pnl` is before fees; `leaves_qty` stays open of the
    order; `size_after` is what the leg holds afterwards.
    """

    ts_us: int
    symbol: str
    strat_id: str
    exec_id: str
    order_id: str
    client_order_id: str
    direction: DirectionType
    side: SideType
    price: Decimal
    qty: Decimal
    fee: Decimal
    realised_pnl: Decimal
    leaves_qty: Decimal
    size_after: Decimal
    closing: bool
    is_maker: bool
    kind: TradeKind

    @property
    def ts(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return moment(self.ts_us)


class FundingPayment(NamedTuple):
    """Funding settled on one leg: `paid` USDT, negative when received."""

    ts_us: int
    symbol: str
    strat_id: str
    direction: DirectionType
    size: Decimal
    mark_price: Decimal
    rate: Decimal
    paid: Decimal


class Liquidation(NamedTuple):
    """The end of an account: `price` is the tick that ended it, `liquidation_price` the formula's,
    `bankruptcy_price` where the legs were taken over; `lost` is the equity that it cost, USDT."""

    ts_us: int
    symbol: str
    price: Decimal
    liquidation_price: Decimal | None
    bankruptcy_price: Decimal
    lost: Decimal
