"""The split of the difference adds up exactly, and each cause is worth what it should be."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparator.columns.errors import ComparatorError, SplitError
from comparator.columns.trades import NormalizedTrade, Source, TradeTable
from comparator.match.matcher import MatchResult, TradeMatcher
from comparator.money.funding import FundingPaid
from comparator.money.split import Circumstances, PnlSplit, SplitCause, SymbolMarks, split_pnl
from gridcore import DirectionType, SideType

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
HOUR_US = 3_600_000_000
MARKS = {"X": SymbolMarks(Decimal(100), Decimal(110))}

prices = st.decimals("0.0001", "99999", allow_nan=False, places=4)
quantities = st.decimals("0.001", "1000", allow_nan=False, places=3)
money = st.decimals("-1000", "1000", allow_nan=False, places=9)
symbols = st.sampled_from(["X", "Y"])
legs = st.sampled_from(DirectionType)


def trades_of(source: Source) -> st.SearchStrategy[list[NormalizedTrade]]:
    return st.lists(
        st.builds(
            NormalizedTrade,
            client_order_id=st.sampled_from("abcd"),
            symbol=symbols,
            side=st.sampled_from(SideType),
            price=prices,
            qty=quantities,
            fee=st.one_of(st.none(), money),
            realized_pnl=st.one_of(st.none(), money),
            ts_us=st.integers(0, 48 * HOUR_US),
            source=st.just(source),
            direction=legs,
        ),
        max_size=12,
    )


payments = st.lists(
    st.builds(
        FundingPaid,
        st.sampled_from([8 * HOUR_US, 16 * HOUR_US, 24 * HOUR_US]),
        symbols,
        legs,
        money,
        st.one_of(st.none(), money),
    ),
    max_size=6,
)
starts = st.dictionaries(st.tuples(symbols, legs), quantities, max_size=4)


@pytest.mark.untraced
@settings(deadline=None)
@given(
    trades_of(Source.LIVE),
    trades_of(Source.BACKTEST),
    st.tuples(prices, prices, prices, prices),
    payments,
    payments,
    starts,
    starts,
    st.integers(0, 3),
)
def test_the_causes_always_add_up_to_the_difference(
    live: list[NormalizedTrade],
    backtest: list[NormalizedTrade],
    marks: tuple[Decimal, Decimal, Decimal, Decimal],
    live_funding: list[FundingPaid],
    backtest_funding: list[FundingPaid],
    live_start: dict[tuple[str, DirectionType], Decimal],
    backtest_start: dict[tuple[str, DirectionType], Decimal],
    outside: int,
) -> None:
    result = TradeMatcher().match(live, backtest)
    given_marks = {"X": SymbolMarks(*marks[:2]), "Y": SymbolMarks(*marks[2:])}
    split = split_pnl(
        result,
        Circumstances(
            marks=given_marks,
            live_funding=live_funding,
            backtest_funding=backtest_funding,
            live_start=live_start,
            backtest_start=backtest_start,
            outside_live=result.live_only_rows[:outside],
            outside_backtest=result.backtest_only_rows[:outside],
        ),
    )
    assert split.residue == 0
    # both totals by plain fractions, one trade after the other
    assert Fraction(split.live) == plain_profit(live, given_marks, live_start, live_funding)
    assert Fraction(split.backtest) == plain_profit(
        backtest, given_marks, backtest_start, backtest_funding
    )
    causes = sum((Fraction(worth) for worth in split.causes.values()), Fraction(0))
    assert causes == Fraction(split.live) - Fraction(split.backtest)


def plain_profit(
    trades: list[NormalizedTrade],
    marks: dict[str, SymbolMarks],
    start: dict[tuple[str, DirectionType], Decimal],
    funding: list[FundingPaid],
) -> Fraction:
    profit = Fraction(0)
    for one in trades:
        gain = Fraction(one.qty) * (Fraction(marks[one.symbol].end) - Fraction(one.price))
        profit += gain if one.side is BUY else -gain
        profit -= Fraction(one.fee or 0)
    for (symbol, leg), size in start.items():
        change = Fraction(size) * (Fraction(marks[symbol].end) - Fraction(marks[symbol].start))
        profit += change if leg is LONG else -change
    return profit - sum((Fraction(paid.paid) for paid in funding), Fraction(0))


def trade(source: Source, **changes: object) -> NormalizedTrade:
    one = NormalizedTrade(
        client_order_id="a",
        symbol="X",
        side=BUY,
        price=Decimal(105),
        qty=Decimal(2),
        fee=Decimal("0.1"),
        realized_pnl=Decimal(0),
        ts_us=HOUR_US,
        source=source,
        direction=LONG,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def worth_of(
    live: list[NormalizedTrade], backtest: list[NormalizedTrade], **given_too: object
) -> dict[SplitCause, Decimal]:
    result = TradeMatcher().match(live, backtest)
    split = split_pnl(result, Circumstances(marks=MARKS, **given_too))  # type: ignore[arg-type]
    return {cause: worth for cause, worth in split.causes.items() if worth}


def live(**changes: object) -> list[NormalizedTrade]:
    return [trade(Source.LIVE, **changes)]


def backtest(**changes: object) -> list[NormalizedTrade]:
    return [trade(Source.BACKTEST, **changes)]


@pytest.mark.parametrize(
    ("ours", "theirs", "cause", "worth"),
    [
        (live(), [], SplitCause.MISSED_FILLS, "9.9"),  # 2 x (110 - 105) - 0.1
        ([], backtest(), SplitCause.PHANTOM_FILLS, "-9.9"),
        (live(side=SELL), [], SplitCause.MISSED_FILLS, "-10.1"),
        (live(price=Decimal(104)), backtest(), SplitCause.PRICE, "2"),
        (live(price=Decimal(104), side=SELL), backtest(side=SELL), SplitCause.PRICE, "-2"),
        (live(qty=Decimal(3)), backtest(), SplitCause.QUANTITY, "5"),
        (live(fee=Decimal("0.3")), backtest(), SplitCause.FEES, "-0.2"),
        (live(ts_us=5 * HOUR_US), backtest(), None, "0"),
    ],
)
def test_each_cause_is_worth_its_own_effect(
    ours: list[NormalizedTrade],
    theirs: list[NormalizedTrade],
    cause: SplitCause | None,
    worth: str,
) -> None:
    expected = {} if cause is None else {cause: Decimal(worth)}
    assert worth_of(ours, theirs) == expected


def test_price_and_quantity_together_are_told_apart() -> None:
    found = worth_of(live(price=Decimal(104), qty=Decimal(3)), backtest())
    assert found == {SplitCause.PRICE: Decimal(2), SplitCause.QUANTITY: Decimal(6)}


def paid(amount: str, per_unit: str | None = "0.5", ts_us: int = 8 * HOUR_US) -> FundingPaid:
    each = None if per_unit is None else Decimal(per_unit)
    return FundingPaid(ts_us, "X", LONG, Decimal(amount), each)


def test_a_fill_after_a_settlement_instead_of_before_is_a_matter_of_timing() -> None:
    """The backtest held 2 at the settlement and paid 0.5 for each; live bought an hour later."""
    found = worth_of(
        live(ts_us=9 * HOUR_US), backtest(ts_us=7 * HOUR_US), backtest_funding=[paid("1")]
    )
    assert found == {SplitCause.TIMING: Decimal(1)}


@pytest.mark.parametrize(
    ("ours_us", "theirs_us", "timing"),
    [
        (7 * HOUR_US, 9 * HOUR_US, "-1"),
        (8 * HOUR_US, 7 * HOUR_US, "1"),  # at the settlement itself the trade was not there yet
        (8 * HOUR_US, 9 * HOUR_US, "0"),
        (7 * HOUR_US, 6 * HOUR_US, "0"),
    ],
)
def test_which_side_of_a_settlement_a_fill_is_on(ours_us: int, theirs_us: int, timing: str) -> None:
    result = TradeMatcher().match(live(ts_us=ours_us), backtest(ts_us=theirs_us))
    funding = [paid("1")]
    split = split_pnl(
        result, Circumstances(marks=MARKS, live_funding=funding, backtest_funding=funding)
    )
    assert split.causes[SplitCause.TIMING] == Decimal(timing)
    assert split.causes[SplitCause.FUNDING] == -Decimal(timing)


def test_a_close_over_a_settlement_counts_the_other_way() -> None:
    changes = {"side": SELL, "direction": LONG}
    found = worth_of(
        live(ts_us=9 * HOUR_US, **changes),
        backtest(ts_us=7 * HOUR_US, **changes),
        live_funding=[paid("1")],
    )
    assert found == {SplitCause.TIMING: Decimal(-1)}


def test_another_rate_is_funding_and_unknown_rates_too() -> None:
    both = live(), backtest()
    assert worth_of(*both, live_funding=[paid("1.25")], backtest_funding=[paid("1")]) == {
        SplitCause.FUNDING: Decimal("-0.25")
    }
    late = live(ts_us=9 * HOUR_US), backtest(ts_us=7 * HOUR_US)
    assert worth_of(*late, backtest_funding=[paid("1", per_unit=None)]) == {
        SplitCause.FUNDING: Decimal(1)
    }


def test_a_partner_outside_the_range_is_timing() -> None:
    assert worth_of(live(), [], outside_live=np.array([0])) == {SplitCause.TIMING: Decimal("9.9")}
    assert worth_of([], backtest(), outside_backtest=np.array([0])) == {
        SplitCause.TIMING: Decimal("-9.9")
    }


def test_a_symbol_without_a_price_is_refused() -> None:
    result = TradeMatcher().match(live(symbol="Z"), [])
    with pytest.raises(ComparatorError, match="Z: there is no price"):
        split_pnl(result, Circumstances(marks=MARKS))
    result = TradeMatcher().match([], [])
    start = {("Z", LONG): Decimal(1)}
    with pytest.raises(ComparatorError, match="Z: there is no price"):
        split_pnl(result, Circumstances(marks=MARKS, live_start=start))


def test_a_residue_is_an_error_and_not_a_cause() -> None:
    """A pair whose two rows are not what the tables hold cannot be split."""
    ours = TradeTable.of_trades(Source.LIVE, [*live(), *live(client_order_id="b")])
    theirs = TradeTable.of_trades(Source.BACKTEST, backtest())
    twice = MatchResult(ours, theirs, np.array([0, 1]), np.array([0, 0]))
    with pytest.raises(SplitError, match=r"the causes add up to .* USDT are left over"):
        split_pnl(twice, Circumstances(marks=MARKS))


def test_a_residue_is_what_the_causes_leave() -> None:
    split = PnlSplit(live=Decimal(3), backtest=Decimal(1), causes={SplitCause.FEES: Decimal("1.5")})
    assert (split.delta, split.residue) == (Decimal(2), Decimal("0.5"))
