"""What all tables share: names of constraints, and the keys that keep tenants apart.

Every key and every index of private rows begins with user_id. A key that is taken at another user
is free for this one, so no refusal tells that it exists; and a search under row-level security
visits rows of its own user only, so neither its time nor its plan tells how many others there are.
"""

from sqlalchemy import ForeignKeyConstraint, Identity, MetaData, PrimaryKeyConstraint, String
from sqlalchemy.orm import DeclarativeBase

Uuid = String(36)
Symbol = String(32)
ExchangeId = String(64)


class Base(DeclarativeBase):
    """Base of all rows. Constraints are named, so that a migration can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def by_user_and_id() -> PrimaryKeyConstraint:
    """Return the primary key of a row that a user names: another user may have the same id."""
    return PrimaryKeyConstraint("user_id", "id")


def numbered() -> Identity:
    """Return how PostgreSQL numbers rows: no right on a sequence is needed to insert one."""
    return Identity()


def _owned(table: str, column: str) -> ForeignKeyConstraint:
    # The owner is part of the key: a row cannot point at another user's account, run or strategy,
    # not even through raw SQL, because foreign keys are checked outside row-level security.
    return ForeignKeyConstraint(
        [column, "user_id"], [f"{table}.id", f"{table}.user_id"], ondelete="CASCADE"
    )


def of_account() -> ForeignKeyConstraint:
    """Return the foreign key (account_id, user_id) to the account."""
    return _owned("bybit_accounts", "account_id")


def of_run() -> ForeignKeyConstraint:
    """Return the foreign key (run_id, user_id) to the run."""
    return _owned("runs", "run_id")


def of_strategy() -> ForeignKeyConstraint:
    """Return the foreign key (strategy_id, user_id) to the strategy."""
    return _owned("strategies", "strategy_id")
