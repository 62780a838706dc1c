"""Short ways to make events, instruments and configurations in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from gridcore import (
    AccountEvent,
    AmountSpec,
    ExecutionEvent,
    InstrumentInfo,
    LegSnapshot,
    OrderUpdateEvent,
    RiskConfig,
    SideType,
    StrategyConfig,
    TickerEvent,
    WalletSnapshot,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(milliseconds: float) -> datetime:
    """Return a moment so many milliseconds after START."""
    return START + timedelta(milliseconds=milliseconds)


def btcusdt(**changes: Any) -> InstrumentInfo:
    """Return BTCUSDT with a tick of 0.1 USDT, unless told otherwise."""
    rules: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "tick_size": Decimal("0.1"),
        "qty_step": Decimal("0.001"),
        "min_qty": Decimal("0.001"),
        "min_notional": Decimal(5),
        "max_qty": Decimal("1190"),
    }
    return InstrumentInfo(**(rules | changes))


def risk(**changes: Any) -> RiskConfig:
    """Return risk thresholds like those of the example configuration."""
    limits: dict[str, Any] = {
        "min_liq_ratio": 0.8,
        "max_liq_ratio": 1.2,
        "max_margin": 8.0,
        "min_total_margin": 0.15,
    }
    return RiskConfig(**(limits | changes))


def strategy_config(**changes: Any) -> StrategyConfig:
    """Return a configuration for BTCUSDT with 100 USDT per order."""
    parts: dict[str, Any] = {
        "strat_id": "test",
        "instrument": btcusdt(),
        "amount": AmountSpec.parse("100"),
        "risk": risk(),
    }
    return StrategyConfig(**(parts | changes))


def ticker(price: str | Decimal, ms: float = 0, symbol: str = "BTCUSDT") -> TickerEvent:
    """Return a ticker at a price in USDT."""
    ts = at(ms)
    return TickerEvent(symbol=symbol, exchange_ts=ts, local_ts=ts, last_price=Decimal(price))


def leg(
    size: str | Decimal = "0", entry: str | Decimal | None = None, liq: str | None = None
) -> LegSnapshot:
    """Return a leg; size in base coin, prices in USDT."""
    return LegSnapshot(
        size=Decimal(size),
        entry_price=None if entry is None else Decimal(entry),
        liquidation_price=None if liq is None else Decimal(liq),
    )


def wallet(balance: str | Decimal = "10000", available: str | None = "10000") -> WalletSnapshot:
    """Return a wallet in USDT."""
    return WalletSnapshot(
        wallet_balance=Decimal(balance),
        available_balance=None if available is None else Decimal(available),
    )


def account(
    ms: float = 0,
    *,
    long: LegSnapshot | None = None,
    short: LegSnapshot | None = None,
    money: WalletSnapshot | None = None,
    symbol: str = "BTCUSDT",
) -> AccountEvent:
    """Return an account event with the given parts only."""
    ts = at(ms)
    return AccountEvent(
        symbol=symbol, exchange_ts=ts, local_ts=ts, long=long, short=short, wallet=money
    )


def full_account(ms: float = 0, **changes: Any) -> AccountEvent:
    """Return an account event that tells everything; empty legs and 10,000 USDT by default."""
    parts: dict[str, Any] = {"long": leg(), "short": leg(), "money": wallet()}
    return account(ms, **(parts | changes))


def execution(
    exec_id: str = "e1",
    *,
    order_id: str = "o1",
    link: str = "",
    side: SideType = SideType.BUY,
    price: str | Decimal = "60000",
    qty: str | Decimal = "0.001",
    closed: str | Decimal = "0",
    leaves: str | Decimal = "0",
    fee: str | Decimal | None = "0",
    pnl: str | Decimal | None = None,
    ms: float = 0,
    symbol: str = "BTCUSDT",
) -> ExecutionEvent:
    """Return one fill."""
    ts = at(ms)
    return ExecutionEvent(
        symbol=symbol,
        exchange_ts=ts,
        local_ts=ts,
        exec_id=exec_id,
        order_id=order_id,
        order_link_id=link,
        side=side,
        price=Decimal(price),
        qty=Decimal(qty),
        fee=None if fee is None else Decimal(fee),
        closed_pnl=None if pnl is None else Decimal(pnl),
        closed_size=Decimal(closed),
        leaves_qty=Decimal(leaves),
    )


def order_update(
    status: str,
    *,
    order_id: str = "o1",
    link: str = "",
    side: SideType = SideType.BUY,
    price: str | Decimal = "60000",
    qty: str | Decimal = "0.001",
    leaves: str | Decimal = "0.001",
    reduce_only: bool = False,
    ms: float = 0,
    symbol: str = "BTCUSDT",
) -> OrderUpdateEvent:
    """Return one order state, status in the exchange's spelling."""
    ts = at(ms)
    return OrderUpdateEvent(
        symbol=symbol,
        exchange_ts=ts,
        local_ts=ts,
        order_id=order_id,
        order_link_id=link,
        status=status,  # type: ignore[arg-type]  # wire text is converted by the event
        side=side,
        price=Decimal(price),
        qty=Decimal(qty),
        leaves_qty=Decimal(leaves),
        reduce_only=reduce_only,
    )
