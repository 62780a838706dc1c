"""What the exchange refuses, truncates and cancels, seen from the gateway of a backtest."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.fills.fill_simulator import MarketTrade, TradeThroughFillSimulator
from exchange_model.gateway.runner import BacktestRunner
from exchange_model.rules.contract import ContractLimits
from gridcore import (
    DirectionType,
    Event,
    ExchangeOrderStatus,
    MMTier,
    MMTiers,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceResultEvent,
    RejectReason,
    SideType,
)
from gridcore.sides import TAKER_SELL
from testkit.backtests import START_US, TIERS, strategy_config, ticks

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
LAST = 600_000  # ticks of 0.1 USDT


class Gateway:
    """An account with nothing yet, at a price of 60,000 USDT."""

    def __init__(
        self,
        limits: ContractLimits | None = None,
        *,
        latency_us: int = 0,
        deposit: int = 10_000,
        tiers: MMTiers = TIERS,
    ) -> None:
        config = strategy_config(ticks([LAST]))
        account = SimulatedAccount(Decimal(deposit))
        self.pair = account.add_pair("test", "BTCUSDT", config.leverage, tiers)
        self.pair.mark_price = Decimal(60_000)
        self.account = account
        self.runner = BacktestRunner(
            config, account, self.pair, TradeThroughFillSimulator(), latency_us, limits
        )
        self.orders = self.runner.orders

    def hold(self, qty: str, direction: DirectionType = LONG) -> None:
        self.account.fill(self.pair, direction, Decimal(qty), Decimal(60_000), closing=False)

    def send(self, *intents: PlaceLimitIntent) -> list[Event]:
        return self.runner.executor.submit(intents, START_US, LAST)

    def arrive(self, after_us: int) -> list[Event]:
        return self.runner.executor.arrive(START_US + after_us, LAST)


def intent(
    side: SideType = BUY,
    price: str = "59000",
    qty: str = "0.01",
    direction: DirectionType = LONG,
    **parts: object,
) -> PlaceLimitIntent:
    closing = direction.is_closing(side)
    made = PlaceLimitIntent.create(
        "BTCUSDT", side, Decimal(price), Decimal(qty), 0, direction, reduce_only=closing
    )
    return replace(made, **parts)  # type: ignore[arg-type]


def refusal(answers: list[Event]) -> tuple[str, RejectReason | None]:
    """Return the code that the only answer names, and what a strategy makes of it."""
    (answer,) = answers
    assert isinstance(answer, PlaceResultEvent)
    return answer.message.rpartition("(code ")[2].rstrip(")"), answer.reject_reason


def test_a_closing_order_is_truncated_to_what_the_leg_still_covers_when_it_arrives() -> None:
    """An order for all that is left, and one that was sent before the first was known."""
    gateway = Gateway(latency_us=1_000)
    gateway.hold("0.03")
    sent = [intent(SELL, price, "0.02") for price in ("61000", "61100", "61200")]
    gateway.send(*sent)
    first, second, update, third = gateway.arrive(1_000)
    for answer in (first, second):
        assert isinstance(answer, PlaceResultEvent)
        assert answer.order_id is not None
    assert isinstance(update, OrderUpdateEvent)
    assert (update.status, update.qty, update.leaves_qty) == (
        ExchangeOrderStatus.NEW, Decimal("0.01"), Decimal("0.01"),
    )  # fmt: skip
    assert refusal([third]) == ("110017", RejectReason.REDUCE_ONLY)
    assert [one.leaves_qty for one in gateway.orders.orders.values()] == [
        Decimal("0.02"), Decimal("0.01"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (intent(price="59000.05"), "10001"),
        (intent(qty="0.0015"), "10001"),
        (intent(qty="0.0001"), "10001"),
        (intent(qty="20000"), "10001"),
        (intent(price="40000"), "110003"),
        (intent(price="1000", qty="0.001"), "110003"),
        (intent(SELL, "61000"), "110017"),
        (intent(reduce_only=True), "110017"),
        (intent(price="50001", qty="0.001"), "110094"),
        (intent(qty="9"), "110007"),
    ],
)
def test_what_the_exchange_refuses_is_refused(order: PlaceLimitIntent, code: str) -> None:
    gateway = Gateway(ContractLimits(min_price=Decimal(50_000), max_price=Decimal(90_000)))
    instrument = replace(gateway.runner.config.instrument, min_notional=Decimal(55))
    gateway.runner.executor.rules.instrument = instrument
    reason = {"110017": RejectReason.REDUCE_ONLY, "110007": RejectReason.INSUFFICIENT_BALANCE}
    assert refusal(gateway.send(order)) == (code, reason.get(code, RejectReason.OTHER))
    assert not len(gateway.orders)


def test_a_price_beyond_the_price_limit_is_moved_to_it() -> None:
    ratios = ContractLimits(price_ratio_x=Decimal("0.01"), price_ratio_y=Decimal("0.02"))
    placed, update = Gateway(ratios).send(intent(price="66000"))
    assert isinstance(placed, PlaceResultEvent)
    assert isinstance(update, OrderUpdateEvent)
    assert update.price == Decimal(60_600)
    (placed,) = Gateway(ratios).send(intent(price="60600"))
    (unknown,) = Gateway().send(intent(price="66000"))
    assert isinstance(unknown, PlaceResultEvent)
    assert unknown.order_id is not None


def test_there_is_a_largest_number_of_orders() -> None:
    gateway = Gateway(ContractLimits(max_open_orders=2))
    for price in ("59000", "59001"):
        gateway.send(intent(price=price))
    assert refusal(gateway.send(intent(price="59002"))) == ("110020", RejectReason.OTHER)


def test_leverage_is_judged_by_the_tier_of_legs_and_orders_together() -> None:
    def tier(limit: int, initial: str) -> MMTier:
        return MMTier(Decimal(limit), Decimal("0.005"), Decimal(initial), Decimal(0))

    gateway = Gateway(tiers=MMTiers((tier(2_000, "0.05"), tier(100_000, "0.125"))))
    gateway.hold("0.01")
    assert len(gateway.send(intent(price="59000", qty="0.01"))) == 1  # 600 + 590 USDT
    assert refusal(gateway.send(intent(price="58000", qty="0.014"))) == (
        "110090", RejectReason.OTHER,
    )  # fmt: skip
    gateway.send(intent(price="58000", qty="0.013"))
    assert len(gateway.orders) == 2
    capped = Gateway(ContractLimits(max_leverage=Decimal(5)))
    assert refusal(capped.send(intent())) == ("110090", RejectReason.OTHER)


@pytest.mark.parametrize(
    ("direction", "prices"),
    [(LONG, ("61000", "62000", "63000")), (SHORT, ("59000", "58000", "57000"))],
)
def test_closing_orders_are_cut_where_they_are_furthest_from_the_market(
    direction: DirectionType, prices: tuple[str, ...]
) -> None:
    gateway = Gateway()
    gateway.hold("0.03", direction)
    side = direction.opening_side.opposite
    gateway.send(*(intent(side, price, "0.01", direction) for price in prices))
    gateway.account.fill(gateway.pair, direction, Decimal("0.015"), Decimal(60_000), closing=True)
    told = gateway.runner.executor.leg_shrank(direction, START_US)
    assert [
        (one.price, one.status, one.qty) for one in told if isinstance(one, OrderUpdateEvent)
    ] == [
        (Decimal(prices[2]), ExchangeOrderStatus.CANCELLED, Decimal("0.01")),
        (Decimal(prices[1]), ExchangeOrderStatus.NEW, Decimal("0.005")),
    ]
    assert gateway.orders.closing_budget(direction) == 0
    assert gateway.runner.executor.leg_shrank(direction, START_US) == []


def test_a_fill_that_leaves_others_uncovered_cuts_them() -> None:
    gateway = Gateway()
    gateway.hold("0.03")
    gateway.send(intent(SELL, "61000", "0.01"), intent(SELL, "62000", "0.02"))
    gateway.account.fill(gateway.pair, LONG, Decimal("0.01"), Decimal(60_000), closing=True)
    gateway.runner.fill(START_US, MarketTrade(610_001, TAKER_SELL, Decimal(1)))
    assert [one.leaves_qty for one in gateway.orders.orders.values()] == [Decimal("0.01")]


def test_what_nobody_knows_is_named() -> None:
    assert ContractLimits().not_known() == ("price range", "price limit", "largest leverage")
    assert "number of orders" in ContractLimits(max_open_orders=None).not_known()
