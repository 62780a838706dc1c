"""One set of exchange rules: the same orders through paper exchange, backtest and shadow mode.

Every order is asked for three times, over the paper exchange's REST parameters, through the
backtest's gateway and through the shadow's; every answer and every state afterwards is compared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from bybit_adapter import InsufficientBalance, ReduceOnlyRejected
from bybit_adapter.errors import KIND_OF_CODE, OrderRejected, TradingPaused
from exchange_model.account.simulated_account import FeeRates, SimulatedAccount, SimulatedPair
from exchange_model.fills.fill_simulator import MarketTrade, TradeThroughFillSimulator
from exchange_model.gateway.runner import BacktestRunner
from exchange_model.orders.order_manager import BacktestOrderManager
from exchange_model.rules.codes import RetCode, reason_of
from exchange_model.rules.contract import ContractLimits
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import LoggedAlerts
from gridbot.ports import ExchangeClock, MachineTime
from gridbot.shadow import ShadowExecutor
from gridcore import (
    AmountSpec,
    CancelIntent,
    CancelOutcome,
    CancelReason,
    CancelResultEvent,
    DirectionType,
    Event,
    ExchangeOrderStatus,
    ExecutionEvent,
    GridConfig,
    GridStrategy,
    Intent,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceResultEvent,
    PublicTradeEvent,
    RejectReason,
    RiskConfig,
    SideType,
    StrategyConfig,
    TickerEvent,
)
from gridcore.sides import TAKER_BUY, TAKER_SELL
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.orders import ExecType
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import Listing, listing_of_rows
from paper_exchange.market.market import FeedQuote, Market
from testkit.paper import START_MS, PaperWorld, order_params, paper_account, paper_listing

pytestmark = pytest.mark.integration

TICK, STEP, ZERO = Decimal("0.10"), Decimal("0.001"), Decimal(0)
LEVERAGE = Decimal(10)
DEPOSIT = Decimal(900)
MOST_ORDERS = 7
START_TICKS = 600_000
FEES = FeeRates()
START = datetime.fromtimestamp(START_MS / 1000, UTC)


def strict_listing() -> Listing:
    """Return a contract whose every limit a small account meets."""
    usual = paper_listing()
    row = dict(usual.row)
    row["priceFilter"] = row["priceFilter"] | {"minPrice": "50000.00", "maxPrice": "70000.00"}
    row["lotSizeFilter"] = row["lotSizeFilter"] | {
        "maxOrderQty": "0.060",
        "minOrderQty": "0.002",
        "minNotionalValue": "200",
    }
    row["riskParameters"] = {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"}
    risk_rows = [
        {
            "id": number,
            "symbol": usual.symbol,
            "riskLimitValue": limit,
            "maintenanceMargin": str(Decimal(initial) / 2),
            "initialMargin": initial,
            "isLowestRisk": int(number == 1),
            "maxLeverage": str(1 / Decimal(initial)),
            "mmDeduction": "",
        }
        for number, (limit, initial) in enumerate(
            [("6000", "0.04"), ("9000", "0.1"), ("900000", "0.125")], 1
        )
    ]
    return listing_of_rows(row, risk_rows)


class Hearing(GridStrategy):
    """Decides nothing; keeps what a strategy is told of its orders."""

    def __init__(self, config: StrategyConfig) -> None:
        super().__init__(config)
        self.heard: list[Event] = []

    def on_event(self, event: Event) -> list[Intent]:
        self.heard.append(event)
        return []

    def take(self) -> list[Event]:
        """Return what was heard since the last time, without reports of the account."""
        kinds = (PlaceResultEvent, CancelResultEvent, OrderUpdateEvent, ExecutionEvent)
        heard, self.heard = self.heard, []
        return [event for event in heard if isinstance(event, kinds)]


@dataclass(frozen=True)
class State:
    """Everything that an order may have changed: link id -> (price, leaves), legs, money."""

    resting: dict[str, tuple[Decimal, Decimal]]
    legs: tuple[tuple[Decimal, Decimal], ...]
    wallet: Decimal
    available: Decimal
    order_margin: Decimal


def state_of(
    money: SimulatedAccount, pair: SimulatedPair, resting: dict[str, tuple[Decimal, Decimal]]
) -> State:
    return State(
        resting,
        tuple((leg.size, leg.entry_price) for leg in (pair.long, pair.short)),
        money.wallet,
        money.available(),
        pair.order_margin,
    )


def resting_of(orders: BacktestOrderManager) -> dict[str, tuple[Decimal, Decimal]]:
    return {one.client_order_id: (one.price, one.leaves_qty) for one in orders.orders.values()}


def code_of(event: PlaceResultEvent) -> int:
    """Return the code that a refusal names; 0 for an order that was taken."""
    if event.reject_reason is None:
        return 0
    return int(event.message.rpartition("(code ")[2].rstrip(")"))


class Paper:
    """The paper exchange in process, asked with parameters of REST."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        market = Market(listing, Depth(Decimal(20_000), 7), ZERO)
        account = paper_account(deposit=str(DEPOSIT), leverage=str(LEVERAGE), fees=FEES)
        settings = MatchingSettings(max_open_orders=MOST_ORDERS, funding=False)
        self.world = PaperWorld([market], [account], settings=settings)

    def price(self, ticks: int, side: SideType) -> None:
        """Let the market move to a price and trade there, a tick between the quotes and it."""
        world = self.world
        for after_ms in (990, 10):
            world.exchange.feed(
                FeedQuote(
                    symbol="BTCUSDT",
                    ts_ms=world.exchange.now_ms + after_ms,
                    last_price=TICK * ticks,
                    bid1_price=TICK * (ticks - 1),
                    ask1_price=TICK * (ticks + 1),
                )
            )
            if after_ms == 990:
                world.trade(TICK * ticks, side, "1", after_ms=0)

    def place(self, intent: PlaceLimitIntent) -> int:
        params = order_params(
            intent.side.value,
            str(intent.price),
            str(intent.qty),
            1 if intent.direction is DirectionType.LONG else 2,
            orderLinkId=intent.client_order_id,
            reduceOnly=intent.reduce_only,
            timeInForce="PostOnly" if intent.post_only else "GTC",
        )
        code = self.world.code("POST", "/v5/order/create", params)
        self.world.advance(self.world.exchange.settings.match_delay_ms)
        return code

    def cancel(self, link_id: str) -> int:
        params = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": link_id}
        code = self.world.code("POST", "/v5/order/cancel", params)
        self.world.advance(self.world.exchange.settings.match_delay_ms)
        return code

    def shrink(self, direction: DirectionType, qty: Decimal) -> None:
        self.world.exchange.deleverage(self.world.account, "BTCUSDT", direction.value, qty)

    def state(self) -> State:
        account = self.world.account
        resting = {one.link_id: (one.price, one.leaves_qty) for one in account.open_orders.values()}
        return state_of(account.money, account.book(self.listing).pair, resting)

    def end_of(self, link_id: str) -> tuple[str, Decimal, Decimal]:
        """Return what became of an order: why it ended, and what it got of price and quantity."""
        order = self.world.account.by_link[link_id]
        return order.reject_reason, order.price, order.qty


class Simulated:
    """What backtest and shadow have in common: a gateway, and a strategy that listens."""

    book: BacktestRunner
    strategy: Hearing

    def __init__(self) -> None:
        self.order_ids: dict[str, str] = {}
        self.leaves: dict[str, tuple[Decimal, Decimal]] = {}

    def submit(self, intent: Intent) -> list[Event]:
        raise NotImplementedError

    def place(self, intent: PlaceLimitIntent) -> tuple[int, RejectReason | None, list[Event]]:
        answer, *more = self.follow(self.submit(intent))
        assert isinstance(answer, PlaceResultEvent)
        if answer.order_id is not None:
            self.order_ids[intent.client_order_id] = answer.order_id
            self.leaves[intent.client_order_id] = intent.price, intent.qty
            self.follow(more)
        return code_of(answer), answer.reject_reason, more

    def cancel(self, link_id: str) -> CancelOutcome:
        intent = CancelIntent(
            symbol="BTCUSDT",
            order_id=self.order_ids[link_id],
            reason=CancelReason.OUTSIDE_GRID,
            price=TICK,
            side=SideType.BUY,
            client_order_id=link_id,
        )
        answer, *_ = self.follow(self.submit(intent))
        assert isinstance(answer, CancelResultEvent)
        return answer.outcome

    def follow(self, events: list[Event]) -> list[Event]:
        """Keep the orders as a strategy knows them that believes what it hears."""
        for event in events:
            if isinstance(event, OrderUpdateEvent):
                if event.status.is_live:
                    self.leaves[event.order_link_id] = event.price, event.leaves_qty
                else:
                    self.leaves.pop(event.order_link_id, None)
            elif isinstance(event, ExecutionEvent):
                price, _ = self.leaves.pop(event.order_link_id)
                if event.leaves_qty:
                    self.leaves[event.order_link_id] = price, event.leaves_qty
        return events

    def reduce_leg(self, direction: DirectionType, qty: Decimal, mark: Decimal) -> list[Event]:
        self.book.account.fill(self.book.pair, direction, qty, mark, closing=True, fee_rate=ZERO)
        return self.book.executor.leg_shrank(direction, 0)

    def state(self) -> State:
        # what it heard is what there is
        assert self.leaves == resting_of(self.book.orders)
        return state_of(self.book.account, self.book.pair, resting_of(self.book.orders))


class Backtest(Simulated):
    """The gateway of a backtest."""

    def __init__(self, config: StrategyConfig, listing: Listing, limits: ContractLimits) -> None:
        super().__init__()
        account = SimulatedAccount(DEPOSIT, FEES)
        pair = account.add_pair("test", "BTCUSDT", LEVERAGE, listing.tiers)
        self.book = BacktestRunner(
            config, account, pair, TradeThroughFillSimulator(), limits=limits
        )
        self.strategy = Hearing(config)
        self.book.strategy = self.strategy
        self.now_us, self.ticks = START_MS * 1000, START_TICKS

    def price(self, ticks: int, side: SideType) -> None:
        self.now_us += 1_000_000
        self.ticks = ticks
        taker = TAKER_BUY if side is SideType.BUY else TAKER_SELL
        self.book.fill(self.now_us, MarketTrade(ticks, taker, Decimal(1)))
        self.book.pair.mark_price = TICK * ticks
        self.follow(self.strategy.take())

    def submit(self, intent: Intent) -> list[Event]:
        return self.book.executor.submit([intent], self.now_us, self.ticks)

    def shrink(self, direction: DirectionType, qty: Decimal) -> None:
        self.follow(self.reduce_leg(direction, qty, TICK * self.ticks))


class Shadow(Simulated):
    """The gateway of shadow mode, with the bot's own runner before the strategy."""

    def __init__(self, config: StrategyConfig, listing: Listing, limits: ContractLimits) -> None:
        super().__init__()
        self.strategy = Hearing(config)
        self.runner = StrategyRunner(
            self.strategy, "one", ExchangeClock(MachineTime()), LoggedAlerts(), is_shadow=True
        )
        self.executor = ShadowExecutor(self.runner, DEPOSIT, listing.tiers, FEES, limits)
        self.book = self.executor.book
        self.now, self.mark = START, ZERO

    def price(self, ticks: int, side: SideType) -> None:
        self.now += timedelta(seconds=1)
        self.mark = TICK * ticks
        common = {"symbol": "BTCUSDT", "exchange_ts": self.now, "local_ts": self.now}
        self.executor.on_trade(
            PublicTradeEvent(**common, trade_id="t", side=side, price=self.mark, size=Decimal(1))
        )
        self.executor.on_ticker(TickerEvent(**common, last_price=self.mark, mark_price=self.mark))
        self.follow(self.hear())

    def hear(self) -> list[Event]:
        while self.runner.waiting:
            self.runner.handle(self.runner.next_message())
        return self.strategy.take()

    def submit(self, intent: Intent) -> list[Event]:
        self.executor.submit([intent])
        return self.hear()

    def shrink(self, direction: DirectionType, qty: Decimal) -> None:
        for event in self.reduce_leg(direction, qty, self.mark):
            self.runner.tell(event)
        self.follow(self.hear())


class Trial:
    """The three gateways, and chance that asks them all for the same."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        listing = strict_listing()
        limits = replace(listing.limits, max_open_orders=MOST_ORDERS)
        config = StrategyConfig(
            strat_id="test",
            grid=GridConfig(20, 0.1),
            amount=AmountSpec.parse("b0.002"),
            risk=RiskConfig(0.8, 1.2, 3, 0.15),
            instrument=listing.instrument,
            leverage=LEVERAGE,
        )
        self.paper = Paper(listing)
        self.backtest = Backtest(config, listing, limits)
        self.shadow = Shadow(config, listing, limits)
        self.simulated: tuple[Backtest | Shadow, ...] = self.backtest, self.shadow
        self.ticks = START_TICKS
        self.links: list[str] = []
        self.asked = 0
        self.seen: Counter[str] = Counter()
        self.trade()

    def step(self) -> None:
        """Do one thing everywhere and compare what came of it."""
        kind = self.chance.choices(
            (self.place, self.trade, self.cancel, self.reuse, self.shrink), (60, 22, 12, 2, 4)
        )[0]
        kind()
        states = [self.paper.state(), *(one.state() for one in self.simulated)]
        assert states[1] == states[0]
        assert states[2] == states[0]

    def trade(self) -> None:
        if self.backtest.book.account.wallet < DEPOSIT - 200:
            self.seen["deposits"] += 1
            self.paper.world.exchange.deposit(self.paper.world.account, Decimal(200))
            for simulated in self.simulated:
                simulated.book.account.deposit(Decimal(200))
        self.ticks += round(self.chance.gauss((START_TICKS - self.ticks) * 0.05, 900))
        side = self.chance.choice((SideType.BUY, SideType.SELL))
        for one in (self.paper, *self.simulated):
            one.price(self.ticks, side)

    def place(self) -> None:
        chance = self.chance
        direction = chance.choice((DirectionType.LONG, DirectionType.SHORT))
        is_closing = chance.random() < 0.45
        side = direction.opening_side.opposite if is_closing else direction.opening_side
        sign = -1 if side is SideType.BUY else 1
        away = chance.choice((chance.randint(1, 2_000), -chance.randint(0, 12_000)))
        away = chance.choices((away, 200_000, chance.randint(1, 2_000)), (30, 3, 67))[0]
        price = TICK * (self.ticks + sign * away)
        if chance.random() < 0.03:
            price += Decimal("0.05")
        qty = (
            STEP
            * chance.choices(
                (chance.randint(2, 30), chance.randint(30, 70), chance.randint(0, 3)), (80, 12, 8)
            )[0]
        )
        if chance.random() < 0.02:
            qty += Decimal("0.0005")
        intent = PlaceLimitIntent(
            symbol="BTCUSDT",
            side=side,
            price=price,
            qty=qty,
            # wrong on purpose now and then: the exchange goes by side and leg
            reduce_only=is_closing is (chance.random() < 0.97),
            client_order_id=f"{self.asked:016x}",
            grid_level=0,
            direction=direction,
            # where nobody quotes an order that takes fills otherwise: no rule, but a fill model
            post_only=away <= 0 or chance.random() < 0.5,
        )
        self.asked += 1
        code = self.paper.place(intent)
        self.seen[f"code {code}"] += 1
        if not code:
            self.links.append(intent.client_order_id)
        for one in self.simulated:
            found, reason, updates = one.place(intent)
            assert found == code, intent
            assert reason == (reason_of(code) if code else None)
            if not code:
                self.compare(intent, updates)

    def compare(self, intent: PlaceLimitIntent, updates: list[Event]) -> None:
        """Compare what an accepted order got: truncated, moved, cancelled as one that takes."""
        why, price, qty = self.paper.end_of(intent.client_order_id)
        told = updates[-1] if updates else None
        if told is None:
            assert (price, qty, why) == (intent.price, intent.qty, "EC_NoError")
            return
        assert isinstance(told, OrderUpdateEvent)
        assert (told.price, told.qty) == (price, qty)
        is_cancelled = told.status is ExchangeOrderStatus.CANCELLED
        assert is_cancelled is (why == "EC_PostOnlyWillTakeLiquidity")
        self.seen["cancelled as taker"] += is_cancelled
        self.seen["truncated"] += qty < intent.qty
        self.seen["moved"] += price != intent.price

    def cancel(self) -> None:
        if not self.links:
            return
        open_links = list(self.paper.state().resting)
        link_id = self.chance.choice(
            open_links if open_links and self.chance.random() < 0.8 else self.links
        )
        code = self.paper.cancel(link_id)
        self.seen[f"cancel {code}"] += 1
        for one in self.simulated:
            gone = one.cancel(link_id) is CancelOutcome.GONE
            assert gone is (code == RetCode.ORDER_NOT_FOUND)

    def reuse(self) -> None:
        """Use a link id again; the other gateways make one for each order, as the bot does."""
        if not self.links:
            return
        intent = PlaceLimitIntent(
            symbol="BTCUSDT",
            side=SideType.BUY,
            price=TICK * (self.ticks - 100),
            qty=STEP * 5,
            reduce_only=False,
            client_order_id=self.chance.choice(self.links[-50:]),
            grid_level=0,
            direction=DirectionType.LONG,
        )
        code = self.paper.place(intent)
        self.seen[f"code {code}"] += 1
        assert code == RetCode.DUPLICATE_LINK_ID

    def shrink(self) -> None:
        """Close a part of a leg without an order, as deleveraging does."""
        direction = self.chance.choice((DirectionType.LONG, DirectionType.SHORT))
        size = self.backtest.book.pair.leg(direction).size
        if not size:
            return
        qty = min(size, STEP * self.chance.randint(1, 30))
        before = self.paper.state().resting
        for one in (self.paper, *self.simulated):
            one.shrink(direction, qty)
        after = self.paper.state().resting
        self.seen["cut"] += sum(link in after and after[link] != before[link] for link in before)
        self.seen["cancelled by shrinking"] += len(before) - len(after)


EXPECTED = {
    f"code {int(code)}"
    for code in (
        RetCode.OK, RetCode.PARAMETER_ERROR, RetCode.PRICE_OUT_OF_RANGE,
        RetCode.INSUFFICIENT_BALANCE, RetCode.REDUCE_ONLY_ZERO, RetCode.TOO_MANY_ORDERS,
        RetCode.DUPLICATE_LINK_ID, RetCode.LEVERAGE_ABOVE_TIER, RetCode.NOTIONAL_TOO_SMALL,
    )
} | {
    "cancel 0", f"cancel {int(RetCode.ORDER_NOT_FOUND)}", "cancelled as taker", "truncated",
    "moved", "cut", "cancelled by shrinking",
}  # fmt: skip


def run(seed: int, orders: int) -> Counter[str]:
    trial = Trial(seed)
    while sum(count for what, count in trial.seen.items() if what.startswith("code")) < orders:
        trial.step()
    executions = trial.paper.world.account.executions
    assert not any(one.exec_type is ExecType.BUST for one in executions)
    assert sum(one.exec_type is ExecType.TRADE for one in executions) > orders // 20
    return trial.seen


def test_a_thousand_orders_have_the_same_fate_in_all_three() -> None:
    seen = run(1, 1_000)
    assert {what for what, count in seen.items() if count} >= EXPECTED, seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_twenty_thousand_more(seed: int) -> None:
    run(seed, 1_000)


REFUSALS = [
    code
    for code in RetCode
    if issubclass(KIND_OF_CODE.get(code, object), OrderRejected)
    and not issubclass(KIND_OF_CODE[code], TradingPaused)  # the bot waits, and asks again
]


@pytest.mark.parametrize("code", REFUSALS)
def test_a_strategy_hears_of_a_code_what_the_bot_makes_of_it(code: RetCode) -> None:
    kind = KIND_OF_CODE[code]
    expected = RejectReason.OTHER
    if issubclass(kind, ReduceOnlyRejected):
        expected = RejectReason.REDUCE_ONLY
    elif issubclass(kind, InsufficientBalance):
        expected = RejectReason.INSUFFICIENT_BALANCE
    assert reason_of(code) is expected
