"""Three gateways on one set of exchange rules: paper exchange, backtest, shadow mode.

Each is asked for the same orders and shows its answers and its state in the same form.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from exchange_model.account.simulated_account import FeeRates, SimulatedAccount, SimulatedPair
from exchange_model.fills.fill_simulator import MarketTrade, TradeThroughFillSimulator
from exchange_model.gateway.runner import BacktestRunner
from exchange_model.orders.order_manager import BacktestOrderManager
from exchange_model.rules.contract import ContractLimits
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import LoggedAlerts
from gridbot.ports import ExchangeClock, MachineTime
from gridbot.shadow import ShadowExecutor
from gridcore import (
    CancelIntent,
    CancelOutcome,
    CancelReason,
    CancelResultEvent,
    Command,
    Decision,
    DirectionType,
    Event,
    ExecutionEvent,
    GridStrategy,
    Intent,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceResultEvent,
    PublicTradeEvent,
    RejectReason,
    SideType,
    StrategyConfig,
    TickerEvent,
)
from gridcore.sides import TAKER_BUY, TAKER_SELL
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import Listing, listing_of_rows
from paper_exchange.market.market import FeedQuote, Market
from testkit.paper import START_MS, PaperWorld, order_params, paper_account, paper_listing

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

    def handle(self, message: Event | Command) -> Decision:
        if isinstance(message, Event):
            self.heard.append(message)
        return Decision()

    def on_event(self, event: Event) -> list[Intent]:
        return list(self.handle(event).intents)

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
        self.world.exchange.operator.deleverage(self.world.account, "BTCUSDT", direction.value, qty)

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
        self.executor.on_trade(
            PublicTradeEvent(
                symbol="BTCUSDT",
                exchange_ts=self.now,
                local_ts=self.now,
                trade_id="t",
                side=side,
                price=self.mark,
                size=Decimal(1),
            )
        )
        self.executor.on_ticker(
            TickerEvent(
                symbol="BTCUSDT",
                exchange_ts=self.now,
                local_ts=self.now,
                last_price=self.mark,
                mark_price=self.mark,
            )
        )
        self.follow(self.hear())

    def hear(self) -> list[Event]:
        while self.runner.inbox:
            self.runner.handle(self.runner.inbox.take())
        return self.strategy.take()

    def submit(self, intent: Intent) -> list[Event]:
        self.executor.submit([intent])
        return self.hear()

    def shrink(self, direction: DirectionType, qty: Decimal) -> None:
        for event in self.reduce_leg(direction, qty, self.mark):
            self.runner.tell(event)
        self.follow(self.hear())
