"""Shadow mode: decide as live, send nothing, and let the market fill what would rest there.

The orders rest in the backtest's own book and fill by its strict rule, so a shadow run of recorded
prices is the backtest of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bybit_adapter import BybitError, Instrument, to_mm_tiers
from exchange_model.account.simulated_account import FeeRates, SimulatedAccount
from exchange_model.fills.fill_simulator import MarketTrade, TradeThroughFillSimulator
from exchange_model.gateway.executor import BacktestExecutor
from exchange_model.gateway.runner import BacktestRunner
from exchange_model.rules.contract import ContractLimits
from exchange_model.trades import BacktestTrade
from gridbot.actor.runner import StrategyRunner
from gridbot.ports import Rest
from gridcore import Intent, MMTiers, PublicTradeEvent, SideType, TickerEvent
from gridcore.errors import TierError
from gridcore.instrument import floor_ceil_ticks
from gridcore.moments import to_us
from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.rules.built_in import default_tiers
from market_data.rules.market_rules import parse_limits

log = logging.getLogger(__name__)
SHADOW_WALLET = Decimal(10_000)  # USDT, where the account's own cannot be read


@dataclass(frozen=True, slots=True)
class ShadowTerms:
    """What a shadow trades under: wallet in USDT, risk tiers, fees, limits of the contract.

    None is not known: then the usual tiers and fees hold.
    """

    wallet: Decimal
    tiers: MMTiers | None
    fees: FeeRates | None
    limits: ContractLimits


async def shadow_terms(rest: Rest, instrument: Instrument) -> ShadowTerms:
    """Return what the exchange says that an account would trade under.

    What cannot be read is told in the log, and is assumed.
    """
    symbol = instrument.symbol
    tiers: MMTiers | None = None
    fees: FeeRates | None = None
    try:
        tiers = to_mm_tiers(await rest.get_risk_limit(symbol))
    except (BybitError, TierError) as error:
        log.warning(
            "%s: risk tiers cannot be read (%s); the shadow has built-in ones", symbol, error
        )
    try:
        rates = await rest.get_fee_rates(symbol)
        fees = FeeRates(rates.maker, rates.taker)
    except BybitError as error:
        log.warning("%s: fees cannot be read (%s); the shadow pays the usual ones", symbol, error)
    limits = ContractLimits.of(parse_limits(json.loads(instrument.raw_json)))
    return ShadowTerms(await _wallet_of(rest), tiers, fees, limits)


async def _wallet_of(rest: Rest) -> Decimal:
    """Return what an account holds, USDT; a round sum where it cannot be read."""
    try:
        wallet = await rest.get_wallet_balance()
    except BybitError as error:
        log.warning("the wallet cannot be read (%s); the shadow has %s USDT", error, SHADOW_WALLET)
        return SHADOW_WALLET
    usdt = wallet.coin()
    balance = None if usdt is None else usdt.wallet_balance
    return balance if balance is not None and balance > 0 else SHADOW_WALLET


class ShadowExecutor:
    """Stands where the exchange would be, for one strategy. Order ids begin with `shadow_`."""

    def __init__(
        self,
        runner: StrategyRunner,
        wallet: Decimal,
        tiers: MMTiers | None = None,
        fees: FeeRates | None = None,
        limits: ContractLimits | None = None,
    ) -> None:
        """`wallet` is what the account holds at the start, USDT; both legs begin empty.

        Without tiers and fees they are the usual ones; limits that are not known refuse nothing.
        """
        config = runner.strategy.config
        account = SimulatedAccount(wallet, fees)
        pair = account.add_pair(
            config.symbol, config.symbol, config.leverage, tiers or default_tiers(config.symbol)
        )
        self.account = account
        self._runner = runner
        self.book = BacktestRunner(
            config, account, pair, TradeThroughFillSimulator(), limits=limits
        )
        self.book.strategy = runner.strategy
        self.book.executor = _ShadowOrders(self.book, limits)
        self._pair = pair
        self._price_ticks: int | None = None
        self._now_us = 0
        self._is_closed = False
        self.fills = 0

    # what the runner asks of an executor

    def submit(self, intents: Sequence[Intent]) -> None:
        """Let orders rest, or take them off; the answers follow at once."""
        if self._is_closed or self._price_ticks is None:
            return
        for answer in self.book.executor.submit(intents, self._now_us, self._price_ticks):
            self._runner.tell(answer)

    def sweep(self, cancels: Sequence[Intent]) -> None:
        """Take orders off; only ours rest here."""
        self.submit(cancels)

    def close(self) -> None:
        """Take nothing more."""
        self._is_closed = True

    async def settle(self, timeout_s: float) -> bool:
        """Nothing is ever on its way."""
        return True

    def abandon(self) -> None:
        """Nothing is ever on its way."""

    # the market

    def on_ticker(self, ticker: TickerEvent) -> None:
        """Take the price of the next decision; the first one confirms the account."""
        begins = self._price_ticks is None
        self._see(ticker)
        if begins:
            self.book.start(self._now_us)

    def on_trade(self, trade: PublicTradeEvent) -> None:
        """Fill what a trade of the market fills."""
        if self._price_ticks is None or self._is_closed:
            return
        self._now_us = max(self._now_us, to_us(trade.exchange_ts))
        tick = self._runner.strategy.config.instrument.tick_size
        low, high = floor_ceil_ticks(trade.price, tick)
        ticks = low if trade.side is SideType.SELL else high
        side = TAKER_BUY if trade.side is SideType.BUY else TAKER_SELL
        before = len(self.book.trades)
        if self.book.fill(self._now_us, MarketTrade(ticks, side, trade.size)):
            self._count(before)
            self.book.report_account(self._now_us)

    @property
    def trades(self) -> list[BacktestTrade]:
        """What would have been traded, in order."""
        return self.book.trades

    def _count(self, before: int) -> None:
        tally = self._runner.tally
        for trade in self.book.trades[before:]:
            self.fills += 1
            tally.fills += 1
            tally.fees += trade.fee
            tally.realised += trade.realised_pnl

    def _see(self, ticker: TickerEvent) -> None:
        self._now_us = max(self._now_us, to_us(ticker.exchange_ts))
        tick = self._runner.strategy.config.instrument.tick_size
        self._price_ticks, _ = floor_ceil_ticks(ticker.last_price, tick)
        self._pair.mark_price = ticker.mark_price or ticker.last_price


class _ShadowOrders(BacktestExecutor):
    """Names orders after the identity that they would carry on the wire."""

    def __init__(self, book: BacktestRunner, limits: ContractLimits | None) -> None:
        super().__init__(book.config, book.account, book.orders, book.fill_model, limits=limits)
        self._times: dict[str, int] = {}

    def order_id_for(self, client_order_id: str) -> str:
        """Return `shadow_<client order id>`, numbered from the second order of one identity."""
        times = self._times[client_order_id] = self._times.get(client_order_id, 0) + 1
        return f"shadow_{client_order_id}" + (f"_{times}" if times > 1 else "")
