"""The coin that the fee of an execution was paid in.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Rows keep what the exchange sent, so those of before tell their coin as well. "" is the coin of
# the contract, USDT; such a row stays NULL, as one without its raw form does.
_TOLD = {
    "postgresql": (
        "UPDATE private_executions SET fee_currency ="
        """ substring(raw_json from '"feeCurrency" *: *"([A-Za-z0-9]{1,32})"')"""
        """ WHERE raw_json LIKE '%"feeCurrency"%'"""
    ),
    "sqlite": (
        "UPDATE private_executions SET fee_currency ="
        " nullif(json_extract(raw_json, '$.feeCurrency'), '')"
        """ WHERE raw_json LIKE '%"feeCurrency"%' AND json_valid(raw_json)"""
    ),
}


def upgrade() -> None:
    """Add the column, filled from the raw form of the rows."""
    op.add_column("private_executions", sa.Column("fee_currency", sa.String(32), nullable=True))
    dialect = op.get_bind().dialect.name
    op.execute(sa.text(_TOLD[dialect].replace(":", r"\:")))
    if dialect == "postgresql":
        op.execute(
            "GRANT INSERT (fee_currency), UPDATE (fee_currency) ON private_executions"
            " TO grid_db_tenant"
        )


def downgrade() -> None:
    """Drop the column; the raw form still tells it."""
    op.drop_column("private_executions", "fee_currency")
