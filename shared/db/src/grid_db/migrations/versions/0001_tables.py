"""Tables of tenants, market data and the journal.

Revision: 0001
Follows: nothing
"""

import sqlalchemy as sa
from alembic import op

from grid_db.migrations import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "funding_rates",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("funding_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("funding_rate", types.ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_funding_rates")),
        sa.UniqueConstraint(
            "symbol", "funding_ts", name=op.f("uq_funding_rates_symbol_funding_ts")
        ),
    )
    op.create_table(
        "instruments",
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("base_coin", sa.String(length=32), nullable=False),
        sa.Column("quote_coin", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("tick_size", types.ExactDecimal(), nullable=False),
        sa.Column("qty_step", types.ExactDecimal(), nullable=False),
        sa.Column("min_qty", types.ExactDecimal(), nullable=False),
        sa.Column("max_qty", types.ExactDecimal(), nullable=False),
        sa.Column("min_notional", types.ExactDecimal(), nullable=False),
        sa.Column("max_leverage", types.ExactDecimal(), nullable=True),
        sa.Column("funding_interval_min", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", types.UtcTimestamp(), nullable=False),
        sa.Column("raw_json", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("symbol", name=op.f("pk_instruments")),
    )
    op.create_table(
        "klines",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("price_kind", types.words("price_kind", "last", "mark", "index"), nullable=False),
        sa.Column("interval_s", sa.BigInteger(), nullable=False),
        sa.Column("open_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("open_price", types.ExactDecimal(), nullable=False),
        sa.Column("high_price", types.ExactDecimal(), nullable=False),
        sa.Column("low_price", types.ExactDecimal(), nullable=False),
        sa.Column("close_price", types.ExactDecimal(), nullable=False),
        sa.Column("volume", types.ExactDecimal(), nullable=True),
        sa.Column("turnover", types.ExactDecimal(), nullable=True),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_klines")),
        sa.UniqueConstraint(
            "symbol",
            "price_kind",
            "interval_s",
            "open_ts",
            name=op.f("uq_klines_symbol_price_kind_interval_s_open_ts"),
        ),
    )
    op.create_table(
        "public_trades",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("trade_id", sa.String(length=64), nullable=False),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("local_ts", types.UtcTimestamp(), nullable=True),
        sa.Column("side", types.words("side", "Buy", "Sell"), nullable=False),
        sa.Column("price", types.ExactDecimal(), nullable=False),
        sa.Column("size", types.ExactDecimal(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_public_trades")),
        sa.UniqueConstraint("symbol", "trade_id", name=op.f("uq_public_trades_symbol_trade_id")),
    )
    op.create_index(
        op.f("ix_public_trades_symbol_exchange_ts"),
        "public_trades",
        ["symbol", "exchange_ts"],
        unique=False,
    )

    op.create_table(
        "risk_limit_tiers",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("risk_id", sa.BigInteger(), nullable=False),
        sa.Column("risk_limit_value", types.ExactDecimal(), nullable=False),
        sa.Column("maintenance_margin_ratio", types.ExactDecimal(), nullable=False),
        sa.Column("initial_margin_ratio", types.ExactDecimal(), nullable=False),
        sa.Column("max_leverage", types.ExactDecimal(), nullable=False),
        sa.Column("mm_deduction", types.ExactDecimal(), nullable=True),
        sa.Column("updated_at", types.UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_limit_tiers")),
        sa.UniqueConstraint("symbol", "risk_id", name=op.f("uq_risk_limit_tiers_symbol_risk_id")),
    )
    op.create_table(
        "ticker_snapshots",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("local_ts", types.UtcTimestamp(), nullable=True),
        sa.Column("last_price", types.ExactDecimal(), nullable=False),
        sa.Column("mark_price", types.ExactDecimal(), nullable=True),
        sa.Column("index_price", types.ExactDecimal(), nullable=True),
        sa.Column("bid1_price", types.ExactDecimal(), nullable=True),
        sa.Column("bid1_size", types.ExactDecimal(), nullable=True),
        sa.Column("ask1_price", types.ExactDecimal(), nullable=True),
        sa.Column("ask1_size", types.ExactDecimal(), nullable=True),
        sa.Column("funding_rate", types.ExactDecimal(), nullable=True),
        sa.Column("next_funding_ts", types.UtcTimestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticker_snapshots")),
        sa.UniqueConstraint(
            "symbol", "exchange_ts", name=op.f("uq_ticker_snapshots_symbol_exchange_ts")
        ),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", types.UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "bybit_accounts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column(
            "environment",
            types.words("environment", "mainnet", "testnet", "demo", "paper"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_bybit_accounts_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bybit_accounts")),
        sa.UniqueConstraint("id", "user_id", name=op.f("uq_bybit_accounts_id_user_id")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_bybit_accounts_user_id_name")),
    )
    op.create_table(
        "api_credentials",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcTimestamp(), nullable=False),
        sa.Column("updated_at", types.UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_api_credentials_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_credentials")),
        sa.UniqueConstraint("account_id", name=op.f("uq_api_credentials_account_id")),
    )
    op.create_table(
        "capture_gaps",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("account_id", sa.String(length=36), nullable=True),
        sa.Column(
            "stream",
            types.words(
                "stream", "trades", "tickers", "executions", "orders", "positions", "wallet"
            ),
            nullable=False,
        ),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("gap_start", types.UtcTimestamp(), nullable=False),
        sa.Column("gap_end", types.UtcTimestamp(), nullable=False),
        sa.Column("status", types.words("status", "open", "filled", "missing"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_attempt_at", types.UtcTimestamp(), nullable=True),
        sa.Column("detected_at", types.UtcTimestamp(), nullable=False),
        sa.CheckConstraint(
            "(user_id IS NULL) = (account_id IS NULL)",
            name=op.f("ck_capture_gaps_private_has_user_and_account"),
        ),
        sa.CheckConstraint("gap_end >= gap_start", name=op.f("ck_capture_gaps_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_capture_gaps_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_capture_gaps")),
    )
    op.create_index(
        op.f("ix_capture_gaps_status_gap_start"),
        "capture_gaps",
        ["status", "gap_start"],
        unique=False,
    )
    op.create_index(
        "uq_capture_gaps_market",
        "capture_gaps",
        ["stream", "symbol", "gap_start"],
        unique=True,
        sqlite_where=sa.text("account_id IS NULL"),
        postgresql_where=sa.text("account_id IS NULL"),
    )
    op.create_index(
        "uq_capture_gaps_private",
        "capture_gaps",
        ["account_id", "stream", "symbol", "gap_start"],
        unique=True,
        sqlite_where=sa.text("account_id IS NOT NULL"),
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )

    op.create_table(
        "strategies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("config_json", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcTimestamp(), nullable=False),
        sa.Column("updated_at", types.UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_strategies_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategies")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_strategies_account_id_name")),
        sa.UniqueConstraint("id", "user_id", name=op.f("uq_strategies_id_user_id")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=True),
        sa.Column("strategy_id", sa.String(length=36), nullable=True),
        sa.Column(
            "run_type",
            types.words("run_type", "live", "backtest", "shadow", "paper", "recording"),
            nullable=False,
        ),
        sa.Column(
            "status",
            types.words("status", "running", "completed", "failed", "stale"),
            nullable=False,
        ),
        sa.Column("symbol", sa.String(length=32), nullable=True),
        sa.Column("started_at", types.UtcTimestamp(), nullable=False),
        sa.Column("heartbeat_at", types.UtcTimestamp(), nullable=True),
        sa.Column("ended_at", types.UtcTimestamp(), nullable=True),
        sa.Column("config_json", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (ended_at IS NULL)", name=op.f("ck_runs_running_has_no_end")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_runs_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id", "user_id"],
            ["strategies.id", "strategies.user_id"],
            name=op.f("fk_runs_strategy_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_runs_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", "user_id", name=op.f("uq_runs_id_user_id")),
    )
    op.create_index(op.f("ix_runs_account_id"), "runs", ["account_id"], unique=False)
    op.create_index(op.f("ix_runs_strategy_id"), "runs", ["strategy_id"], unique=False)
    op.create_index(
        op.f("ix_runs_user_id_run_type_started_at"),
        "runs",
        ["user_id", "run_type", "started_at"],
        unique=False,
    )

    op.create_table(
        "alerts",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=True),
        sa.Column("strategy_id", sa.String(length=36), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column(
            "severity", types.words("severity", "info", "warning", "critical"), nullable=False
        ),
        sa.Column("alert_key", sa.String(length=200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raised_at", types.UtcTimestamp(), nullable=False),
        sa.Column("delivered_at", types.UtcTimestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_alerts_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "user_id"],
            ["runs.id", "runs.user_id"],
            name=op.f("fk_alerts_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id", "user_id"],
            ["strategies.id", "strategies.user_id"],
            name=op.f("fk_alerts_strategy_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_alerts_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_account_id"), "alerts", ["account_id"], unique=False)
    op.create_index(op.f("ix_alerts_run_id"), "alerts", ["run_id"], unique=False)
    op.create_index(op.f("ix_alerts_strategy_id"), "alerts", ["strategy_id"], unique=False)
    op.create_index(
        op.f("ix_alerts_user_id_raised_at"), "alerts", ["user_id", "raised_at"], unique=False
    )

    op.create_table(
        "grid_snapshots",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("strategy_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("snapshot_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "user_id"],
            ["runs.id", "runs.user_id"],
            name=op.f("fk_grid_snapshots_run_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id", "user_id"],
            ["strategies.id", "strategies.user_id"],
            name=op.f("fk_grid_snapshots_strategy_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grid_snapshots")),
        sa.UniqueConstraint(
            "strategy_id", "exchange_ts", name=op.f("uq_grid_snapshots_strategy_id_exchange_ts")
        ),
    )
    op.create_index(op.f("ix_grid_snapshots_run_id"), "grid_snapshots", ["run_id"], unique=False)

    op.create_table(
        "orders",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("order_link_id", sa.String(length=64), nullable=True),
        sa.Column("side", types.words("side", "Buy", "Sell"), nullable=False),
        sa.Column("direction", types.words("direction", "long", "short"), nullable=True),
        sa.Column("order_type", sa.String(length=32), nullable=False),
        sa.Column("time_in_force", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("price", types.ExactDecimal(), nullable=True),
        sa.Column("qty", types.ExactDecimal(), nullable=False),
        sa.Column("leaves_qty", types.ExactDecimal(), nullable=True),
        sa.Column("cum_exec_qty", types.ExactDecimal(), nullable=True),
        sa.Column("avg_price", types.ExactDecimal(), nullable=True),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("reject_reason", sa.String(length=64), nullable=True),
        sa.Column("cancel_type", sa.String(length=64), nullable=True),
        sa.Column("created_ts", types.UtcTimestamp(), nullable=True),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("local_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("raw_json", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_orders_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "user_id"],
            ["runs.id", "runs.user_id"],
            name=op.f("fk_orders_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "account_id",
            "order_id",
            "exchange_ts",
            name=op.f("uq_orders_account_id_order_id_exchange_ts"),
        ),
    )
    op.create_index(
        op.f("ix_orders_account_id_symbol_exchange_ts"),
        "orders",
        ["account_id", "symbol", "exchange_ts"],
        unique=False,
    )
    op.create_index(
        op.f("ix_orders_run_id_exchange_ts"), "orders", ["run_id", "exchange_ts"], unique=False
    )

    op.create_table(
        "position_snapshots",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("direction", types.words("direction", "long", "short"), nullable=False),
        sa.Column("source", types.words("source", "live", "paper", "backtest"), nullable=False),
        sa.Column("size", types.ExactDecimal(), nullable=False),
        sa.Column("entry_price", types.ExactDecimal(), nullable=True),
        sa.Column("mark_price", types.ExactDecimal(), nullable=True),
        sa.Column("liq_price", types.ExactDecimal(), nullable=True),
        sa.Column("unrealised_pnl", types.ExactDecimal(), nullable=True),
        sa.Column("realised_pnl", types.ExactDecimal(), nullable=True),
        sa.Column("cum_realised_pnl", types.ExactDecimal(), nullable=True),
        sa.Column("position_value", types.ExactDecimal(), nullable=True),
        sa.Column("initial_margin", types.ExactDecimal(), nullable=True),
        sa.Column("maintenance_margin", types.ExactDecimal(), nullable=True),
        sa.Column("leverage", types.ExactDecimal(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("local_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("raw_json", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_position_snapshots_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "user_id"],
            ["runs.id", "runs.user_id"],
            name=op.f("fk_position_snapshots_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_position_snapshots")),
        sa.UniqueConstraint(
            "account_id",
            "symbol",
            "direction",
            "exchange_ts",
            name=op.f("uq_position_snapshots_account_id_symbol_direction_exchange_ts"),
        ),
    )
    op.create_index(
        op.f("ix_position_snapshots_run_id"), "position_snapshots", ["run_id"], unique=False
    )

    op.create_table(
        "private_executions",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("exec_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("order_link_id", sa.String(length=64), nullable=True),
        sa.Column("exec_type", sa.String(length=32), nullable=False),
        sa.Column("side", types.words("side", "Buy", "Sell"), nullable=False),
        sa.Column("direction", types.words("direction", "long", "short"), nullable=True),
        sa.Column("exec_price", types.ExactDecimal(), nullable=False),
        sa.Column("exec_qty", types.ExactDecimal(), nullable=False),
        sa.Column("exec_fee", types.ExactDecimal(), nullable=True),
        sa.Column("fee_rate", types.ExactDecimal(), nullable=True),
        sa.Column("closed_pnl", types.ExactDecimal(), nullable=True),
        sa.Column("closed_size", types.ExactDecimal(), nullable=True),
        sa.Column("leaves_qty", types.ExactDecimal(), nullable=True),
        sa.Column("is_maker", sa.Boolean(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("local_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("raw_json", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_private_executions_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "user_id"],
            ["runs.id", "runs.user_id"],
            name=op.f("fk_private_executions_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_private_executions")),
        sa.UniqueConstraint(
            "account_id", "exec_id", name=op.f("uq_private_executions_account_id_exec_id")
        ),
    )
    op.create_index(
        op.f("ix_private_executions_account_id_symbol_exchange_ts"),
        "private_executions",
        ["account_id", "symbol", "exchange_ts"],
        unique=False,
    )
    op.create_index(
        op.f("ix_private_executions_run_id_exchange_ts"),
        "private_executions",
        ["run_id", "exchange_ts"],
        unique=False,
    )

    op.create_table(
        "wallet_snapshots",
        sa.Column("id", types.row_id(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("coin", sa.String(length=32), nullable=False),
        sa.Column("wallet_balance", types.ExactDecimal(), nullable=True),
        sa.Column("equity", types.ExactDecimal(), nullable=True),
        sa.Column("unrealised_pnl", types.ExactDecimal(), nullable=True),
        sa.Column("cum_realised_pnl", types.ExactDecimal(), nullable=True),
        sa.Column("locked", types.ExactDecimal(), nullable=True),
        sa.Column("total_order_im", types.ExactDecimal(), nullable=True),
        sa.Column("total_position_im", types.ExactDecimal(), nullable=True),
        sa.Column("total_position_mm", types.ExactDecimal(), nullable=True),
        sa.Column("account_equity_usd", types.ExactDecimal(), nullable=True),
        sa.Column("account_wallet_balance_usd", types.ExactDecimal(), nullable=True),
        sa.Column("account_margin_balance_usd", types.ExactDecimal(), nullable=True),
        sa.Column("account_available_balance_usd", types.ExactDecimal(), nullable=True),
        sa.Column("account_initial_margin_usd", types.ExactDecimal(), nullable=True),
        sa.Column("account_maintenance_margin_usd", types.ExactDecimal(), nullable=True),
        sa.Column("account_im_ratio", types.ExactDecimal(), nullable=True),
        sa.Column("account_mm_ratio", types.ExactDecimal(), nullable=True),
        sa.Column("exchange_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("local_ts", types.UtcTimestamp(), nullable=False),
        sa.Column("raw_json", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"],
            ["bybit_accounts.id", "bybit_accounts.user_id"],
            name=op.f("fk_wallet_snapshots_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id", "user_id"],
            ["runs.id", "runs.user_id"],
            name=op.f("fk_wallet_snapshots_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wallet_snapshots")),
        sa.UniqueConstraint(
            "account_id",
            "coin",
            "exchange_ts",
            name=op.f("uq_wallet_snapshots_account_id_coin_exchange_ts"),
        ),
    )
    op.create_index(
        op.f("ix_wallet_snapshots_account_id_exchange_ts"),
        "wallet_snapshots",
        ["account_id", "exchange_ts"],
        unique=False,
    )
    op.create_index(
        op.f("ix_wallet_snapshots_run_id"), "wallet_snapshots", ["run_id"], unique=False
    )


def downgrade() -> None:
    """Drop all tables, and with them all data."""
    for table in (
        "wallet_snapshots",
        "private_executions",
        "position_snapshots",
        "orders",
        "grid_snapshots",
        "alerts",
        "runs",
        "strategies",
        "capture_gaps",
        "api_credentials",
        "bybit_accounts",
        "users",
        "ticker_snapshots",
        "risk_limit_tiers",
        "public_trades",
        "klines",
        "instruments",
        "funding_rates",
    ):
        op.drop_table(table)
