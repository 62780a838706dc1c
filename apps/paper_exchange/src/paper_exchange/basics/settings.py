"""How this exchange matches: the choices that a real exchange does not offer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class FillModelName(StrEnum):
    """When a resting order fills; the same models as in the backtest."""

    STRICT_CROSS = "strict_cross"
    TOUCH = "touch"
    QUEUE = "queue"


class TakerModel(StrEnum):
    """What an order that takes gets: all of it at the opposite quote, or what the book shows."""

    QUOTE = "quote"
    BOOK = "book"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingSettings:
    """`match_delay_ms` lies between the acknowledgement of a command and its effect."""

    fill_model: FillModelName = FillModelName.STRICT_CROSS
    taker_model: TakerModel = TakerModel.QUOTE
    match_delay_ms: int = 2
    book_levels: int = 50  # how deep a taker may go
    max_open_orders: int = 500  # per symbol and account
    funding: bool = True
    level_usdt: Decimal = Decimal(20_000)  # visible size of a level
