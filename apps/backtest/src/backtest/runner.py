"""The shell around `gridcore.GridStrategy`: simulated fills in, simulated commands out.

No strategy rule lives here. A runner feeds the strategy what an exchange would tell it, in the
order in which it would, and carries out what it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from backtest.fill_simulator import FillModel
from backtest.order_manager import BacktestOrderManager, SimulatedOrder
from backtest.simulated_account import SimulatedAccount
from gridcore import (
    AccountEvent,
    CancelIntent,
    CancelOutcome,
    CancelResultEvent,
    DirectionType,
    ExchangeOrderStatus,
    ExecutionEvent,
    GridStrategy,
    Intent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    SideType,
    StrategyConfig,
    TickerEvent,
)

ZERO = Decimal(0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ts_us: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC datetime."""
    return EPOCH + timedelta(microseconds=ts_us)


@dataclass(frozen=True, slots=True)
class BacktestTrade:
    """One simulated fill; prices and money in USDT, quantity in base coin."""

    ts_us: int
    client_order_id: str
    order_id: str
    direction: DirectionType
    side: SideType
    price: Decimal
    qty: Decimal
    fee: Decimal
    realised_pnl: Decimal


class BacktestRunner:
    """One strategy on one simulated account."""

    def __init__(
        self, config: StrategyConfig, account: SimulatedAccount, fill_model: FillModel
    ) -> None:
        self.config = config
        self.strategy = GridStrategy(config)
        self.account = account
        self.fill_model = fill_model
        self.orders = BacktestOrderManager(config.leverage)
        self.trades: list[BacktestTrade] = []
        self._tick_size = config.instrument.tick_size

    def start(self, ts_us: int, price_ticks: int) -> None:
        """Confirm the account to the strategy, as a live bot does before it trades."""
        self.report_account(ts_us, price_ticks)
        self.strategy.adopt_orders([], moment(ts_us))

    def fill_crossed(self, ts_us: int, price_ticks: int) -> bool:
        """Fill every order that the market crosses, best price first; True when any did."""
        crossed = [o for o in self.orders.orders.values() if self.fill_model.fills(o, price_ticks)]
        if not crossed:
            return False
        crossed.sort(key=lambda o: abs(o.price_ticks - price_ticks), reverse=True)
        for order in crossed:
            self._fill(order, ts_us)
        self.report_account(ts_us, price_ticks)
        return True

    def _fill(self, order: SimulatedOrder, ts_us: int) -> None:
        self.orders.remove(order.order_id)
        qty = order.leaves_qty
        pnl, fee = self.account.fill(order.direction, qty, order.price, closing=order.reduce_only)
        self.trades.append(
            BacktestTrade(
                ts_us,
                order.client_order_id,
                order.order_id,
                order.direction,
                order.side,
                order.price,
                qty,
                fee,
                pnl,
            )
        )
        ts = moment(ts_us)
        self.strategy.on_event(
            ExecutionEvent(
                symbol=self.config.symbol,
                exchange_ts=ts,
                local_ts=ts,
                exec_id=f"x{len(self.trades)}",
                order_id=order.order_id,
                order_link_id=order.client_order_id,
                side=order.side,
                price=order.price,
                qty=qty,
                fee=fee,
                closed_pnl=pnl if order.reduce_only else None,
                closed_size=qty if order.reduce_only else ZERO,
                leaves_qty=ZERO,
            )
        )

    def report_account(self, ts_us: int, price_ticks: int) -> None:
        """Tell the strategy what the account holds, valued at a price."""
        ts, price = moment(ts_us), self._tick_size * price_ticks
        liquidation = self.account.liquidation_prices()
        legs = self.account.legs
        self.strategy.on_event(
            AccountEvent(
                symbol=self.config.symbol,
                exchange_ts=ts,
                local_ts=ts,
                long=legs[DirectionType.LONG].snapshot(liquidation[DirectionType.LONG]),
                short=legs[DirectionType.SHORT].snapshot(liquidation[DirectionType.SHORT]),
                wallet=self.account.wallet_snapshot(price, self.orders.margin),
            )
        )

    def decide(self, ts_us: int, price_ticks: int) -> None:
        """Feed one ticker and carry out what the strategy wants."""
        ts = moment(ts_us)
        event = TickerEvent(
            symbol=self.config.symbol,
            exchange_ts=ts,
            local_ts=ts,
            last_price=self._tick_size * price_ticks,
        )
        intents = self.strategy.on_event(event)
        if intents:
            self._carry_out(intents, ts)

    def _carry_out(self, intents: Sequence[Intent], ts: datetime) -> None:
        for intent in intents:
            if isinstance(intent, CancelIntent):
                self._cancel(intent, ts)
                continue
            ticks = self.config.instrument.to_ticks(intent.price)
            order = self.orders.place(intent, ticks)
            self.strategy.on_event(
                PlaceResultEvent(
                    symbol=self.config.symbol,
                    exchange_ts=ts,
                    local_ts=ts,
                    client_order_id=intent.client_order_id,
                    outcome=PlaceOutcome.ACCEPTED,
                    order_id=order.order_id,
                    order_link_id=order.client_order_id,
                )
            )

    def _cancel(self, intent: CancelIntent, ts: datetime) -> None:
        order = self.orders.remove(intent.order_id)
        self.strategy.on_event(
            CancelResultEvent(
                symbol=self.config.symbol,
                exchange_ts=ts,
                local_ts=ts,
                order_id=intent.order_id,
                outcome=CancelOutcome.GONE if order is None else CancelOutcome.ACCEPTED,
            )
        )
        if order is not None:
            self.strategy.on_event(
                OrderUpdateEvent(
                    symbol=self.config.symbol,
                    exchange_ts=ts,
                    local_ts=ts,
                    order_id=order.order_id,
                    order_link_id=order.client_order_id,
                    status=ExchangeOrderStatus.CANCELLED,
                    side=order.side,
                    price=order.price,
                    qty=order.qty,
                    leaves_qty=order.leaves_qty,
                    reduce_only=order.reduce_only,
                )
            )
