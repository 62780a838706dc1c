"""Logins that serve one user each, told apart by PostgreSQL itself (role grid_db_tenant).

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

from grid_db import rls

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# table -> whether the database numbers its rows
_OWNED = {
    "bybit_accounts": False,
    "api_credentials": False,
    "strategies": False,
    "runs": False,
    "private_executions": True,
    "orders": True,
    "position_snapshots": True,
    "wallet_snapshots": True,
    "capture_gaps": True,
    "grid_snapshots": True,
    "alerts": True,
}
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
    """Add the table of logins, and what such a login may do. SQLite has no logins."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    statements = [rls.create_tenant_role(), *rls.know_logins(), *rls.know_user()]
    for table, numbered in _OWNED.items():
        names = [column["name"] for column in sa.inspect(connection).get_columns(table)]
        statements += rls.give_to_logins(table, names, numbered=numbered)
    statements += [*rls.show_to_logins(_SHARED), rls.show_unowned("capture_gaps")]
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Take it back. The logins stay on the server, and reach nothing here any more."""
    if op.get_bind().dialect.name == "postgresql":
        for statement in rls.forget_logins(["users", *_OWNED]):
            op.execute(statement)
