"""One symbol of an account as values that stay: for the state file, and for lists that lag."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, PlainSerializer, with_config

from gridcore import DirectionType
from paper_exchange.book.account import LEGS, LegRecord, SymbolBook

Text = Annotated[Decimal, PlainSerializer(str, return_type=str)]


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class LegState:
    """One leg: what it holds and what the exchange remembers of it."""

    size: Text
    cost: Text
    entry_price: Text
    realised_pnl: Text
    leverage: Text
    record: LegRecord


@with_config(ConfigDict(extra="forbid"))
@dataclass(slots=True, kw_only=True)
class BookState:
    """One symbol of an account."""

    hedge_mode: bool
    legs: dict[DirectionType, LegState]


def saved_book(book: SymbolBook) -> BookState:
    """Return what a symbol of an account is now; later changes leave it alone."""
    return BookState(
        hedge_mode=book.hedge_mode,
        legs={
            direction: LegState(
                size=leg.size,
                cost=leg.cost,
                entry_price=leg.entry_price,
                realised_pnl=leg.realised_pnl,
                leverage=leg.leverage,
                record=replace(book.legs[direction]),
            )
            for direction in LEGS
            for leg in (book.pair.leg(direction),)
        },
    )


def restore_book(book: SymbolBook, state: BookState) -> None:
    """Put what was saved into a symbol of an account, all but its orders."""
    book.hedge_mode = state.hedge_mode
    for direction, saved in state.legs.items():
        leg = book.pair.leg(direction)
        leg.size, leg.cost = saved.size, saved.cost
        leg.entry_price, leg.realised_pnl = saved.entry_price, saved.realised_pnl
        leg.leverage = saved.leverage
        book.legs[direction] = replace(saved.record)
    book.pair.changed()
