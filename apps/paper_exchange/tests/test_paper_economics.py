"""Money: every account against a plain re-computation of what its records say."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_model.account.simulated_account import FeeRates
from exchange_model.fills.registry import FillModelName, FillModelSettings
from gridcore import SideType, calc_pair_margins
from paper_exchange.basics.settings import MatchingSettings, TakerModel
from paper_exchange.book.account import PaperAccount
from paper_exchange.book.orders import ExecType
from paper_exchange.market.depth import Depth
from paper_exchange.market.listing import listing_of_rows
from paper_exchange.market.market import Market
from testkit.paper import PaperWorld, order_params, paper_account, paper_listing, paper_market

ZERO = Decimal(0)


class Ledger:
    """The books of an account, kept by adding up its executions and nothing else."""

    def __init__(self, account: PaperAccount) -> None:
        self.cash = ZERO
        self.fees = ZERO
        self.funding = ZERO
        self.sizes: dict[tuple[str, int], Decimal] = {}
        self.costs: dict[tuple[str, int], Decimal] = {}
        for one in account.executions:
            leg = 1 if one.direction.value == "long" else 2
            key = one.symbol, leg
            if one.exec_type is ExecType.FUNDING:
                self.funding += one.fee
                continue
            self.fees += one.fee
            opens = one.closed_size == 0
            sign = 1 if opens else -1
            self.sizes[key] = self.sizes.get(key, ZERO) + sign * one.qty
            # money that went into legs and came out of them, whatever the averages were
            paid = one.qty * one.price
            self.costs[key] = self.costs.get(key, ZERO) + sign * paid
            assert self.sizes[key] >= 0

    def wallet(self, deposits: Decimal, account: PaperAccount) -> Decimal:
        """Deposits and what all legs paid out, less what the open ones still cost."""
        total = deposits - self.fees - self.funding
        for (symbol, leg), flow in self.costs.items():
            pair = account.books[symbol].pair
            held = pair.long.cost if leg == 1 else pair.short.cost
            total += (held - flow) if leg == 1 else (flow - held)
        return total


def check(world: PaperWorld) -> None:
    for account in world.exchange.accounts.values():
        funds = account.money
        assert funds.wallet == (
            funds.deposits + funds.realised_pnl - funds.fees_paid - funds.funding_paid
        )
        ledger = Ledger(account)
        assert ledger.fees == funds.fees_paid
        assert ledger.funding == funds.funding_paid
        assert ledger.wallet(funds.deposits, account) == funds.wallet
        changes = sum((entry.change for entry in account.ledger), ZERO)
        first = funds.deposits - sum(
            (entry.cash_flow for entry in account.ledger if entry.kind in TRANSFERS), ZERO
        )
        assert first + changes == funds.wallet
        for symbol, book in account.books.items():
            assert ledger.sizes.get((symbol, 1), ZERO) == book.pair.long.size
            assert ledger.sizes.get((symbol, 2), ZERO) == book.pair.short.size
            for direction, covered in book.orders.closing_qty.items():
                assert covered <= book.pair.leg(direction).size
            open_margin = sum(
                (one.margin for one in book.orders.orders.values() if not one.reduce_only), ZERO
            )
            waiting = sum(
                (
                    one.margin
                    for one in account.open_orders.values()
                    if one.symbol == symbol and one.resting is None
                ),
                ZERO,
            )
            assert book.pair.order_margin == open_margin + waiting
            assert book.orders.opening_value() == sum(
                (one.leaves_qty * one.price for one in book.orders.orders.values()
                 if not one.reduce_only), ZERO,
            )  # fmt: skip
            if book.pair.is_open:
                fresh = calc_pair_margins(
                    book.pair.long.state(), book.pair.short.state(), book.pair.mark(),
                    book.pair.tiers, taker_fee_rate=book.pair.taker_rate,
                )  # fmt: skip
                assert book.pair.margins() == fresh
        assert funds.wallet >= 0


TRANSFERS = ("TRANSFER_IN", "TRANSFER_OUT", "BONUS")
SYMBOLS = {"BTCUSDT": ("60000", "0.1"), "ETHUSDT": ("3000", "0.01")}


def random_step(world: PaperWorld, chance: Random, prices: dict[str, Decimal]) -> None:
    symbol = chance.choice(list(SYMBOLS))
    tick = Decimal(SYMBOLS[symbol][1])
    kind = chance.random()
    if kind < 0.45:
        moved = prices[symbol] * Decimal(1 + chance.gauss(0, 0.004))
        prices[symbol] = max(tick, moved // tick * tick)
        world.trade(
            prices[symbol], chance.choice(list(SideType)), qty="0.05", symbol=symbol,
            after_ms=chance.randrange(0, 400_000),
        )  # fmt: skip
        return
    if kind < 0.9:
        away = Decimal(round(chance.uniform(0.98, 1.02), 4))
        price = None if chance.random() < 0.3 else str(prices[symbol] * away // tick * tick)
        order = order_params(
            chance.choice(["Buy", "Sell"]),
            price,
            str(Decimal(chance.randrange(1, 200)) / 100),
            chance.choice([1, 2]),
            symbol,
        )
        world.reply("POST", "/v5/order/create", order)
    elif kind < 0.96 and world.account.open_orders:
        chosen = chance.choice(list(world.account.open_orders.values()))
        ids = {"category": "linear", "symbol": chosen.symbol, "orderId": chosen.order_id}
        if chance.random() < 0.5:
            world.reply("POST", "/v5/order/cancel", ids)
        else:
            qty = str(Decimal(chance.randrange(1, 300)) / 100)
            world.reply("POST", "/v5/order/amend", {**ids, "qty": qty})
    elif kind < 0.98:
        world.exchange.operator.deleverage(
            world.account, symbol, chance.choice(["long", "short"]), Decimal("0.05")
        )
    else:
        world.advance(chance.randrange(0, 12 * 3_600_000))
    world.advance(chance.randrange(0, 5))


@pytest.mark.parametrize("model", list(FillModelName))
@pytest.mark.parametrize("taker", list(TakerModel))
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_flow_adds_up_after_every_step(
    model: FillModelName, taker: TakerModel, seed: int
) -> None:
    chance = Random(seed)
    world = PaperWorld(
        [paper_market(), paper_market("ETHUSDT", funding_rate="-0.0003")],
        [paper_account(deposit=str(chance.choice([300, 3_000, 30_000])))],
        settings=MatchingSettings(fills=FillModelSettings(fill_model=model), taker_model=taker),
    )
    prices = {symbol: Decimal(price) for symbol, (price, _) in SYMBOLS.items()}
    for symbol, price in prices.items():
        world.trade(price, symbol=symbol)
    for _ in range(120):
        random_step(world, chance, prices)
        check(world)


def test_fees_and_profit_of_a_round_trip_to_the_last_decimal() -> None:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    world.place(price=None, qty="0.013")  # takes at 60000
    world.trade("60500.0")
    world.place(side="Sell", price="61000", qty="0.013")  # makes
    world.trade("61000.1")
    wallet = (
        10_000
        + Decimal("0.013") * 1000
        - Decimal("0.013") * (60_000 * Decimal("0.00055") + 61_000 * Decimal("0.0002"))
    )
    assert world.account.money.wallet == wallet
    row = world.get("/v5/account/wallet-balance", accountType="UNIFIED")["list"][0]
    assert Decimal(row["totalWalletBalance"]) == wallet
    check(world)


def test_funding_is_paid_by_longs_and_received_by_shorts_at_the_mark_price() -> None:
    world = PaperWorld([paper_market(funding_rate="0.0002")])
    world.trade("60000.0", SideType.BUY)
    world.place(price=None, qty="0.03")
    world.place(side="Sell", leg=2, price=None, qty="0.01")
    world.quote(mark_price="60100.50")
    wallet = world.account.money.wallet
    due = world.exchange.market("BTCUSDT").next_funding_ms
    assert due is not None
    world.advance(due - world.exchange.now_ms)
    rows = world.get("/v5/execution/list", execType="Funding")["list"]
    assert [(row["side"], row["execQty"]) for row in rows] == [("Sell", "0.010"), ("Buy", "0.030")]
    assert {row["orderType"] for row in rows} == {"UNKNOWN"}
    paid = Decimal("0.0002") * Decimal("60100.50") * Decimal("0.02")
    assert sum(Decimal(row["execFee"]) for row in rows) == paid
    assert world.account.money.wallet == wallet - paid
    log = world.get("/v5/account/transaction-log", type="SETTLEMENT")["list"]
    assert sum(Decimal(row["funding"]) for row in log) == -paid
    assert [row["feeRate"] for row in log] == ["-0.0002", "0.0002"]


def test_the_two_leg_example_of_the_page() -> None:
    """As in docs/exchange.md, "Margin of both legs".

    L 6.2 @55.91368848, S 2.2 @55.53059536, mark 53.70, leverage 10, MMR 1 %.
    """
    plain = paper_listing("LTCUSDT")
    risk = [
        {**row, "maintenanceMargin": "0.01", "initialMargin": "0.02", "mmDeduction": ""}
        for row in plain.risk_rows[:1]
    ]
    market = Market(listing_of_rows(plain.row, risk), Depth(Decimal(20_000), 1), ZERO)
    world = PaperWorld([market], [paper_account(deposit="1000")])
    world.trade("55.00", symbol="LTCUSDT")
    pair = world.account.book(market.listing).pair
    pair.long.open(Decimal("6.2"), Decimal("55.91368848"))
    pair.short.open(Decimal("2.2"), Decimal("55.53059536"))
    pair.changed()
    world.quote(symbol="LTCUSDT", mark_price="53.70")
    long, short = world.get("/v5/position/list", symbol="LTCUSDT")["list"]
    step = Decimal("1E-8")
    assert Decimal(long["positionIM"]).quantize(step, ROUND_DOWN) == Decimal("33.52648911")
    assert Decimal(long["positionMM"]).quantize(step, ROUND_DOWN) == Decimal("2.38048911")
    assert Decimal(short["positionIM"]).quantize(step, ROUND_DOWN) == Decimal("0.14782244")
    assert Decimal(short["positionMM"]).quantize(step, ROUND_DOWN) == Decimal("0.14782244")


# liquidation


def ruined(deposit: str = "1000", **order: Any) -> PaperWorld:
    world = PaperWorld(accounts=[paper_account(deposit=deposit)])
    world.trade("60000.0", SideType.BUY)
    world.place(price=None, **order)
    return world


@pytest.mark.parametrize(("side", "leg", "toward"), [("Buy", 1, -1), ("Sell", 2, 1)])
def test_liquidation_happens_at_the_price_that_the_position_shows(
    side: str, leg: int, toward: int
) -> None:
    world = ruined(side=side, leg=leg, qty="0.1")
    world.place(side=side, leg=leg, price="59000" if leg == 1 else "61000", qty="0.001")
    shown = Decimal(world.position(leg)["liqPrice"])
    before = shown - toward * Decimal("0.01")
    world.quote(mark_price=str(before.quantize(Decimal("0.01"))))
    assert world.position(leg)["size"] == "0.100"
    world.quote(mark_price=str((shown + toward * Decimal("0.01")).quantize(Decimal("0.01"))))
    assert world.position(leg)["size"] == "0"
    assert not world.account.open_orders
    bust = world.get("/v5/execution/list", execType="BustTrade")["list"][0]
    assert bust["createType"] == "CreateByTakeOver_PassThrough"
    assert bust["execFee"] == "0"
    cancelled = world.get("/v5/order/history", orderStatus="Cancelled")["list"][0]
    assert cancelled["cancelType"] == "CancelAllBeforeLiq"
    assert 0 <= world.account.money.wallet < Decimal("1E-6")
    # what was left of the maintenance margin went to the fund
    assert world.exchange.take_over.insurance_fund > 0
    assert world.get("/v5/account/transaction-log", type="LIQUIDATION")["list"]
    check(world)


@settings(max_examples=60, deadline=None)
@given(
    long=st.integers(0, 150), short=st.integers(0, 150), gap=st.decimals("-0.6", "1.5", places=3)
)
def test_a_gap_never_leaves_an_account_below_zero(long: int, short: int, gap: Decimal) -> None:
    world = PaperWorld(accounts=[paper_account(deposit="1500", leverage="20")])
    world.trade("60000.0", SideType.BUY)
    for leg, side, qty in ((1, "Buy", long), (2, "Sell", short)):
        if qty:
            params = order_params(side, None, str(Decimal(qty) / 1000), leg)
            world.reply("POST", "/v5/order/create", params)
            world.advance(3)
    equity_before = world.account.money.equity()
    price = (60_000 * (1 + gap)).quantize(Decimal("0.1"))
    pair = world.account.book(world.exchange.market("BTCUSDT").listing).pair
    net = pair.net_size
    fund = world.exchange.take_over.insurance_fund
    world.trade(price)
    equity = equity_before + net * (price - 60_000)
    check(world)
    liquidated = any(one.exec_type is ExecType.BUST for one in world.account.executions)
    if not liquidated:
        return
    # nothing is made or lost: what the account does not keep is the fund's, and the reverse
    moved = world.exchange.take_over.insurance_fund - fund
    paid_in = world.account.insured
    assert moved + world.account.money.wallet == pytest.approx(equity, abs=Decimal("1E-6"))
    assert paid_in >= 0


def test_two_symbols_are_taken_over_together_and_come_out_at_zero() -> None:
    world = PaperWorld([paper_market(), paper_market("ETHUSDT")], [paper_account(deposit="2000")])
    world.trade("60000.0", SideType.BUY)
    world.trade("3000.00", SideType.BUY, symbol="ETHUSDT")
    world.place(price=None, qty="0.15")
    world.place(side="Sell", leg=2, price=None, qty="2", symbol="ETHUSDT")
    world.trade("3200.00", symbol="ETHUSDT")
    world.trade("50000.0")
    assert not any(book.pair.is_open for book in world.account.books.values())
    assert 0 <= world.account.money.wallet < Decimal("1E-5")
    check(world)


def test_adl_closes_at_the_mark_price_without_a_fee() -> None:
    world = ruined(deposit="10000", qty="0.1")
    fees = world.account.money.fees_paid
    world.quote(mark_price="60500.00")
    closed = world.exchange.operator.deleverage(world.account, "BTCUSDT", "long", Decimal("0.04"))
    assert closed == Decimal("0.04")
    row = world.get("/v5/execution/list", execType="AdlTrade")["list"][0]
    assert (row["execPrice"], row["execFee"], row["closedSize"]) == ("60500", "0", "0.040")
    assert world.account.money.fees_paid == fees
    assert world.position(1)["size"] == "0.060"
    assert world.exchange.operator.deleverage(world.account, "BTCUSDT", "short", Decimal(1)) == 0


def test_a_rebate_is_income() -> None:
    fees = FeeRates(maker=Decimal("-0.0001"), taker=Decimal("0.0005"))
    world = PaperWorld(accounts=[paper_account(fees=fees)])
    world.trade("60000.0")
    world.place(price="59000", qty="0.1")
    world.trade("58999.9")
    assert world.account.money.wallet == 10_000 + Decimal("0.59")
    check(world)
