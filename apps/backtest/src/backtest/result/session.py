"""The result of one run: what was traded, what it was worth, and everything needed to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from exchange_model.trades import BacktestTrade, FundingPayment, Liquidation
from grid_service.package_names import names_of
from gridcore import StrategyConfig
from market_data.basics.quality import DataQuality

if TYPE_CHECKING:
    from backtest.result.metrics import BacktestMetrics
    from backtest.result.track import AccountState

# a session's figures are asked for here too; computing them needs what is below first
__getattr__ = names_of(__name__, {"BacktestMetrics": "backtest.result.metrics"})


class LegAtEnd(NamedTuple):
    """What a leg held when the run ended; USDT and base coin."""

    size: Decimal
    entry_price: Decimal
    unrealised_pnl: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyOutcome:
    """What one strategy did."""

    strat_id: str
    config: StrategyConfig
    trades: tuple[BacktestTrade, ...]
    funding: tuple[FundingPayment, ...]
    orders_placed: int
    orders_cancelled: int
    orders_rejected: int
    long: LegAtEnd
    short: LegAtEnd
    grid_prices: tuple[Decimal, ...]  # levels at the end, USDT, lowest first
    trips: Mapping[str, str]  # what kept it from trading at the end, with the reason


class EquityCurve(NamedTuple):
    """Equity in USDT at times in us UTC: the first row, every interval, the last row."""

    ts_us: tuple[int, ...]
    equity: tuple[Decimal, ...]
    interval_us: int


class PriceLine(NamedTuple):
    """Prices for drawing: times in us UTC and prices in ticks, every extreme among them."""

    ts_us: tuple[int, ...]
    price_ticks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUsed:
    """The market data of a run. `fingerprint` is a SHA-256 over all tick columns."""

    rows: int
    tickers: int
    first_ts_us: int
    last_ts_us: int
    tick_size: Decimal
    quality: DataQuality
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class BacktestSession:
    """One finished run of one symbol. Money is USDT, times are us UTC.

    `states` are the account's states by row of the run, `price_line` the prices to draw.
    `warnings` are sentences for the top of a report.
    """

    symbol: str
    strategies: tuple[StrategyOutcome, ...]
    initial_balance: Decimal
    final_wallet: Decimal
    final_equity: Decimal
    realised_pnl: Decimal
    commission: Decimal
    funding_paid: Decimal
    equity: EquityCurve
    metrics: BacktestMetrics
    liquidation: Liquidation | None
    data: DataUsed
    rules: str  # where the contract's rules come from
    unchecked: tuple[str, ...]  # limits of the exchange that nobody knew
    funding: str  # which funding rates were used
    warnings: tuple[str, ...]
    settings: Mapping[str, Any]  # the configuration, for JSON
    versions: Mapping[str, str]
    mode: str  # "jumping" or "exact-ticks"
    visits: int  # rows that were looked at
    elapsed_s: float
    states: tuple[AccountState, ...] = field(repr=False)
    price_line: PriceLine = field(repr=False)

    @cached_property
    def trades(self) -> tuple[BacktestTrade, ...]:
        """Return the trades of all strategies in time order."""
        all_trades = [trade for outcome in self.strategies for trade in outcome.trades]
        return tuple(sorted(all_trades, key=lambda trade: trade.ts_us))

    @cached_property
    def funding_payments(self) -> tuple[FundingPayment, ...]:
        """Return the funding of all strategies in time order."""
        payments = [payment for outcome in self.strategies for payment in outcome.funding]
        return tuple(sorted(payments, key=lambda payment: payment.ts_us))

    @property
    def net_pnl(self) -> Decimal:
        """Return the change of equity in USDT."""
        return self.final_equity - self.initial_balance

    @property
    def ticks_per_s(self) -> float:
        """Return how many rows of data were simulated per second of computing."""
        return (self.data.rows + self.data.tickers) / self.elapsed_s if self.elapsed_s else 0.0
