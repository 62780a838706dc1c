"""One set of exchange rules: the same orders through paper exchange, backtest and shadow mode.

Every order is asked for three times, over the paper exchange's REST parameters, through the
backtest's gateway and through the shadow's; every answer and every state afterwards is compared.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

import paper_exchange
from bybit_adapter import InsufficientBalance, ReduceOnlyRejected
from bybit_adapter.basics.errors import KIND_OF_CODE, OrderRejected, TradingPaused
from exchange_model.rules import codes
from exchange_model.rules.codes import RetCode
from gridcore import (
    AmountSpec,
    CancelOutcome,
    DirectionType,
    Event,
    ExchangeOrderStatus,
    GridConfig,
    OrderUpdateEvent,
    PlaceLimitIntent,
    RejectReason,
    RiskConfig,
    SideType,
    StrategyConfig,
)
from gridcore.refusal_codes import reason_of
from paper_exchange.book.orders import ExecType
from testkit.gateways import (
    DEPOSIT,
    LEVERAGE,
    MOST_ORDERS,
    START_TICKS,
    STEP,
    TICK,
    Backtest,
    Paper,
    Shadow,
    strict_listing,
)

pytestmark = pytest.mark.integration


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
            self.paper.world.exchange.operator.deposit(self.paper.world.account, Decimal(200))
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


# what the rules answer an order with; each is met below
MET = {
    RetCode.OK, RetCode.PARAMETER_ERROR, RetCode.PRICE_OUT_OF_RANGE, RetCode.INSUFFICIENT_BALANCE,
    RetCode.REDUCE_ONLY_ZERO, RetCode.TOO_MANY_ORDERS, RetCode.DUPLICATE_LINK_ID,
    RetCode.LEVERAGE_ABOVE_TIER, RetCode.NOTIONAL_TOO_SMALL,
}  # fmt: skip
# none of the three is asked for an order before it has a market
UNMET = {RetCode.NO_MARKET_PRICE}
EXPECTED = {f"code {int(code)}" for code in MET} | {
    "cancel 0", f"cancel {int(RetCode.ORDER_NOT_FOUND)}", "cancelled as taker", "truncated",
    "moved", "cut", "cancelled by shrinking",
}  # fmt: skip


def test_every_refusal_of_the_rules_is_met_by_an_order() -> None:
    folder = Path(codes.__file__).parent
    answered = {
        RetCode[name]
        for file in folder.glob("*.py")
        for name in re.findall(r"RetCode\.([A-Z_]+)", file.read_text(encoding="utf-8"))
    }
    missing = ", ".join(sorted(code.name for code in answered - MET - UNMET))
    assert not missing, f"no order of this test meets {missing}; add one, and the code to MET"


def test_every_code_is_an_answer_of_somebody() -> None:
    folders = (Path(codes.__file__).parents[1], Path(paper_exchange.__file__).parent)
    answered = {
        name
        for folder in folders
        for file in folder.rglob("*.py")
        for name in re.findall(r"RetCode\.([A-Z_]+)", file.read_text(encoding="utf-8"))
    }
    idle = ", ".join(sorted(code.name for code in RetCode if code.name not in answered))
    assert not idle, f"no rule answers with {idle}; add it to exchange_model.rules"


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
    missing = ", ".join(sorted(EXPECTED - {what for what, count in seen.items() if count}))
    assert not missing, f"none of a thousand orders came to {missing}; let Trial ask for one"


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
