"""What may be put into the inbox of a strategy's actor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bybit_adapter import ExecutionRecord, Instrument, Order, PositionRecord, Wallet
from gridcore import AccountEvent, Command, Event, LimitOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What REST says of one symbol, as one message: first the fills that may have been missed.

    `orders_as_of` and the positions' own times are the exchange's. Of orders that the list lacks
    each was looked up: `ended` tells how they ended, `absent` names those that are nowhere.
    """

    executions: tuple[ExecutionRecord, ...]
    orders: tuple[Order, ...] | None  # None where they were not asked for
    orders_as_of: datetime
    positions: tuple[PositionRecord, ...]
    wallet: Wallet | None
    ended: tuple[Order, ...] = ()
    absent: frozenset[str] = frozenset()
    instrument: Instrument | None = None

    def executions_in_order(self) -> list[ExecutionRecord]:
        """Return the executions as they happened."""
        # of one millisecond the exchange's own number tells which was first
        return sorted(self.executions, key=lambda one: (one.time, one.seq or 0))

    def resting_orders(self, tick_size: Decimal) -> tuple[LimitOrder, ...]:
        """Return the orders that rest, with prices in ticks of `tick_size` (USDT)."""
        orders = self.orders or ()
        return tuple(one.to_limit_order(tick_size) for one in orders if one.is_resting_limit)

    def account_events(self, symbol: str, local: datetime) -> list[AccountEvent]:
        """Return what it says of legs and wallet; `local` is when that came here."""
        events = [event for one in self.positions if (event := one.to_event(local)) is not None]
        wallet = self.wallet
        snapshot = None if wallet is None else wallet.snapshot
        if wallet is not None and snapshot is not None:
            events.append(
                AccountEvent(
                    symbol=symbol, exchange_ts=wallet.as_of, local_ts=local, wallet=snapshot
                )
            )
        return events


Message = Event | Command | ExecutionRecord | Order | Instrument | Confirmation
