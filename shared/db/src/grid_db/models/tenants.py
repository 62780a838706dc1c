"""Users and what they own before anything is traded."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from grid_db.enums import AccountEnvironment, RunStatus, RunType
from grid_db.models.base import Base, Symbol, Uuid, by_user_and_id, of_account, of_strategy
from grid_db.types import UtcTimestamp, enum_column
from grid_db.values import utc_now


class UserRow(Base):
    """A tenant. Everything private hangs on it and goes with it."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("name"), CheckConstraint("name <> ''", name="has_name"))

    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp, default=utc_now)

    accounts: Mapped[list["BybitAccountRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )
    runs: Mapped[list["RunRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, overlaps="accounts"
    )


class BybitAccountRow(Base):
    """One exchange account."""

    __tablename__ = "bybit_accounts"
    __table_args__ = (
        by_user_and_id(),
        UniqueConstraint("user_id", "name"),
        CheckConstraint("name <> ''", name="has_name"),
    )

    id: Mapped[str] = mapped_column(Uuid)
    user_id: Mapped[str] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    environment: Mapped[AccountEnvironment] = mapped_column(
        enum_column(AccountEnvironment, "environment")
    )
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp, default=utc_now)


class ApiCredentialRow(Base):
    """The key pair of one account, as one encrypted token."""

    __tablename__ = "api_credentials"
    __table_args__ = (of_account(), by_user_and_id(), UniqueConstraint("user_id", "account_id"))

    id: Mapped[str] = mapped_column(Uuid)
    user_id: Mapped[str] = mapped_column(Uuid)
    account_id: Mapped[str] = mapped_column(Uuid)
    token: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp, default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(UtcTimestamp, default=utc_now)


class StrategyRow(Base):
    """One configured strategy of an account."""

    __tablename__ = "strategies"
    __table_args__ = (
        of_account(),
        by_user_and_id(),
        UniqueConstraint("user_id", "account_id", "name"),
    )

    id: Mapped[str] = mapped_column(Uuid)
    user_id: Mapped[str] = mapped_column(Uuid)
    account_id: Mapped[str] = mapped_column(Uuid)
    name: Mapped[str] = mapped_column(String(100))
    symbol: Mapped[str] = mapped_column(Symbol)
    config_json: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTimestamp, default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(UtcTimestamp, default=utc_now)


class RunRow(Base):
    """One start of a strategy, or of a capture session (then without a strategy)."""

    __tablename__ = "runs"
    __table_args__ = (
        of_account(),
        of_strategy(),
        by_user_and_id(),
        CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="running_has_no_end"),
        Index(None, "user_id", "run_type", "started_at"),
        Index(None, "user_id", "account_id"),
        Index(None, "user_id", "strategy_id"),
    )

    id: Mapped[str] = mapped_column(Uuid)
    user_id: Mapped[str] = mapped_column(Uuid, ForeignKey("users.id", ondelete="CASCADE"))
    account_id: Mapped[str | None] = mapped_column(Uuid)
    strategy_id: Mapped[str | None] = mapped_column(Uuid)
    run_type: Mapped[RunType] = mapped_column(enum_column(RunType, "run_type"))
    status: Mapped[RunStatus] = mapped_column(enum_column(RunStatus, "status"))
    symbol: Mapped[str | None] = mapped_column(Symbol)
    started_at: Mapped[datetime] = mapped_column(UtcTimestamp)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTimestamp)
    config_json: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
