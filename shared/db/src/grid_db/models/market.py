"""Market data: shared by all tenants, no row has an owner."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from grid_db.enums import PriceKind
from grid_db.models.base import Base, ExchangeId, Symbol, numbered
from grid_db.types import ExactDecimal, RowId, UtcTimestamp, enum_column
from gridcore import SideType


class PublicTradeRow(Base):
    """One trade of the market; side is the taker's."""

    __tablename__ = "public_trades"
    __table_args__ = (
        UniqueConstraint("symbol", "trade_id"),
        Index(None, "symbol", "exchange_ts"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    symbol: Mapped[str] = mapped_column(Symbol)
    trade_id: Mapped[str] = mapped_column(ExchangeId)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    local_ts: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    side: Mapped[SideType] = mapped_column(enum_column(SideType, "side"))
    price: Mapped[Decimal] = mapped_column(ExactDecimal)
    size: Mapped[Decimal] = mapped_column(ExactDecimal)


class TickerSnapshotRow(Base):
    """State of one market at one moment."""

    __tablename__ = "ticker_snapshots"
    __table_args__ = (UniqueConstraint("symbol", "exchange_ts"),)

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    symbol: Mapped[str] = mapped_column(Symbol)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    local_ts: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    last_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    mark_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    index_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    bid1_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    bid1_size: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    ask1_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    ask1_size: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    funding_rate: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    next_funding_ts: Mapped[datetime | None] = mapped_column(UtcTimestamp)


class InstrumentRow(Base):
    """Trading rules of one contract, as last read from the exchange."""

    __tablename__ = "instruments"

    symbol: Mapped[str] = mapped_column(Symbol, primary_key=True)
    base_coin: Mapped[str] = mapped_column(Symbol)
    quote_coin: Mapped[str] = mapped_column(Symbol)
    status: Mapped[str] = mapped_column(String(32))
    tick_size: Mapped[Decimal] = mapped_column(ExactDecimal)
    qty_step: Mapped[Decimal] = mapped_column(ExactDecimal)
    min_qty: Mapped[Decimal] = mapped_column(ExactDecimal)
    max_qty: Mapped[Decimal] = mapped_column(ExactDecimal)
    min_notional: Mapped[Decimal] = mapped_column(ExactDecimal)
    max_leverage: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    funding_interval_min: Mapped[int | None] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    raw_json: Mapped[str | None] = mapped_column(Text)


class RiskLimitTierRow(Base):
    """One tier of a contract's risk limits."""

    __tablename__ = "risk_limit_tiers"
    __table_args__ = (UniqueConstraint("symbol", "risk_id"),)

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    symbol: Mapped[str] = mapped_column(Symbol)
    risk_id: Mapped[int] = mapped_column(BigInteger)
    risk_limit_value: Mapped[Decimal] = mapped_column(ExactDecimal)
    maintenance_margin_ratio: Mapped[Decimal] = mapped_column(ExactDecimal)
    initial_margin_ratio: Mapped[Decimal] = mapped_column(ExactDecimal)
    max_leverage: Mapped[Decimal] = mapped_column(ExactDecimal)
    mm_deduction: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    updated_at: Mapped[datetime] = mapped_column(UtcTimestamp)


class FundingRateRow(Base):
    """One settled funding rate."""

    __tablename__ = "funding_rates"
    __table_args__ = (UniqueConstraint("symbol", "funding_ts"),)

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    symbol: Mapped[str] = mapped_column(Symbol)
    funding_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    funding_rate: Mapped[Decimal] = mapped_column(ExactDecimal)


class KlineRow(Base):
    """One bar."""

    __tablename__ = "klines"
    __table_args__ = (UniqueConstraint("symbol", "price_kind", "interval_s", "open_ts"),)

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    symbol: Mapped[str] = mapped_column(Symbol)
    price_kind: Mapped[PriceKind] = mapped_column(enum_column(PriceKind, "price_kind"))
    interval_s: Mapped[int] = mapped_column(BigInteger)
    open_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    open_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    high_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    low_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    close_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    volume: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    turnover: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    is_closed: Mapped[bool] = mapped_column()
