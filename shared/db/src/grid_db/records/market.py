"""Market data. Prices in the quote coin (USDT), sizes in the base coin, times aware UTC.

The order of the fields is the format in which event_saver's spool keeps trades and tickers on disk:
whoever adds, removes or moves one adds a format in event_saver/spool/formats.py, by which what is
on disk already is still read; its test fails without. A new field needs a default.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from grid_db.enums import PriceKind
from gridcore import SideType


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTradeRecord:
    """One trade of the market. side is the taker's; local_ts is None for imported archives."""

    symbol: str
    trade_id: str
    exchange_ts: datetime
    local_ts: datetime | None = None
    side: SideType
    price: Decimal
    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TickerSnapshotRecord:
    """State of one market. What the exchange did not say is None."""

    symbol: str
    exchange_ts: datetime
    local_ts: datetime | None = None
    last_price: Decimal
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    bid1_price: Decimal | None = None
    bid1_size: Decimal | None = None
    ask1_price: Decimal | None = None
    ask1_size: Decimal | None = None
    funding_rate: Decimal | None = None  # predicted, per funding interval; positive: long pays
    next_funding_ts: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRecord:
    """Trading rules of one contract (Bybit `GET /v5/market/instruments-info`)."""

    symbol: str
    base_coin: str
    quote_coin: str
    status: str  # as the exchange writes it, for example Trading
    tick_size: Decimal
    qty_step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal | None = None
    funding_interval_min: int | None = None
    updated_at: datetime  # when it was read from the exchange
    raw_json: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimitTierRecord:
    """One tier of a contract's risk limits. Ratios are fractions (0.005), never percents."""

    symbol: str
    risk_id: int
    risk_limit_value: Decimal  # USDT of notional up to which the tier holds
    maintenance_margin_ratio: Decimal
    initial_margin_ratio: Decimal
    max_leverage: Decimal
    mm_deduction: Decimal | None = None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRateRecord:
    """One settled funding rate; positive: long pays short."""

    symbol: str
    funding_ts: datetime
    funding_rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class KlineRecord:
    """One bar that starts at open_ts and lasts interval_s seconds."""

    symbol: str
    price_kind: PriceKind
    interval_s: int
    open_ts: datetime
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    volume: Decimal | None = None  # base coin; None for mark and index bars
    turnover: Decimal | None = None  # USDT
    is_closed: bool
