"""How much to order: three forms, every factor, rounded up once, then the contract's limits."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import AmountError, AmountKind, AmountSpec, InstrumentInfo, order_qty
from gridcore.qty import OrderSize, OrderSizer, order_size
from testkit.builders import btcusdt

LAWS = settings(max_examples=300, deadline=None, derandomize=True)


def qty(amount: str, price: str = "60000", **changes: Any) -> Decimal | None:
    arguments: dict[str, Any] = {"opening": True, "wallet_balance": Decimal(10_000)}
    info = changes.pop("info", btcusdt())
    return order_qty(AmountSpec.parse(amount), Decimal(price), info, **(arguments | changes))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("100", AmountKind.USDT, "100"),
        ("12.5", AmountKind.USDT, "12.5"),
        ("x0.001", AmountKind.WALLET_SHARE, "0.001"),
        ("b0.001", AmountKind.BASE, "0.001"),
        ("1e2", AmountKind.USDT, "100"),
    ],
)
def test_the_three_forms(text: str, kind: AmountKind, value: str) -> None:
    assert AmountSpec.parse(text) == AmountSpec(kind, Decimal(value))


@pytest.mark.parametrize(
    "text",
    ["5%", "", "x", "b", "-1", "0", "x0", "b-1", "NaN", "xNaN", "Infinity", "1_000", " 100",
     "100 ", "x 1", "USDT", "X0.1", "y5", "0x10", "1,5", "xx1", "--1"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_forms_named(text: str) -> None:
    with pytest.raises(AmountError) as refusal:
        AmountSpec.parse(text)
    for form in ('"100"', '"x0.001"', '"b0.001"'):
        assert form in str(refusal.value)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("value", [100, 100.0, None, Decimal(100), b"100"])
def test_an_amount_is_text(value: Any) -> None:
    with pytest.raises(AmountError, match="write it as text"):
        AmountSpec.parse(value)


def test_usdt_per_order() -> None:
    assert qty("120") == Decimal("0.002")  # 120 / 60000, on the step exactly
    assert qty("121") == Decimal("0.003")  # one hair more: rounded up
    assert qty("100", "50") == 2


def test_share_of_the_wallet() -> None:
    assert qty("x0.012") == Decimal("0.002")  # 10000 x 0.012 = 120 USDT
    assert qty("x0.0121") == Decimal("0.003")


def test_base_currency() -> None:
    assert qty("b0.002") == Decimal("0.002")
    assert qty("b0.0021") == Decimal("0.003")


@pytest.mark.parametrize("balance", [None, Decimal(0), Decimal(-5)])
def test_a_share_of_an_unknown_or_empty_wallet_is_no_order(balance: Decimal | None) -> None:
    assert qty("x0.01", wallet_balance=balance) is None
    assert qty("b0.002", wallet_balance=balance) == Decimal("0.002")
    assert qty("120", wallet_balance=balance) == Decimal("0.002")


def test_rounding_up_happens_once_after_all_factors() -> None:
    # 0.0015 x 2 = 0.003 exactly; rounded first it would be 0.004
    assert qty("b0.0015", multiplier=2.0) == Decimal("0.003")
    # 0.003 x 0.5 x 1.5 = 0.00225
    assert qty("b0.003", multiplier=0.5, long_koef=Decimal("1.5")) == Decimal("0.003")
    # 0.1 + 0.2 in floats would push this over the step
    assert qty("b0.1", multiplier=1.5, long_koef=Decimal(2)) == Decimal("0.300")


def test_raised_to_the_smallest_quantity() -> None:
    info = btcusdt(min_qty=Decimal("0.010"), min_notional=Decimal(0))
    assert qty("b0.001", info=info) == Decimal("0.010")
    assert qty("b0.001", info=info, opening=False) == Decimal("0.010")


def test_raised_to_the_smallest_notional_when_opening_only() -> None:
    assert qty("b0.001", "1000") == Decimal("0.005")  # 5 USDT / 1000
    assert qty("b0.001", "1000", opening=False) == Decimal("0.001")
    assert qty("b0.001", "999") == Decimal("0.006")  # 5 / 999 = 0.005005...


def test_cut_to_the_largest_quantity() -> None:
    info = btcusdt(max_qty=Decimal(2))
    assert qty("b5", info=info) == 2
    assert qty("b2", info=info) == 2
    assert qty("b5", info=info, opening=False) == 2


def test_a_multiplier_never_halves_below_the_smallest() -> None:
    assert qty("b0.001", multiplier=0.5, opening=False) == Decimal("0.001")


@LAWS
@given(
    st.sampled_from(["usdt", "wallet", "base"]),
    st.integers(1, 10**7),
    st.integers(1, 10**9),
    st.sampled_from([0.5, 1.0, 1.5, 2.0]),
    st.sampled_from(["1", "1.1", "0.7"]),
    st.booleans(),
)
def test_the_least_multiple_of_the_step_that_is_enough(
    form: str, amount: int, price_ticks: int, multiplier: float, koef: str, opening: bool
) -> None:
    info = btcusdt()
    value, price = Decimal(amount).scaleb(-4), price_ticks * info.tick_size
    text = {"usdt": "", "wallet": "x", "base": "b"}[form] + f"{value:f}"
    got = qty(text, str(price), multiplier=multiplier, long_koef=Decimal(koef), opening=opening)
    assert got is not None
    wanted = Fraction(value) * Fraction(multiplier) * Fraction(koef)
    wanted *= 1 if form != "wallet" else 10_000
    wanted /= 1 if form == "base" else Fraction(price)
    wanted = max(wanted, Fraction(info.min_qty))
    if opening:
        wanted = max(wanted, Fraction(info.min_notional) / Fraction(price))
    assert got % info.qty_step == 0
    if got < info.max_qty:
        assert wanted <= Fraction(got) < wanted + Fraction(info.qty_step)
    else:
        assert got == info.max_qty
        assert wanted > Fraction(info.max_qty) - Fraction(info.qty_step)


@LAWS
@given(
    amount=st.sampled_from(["100", "0.07", "x0.001", "x0.3333", "b0.001", "b0.0123"]),
    ticks=st.lists(st.integers(1, 10**8), min_size=1, max_size=5),
    tick=st.sampled_from(["0.1", "0.00001", "0.25", "1E+1"]),
    step=st.sampled_from(["0.001", "1", "100", "0.5"]),
    multipliers=st.lists(st.sampled_from([1.0, 0.5, 1.5, 2.0]), min_size=1, max_size=4),
    koef=st.sampled_from(["1", "1.1", "0.75"]),
    wallets=st.lists(
        st.none() | st.decimals(-5, 10**7, places=7), min_size=1, max_size=4
    ),
    opening=st.booleans(),
)  # fmt: skip
def test_the_sizer_equals_the_definition(
    amount: str,
    ticks: list[int],
    tick: str,
    step: str,
    multipliers: list[float],
    koef: str,
    wallets: list[Decimal | None],
    opening: bool,
) -> None:
    qty_step, tick_size = Decimal(step), Decimal(tick)
    info = InstrumentInfo(
        "XUSDT", tick_size, qty_step, qty_step * 2, Decimal(5), qty_step * 100_000
    )
    spec = AmountSpec.parse(amount)
    sizer = OrderSizer(spec, info)
    for wallet in wallets:
        for multiplier in multipliers:
            for price_ticks in ticks:
                expected = order_qty(
                    spec,
                    tick_size * price_ticks,
                    info,
                    opening=opening,
                    multiplier=multiplier,
                    long_koef=Decimal(koef),
                    wallet_balance=wallet,
                )
                found = sizer.qty(
                    price_ticks,
                    opening=opening,
                    multiplier=multiplier,
                    long_koef=Decimal(koef),
                    wallet_balance=wallet,
                )
                assert found == expected


# what was asked for, and what is placed


def size(amount: str, price: str = "60000", **changes: Any) -> OrderSize:
    arguments: dict[str, Any] = {"opening": True, "wallet_balance": Decimal(10_000)}
    info = changes.pop("info", btcusdt())
    found = order_size(AmountSpec.parse(amount), Decimal(price), info, **(arguments | changes))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("amount", "changes", "asked", "placed"),
    [
        ("1", {}, "1", "60"),  # the smallest order
        ("100", {}, "100", "120"),  # the step
        ("120", {}, "120", "120"),
        ("x0.0001", {}, "1", "60"),
        ("x0.012", {}, "120", "120"),
        ("b0.0001", {}, "6", "60"),
        ("b0.002", {}, "120", "120"),
        ("60", {"long_koef": Decimal("0.1")}, "6", "60"),
        ("60", {"multiplier": 1.5}, "90", "120"),
        ("60", {"multiplier": 0.5}, "30", "60"),
    ],
)
def test_asked_and_placed(amount: str, changes: dict[str, Any], asked: str, placed: str) -> None:
    found = size(amount, **changes)
    assert (found.asked_usdt, found.placed_usdt) == (Decimal(asked), Decimal(placed))
    assert found.factor == Fraction(placed) / Fraction(asked)


def test_the_notional_enlarges_an_opening_order_and_no_closing_one() -> None:
    info = btcusdt(min_notional=Decimal(150))
    assert size("60", info=info).placed_usdt == 180
    assert size("60", info=info, opening=False).placed_usdt == 60


def test_the_largest_order_of_a_contract_makes_it_smaller() -> None:
    assert size("1000000", info=btcusdt(max_qty=Decimal("0.5"))).factor == Fraction(3, 100)


def test_a_share_of_an_unknown_wallet_asks_for_nothing() -> None:
    amount = AmountSpec.parse("x0.1")
    assert order_size(amount, Decimal(60_000), btcusdt(), opening=True) is None


@LAWS
@given(
    st.sampled_from(["0.7", "100", "x0.0003", "b0.0042"]),
    st.integers(1, 200_000),
    st.sampled_from([0.5, 1.0, 1.5, 2.0]),
)
def test_what_is_placed_is_what_the_strategy_places(
    amount: str, price: int, multiplier: float
) -> None:
    found = size(amount, str(price), multiplier=multiplier)
    assert found.qty == qty(amount, str(price), multiplier=multiplier)
    assert found.placed_usdt == found.qty * price
    assert found.factor * found.asked == Fraction(found.placed_usdt)
