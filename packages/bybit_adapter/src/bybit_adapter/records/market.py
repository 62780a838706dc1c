"""Market data as the exchange tells it. USDT, base coin, aware UTC times; unknown is None."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from gridcore import InstrumentInfo, MMTier, MMTiers, PublicTradeEvent, SideType, TickerEvent


@dataclass(frozen=True, slots=True)
class Tags:
    """Whose events they are; copied into every event."""

    user_id: UUID | None = None
    account_id: UUID | None = None
    run_id: UUID | None = None


NO_TAGS = Tags()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """State of one market at `time`. A price that the exchange gives as 0 or "" is None."""

    symbol: str
    time: datetime
    last_price: Decimal | None
    mark_price: Decimal | None
    index_price: Decimal | None
    bid1_price: Decimal | None
    bid1_size: Decimal | None  # base coin
    ask1_price: Decimal | None
    ask1_size: Decimal | None  # base coin
    funding_rate: Decimal | None  # predicted, per funding interval; positive: long pays short
    next_funding_time: datetime | None
    open_interest: Decimal | None  # base coin, both sides
    volume_24h: Decimal | None  # base coin
    turnover_24h: Decimal | None  # USDT

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> TickerEvent | None:
        """Return the strategy's event; None while the last price is unknown."""
        if self.last_price is None:
            return None
        return TickerEvent(
            symbol=self.symbol,
            exchange_ts=self.time,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            last_price=self.last_price,
            mark_price=self.mark_price,
            bid1_price=self.bid1_price,
            ask1_price=self.ask1_price,
            funding_rate=self.funding_rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One trade of the market; side is the taker's, size in base coin."""

    symbol: str
    time: datetime
    trade_id: str
    side: SideType
    price: Decimal
    size: Decimal
    is_block_trade: bool | None
    is_rpi: bool | None  # against a retail price improvement order
    seq: int | None

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> PublicTradeEvent:
        """Return the strategy's event."""
        return PublicTradeEvent(
            symbol=self.symbol,
            exchange_ts=self.time,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            trade_id=self.trade_id,
            side=self.side,
            price=self.price,
            size=self.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kline:
    """One candle of last prices from `start` on; volume in base coin, turnover in USDT."""

    symbol: str
    start: datetime
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    volume: Decimal
    turnover: Decimal
    is_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """One settled funding rate per funding interval; positive: long paid short."""

    symbol: str
    time: datetime
    rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One contract: `rules` are what an order has to follow, the rest is for checks and reports.

    delivery_time is when a contract that is delisted is settled; None for one that goes on.
    """

    rules: InstrumentInfo
    status: str  # Trading, PreLaunch, Delivering, Closed
    delivery_time: datetime | None
    contract_type: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    min_price: Decimal | None
    max_price: Decimal | None
    max_leverage: Decimal | None
    max_market_qty: Decimal | None  # base coin
    funding_interval_min: int | None
    raw_json: str = field(repr=False)

    @property
    def symbol(self) -> str:
        """The contract's name, for example BTCUSDT."""
        return self.rules.symbol

    @property
    def is_trading(self) -> bool:
        """Whether orders are accepted."""
        return self.status == "Trading"

    @property
    def has_ended(self) -> bool:
        """Whether it never trades again."""
        return self.status in ("Delivering", "Closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskTier:
    """One step of a contract's risk limit. Ratios are fractions (0.005), never percents."""

    symbol: str
    risk_id: int
    limit: Decimal  # USDT of position value up to which the tier holds
    maintenance_ratio: Decimal
    initial_ratio: Decimal
    max_leverage: Decimal
    deduction: Decimal  # USDT


def to_mm_tiers(tiers: Iterable[RiskTier]) -> MMTiers:
    """Return the ladder of one contract, lowest tier first. Raises TierError when it is wrong."""
    ordered = sorted(tiers, key=lambda tier: tier.limit)
    return MMTiers(
        tuple(
            MMTier(tier.limit, tier.maintenance_ratio, tier.initial_ratio, tier.deduction)
            for tier in ordered
        )
    )
