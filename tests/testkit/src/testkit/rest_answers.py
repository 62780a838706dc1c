"""Answers of the REST client tests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bybit_adapter.records.requests import PlaceRequest
from gridcore import DirectionType, SideType

ANSWERED = datetime(2026, 8, 9, 12, 0, 0, 123000, tzinfo=UTC)


def order(link_id: str = "0123456789abcdef-1", **fields: Any) -> PlaceRequest:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "direction": DirectionType.LONG,
        "side": SideType.BUY,
        "qty": Decimal("0.010"),
        "price": Decimal("60000.10"),
        "order_link_id": link_id,
        "reduce_only": False,
    }
    return PlaceRequest(**(values | fields))
