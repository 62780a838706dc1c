"""Cost of one decision: the engine and the whole strategy.

Run by itself with `python benchmarks/bench_gridcore.py`, or with all others by `make bench`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gridcore import (
    AccountEvent,
    AdoptOrders,
    AmountSpec,
    DirectionType,
    GridConfig,
    GridEngine,
    GridStrategy,
    Hold,
    InstrumentInfo,
    LegSnapshot,
    LimitOrder,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    Release,
    RestingSide,
    RiskConfig,
    StrategyConfig,
    TickerEvent,
    WalletSnapshot,
)

Row = tuple[str, float, str, str]

START = datetime(2026, 1, 1, tzinfo=UTC)
BTC = InstrumentInfo(
    "BTCUSDT", Decimal("0.1"), Decimal("0.001"), Decimal("0.001"), Decimal(5), Decimal(1190)
)
RUNS = 9


def microseconds(call: Callable[[], object], number: int) -> float:
    """Return the median over RUNS of the time of one call, in µs."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        for _ in range(number):
            call()
        times.append((time.perf_counter() - started) / number)
    return statistics.median(times) * 1e6


def ticker(price: str, seconds: float = 0) -> TickerEvent:
    """Return a ticker of BTCUSDT."""
    ts = START + timedelta(seconds=seconds)
    return TickerEvent(symbol="BTCUSDT", exchange_ts=ts, local_ts=ts, last_price=Decimal(price))


def full_engine(missing: int) -> tuple[GridEngine, dict[str, list[LimitOrder]]]:
    """Return an engine over 51 levels with orders at all but some of them, in both directions."""
    engine = GridEngine("BTCUSDT", BTC.tick_size, GridConfig(50, 0.2), "bench")
    engine.last_filled_price = Decimal(60000)
    orders: dict[str, list[LimitOrder]] = {"long": [], "short": []}
    for number, intent in enumerate(engine.on_event(ticker("60000"))):
        assert isinstance(intent, PlaceLimitIntent)
        orders[intent.direction.value].append(
            LimitOrder(
                order_id=str(number),
                order_link_id=intent.client_order_id,
                direction=intent.direction,
                side=intent.side,
                price_ticks=BTC.to_ticks(intent.price),
                qty=Decimal(1),
                leaves_qty=Decimal(1),
                age_rank=number,
            )
        )
    for rows in orders.values():
        del rows[len(rows) - missing :]
    return engine, orders


def full_strategy() -> GridStrategy:
    """Return a strategy with both legs held and every level's order resting."""
    strategy = GridStrategy(
        StrategyConfig(
            strat_id="bench",
            instrument=BTC,
            amount=AmountSpec.parse("100"),
            risk=RiskConfig(0.8, 1.2, 8, 0.15),
        )
    )
    leg = LegSnapshot(size=Decimal(1), entry_price=Decimal(60000))
    money = WalletSnapshot(wallet_balance=Decimal(100_000), available_balance=Decimal(80_000))
    strategy.on_event(
        AccountEvent(
            symbol="BTCUSDT", exchange_ts=START, local_ts=START, long=leg, short=leg, wallet=money
        )
    )
    strategy.handle(AdoptOrders(orders=(), as_of=START))
    for number, intent in enumerate(strategy.on_event(ticker("60000"))):
        strategy.on_event(
            PlaceResultEvent(
                symbol="BTCUSDT",
                exchange_ts=START,
                local_ts=START,
                client_order_id=intent.client_order_id,
                outcome=PlaceOutcome.ACCEPTED,
                order_id=str(number),
            )
        )
    strategy.on_event(ticker("60001"))
    return strategy


def rows() -> list[Row]:
    """Return (name, value, unit, input) of every figure."""
    found: list[Row] = []
    input_text = "51 levels, {} resting orders"
    for missing, what in ((0, "changes nothing"), (2, "places 4")):
        engine, orders = full_engine(missing)
        count = sum(map(len, orders.values()))
        event = ticker("60001")
        assert len(engine.on_event(event, orders)) == 2 * missing
        cost = microseconds(lambda e=engine, t=event, o=orders: e.on_event(t, o), 2000)
        found.append(
            (f"engine step that {what}", cost, "µs", input_text.format(count) + " as plain lists")
        )
        sides = {direction: RestingSide(orders[direction.value]) for direction in DirectionType}
        price = Decimal("60001")
        cost = microseconds(lambda e=engine, p=price, s=sides: e.step(p, s), 5000)
        found.append(
            (f"engine step that {what}", cost, "µs", input_text.format(count) + " kept by price")
        )
    strategy = full_strategy()
    inside = ticker("60002", 1)
    assert strategy.on_event(inside) == []
    cost = microseconds(lambda: strategy.on_event(inside), 20_000)
    found.append(("strategy tick inside its quiet band", cost, "µs", "100 orders, both legs held"))

    def decide() -> None:
        strategy.handle(Hold("bench"))  # drops the kept band, as any event but a ticker does
        strategy.handle(Release("bench"))
        strategy.on_event(inside)

    cost = microseconds(decide, 1000)
    found.append(("strategy tick decided in full", cost, "µs", "100 orders, both legs held"))
    cost = microseconds(lambda: ticker("60002", 1), 20_000)
    found.append(("making a ticker event", cost, "µs", "every field checked"))
    return found


if __name__ == "__main__":
    for name, value, unit, given in rows():
        print(f"{name:<40} {value:>10.2f} {unit:<4} {given}")
