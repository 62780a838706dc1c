"""Both databases for the tests of recorded data."""

import pytest

from grid_db.testing import database, postgres_server, sqlite_template

__all__ = ["database", "postgres_server", "sqlite_template"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here that runs on the databases themselves."""
    for item in items:
        if "database" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.integration)
