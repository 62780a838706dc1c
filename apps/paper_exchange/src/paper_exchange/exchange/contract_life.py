"""The life of a contract: listed, halted, announced to end, settled, delivered, closed.

What is published (`status`, `deliveryTime`) is in the listing's row; what trading does meanwhile
follows from it and from a pause (`Market.phase`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from exchange_model.rules.codes import RetCode, parameter_error
from paper_exchange.basics.schedule import Schedule
from paper_exchange.book.account import LEGS, PaperAccount
from paper_exchange.book.listeners import Outbox
from paper_exchange.book.order_entry import OrderEntry
from paper_exchange.book.orders import ExecType
from paper_exchange.book.takeover import ForcedClose, TakeOver
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import Market, Pause

LOOK_AGAIN_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlan:
    """How a contract ends: ms of settlement, how the closing is called, ms until it is Closed."""

    settling_ms: int = 30_000
    exec_type: ExecType = ExecType.SETTLE
    closed_after_ms: int = 60_000


class ContractLife:
    """Moves contracts from one state to the next. Raises RefusalError for a state that forbids."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        accounts: Mapping[str, PaperAccount],
        desk: OrderEntry,
        take_over: TakeOver,
        schedule: Schedule,
        clock: Callable[[], int],
        outbox: Outbox,
    ) -> None:
        self._markets = markets
        self._accounts = accounts
        self._desk = desk
        self._take_over = take_over
        self._schedule = schedule
        self._clock = clock
        self._outbox = outbox
        self.plans: dict[str, DeliveryPlan] = {}  # of contracts whose end is announced or begun

    def list_contract(self, market: Market) -> None:
        """Let a contract that was only announced trade."""
        self._require(market, ContractStatus.PRE_LAUNCH, "listed")
        self._publish(market, ContractStatus.TRADING)

    def halt(self, market: Market, code: RetCode, *, tickers: bool) -> None:
        """Stop trading: new orders get `code`; with `tickers` prices of the feed still move."""
        if market.status != ContractStatus.DELIVERING or market.is_delivered:
            self._require(market, ContractStatus.TRADING, "halted")
        market.pause = Pause(code, "trading is halted in this symbol", prices_move=tickers)
        self._tell(market)

    def resume(self, market: Market) -> None:
        """Let trading go on after a halt."""
        self._require(market, ContractStatus.TRADING, "resumed")
        market.pause = None
        self._tell(market)

    def announce(self, market: Market, in_ms: int, plan: DeliveryPlan) -> None:
        """Announce the end of a contract; it comes by itself unless another one is announced."""
        self._require(market, ContractStatus.TRADING, "announced to be delisted")
        moment = self._clock() + in_ms
        self.plans[market.symbol] = plan
        self._publish(market, ContractStatus.TRADING, moment)
        self._schedule.at(moment, partial(self._end_comes, market, moment))

    def _end_comes(self, market: Market, moment: int) -> None:
        if market.listing.delivery_ms != moment or market.status != ContractStatus.TRADING:
            return
        self.settle(market, tickers=True)
        plan = self.plans[market.symbol]
        self._schedule.at(moment + plan.settling_ms, partial(self._settled, market))

    def _settled(self, market: Market) -> None:
        if not market.is_settling:
            return
        if market.mark is None:
            # an exchange that has just started waits for its market
            self._schedule.at(self._clock() + LOOK_AGAIN_MS, partial(self._settled, market))
            return
        self.deliver(market, None, self.plans[market.symbol])

    def settle(self, market: Market, *, tickers: bool) -> None:
        """Begin the settlement: the contract is Delivering, orders are refused with 110063."""
        self._require(market, ContractStatus.TRADING, "settled")
        market.pause = Pause(
            RetCode.SETTLING, "Pending order modification unsupported during settlement",
            prices_move=tickers,
        )  # fmt: skip
        self._publish(market, ContractStatus.DELIVERING, self._ended_ms(market))

    def _ended_ms(self, market: Market) -> int:
        """Return when a contract that ends now has ended: at the announced time, or before it."""
        now = self._clock()
        return min(now, market.listing.delivery_ms or now)

    def deliver(self, market: Market, price: Decimal | None, plan: DeliveryPlan) -> None:
        """Cancel all orders and close all legs at `price` (USDT; None: the mark price)."""
        if market.status != ContractStatus.DELIVERING or market.is_delivered:
            self._require(market, ContractStatus.TRADING, "delivered")
        price = price or market.mark
        held = [
            (account, direction)
            for account in self._accounts.values()
            if market.symbol in account.books
            for direction in LEGS
            if account.books[market.symbol].pair.leg(direction).size
        ]
        if held and price is None:
            raise parameter_error(f"{market.symbol} has no mark price; give the price")
        for account in self._accounts.values():
            for order in account.orders_of(market.symbol):
                self._desk.cancel_now(account, market, order, "CancelBySettle")
        how = ForcedClose(plan.exec_type, "CreateBySettle")
        for account, direction in held:
            size = account.books[market.symbol].pair.leg(direction).size
            self._take_over.close(account, market, direction, size, price or Decimal(0), how)
        for account, _ in held:
            self._take_over.cover(account)
        market.pause, market.next_funding_ms = None, None
        self.plans.pop(market.symbol, None)
        self._publish(market, ContractStatus.DELIVERING, self._ended_ms(market))
        self.close_at(market, self._clock() + plan.closed_after_ms)

    def close_at(self, market: Market, moment: int) -> None:
        """Let a delivered contract become Closed at a time in ms."""
        market.closes_ms = moment
        if moment <= self._clock():
            self._close(market, moment)
        else:
            self._schedule.at(moment, partial(self._close, market, moment))

    def _close(self, market: Market, moment: int) -> None:
        if market.closes_ms == moment:
            market.closes_ms = None
            self._publish(market, ContractStatus.CLOSED, market.listing.delivery_ms)

    def take_up(self, market: Market) -> None:
        """Plan again what an earlier start had planned for a contract."""
        listing, plan = market.listing, self.plans.get(market.symbol)
        if market.closes_ms is not None:
            self.close_at(market, market.closes_ms)
        elif plan is not None and listing.delivery_ms:
            moment = listing.delivery_ms
            if market.is_settling:
                due = max(self._clock(), moment + plan.settling_ms)
                self._schedule.at(due, partial(self._settled, market))
            else:
                self._schedule.at(
                    max(self._clock(), moment), partial(self._end_comes, market, moment)
                )

    # what is published

    @staticmethod
    def _require(market: Market, status: ContractStatus, done: str) -> None:
        if market.status != status:
            raise parameter_error(
                f"{market.symbol} is {market.status}; only a contract in {status} can be {done}"
            )

    def _publish(self, market: Market, status: ContractStatus, delivery_ms: int = 0) -> None:
        market.listing = market.listing.with_status(status, delivery_ms)
        market.is_changed = True
        self._tell(market)

    def _tell(self, market: Market) -> None:
        self._outbox.market(market)
        self._outbox.flush()
