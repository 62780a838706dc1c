"""What happened to a simulated account, one record per fact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from gridcore import DirectionType, SideType

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=4)  # several parts ask for the time of the row that is looked at
def moment(ts_us: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return EPOCH + MICROSECOND * ts_us


def to_us(ts: datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC."""
    delta = ts - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


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
