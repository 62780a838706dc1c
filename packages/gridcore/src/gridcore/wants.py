"""What the engine wants done, before anybody has asked whether it may be done."""

from __future__ import annotations

from typing import NamedTuple

from gridcore.intents import CancelReason
from gridcore.order_records import RestingOrder
from gridcore.sides import DirectionType, SideType


class WantCancel(NamedTuple):
    """The engine wants this order gone."""

    order: RestingOrder
    reason: CancelReason


class WantPlace(NamedTuple):
    """The engine wants an order at this level."""

    direction: DirectionType
    side: SideType
    price_ticks: int
    level: int
    closing: bool


Want = WantCancel | WantPlace
