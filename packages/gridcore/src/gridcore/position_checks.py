"""The position check: from time to time the rules of both legs set the multipliers anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gridcore.account import AccountMirror
from gridcore.admission import Admission
from gridcore.position import Position
from gridcore.sides import LONG, SHORT, DirectionType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PositionChecks:
    """Runs the position rules at the first ticker at or after each multiple of the interval."""

    def __init__(
        self,
        interval: timedelta,
        positions: dict[DirectionType, Position],
        account: AccountMirror,
        admission: Admission,
    ) -> None:
        self._interval = interval
        self._long, self._short = positions[LONG], positions[SHORT]
        self._account = account
        self._admission = admission
        self.next = EPOCH  # event time from which the next ticker runs it

    def run(self, price: Decimal, now: datetime) -> bool:
        """Set the multipliers anew at a price (USDT); True when one changed."""
        self.next = EPOCH + ((now - EPOCH) // self._interval + 1) * self._interval
        long, short = self._long, self._short
        before = long.get_amount_multiplier(), short.get_amount_multiplier()
        long.reset_amount_multiplier()
        short.reset_amount_multiplier()
        states = self._account.states(price)
        if states is not None:
            long_state, short_state = states
            long.calculate_amount_multiplier(long_state, short_state, price)
            short.calculate_amount_multiplier(short_state, long_state, price)
        if before == (long.get_amount_multiplier(), short.get_amount_multiplier()):
            return False
        self._admission.forget_quantities()
        return True
