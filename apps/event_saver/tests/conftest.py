"""Both databases for the tests here, and a spool folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from event_saver.spool import Spool
from grid_db.testing import database, empty_database, postgres_server, sqlite_template

__all__ = ["database", "empty_database", "postgres_server", "sqlite_template"]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty spool."""
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


@pytest.fixture
def open_spool() -> Iterator[Callable[..., Spool]]:
    """Open spools as `Spool(...)` does; all are closed at the end."""
    opened: list[Spool] = []

    def open_one(*args: object, **options: object) -> Spool:
        opened.append(Spool(*args, **options))  # type: ignore[arg-type]  # passed on
        return opened[-1]

    yield open_one
    for spool in opened:
        spool.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here that runs on the databases themselves."""
    for item in items:
        if "database" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.integration)
