"""What is known of the account: both legs, the wallet, and whether all of it is confirmed."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal

from gridcore.events import AccountEvent, ExecutionEvent, LegSnapshot
from gridcore.guards import FreeMargin
from gridcore.legs import Leg
from gridcore.position import PositionState
from gridcore.sides import LONG, SHORT, DirectionType

log = logging.getLogger(__name__)

ZERO = Decimal(0)


class AccountMirror:
    """The account as far as events have told. Unknown is not zero: until both legs, the wallet
    and the open orders have been confirmed, `is_known` is False and nothing may be decided.
    """

    def __init__(self, default_leverage: Decimal, wallet_max_age: timedelta) -> None:
        self.legs = {direction: Leg(direction, default_leverage) for direction in DirectionType}
        self.free_margin = FreeMargin(wallet_max_age)
        self.wallet_balance: Decimal | None = None
        self.orders_confirmed = False
        self.corrected = ZERO  # by the last event: realised profit, USDT
        self._closing_blocked: dict[DirectionType, datetime] = {}
        self._wallet_ts: datetime | None = None
        self.confirmed: tuple[DirectionType, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether open orders, both legs and the wallet are confirmed."""
        return (
            self.orders_confirmed
            and self.wallet_balance is not None
            and self.legs[LONG].is_known
            and self.legs[SHORT].is_known
        )

    @property
    def missing(self) -> list[str]:
        """Names of the parts that are not confirmed yet."""
        parts = [f"{leg.direction} leg" for leg in self.legs.values() if not leg.is_known]
        if self.wallet_balance is None:
            parts.append("wallet")
        if not self.orders_confirmed:
            parts.append("open orders")
        return parts

    def apply(self, event: AccountEvent) -> bool:
        """Take over the parts that the event tells; True when the wallet balance changed.

        `confirmed` names the legs whose size it confirms: old news does not.
        """
        ts = event.exchange_ts
        self.confirmed = ()
        self.corrected = ZERO
        if event.long is not None and self._report(LONG, event.long, ts):
            self.confirmed += (LONG,)
        if event.short is not None and self._report(SHORT, event.short, ts):
            self.confirmed += (SHORT,)
        wallet = event.wallet
        if wallet is None or (self._wallet_ts is not None and ts < self._wallet_ts):
            return False
        changed = wallet.wallet_balance != self.wallet_balance
        self.wallet_balance, self._wallet_ts = wallet.wallet_balance, ts
        self.free_margin.report(wallet.available_balance, ts)
        return changed

    def _report(self, direction: DirectionType, snapshot: LegSnapshot, ts: datetime) -> bool:
        is_news = self.legs[direction].report(snapshot, ts)
        self.corrected += self.legs[direction].corrected
        if self._closing_blocked and is_news:
            blocked = self._closing_blocked.get(direction)
            if blocked is not None and ts > blocked:
                del self._closing_blocked[direction]
        return is_news

    def is_repeated_by(self, event: AccountEvent) -> bool:
        """Tell whether an event says nothing new but for the free margin: only times move on."""
        wallet = event.wallet
        if self._closing_blocked or (
            wallet is not None and wallet.wallet_balance != self.wallet_balance
        ):
            return False
        return all(
            snapshot is None or self.legs[direction].is_repeated_by(snapshot)
            for direction, snapshot in (
                (LONG, event.long),
                (SHORT, event.short),
            )
        )

    def fill(self, event: ExecutionEvent) -> Decimal:
        """Count one execution; return its realised profit in USDT before fees."""
        return self.legs[event.direction].fill(event)

    def block_closing(self, direction: DirectionType, ts: datetime) -> None:
        """Place no closing order of a leg until a report newer than `ts` confirms its size."""
        self._closing_blocked[direction] = ts

    def is_closing_blocked(self, direction: DirectionType) -> bool:
        """Tell whether the size of a leg waits for confirmation."""
        return direction in self._closing_blocked

    def forget(self) -> None:
        """Ask for confirmation of everything again, for example after a lost connection."""
        self.orders_confirmed = False
        self.wallet_balance = None
        self.free_margin.forget()
        for leg in self.legs.values():
            leg.forget()

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return the profit in USDT of both legs at `price`."""
        return sum((leg.unrealised_pnl(price) for leg in self.legs.values()), ZERO)

    def states(self, price: Decimal) -> tuple[PositionState, PositionState] | None:
        """Return both legs (long, short) as the position rules see them, None without a wallet."""
        balance = self.wallet_balance
        if balance is None or balance <= 0:
            return None
        return (
            self.legs[LONG].state(price, balance),
            self.legs[SHORT].state(price, balance),
        )

    def margin_ratio(self, direction: DirectionType) -> float | None:
        """Return position value / wallet balance of a leg, None without a wallet."""
        balance = self.wallet_balance
        if balance is None or balance <= 0:
            return None
        return float(self.legs[direction].position_value() / balance)

    def position_value(self) -> Decimal:
        """Return the value in USDT of both legs at their entry prices, unsettled fills included."""
        return sum(
            (leg.position_value() + leg.unsettled_opening_value for leg in self.legs.values()), ZERO
        )
