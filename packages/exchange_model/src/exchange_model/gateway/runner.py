"""The shell around `gridcore.GridStrategy`: simulated fills in, simulated commands out.

No strategy rule lives here. A runner feeds the strategy what an exchange would tell it, in the
order in which it would, and hands what it answers to the executor.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from exchange_model.account.simulated_account import SimulatedAccount, SimulatedPair
from exchange_model.fills.fill_simulator import Fill, FillModel, MarketTrade
from exchange_model.gateway.executor import BacktestExecutor
from exchange_model.orders.order_manager import BacktestOrderManager
from exchange_model.rules.contract import ContractLimits
from exchange_model.trades import BacktestTrade, FundingPayment, TradeKind
from gridcore import (
    AccountEvent,
    DirectionType,
    Event,
    ExecutionEvent,
    GridStrategy,
    StrategyConfig,
)
from gridcore.moments import moment
from gridcore.sides import LONG, SHORT

ZERO = Decimal(0)
GRID: Final = TradeKind.GRID


class BacktestRunner:
    """One strategy with its legs on a simulated account."""

    def __init__(
        self,
        config: StrategyConfig,
        account: SimulatedAccount,
        pair: SimulatedPair,
        fill_model: FillModel,
        latency_us: int = 0,
        limits: ContractLimits | None = None,
    ) -> None:
        self.config = config
        self.strategy = GridStrategy(config)
        self.account = account
        self.pair = pair
        self.fill_model = fill_model
        self.orders = BacktestOrderManager(pair)
        self.executor = BacktestExecutor(
            config, account, self.orders, fill_model, latency_us, limits
        )
        self.trades: list[BacktestTrade] = []
        self.funding: list[FundingPayment] = []
        self._symbol, self._strat_id = config.symbol, config.strat_id

    def start(self, ts_us: int) -> None:
        """Confirm the account to the strategy, as a live bot does before it trades."""
        self.report_account(ts_us)
        self.strategy.adopt_orders([], moment(ts_us))

    def report_account(self, ts_us: int) -> None:
        """Tell the strategy what the account holds, valued at the mark price."""
        ts, pair, account = moment(ts_us), self.pair, self.account
        long, short = pair.long, pair.short
        self.strategy.on_event(
            AccountEvent(
                symbol=self._symbol,
                exchange_ts=ts,
                local_ts=ts,
                long=long.snapshot(account.liquidation_price(pair, LONG)),
                short=short.snapshot(account.liquidation_price(pair, SHORT)),
                wallet=account.wallet_snapshot(),
            )
        )

    def arrive(self, ts_us: int, price_ticks: int) -> bool:
        """Let commands on their way arrive, and tell the strategy what became of them.

        True when any arrived.
        """
        due = self.executor.next_arrival_us
        if due is None or due > ts_us:
            return False
        self._tell(self.executor.arrive(ts_us, price_ticks))
        return True

    def fill(self, ts_us: int, trade: MarketTrade) -> bool:
        """Fill what a trade of the market fills, best price first; True when anything did."""
        count = len(self.trades)
        for fill in self.fill_model.fills(self.orders, trade):
            self._book(fill, ts_us)
        return len(self.trades) > count

    def _book(self, fill: Fill, ts_us: int) -> None:
        order, qty = fill
        account = self.account
        rate = account.fees.taker if order.takes else account.fees.maker
        self.orders.reduce(order, qty)
        direction, price, closing = order.direction, order.price, order.reduce_only
        pnl, fee = account.fill(self.pair, direction, qty, price, closing=closing, fee_rate=rate)
        held = self.pair.leg(direction).size
        exec_id = f"{self._strat_id}-x{len(self.trades) + 1}"
        self.trades.append(
            BacktestTrade(
                ts_us,
                self._symbol,
                self._strat_id,
                exec_id,
                order.order_id,
                order.client_order_id,
                direction,
                order.side,
                price,
                qty,
                fee,
                pnl,
                order.leaves_qty,
                held,
                closing,
                not order.takes,
                GRID,
            )
        )
        ts = moment(ts_us)
        self.strategy.on_event(
            ExecutionEvent(
                symbol=self._symbol,
                exchange_ts=ts,
                local_ts=ts,
                exec_id=exec_id,
                order_id=order.order_id,
                order_link_id=order.client_order_id,
                side=order.side,
                price=price,
                qty=qty,
                fee=fee,
                closed_pnl=pnl if closing else None,
                closed_size=qty if closing else ZERO,
                leaves_qty=order.leaves_qty,
            )
        )
        if closing and self.orders.closing_qty[direction] > held:
            self._tell(self.executor.leg_shrank(direction, ts_us))

    def settle_funding(self, ts_us: int, mark_price: Decimal, rate: Decimal) -> None:
        """Pay or receive funding on both legs."""
        for direction in DirectionType:
            size = self.pair.leg(direction).size
            if not size:
                continue
            paid = self.account.settle_funding(self.pair, direction, mark_price, rate)
            self.funding.append(
                FundingPayment(
                    ts_us,
                    self.config.symbol,
                    self.config.strat_id,
                    direction,
                    size,
                    mark_price,
                    rate,
                    paid,
                )
            )

    def decide(self, ts_us: int, price: Decimal, price_ticks: int) -> bool:
        """Feed one ticker (price in USDT and in ticks) and send what the strategy wants.

        True when it wanted anything.
        """
        intents = self.strategy.on_price(price, moment(ts_us))
        if not intents:
            return False
        self._tell(self.executor.submit(intents, ts_us, price_ticks))
        return True

    def close_legs(self, ts_us: int, price: Decimal, fee_rate: Decimal, kind: TradeKind) -> None:
        """Withdraw everything that rests and close both legs at `price` (USDT)."""
        self.executor.forget()
        for direction in DirectionType:
            leg = self.pair.leg(direction)
            qty = leg.size
            if not qty:
                continue
            pnl, fee = self.account.fill(
                self.pair, direction, qty, price, closing=True, fee_rate=fee_rate
            )
            number = len(self.trades) + 1
            self.trades.append(
                BacktestTrade(
                    ts_us,
                    self.config.symbol,
                    self.config.strat_id,
                    f"{self.config.strat_id}-x{number}",
                    f"{self.config.strat_id}-{kind.value}-{direction.value}",
                    "",
                    direction,
                    direction.opening_side.opposite,
                    price,
                    qty,
                    fee,
                    pnl,
                    ZERO,
                    ZERO,
                    True,
                    False,
                    kind,
                )
            )

    def _tell(self, events: Iterable[Event]) -> None:
        on_event = self.strategy.on_event
        for event in events:
            on_event(event)
