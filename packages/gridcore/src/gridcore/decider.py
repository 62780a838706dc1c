"""One whole look at the market: from what the engine wants to final intents."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from gridcore.admission import NOT_STARVING, Admission, Refusal
from gridcore.engine import GridEngine
from gridcore.errors import GridError
from gridcore.intents import CancelReason, Intent
from gridcore.order_desk import OrderDesk
from gridcore.orders import OrderBook
from gridcore.sides import DirectionType
from gridcore.starvation import Side
from gridcore.strategy_config import StrategyConfig
from gridcore.wants import Want, WantCancel, WantPlace

log = logging.getLogger(__name__)

NOT_COVERED: Final = Refusal.NOT_COVERED


class Decider:
    """Asks the engine what it wants, the guards what they let through, and sends the rest."""

    def __init__(
        self,
        config: StrategyConfig,
        engine: GridEngine,
        book: OrderBook,
        admission: Admission,
        desk: OrderDesk,
    ) -> None:
        self.config = config
        self.engine = engine
        self.book = book
        self.admission = admission
        self.desk = desk
        self.grid_error: str | None = None  # why no grid fits

    def decide(self, price: Decimal, now: datetime) -> list[Intent]:
        """Return what is done at a price (USDT), in submission order."""
        try:
            wants = self.engine.step(price, self.book.sides)
        except GridError as error:
            self.note_grid_error(error)
            return []
        self.grid_error = None
        intents: list[Intent] = []
        refused = self.admission.refused
        refused.clear()
        highest = _highest_closing(wants)
        uncovered: dict[DirectionType, bool] = {}  # asked when a leg wants to close
        wanting: dict[Side, str] = {}
        look = self.admission.look(now)
        for want in wants:
            if isinstance(want, WantCancel):
                intent = self.desk.cancel(want, now)
                if intent is not None:
                    intents.append(intent)
                continue
            leg = want.direction
            if want.closing:
                if leg not in uncovered:
                    uncovered[leg] = self.admission.is_uncovered(leg, highest[leg])
                if uncovered[leg]:
                    refused[NOT_COVERED] += 1
                    continue
            verdict = look.judge(want)
            if isinstance(verdict, Refusal):
                refused[verdict] += 1
                if verdict not in NOT_STARVING and (leg, want.closing) not in wanting:
                    wanting[leg, want.closing] = self.admission.explain(verdict, want, now)
            else:
                intents.append(self.desk.place(want, verdict, now))
                self._note_placed((leg, want.closing), wanting)
                if want.closing:
                    del uncovered[leg]  # the next one may not be covered any more
        sent = {(one.direction, one.reduce_only) for one in self.book.in_flight()}
        self.admission.starvation.looked(now, wanting, sent)
        if self.config.cancel_foreign_orders:
            intents.extend(self.desk.cancel_foreign())
        return intents

    def _note_placed(self, side: Side, wanting: dict[Side, str]) -> None:
        """Note that a side wants an order until the exchange has taken the one that is placed."""
        if side not in wanting:
            leg, closing = side
            wanting[side] = self.admission.starvation.last_refusal(leg, closing=closing)

    def cancel_all(self, reason: CancelReason, now: datetime) -> list[Intent]:
        """Return cancels for every live order that has none on its way."""
        intents: list[Intent] = []
        for order in list(self.book):
            intent = self.desk.cancel(WantCancel(order, reason), now)
            if intent is not None:
                intents.append(intent)
        return intents

    def note_grid_error(self, error: GridError) -> None:
        """Keep why no grid fits, until one does."""
        if self.grid_error != str(error):
            log.error("%s: %s", self.config.strat_id, error)
        self.grid_error = str(error)


def _highest_closing(wants: Iterable[Want]) -> dict[DirectionType, int]:
    """Return the highest price, in ticks, at which each leg is to close.

    Of the wants and not of the grid: the look at the second leg may have moved it on since.
    """
    highest: dict[DirectionType, int] = {}
    for want in wants:
        if isinstance(want, WantPlace) and want.closing:
            direction, ticks = want.direction, want.price_ticks
            if ticks > highest.get(direction, 0):
                highest[direction] = ticks
    return highest
