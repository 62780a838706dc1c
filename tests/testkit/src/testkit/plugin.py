"""Fixtures for all tests of the workspace. The conftest of the root takes them in.

`host` is an exchange on this machine that real clients connect to; the mark `exchange` says which:

    @pytest.mark.exchange("BTCUSDT", "ETHUSDT", priced=True, accounts=2)

`children` runs bots in processes of their own; `database` and `empty_database` run a test twice,
on a SQLite file and on a PostgreSQL that the first test of a process starts.
"""

from __future__ import annotations

import decimal
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Whatever is imported here is imported before coverage is measured; fixtures import what they use.
if TYPE_CHECKING:
    from grid_db.database import DatabaseFactory
    from grid_db.testing import EmbeddedPostgres
    from testkit.children import Children
    from testkit.paper import PaperHost

BACKENDS = ("sqlite", "postgresql")
PRICES = {"BTCUSDT": "60000", "ETHUSDT": "3000"}  # USDT


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[PaperHost]:
    """An exchange on this machine: one market, one account, no price, or what `exchange` says.

    The mark takes symbols, `accounts` (how many: "one", "two") and `priced` (a first trade).
    """
    from testkit.paper import PaperHost, paper_account, paper_market  # noqa: PLC0415

    mark = request.node.get_closest_marker("exchange")
    symbols = (mark.args if mark is not None else ()) or ("BTCUSDT",)
    options = {"accounts": 1, "priced": False} | (mark.kwargs if mark is not None else {})
    accounts = [
        paper_account(),
        paper_account("two", key="key-two", secret="secret-two", uid=1002),
    ]
    markets = [paper_market(symbol) for symbol in symbols]
    with PaperHost(markets, accounts[: options["accounts"]]) as made:
        if options["priced"]:
            for symbol in symbols:
                made.trade(PRICES[symbol], symbol=symbol)
        yield made


@pytest.fixture
def children() -> Iterator[Children]:
    """Bots in processes of their own, killed at the end of the test."""
    from testkit.children import Children  # noqa: PLC0415

    with Children("gridbot.main") as made:
        yield made


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL of this process."""
    from grid_db.testing import EmbeddedPostgres  # noqa: PLC0415

    server = EmbeddedPostgres()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied."""
    from grid_db.database import DatabaseFactory  # noqa: PLC0415
    from grid_db.testing import sqlite_settings  # noqa: PLC0415

    file = tmp_path_factory.mktemp("grid_db") / "template.db"
    with DatabaseFactory(sqlite_settings(file)) as factory:
        factory.create_tables()
    return file


@pytest.fixture(params=BACKENDS)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseFactory]:
    """A factory on a database without tables, once on SQLite and once on PostgreSQL."""
    yield from _factory(request, tmp_path / "test.db", with_tables=False)


@pytest.fixture(params=BACKENDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseFactory]:
    """A factory on a database with all tables, once on SQLite and once on PostgreSQL."""
    yield from _factory(request, tmp_path / "test.db", with_tables=True)


def _factory(
    request: pytest.FixtureRequest, file: Path, *, with_tables: bool
) -> Iterator[DatabaseFactory]:
    from grid_db.database import DatabaseFactory  # noqa: PLC0415
    from grid_db.testing import settings_for, sqlite_settings  # noqa: PLC0415

    if request.param == "sqlite":
        if with_tables:
            shutil.copy(request.getfixturevalue("sqlite_template"), file)
        with DatabaseFactory(sqlite_settings(file)) as factory:
            yield factory
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    url = server.create_database(with_tables=with_tables)
    try:
        with DatabaseFactory(settings_for(url)) as factory:
            yield factory
    finally:
        server.drop_database(url)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "exchange(*symbols, accounts=1, priced=False): which exchange `host` is"
    )


def pytest_runtest_setup() -> None:
    """Begin with the arithmetic of a new thread: ccxt rounds otherwise, for everybody after it."""
    decimal.setcontext(decimal.Context())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on the databases themselves, or against an exchange over sockets.

    A name with an address of memory in it is refused: in every process it would be another test.
    """
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: name its parameters, by ids=")
        if {"database", "empty_database", "host"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
