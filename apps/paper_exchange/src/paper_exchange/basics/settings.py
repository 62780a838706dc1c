"""How this exchange matches: the choices that a real exchange does not offer."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from exchange_model.fills.registry import FillModelSettings


class TakerModel(StrEnum):
    """What an order that takes gets: all of it at the opposite quote, or what the book shows."""

    QUOTE = "quote"
    BOOK = "book"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingSettings:
    """`match_delay_ms` lies between the acknowledgement of a command and its effect."""

    fills: FillModelSettings = field(default_factory=FillModelSettings)
    taker_model: TakerModel = TakerModel.QUOTE
    match_delay_ms: int = 2
    book_levels: int = 50  # how deep a taker may go
    max_open_orders: int = 500  # per symbol and account
    funding: bool = True
    level_usdt: Decimal = Decimal(20_000)  # visible size of a level
