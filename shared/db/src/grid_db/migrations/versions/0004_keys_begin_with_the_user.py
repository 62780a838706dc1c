"""Keys and indexes of private rows begin with their user, and identities number rows.

A key that is taken at another user is then free for this one: no refusal tells that it exists.

Revision: 0004
Follows: 0003
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Columns = tuple[str, ...]
_OWNED = ("id", "user_id")

# Rows that a user names: table -> whether others point at it
_NAMED = {"bybit_accounts": True, "api_credentials": False, "strategies": True, "runs": True}

# (table, name and columns before, name and columns after)
_UNIQUE: list[tuple[str, str, Columns, str, Columns]] = [
    ("api_credentials", "uq_api_credentials_account_id", ("account_id",),
     "uq_api_credentials_user_id_account_id", ("user_id", "account_id")),
    ("strategies", "uq_strategies_account_id_name", ("account_id", "name"),
     "uq_strategies_user_id_account_id_name", ("user_id", "account_id", "name")),
    ("private_executions", "uq_private_executions_account_id_exec_id", ("account_id", "exec_id"),
     "uq_private_executions_user_id_account_id_exec_id", ("user_id", "account_id", "exec_id")),
    ("orders", "uq_orders_account_id_order_id_exchange_ts",
     ("account_id", "order_id", "exchange_ts"),
     "uq_orders_user_id_account_id_order_id_exchange_ts",
     ("user_id", "account_id", "order_id", "exchange_ts")),
    ("position_snapshots", "uq_position_snapshots_account_id_symbol_direction_exchange_ts",
     ("account_id", "symbol", "direction", "exchange_ts"),
     "uq_position_snapshots_leg_and_moment",
     ("user_id", "account_id", "symbol", "direction", "exchange_ts")),
    ("wallet_snapshots", "uq_wallet_snapshots_account_id_coin_exchange_ts",
     ("account_id", "coin", "exchange_ts"),
     "uq_wallet_snapshots_user_id_account_id_coin_exchange_ts",
     ("user_id", "account_id", "coin", "exchange_ts")),
    ("grid_snapshots", "uq_grid_snapshots_strategy_id_exchange_ts",
     ("strategy_id", "exchange_ts"),
     "uq_grid_snapshots_user_id_strategy_id_exchange_ts",
     ("user_id", "strategy_id", "exchange_ts")),
]  # fmt: skip

# (table, columns before); user_id comes in front of them
_INDEXES: list[tuple[str, Columns]] = [
    ("runs", ("account_id",)),
    ("runs", ("strategy_id",)),
    ("private_executions", ("account_id", "symbol", "exchange_ts")),
    ("private_executions", ("run_id", "exchange_ts")),
    ("orders", ("account_id", "symbol", "exchange_ts")),
    ("orders", ("run_id", "exchange_ts")),
    ("position_snapshots", ("run_id",)),
    ("wallet_snapshots", ("account_id", "exchange_ts")),
    ("wallet_snapshots", ("run_id",)),
    ("capture_gaps", ("status", "gap_start")),
    ("grid_snapshots", ("run_id",)),
    ("alerts", ("account_id",)),
    ("alerts", ("strategy_id",)),
    ("alerts", ("run_id",)),
]
_GAPS: Columns = ("account_id", "stream", "symbol", "gap_start")

_PARENTS = {"account_id": "bybit_accounts", "strategy_id": "strategies", "run_id": "runs"}
_FOREIGN: list[tuple[str, str]] = [
    ("api_credentials", "account_id"), ("strategies", "account_id"), ("runs", "account_id"),
    ("runs", "strategy_id"), ("private_executions", "account_id"), ("private_executions", "run_id"),
    ("orders", "account_id"), ("orders", "run_id"), ("position_snapshots", "account_id"),
    ("position_snapshots", "run_id"), ("wallet_snapshots", "account_id"),
    ("wallet_snapshots", "run_id"), ("capture_gaps", "account_id"),
    ("grid_snapshots", "strategy_id"), ("grid_snapshots", "run_id"), ("alerts", "account_id"),
    ("alerts", "strategy_id"), ("alerts", "run_id"),
]  # fmt: skip

_NUMBERED = (
    "alerts", "capture_gaps", "funding_rates", "grid_snapshots", "klines", "orders",
    "position_snapshots", "private_executions", "public_trades", "risk_limit_tiers",
    "ticker_snapshots", "wallet_snapshots",
)  # fmt: skip


def upgrade() -> None:
    """Build the keys anew. PostgreSQL holds the private tables meanwhile, SQLite copies them."""
    _drop_indexes(with_user=False)
    if op.get_bind().dialect.name == "postgresql":
        _change_keys(with_user=True)
        for table in _NUMBERED:
            _number_by_identity(table)
    else:
        _rebuild(with_user=True)
    _create_indexes(with_user=True)


def downgrade() -> None:
    """Build the keys without the user. Two users with the same key keep it from succeeding."""
    _drop_indexes(with_user=True)
    if op.get_bind().dialect.name == "postgresql":
        _change_keys(with_user=False)
        for table in _NUMBERED:
            _number_by_sequence(table)
    else:
        _rebuild(with_user=False)
    _create_indexes(with_user=False)


def _index(table: str, before: Columns, *, with_user: bool) -> tuple[str, Columns]:
    columns = ("user_id", *before) if with_user else before
    return f"ix_{table}_{'_'.join(columns)}", columns


def _drop_indexes(*, with_user: bool) -> None:
    for table, before in _INDEXES:
        op.drop_index(op.f(_index(table, before, with_user=with_user)[0]), table_name=table)
    op.drop_index("uq_capture_gaps_private", table_name="capture_gaps")


def _create_indexes(*, with_user: bool) -> None:
    for table, before in _INDEXES:
        name, columns = _index(table, before, with_user=with_user)
        op.create_index(op.f(name), table, list(columns))
    is_private = sa.text("account_id IS NOT NULL")
    op.create_index(
        "uq_capture_gaps_private",
        "capture_gaps",
        ["user_id", *_GAPS] if with_user else list(_GAPS),
        unique=True,
        sqlite_where=is_private,
        postgresql_where=is_private,
    )


def _change_keys(*, with_user: bool) -> None:
    for table, column in _FOREIGN:
        op.drop_constraint(op.f(f"fk_{table}_{column}"), table)
    for table, is_parent in _NAMED.items():
        if is_parent and with_user:
            op.drop_constraint(op.f(f"uq_{table}_id_user_id"), table)
        op.drop_constraint(op.f(f"pk_{table}"), table)
        op.create_primary_key(
            op.f(f"pk_{table}"), table, ["user_id", "id"] if with_user else ["id"]
        )
        if is_parent and not with_user:
            op.create_unique_constraint(op.f(f"uq_{table}_id_user_id"), table, list(_OWNED))
    for table, *sides in _UNIQUE:
        before, after = (sides[0], sides[1]), (sides[2], sides[3])
        old, new = (before, after) if with_user else (after, before)
        op.drop_constraint(op.f(str(old[0])), table)
        op.create_unique_constraint(op.f(str(new[0])), table, list(new[1]))
    for table, column in _FOREIGN:
        op.create_foreign_key(
            op.f(f"fk_{table}_{column}"), table, _PARENTS[column], [column, "user_id"],
            list(_OWNED), ondelete="CASCADE",
        )  # fmt: skip


def _next_number(table: str) -> str:
    return (
        "SELECT setval(pg_get_serial_sequence(:table, 'id'),"  # noqa: S608 - a name of our own
        f" greatest(:last, (SELECT coalesce(max(id), 0) FROM {table})) + 1, false)"
    )


def _sequence_of(table: str) -> str:
    query = sa.text("SELECT pg_get_serial_sequence(:table, 'id')")
    return str(op.get_bind().scalar(query, {"table": table}))


def _last_number(table: str) -> int:
    last = sa.text(f"SELECT last_value FROM {_sequence_of(table)}")  # noqa: S608 - what the database named
    return int(op.get_bind().scalar(last))


def _number_by_identity(table: str) -> None:
    last, sequence = _last_number(table), _sequence_of(table)
    op.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP DEFAULT")
    op.execute(f"DROP SEQUENCE {sequence}")
    op.execute(f"ALTER TABLE {table} ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY")
    op.get_bind().execute(sa.text(_next_number(table)), {"table": table, "last": last})


def _number_by_sequence(table: str) -> None:
    last = _last_number(table)
    op.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
    op.execute(f"CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id")
    op.execute(f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq')")
    op.execute(f"GRANT USAGE ON SEQUENCE {table}_id_seq TO grid_db_app, grid_db_admin")
    op.get_bind().execute(sa.text(_next_number(table)), {"table": table, "last": last})


def _rebuild(*, with_user: bool) -> None:
    """Copy each table under a changed definition, which SQLite keeps as the text it was given.

    Triggers and views that somebody has made on a table are there again afterwards.
    """
    # else a rename looks at all views, of which those on the table at hand have just lost it
    op.execute("PRAGMA legacy_alter_table = ON")
    for table in sorted({*_NAMED, *(one[0] for one in _UNIQUE)}):
        connection = op.get_bind()
        stored = connection.execute(
            sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :t AND sql IS NOT NULL"),
            {"t": table},
        ).all()
        (definition,) = [sql for kind, sql in stored if kind == "table"]
        definition = _changed(definition, table, with_user=with_user)
        op.execute(_once(rf'CREATE TABLE "?{table}"?', f"CREATE TABLE {table}_new", definition))
        op.execute(f"INSERT INTO {table}_new SELECT * FROM {table}")  # noqa: S608 - names of our own
        op.execute(f"DROP TABLE {table}")
        op.execute(f"ALTER TABLE {table}_new RENAME TO {table}")
        for kind, sql in stored:
            if kind != "table":
                connection.exec_driver_sql(sql)
    op.execute("PRAGMA legacy_alter_table = OFF")


def _changed(definition: str, table: str, *, with_user: bool) -> str:
    if table in _NAMED:
        key = "user_id, id" if with_user else "id"
        named = rf"CONSTRAINT pk_{table} PRIMARY KEY \([^)]*\)"
        written = f"CONSTRAINT pk_{table} PRIMARY KEY ({key})"
        name = f"CONSTRAINT uq_{table}_id_user_id UNIQUE (id, user_id)"
        if _NAMED[table] and with_user:
            definition = _once(rf",\s*{re.escape(name)}", "", definition)
        elif _NAMED[table]:
            written += f", {name}"
        definition = _once(named, written, definition)
    for one, old, old_columns, new, new_columns in _UNIQUE:
        if one == table:
            before = f"CONSTRAINT {old} UNIQUE ({', '.join(old_columns)})"
            after = f"CONSTRAINT {new} UNIQUE ({', '.join(new_columns)})"
            if not with_user:
                before, after = after, before
            definition = _once(re.escape(before), after, definition)
    return definition


def _once(pattern: str, replacement: str, definition: str) -> str:
    changed, times = re.subn(pattern, replacement, definition)
    if times != 1:
        raise RuntimeError(f"{pattern} is {times} times in the stored definition: {definition}")
    return changed
