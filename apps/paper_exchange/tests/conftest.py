"""Fixtures of these tests."""

from __future__ import annotations

import pytest

from gridcore import SideType
from testkit.paper import PaperWorld, paper_market


@pytest.fixture
def world() -> PaperWorld:
    """An exchange with two markets that have a price; some tests have one of their own."""
    world = PaperWorld([paper_market(), paper_market("ETHUSDT")])
    world.trade("60000.0", SideType.BUY)
    world.trade("3000.00", SideType.BUY, symbol="ETHUSDT")
    return world
