"""Both databases for the tests of recorded data."""

from collections.abc import Iterator

import pytest

from grid_db.testing import database, postgres_server, sqlite_template

__all__ = ["database", "postgres_server", "sqlite_template"]


@pytest.fixture(scope="session", autouse=True)
def nobody_asks_the_exchange() -> Iterator[None]:
    """Keep every command from the network; tests of asking have an exchange on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEDGE_GRID_OFFLINE", "1")
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here that runs on the databases themselves."""
    for item in items:
        if "database" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.integration)
