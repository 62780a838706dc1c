"""A strategy that knows its account, and answers of an exchange to its orders."""

from gridcore import (
    GridConfig,
    GridStrategy,
    Intent,
    LimitOrder,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    RejectReason,
)
from testkit.builders import (
    at,
    btcusdt,
    full_account,
    strategy_config,
    ticker,
)

SMALL = GridConfig(4, 0.2)


def known(**changes: object) -> GridStrategy:
    """Return a strategy whose account is confirmed, on a grid of five levels."""
    strategy = GridStrategy(strategy_config(**({"grid": SMALL} | changes)))
    strategy.on_event(full_account())
    strategy.adopt_orders([], at(0))
    return strategy


def place_result(
    intent: PlaceLimitIntent,
    order_id: str | None = None,
    outcome: PlaceOutcome = PlaceOutcome.ACCEPTED,
    reason: RejectReason | None = None,
    ms: float = 1,
) -> PlaceResultEvent:
    return PlaceResultEvent(
        symbol="BTCUSDT",
        exchange_ts=at(ms),
        local_ts=at(ms),
        client_order_id=intent.client_order_id,
        outcome=outcome,
        order_id=order_id,
        order_link_id=f"{intent.client_order_id}-1",
        reject_reason=reason,
    )


def placed(strategy: GridStrategy, price: str = "60000", ms: float = 0) -> list[PlaceLimitIntent]:
    """Feed a ticker, accept every placement as o0, o1...; return the placements."""
    intents = [i for i in strategy.on_event(ticker(price, ms)) if isinstance(i, PlaceLimitIntent)]
    for number, intent in enumerate(intents):
        strategy.on_event(place_result(intent, f"o{number}", ms=ms))
    return intents


def listed(order_id: str, intent: PlaceLimitIntent, link: str | None = None) -> LimitOrder:
    return LimitOrder(
        order_id=order_id,
        order_link_id=f"{intent.client_order_id}-1" if link is None else link,
        direction=intent.direction,
        side=intent.side,
        price_ticks=btcusdt().to_ticks(intent.price),
        qty=intent.qty,
        leaves_qty=intent.qty,
        age_rank=1,
    )


def closing(intents: list[Intent]) -> list[PlaceLimitIntent]:
    return [i for i in intents if isinstance(i, PlaceLimitIntent) and i.reduce_only]
