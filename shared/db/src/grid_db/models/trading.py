"""Private facts of one account: executions, orders, positions, wallet."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from grid_db.enums import SnapshotSource
from grid_db.models.base import Base, ExchangeId, Symbol, Uuid, numbered, of_account, of_run
from grid_db.types import ExactDecimal, RowId, UtcTimestamp, enum_column
from gridcore import DirectionType, SideType


class PrivateExecutionRow(Base):
    """One execution: a fill, a funding payment, a liquidation takeover."""

    __tablename__ = "private_executions"
    __table_args__ = (
        of_account(),
        of_run(),
        UniqueConstraint("user_id", "account_id", "exec_id"),
        Index(None, "user_id", "account_id", "symbol", "exchange_ts"),
        Index(None, "user_id", "run_id", "exchange_ts"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid)
    account_id: Mapped[str] = mapped_column(Uuid)
    run_id: Mapped[str] = mapped_column(Uuid)
    symbol: Mapped[str] = mapped_column(Symbol)
    exec_id: Mapped[str] = mapped_column(ExchangeId)
    order_id: Mapped[str] = mapped_column(ExchangeId)
    order_link_id: Mapped[str | None] = mapped_column(ExchangeId)
    exec_type: Mapped[str] = mapped_column(String(32))
    side: Mapped[SideType] = mapped_column(enum_column(SideType, "side"))
    direction: Mapped[DirectionType | None] = mapped_column(enum_column(DirectionType, "direction"))
    exec_price: Mapped[Decimal] = mapped_column(ExactDecimal)
    exec_qty: Mapped[Decimal] = mapped_column(ExactDecimal)
    exec_fee: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    fee_rate: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    closed_pnl: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    closed_size: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    leaves_qty: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    is_maker: Mapped[bool | None] = mapped_column()
    seq: Mapped[int | None] = mapped_column(BigInteger)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    local_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    raw_json: Mapped[str | None] = mapped_column(Text)
    # what exec_fee is in; NULL in rows of before the column, whose raw form names none: USDT
    fee_currency: Mapped[str | None] = mapped_column(Symbol)


class OrderRow(Base):
    """State of one order at one moment of the exchange."""

    __tablename__ = "orders"
    __table_args__ = (
        of_account(),
        of_run(),
        UniqueConstraint("user_id", "account_id", "order_id", "exchange_ts"),
        Index(None, "user_id", "account_id", "symbol", "exchange_ts"),
        Index(None, "user_id", "run_id", "exchange_ts"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid)
    account_id: Mapped[str] = mapped_column(Uuid)
    run_id: Mapped[str] = mapped_column(Uuid)
    symbol: Mapped[str] = mapped_column(Symbol)
    order_id: Mapped[str] = mapped_column(ExchangeId)
    order_link_id: Mapped[str | None] = mapped_column(ExchangeId)
    side: Mapped[SideType] = mapped_column(enum_column(SideType, "side"))
    direction: Mapped[DirectionType | None] = mapped_column(enum_column(DirectionType, "direction"))
    order_type: Mapped[str] = mapped_column(String(32))
    time_in_force: Mapped[str | None] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(32))
    price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    qty: Mapped[Decimal] = mapped_column(ExactDecimal)
    leaves_qty: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    cum_exec_qty: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    avg_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    reduce_only: Mapped[bool] = mapped_column()
    reject_reason: Mapped[str | None] = mapped_column(ExchangeId)
    cancel_type: Mapped[str | None] = mapped_column(ExchangeId)
    created_ts: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    local_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    raw_json: Mapped[str | None] = mapped_column(Text)


class PositionSnapshotRow(Base):
    """One leg of a symbol at one moment."""

    __tablename__ = "position_snapshots"
    __table_args__ = (
        of_account(),
        of_run(),
        UniqueConstraint(
            "user_id",
            "account_id",
            "symbol",
            "direction",
            "exchange_ts",
            name="uq_position_snapshots_leg_and_moment",  # PostgreSQL takes 63 characters
        ),
        Index(None, "user_id", "run_id"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid)
    account_id: Mapped[str] = mapped_column(Uuid)
    run_id: Mapped[str | None] = mapped_column(Uuid)
    symbol: Mapped[str] = mapped_column(Symbol)
    direction: Mapped[DirectionType] = mapped_column(enum_column(DirectionType, "direction"))
    source: Mapped[SnapshotSource] = mapped_column(enum_column(SnapshotSource, "source"))
    size: Mapped[Decimal] = mapped_column(ExactDecimal)
    entry_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    mark_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    liq_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    unrealised_pnl: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    realised_pnl: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    cum_realised_pnl: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    position_value: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    initial_margin: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    maintenance_margin: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    leverage: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    seq: Mapped[int | None] = mapped_column(BigInteger)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    local_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    raw_json: Mapped[str | None] = mapped_column(Text)


class WalletSnapshotRow(Base):
    """One coin of a wallet at one moment, with the account's own figures beside it."""

    __tablename__ = "wallet_snapshots"
    __table_args__ = (
        of_account(),
        of_run(),
        UniqueConstraint("user_id", "account_id", "coin", "exchange_ts"),
        Index(None, "user_id", "account_id", "exchange_ts"),
        Index(None, "user_id", "run_id"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid)
    account_id: Mapped[str] = mapped_column(Uuid)
    run_id: Mapped[str | None] = mapped_column(Uuid)
    coin: Mapped[str] = mapped_column(Symbol)
    wallet_balance: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    equity: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    unrealised_pnl: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    cum_realised_pnl: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    locked: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    total_order_im: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    total_position_im: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    total_position_mm: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_equity_usd: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_wallet_balance_usd: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_margin_balance_usd: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_available_balance_usd: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_initial_margin_usd: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_maintenance_margin_usd: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_im_ratio: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    account_mm_ratio: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    local_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    raw_json: Mapped[str | None] = mapped_column(Text)
