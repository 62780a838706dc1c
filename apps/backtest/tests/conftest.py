"""Both databases for the tests of recorded data."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def nobody_asks_the_exchange() -> Iterator[None]:
    """Keep every command from the network; tests of asking have an exchange on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEDGE_GRID_OFFLINE", "1")
        yield
