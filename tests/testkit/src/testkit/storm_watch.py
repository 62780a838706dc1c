"""What has to hold in a storm, looked at against the exchange's own books at every step."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey
from gridbot.words.snapshot import Health
from gridcore import DirectionType
from paper_exchange.book.account import PaperAccount
from paper_exchange.book.orders import ExecType, PaperExecution, PaperOrder
from paper_exchange.market.market import Market, PublicTrade
from testkit.bot_books import broken_promises
from testkit.bot_world import BotWorld

ZERO = Decimal(0)
HEALTHY_IDLE_S = 120.0
LOOK_S = 5.0
NOT_YET = -1.0
LONGEST_WAY_S = 45.0  # of an order that is sent again and again
TOLD = re.compile(r" of (\S+) (\S+) at (\S+), at ")
OURS = ("CreateByUser", "CreateByClosing")


class StormWatch:
    """Follows the exchange's books and the bot's words; `problem` is told what does not hold.

    Looks at every order as it reaches the exchange (cover, caps), at the books after every step
    (one order per price and leg), at every forced close (somebody was told), and every few seconds
    at whether a bot that says healthy places anything. `digest` is of all that happened.
    """

    def __init__(self, world: BotWorld, problem: Callable[[str], None]) -> None:
        self._world = world
        self._problem = problem
        self._hash = hashlib.sha256()
        # a leg that somebody else made smaller, until the bot has learned of it
        self._unlearned: dict[tuple[str, DirectionType], float] = {}  # when it was learned
        self._by_others: dict[str, Decimal] = {}  # USDT that others opened, ever, by symbol
        self._forced: list[PaperExecution] = []
        self._idle_since: dict[str, float] = {}
        world.exchange.listen(self)
        world.transport.on_request = self._on_request

    # the exchange's books

    def on_order(self, account: PaperAccount, order: PaperOrder) -> None:
        """Note it; the leg of the order is told at the end of the step."""
        self._note("order", order.link_id, order.status.value, order.filled_qty, order.price)

    def on_position(
        self, account: PaperAccount, symbol: str, legs: tuple[DirectionType, ...]
    ) -> None:
        """Look at the promises."""
        for text in broken_promises(self._world):
            self._problem(text)

    def on_execution(self, account: PaperAccount, execution: PaperExecution) -> None:
        """Note what others did to a leg."""
        self._note("execution", execution.exec_type, execution.qty, execution.price)
        if execution.exec_type is ExecType.FUNDING:
            return
        is_forced = execution.exec_type is not ExecType.TRADE or execution.create_type not in OURS
        if is_forced:
            self._forced.append(execution)
        if is_forced or not execution.link_id:
            if execution.closed_size:
                self._unlearned[execution.symbol, execution.direction] = NOT_YET
            else:
                known = self._by_others.get(execution.symbol, ZERO)
                self._by_others[execution.symbol] = known + execution.qty * execution.price

    def on_wallet(self, account: PaperAccount) -> None:
        """Note it."""
        self._note("wallet", account.money.wallet)

    def on_trade(self, market: Market, trade: PublicTrade) -> None:
        """Nothing of an account changes."""

    def on_market(self, market: Market) -> None:
        """Nothing of an account changes."""

    def _note(self, *words: object) -> None:
        line = " ".join(map(str, (self._world.exchange.now_ms, *words)))
        self._hash.update(line.encode())

    @property
    def digest(self) -> str:
        """A hash of everything that happened on the account, in order, and of all alerts."""
        told = "\n".join(f"{key} {text}" for key, text in self._world.alerts.all)
        return hashlib.sha256(self._hash.digest() + told.encode()).hexdigest()

    # orders as they come in

    def _on_request(self, path: str, params: Mapping[str, Any]) -> None:
        if path.endswith("order/create"):
            self._entered([params])
        elif path.endswith("order/create-batch"):
            self._entered(params["request"])

    def _entered(self, orders: list[Mapping[str, Any]]) -> None:
        account = self._world.paper.account
        closing: dict[tuple[str, DirectionType], Decimal] = {}
        opening: dict[str, Decimal] = {}
        for order in orders:
            symbol, qty = str(order["symbol"]), Decimal(str(order["qty"]))
            direction = (
                DirectionType.LONG if int(order["positionIdx"]) == 1 else DirectionType.SHORT
            )
            self._note("entry", symbol, direction, order["side"], qty, order["price"])
            if order.get("reduceOnly"):
                key = symbol, direction
                closing[key] = closing.get(key, ZERO) + qty
                self._check_cover(account, symbol, direction, closing[key])
            else:
                value = qty * Decimal(str(order["price"]))
                opening[symbol] = opening.get(symbol, ZERO) + value
        for symbol, value in opening.items():
            self._check_cap(account, symbol, value)

    def _check_cover(
        self, account: PaperAccount, symbol: str, direction: DirectionType, qty: Decimal
    ) -> None:
        book = account.books[symbol]
        size = book.pair.leg(direction).size
        resting = book.orders.closing_qty[direction] + book.arriving_closing[direction]
        runner = self._runner(symbol)
        if runner is None or resting + qty < size:
            return
        if self._could_not_know(runner, symbol, direction, size):
            return
        self._problem(
            f"{symbol} {direction}: {qty} closing ordered beside {resting}, the leg holds {size};"
            f" believed {runner.strategy.view.leg(direction).size}"
        )

    def _could_not_know(
        self, runner: StrategyRunner, symbol: str, direction: DirectionType, size: Decimal
    ) -> bool:
        """Tell whether an order may have been decided before the bot learned of a smaller leg."""
        learned = self._unlearned.get((symbol, direction))
        if learned is None:
            return False
        now = asyncio.get_running_loop().time()
        if runner.strategy.view.leg(direction).size > size:
            return True
        if learned == NOT_YET:
            learned = self._unlearned[symbol, direction] = now
        return now - learned < LONGEST_WAY_S

    def _check_cap(self, account: PaperAccount, symbol: str, opening: Decimal) -> None:
        caps = {one.symbol: one.caps.max_notional for one in self._world.specs}
        cap = caps[symbol]
        if cap is None:
            return
        pair, others = account.books[symbol].pair, self._by_others.get(symbol, ZERO)
        held = pair.long.cost + pair.short.cost
        resting = sum(
            (
                one.leaves_qty * one.price
                for one in account.orders_of(symbol)
                if not one.reduce_only
            ),
            ZERO,
        )
        if held + resting + opening > cap + others:
            self._problem(
                f"{symbol}: {opening:.2f} USDT more opened beside {held:.2f} held and"
                f" {resting:.2f} resting, the cap is {cap}, others opened {others:.2f}"
            )

    def _runner(self, symbol: str) -> StrategyRunner | None:
        session = self._world.session
        return None if session is None else session.runners.get(symbol)

    # the bot's words

    async def look_now_and_then(self) -> None:
        """Judge health for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            session = self._world.session
            for symbol in self._world.exchange.markets:
                runner = None if session is None else session.runners.get(symbol)
                if runner is not None:
                    self._look_at(runner)

    def _look_at(self, runner: StrategyRunner) -> None:
        now = asyncio.get_running_loop().time()
        account = self._world.paper.account
        opens = any(
            order.link_id and not order.reduce_only for order in account.orders_of(runner.symbol)
        )
        if opens or runner.health.state()[0] is not Health.HEALTHY:
            self._idle_since.pop(runner.symbol, None)
            return
        since = self._idle_since.setdefault(runner.symbol, now)
        if now - since > HEALTHY_IDLE_S:
            self._problem(
                f"{runner.symbol}: healthy, and no opening order rests for {now - since:.0f} s;"
                f" refused {runner.strategy.view.refused}"
            )

    def judge_alerts(self) -> None:
        """Look whether somebody was told of every forced close."""
        told = set()
        for key, text in self._world.alerts.all:
            found = TOLD.search(text) if key is AlertKey.LIQUIDATION_OR_ADL else None
            if found:
                told.add((Decimal(found[1]), found[2], Decimal(found[3])))
        for one in self._forced:
            if (one.qty, one.symbol, one.price) not in told:
                self._problem(
                    f"nobody was told of {one.exec_type.value} {one.create_type} of {one.qty}"
                    f" {one.symbol} at {one.price}"
                )
