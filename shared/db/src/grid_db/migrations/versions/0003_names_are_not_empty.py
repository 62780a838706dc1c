"""Names of users and accounts are not empty.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

from grid_db.migrations import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RULE = "name <> ''"


def _users() -> sa.Table:
    return sa.Table(
        "users",
        sa.MetaData(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", types.UtcTimestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )


def _accounts() -> sa.Table:
    return sa.Table(
        "bybit_accounts",
        sa.MetaData(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("environment", sa.String(32), nullable=False),
        sa.Column("created_at", types.UtcTimestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_bybit_accounts_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_bybit_accounts"),
        sa.UniqueConstraint("user_id", "name", name="uq_bybit_accounts_user_id_name"),
        sa.UniqueConstraint("id", "user_id", name="uq_bybit_accounts_id_user_id"),
        sa.CheckConstraint(
            "environment IN ('mainnet', 'testnet', 'demo', 'paper')",
            name="ck_bybit_accounts_environment",
        ),
    )


def _has_rule(table: sa.Table) -> sa.Table:
    table.append_constraint(sa.CheckConstraint(_RULE, name=f"ck_{table.name}_has_name"))
    return table


def upgrade() -> None:
    """Add the rule; a name that is empty becomes the row's id, which is unique as well."""
    for before in (_users(), _accounts()):
        op.execute(f"UPDATE {before.name} SET name = id WHERE name = ''")  # noqa: S608 - names of our own tables
        # SQLite builds the table anew from `before`, because it cannot read checks back
        with op.batch_alter_table(before.name, copy_from=before) as batch:
            batch.create_check_constraint(op.f(f"ck_{before.name}_has_name"), sa.text(_RULE))


def downgrade() -> None:
    """Drop the rule; no row changes."""
    for after in (_has_rule(_accounts()), _has_rule(_users())):
        with op.batch_alter_table(after.name, copy_from=after) as batch:
            batch.drop_constraint(op.f(f"ck_{after.name}_has_name"), type_="check")
