"""The simulated account: conservation, margin as the exchange computes it, where it dies."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exchange_model.account.simulated_account import FeeRates, SimulatedAccount, SimulatedPair
from gridcore import DirectionType, MMTier, MMTiers

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
ONE_TIER = MMTiers((MMTier(Decimal(2_000_000), Decimal("0.01"), Decimal("0.02"), Decimal(0)),))
LADDER = MMTiers(
    (
        MMTier(Decimal(20_000), Decimal("0.005"), Decimal("0.01"), Decimal(0)),
        MMTier(Decimal(60_000), Decimal("0.01"), Decimal("0.02"), Decimal(100)),
        MMTier(Decimal(10_000_000), Decimal("0.025"), Decimal("0.05"), Decimal(1_000)),
    )
)


def account(deposit: str = "10000", fees: FeeRates | None = None) -> SimulatedAccount:
    return SimulatedAccount(Decimal(deposit), fees)


def pair_of(
    of: SimulatedAccount, name: str = "one", tiers: MMTiers = ONE_TIER, symbol: str = "LTCUSDT"
) -> SimulatedPair:
    return of.add_pair(name, symbol, Decimal(10), tiers)


def hold(
    of: SimulatedAccount, pair: SimulatedPair, direction: DirectionType, qty: str, price: str
) -> None:
    of.fill(pair, direction, Decimal(qty), Decimal(price), closing=False, fee_rate=Decimal(0))


def test_margins_of_a_hedged_pair_as_recorded_on_the_exchange() -> None:
    # docs/exchange.md, "Margin of both legs": the recorded rows, to 1e-8
    of = account()
    pair = pair_of(of)
    hold(of, pair, LONG, "6.2", "55.91368848")
    hold(of, pair, SHORT, "2.2", "55.53059536")
    pair.mark_price = Decimal("53.70")
    long, short = pair.margins()
    hair = Decimal("1e-8")
    assert abs(long.initial - Decimal("33.52648911")) < hair
    assert abs(long.maintenance - Decimal("2.38048911")) < hair
    assert abs(short.initial - Decimal("0.14782244")) < hair
    assert abs(short.maintenance - Decimal("0.14782244")) < hair
    assert pair.initial_margin() == long.initial + short.initial


def test_a_leg_is_not_closed_beyond_its_size() -> None:
    of = account()
    pair = pair_of(of)
    hold(of, pair, LONG, "1", "50")
    with pytest.raises(ValueError, match=r"cannot close 1\.1, only 1 is held"):
        of.fill(pair, LONG, Decimal("1.1"), Decimal(50), closing=True)


def test_legs_have_one_name_each() -> None:
    of = account()
    pair_of(of)
    with pytest.raises(ValueError, match="called 'one' already"):
        pair_of(of)


def test_no_value_without_a_price() -> None:
    of = account()
    pair = pair_of(of)
    assert of.equity() == 10_000  # nothing is held, so nothing has to be valued
    hold(of, pair, LONG, "1", "50")
    with pytest.raises(ValueError, match="no mark price yet"):
        of.equity()


quantities = st.decimals("0.001", "50", places=3)
prices = st.decimals("1", "100000", places=2)


@settings(max_examples=150, deadline=None)
@given(
    flow=st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from([LONG, SHORT]),
            st.booleans(),
            quantities,
            prices,
            st.sampled_from(["0.0002", "0.00055", "-0.0001", "0"]),
        ),
        max_size=30,
    ),
    funding=st.lists(st.tuples(prices, st.decimals("-0.01", "0.01", places=6)), max_size=4),
    mark=prices,
)
def test_conservation_over_random_flow(
    flow: list[tuple[str, DirectionType, bool, Decimal, Decimal, str]],
    funding: list[tuple[Decimal, Decimal]],
    mark: Decimal,
) -> None:
    of = account()
    pairs = {name: pair_of(of, name) for name in ("a", "b")}
    cash = Fraction(of.wallet)  # a plain ledger: what is bought is paid for, what is sold is paid
    sizes: dict[tuple[str, DirectionType], Fraction] = {}
    for name, direction, closing, qty, price, rate in flow:
        pair = pairs[name]
        held = pair.leg(direction).size
        if closing:
            if not held:
                continue
            qty = min(qty, held)  # noqa: PLW2901 - the drawn quantity, cut to what can be closed
        of.fill(pair, direction, qty, price, closing=closing, fee_rate=Decimal(rate))
        cash -= Fraction(qty) * Fraction(price) * Fraction(Decimal(rate))
        bought = (direction is LONG) is not closing
        cash += Fraction(qty) * Fraction(price) * (-1 if bought else 1)
        key = name, direction
        sizes[key] = sizes.get(key, Fraction(0)) + (Fraction(-qty) if closing else Fraction(qty))
    for at, rate in funding:
        for (name, direction), size in sizes.items():
            of.settle_funding(pairs[name], direction, at, rate)
            paid = size * Fraction(at) * Fraction(rate)
            cash -= paid if direction is LONG else -paid
    held = {LONG: 1, SHORT: -1}
    worth = sum(size * Fraction(mark) * held[leg] for (_, leg), size in sizes.items())
    for pair in pairs.values():
        pair.mark_price = mark
    assert Fraction(of.equity()) == cash + worth
    assert of.wallet == of.deposits + of.realised_pnl - of.fees_paid - of.funding_paid
    for (name, direction), size in sizes.items():
        assert Fraction(pairs[name].leg(direction).size) == size
    for pair in pairs.values():
        by_leg = pair.long.unrealised_pnl(mark) + pair.short.unrealised_pnl(mark)
        assert abs(pair.unrealised_pnl() - by_leg) < Decimal("1e-12")
        both = sum(margin.initial for margin in pair.margins())
        assert abs(pair.initial_margin() - both) < Decimal("1e-12")


@settings(max_examples=200, deadline=None)
@given(
    legs=st.lists(
        st.tuples(st.sampled_from([LONG, SHORT]), st.decimals("0.01", "30", places=2)),
        min_size=1,
        max_size=4,
    ),
    pair_count=st.integers(1, 3),
    deposit=st.integers(200, 60_000),
)
def test_the_account_dies_exactly_at_its_liquidation_prices(
    legs: list[tuple[DirectionType, Decimal]], pair_count: int, deposit: int
) -> None:
    of = account(str(deposit))
    pairs = [pair_of(of, str(number), LADDER) for number in range(pair_count)]
    entry = Decimal(2_000)
    for number, (direction, qty) in enumerate(legs):
        hold(of, pairs[number % pair_count], direction, str(qty), str(entry + number))
    for pair in pairs:
        pair.mark_price = entry
    assume(not of.is_liquidatable())
    low, high = of.liquidation_range("LTCUSDT")
    # the formula works with rounded entries, whose error counts by all that is held, per net size
    held = sum((pair.long.size + pair.short.size for pair in pairs), Decimal(0))
    net = abs(sum((pair.net_size for pair in pairs), Decimal(0)))
    hair = Decimal("1e-9") + (Decimal("1e-10") * held / net if net else Decimal(0))
    for edge, inwards in ((low, hair), (high, -hair)):
        if edge is None or edge < Decimal("0.001"):
            continue
        for price, dies in ((edge + inwards, False), (edge - inwards, True)):
            for pair in pairs:
                pair.mark_price = price
            assert of.is_liquidatable() is dies, (edge, price)
    # without an edge no price on that side kills it
    for price, edge in ((Decimal("0.01"), low), (Decimal(10**9), high)):
        for pair in pairs:
            pair.mark_price = price
        if edge is None:
            assert not of.is_liquidatable()


@settings(max_examples=100, deadline=None)
@given(
    long=st.decimals("0", "30", places=2),
    short=st.decimals("0", "30", places=2),
    deposit=st.integers(100, 30_000),
)
def test_at_the_bankruptcy_price_nothing_is_left_and_nothing_is_owed(
    long: Decimal, short: Decimal, deposit: int
) -> None:
    of = account(str(deposit))
    pair = pair_of(of)
    for direction, qty in ((LONG, long), (SHORT, short)):
        if qty:
            hold(of, pair, direction, str(qty), "2000")
    price = of.bankruptcy_price("LTCUSDT")
    if long == short:
        assert price is None
        return
    if price is None:
        assert long > short  # worth something even at price zero
        return
    for direction, qty in ((LONG, long), (SHORT, short)):
        if qty:
            of.fill(pair, direction, qty, price, closing=True, fee_rate=Decimal(0))
    assert 0 <= of.wallet < Decimal("1e-7")


def test_other_symbols_stand_behind_a_leg_at_their_marks() -> None:
    of = account("1000")
    first, second = pair_of(of, "a"), pair_of(of, "b", symbol="XRPUSDT")
    hold(of, first, LONG, "50", "100")
    first.mark_price = Decimal(100)
    alone = of.liquidation_range("LTCUSDT")[0]
    assert alone is not None
    hold(of, second, LONG, "100", "1")
    second.mark_price = Decimal("3")  # 200 USDT of profit
    richer = of.liquidation_range("LTCUSDT")[0]
    assert richer is not None
    assert richer < alone
    second.mark_price = Decimal("0.5")
    poorer = of.liquidation_range("LTCUSDT")[0]
    assert poorer is not None
    assert poorer > alone
