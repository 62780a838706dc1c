"""What a running system notes about itself: gaps, grid states, alerts."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from grid_db.enums import AlertSeverity, CaptureStream, GapStatus
from grid_db.models.base import Base, Symbol, Uuid, numbered, of_account, of_run, of_strategy
from grid_db.types import RowId, UtcTimestamp, enum_column


class CaptureGapRow(Base):
    """A stretch of a stream that was not received. Without an owner: a gap of market data."""

    __tablename__ = "capture_gaps"
    __table_args__ = (
        of_account(),
        CheckConstraint(
            "(user_id IS NULL) = (account_id IS NULL)", name="private_has_user_and_account"
        ),
        CheckConstraint("gap_end >= gap_start", name="ends_after_start"),
        Index(
            "uq_capture_gaps_private",
            "user_id",
            "account_id",
            "stream",
            "symbol",
            "gap_start",
            unique=True,
            sqlite_where=text("account_id IS NOT NULL"),
            postgresql_where=text("account_id IS NOT NULL"),
        ),
        Index(
            "uq_capture_gaps_market",
            "stream",
            "symbol",
            "gap_start",
            unique=True,
            sqlite_where=text("account_id IS NULL"),
            postgresql_where=text("account_id IS NULL"),
        ),
        Index(None, "user_id", "status", "gap_start"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(Uuid)
    account_id: Mapped[str | None] = mapped_column(Uuid)
    stream: Mapped[CaptureStream] = mapped_column(enum_column(CaptureStream, "stream"))
    symbol: Mapped[str] = mapped_column(Symbol)
    gap_start: Mapped[datetime] = mapped_column(UtcTimestamp)
    gap_end: Mapped[datetime] = mapped_column(UtcTimestamp)
    status: Mapped[GapStatus] = mapped_column(enum_column(GapStatus, "status"))
    reason: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(BigInteger)
    last_attempt_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    detected_at: Mapped[datetime] = mapped_column(UtcTimestamp)


class GridSnapshotRow(Base):
    """State of one strategy's grid, enough to go on from."""

    __tablename__ = "grid_snapshots"
    __table_args__ = (
        of_strategy(),
        of_run(),
        UniqueConstraint("user_id", "strategy_id", "exchange_ts"),
        Index(None, "user_id", "run_id"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid)
    strategy_id: Mapped[str] = mapped_column(Uuid)
    run_id: Mapped[str | None] = mapped_column(Uuid)
    exchange_ts: Mapped[datetime] = mapped_column(UtcTimestamp)
    snapshot_json: Mapped[str] = mapped_column(Text)


class AlertRow(Base):
    """Something that somebody was told, or has to be told."""

    __tablename__ = "alerts"
    __table_args__ = (
        of_account(),
        of_strategy(),
        of_run(),
        Index(None, "user_id", "raised_at"),
        Index(None, "user_id", "account_id"),
        Index(None, "user_id", "strategy_id"),
        Index(None, "user_id", "run_id"),
    )

    id: Mapped[int] = mapped_column(RowId, numbered(), primary_key=True)
    user_id: Mapped[str] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    account_id: Mapped[str | None] = mapped_column(Uuid)
    strategy_id: Mapped[str | None] = mapped_column(Uuid)
    run_id: Mapped[str | None] = mapped_column(Uuid)
    severity: Mapped[AlertSeverity] = mapped_column(enum_column(AlertSeverity, "severity"))
    alert_key: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)
    raised_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
