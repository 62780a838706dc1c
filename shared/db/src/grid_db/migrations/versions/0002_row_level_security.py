"""Row-level security on PostgreSQL, with the roles grid_db_app and grid_db_admin.

Revision: 0002
Follows: 0001
"""

from alembic import op

from grid_db import rls

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OWNED = (
    "bybit_accounts",
    "api_credentials",
    "strategies",
    "runs",
    "private_executions",
    "orders",
    "position_snapshots",
    "wallet_snapshots",
    "capture_gaps",
    "grid_snapshots",
    "alerts",
)
_SHARED = (
    "alembic_version",
    "public_trades",
    "ticker_snapshots",
    "instruments",
    "risk_limit_tiers",
    "funding_rates",
    "klines",
)


def upgrade() -> None:
    """Make the roles and give each private row to its user. SQLite has no such thing."""
    if op.get_bind().dialect.name != "postgresql":
        return
    statements = [*rls.create_roles(), *rls.protect_table("users", "id")]
    for table in _OWNED:
        statements += rls.protect_table(table, "user_id")
    statements += rls.share_tables(_SHARED)
    statements += rls.read_only(["users", "alembic_version"])
    statements += [rls.share_unowned("capture_gaps", "user_id"), rls.share_sequences()]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Take policies and grants back. The roles belong to the server and stay."""
    if op.get_bind().dialect.name != "postgresql":
        return
    statements = [*rls.unprotect_table("users")]
    for table in _OWNED:
        more = ("market",) if table == "capture_gaps" else ()
        statements += rls.unprotect_table(table, *more)
    for statement in [*statements, *rls.withdraw_grants()]:
        op.execute(statement)
