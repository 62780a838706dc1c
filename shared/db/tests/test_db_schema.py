"""create_tables() and the migrations make the same tables, and changing them keeps the data."""

from grid_db.database import DatabaseFactory
from grid_db.migrations import runner


def test_create(empty_database: DatabaseFactory) -> None:
    made = empty_database.create_tables()
    assert made.total == 18
    assert len(made.tables) == 18
    again = empty_database.create_tables()
    assert again.tables == ()


def test_migrate(empty_database: DatabaseFactory) -> None:
    runner.upgrade(empty_database)
    assert runner.differences(empty_database) == []
    runner.downgrade(empty_database, "base")
