"""Exact columns against Python's own decimals."""

from decimal import Context, Decimal, localcontext

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparator.columns.errors import ComparatorError
from comparator.columns.exact import (
    Exact,
    constant,
    exact_sum,
    negated,
    of_column,
    of_decimals,
    of_texts,
    units_of,
)

amounts = st.decimals(
    min_value=Decimal("-1e12"), max_value=Decimal("1e12"), allow_nan=False, places=6
)
maybe = st.one_of(st.none(), amounts)


@settings(deadline=None)
@given(st.lists(maybe))
def test_values_come_back_as_they_were(values: list[Decimal | None]) -> None:
    texts = [None if value is None else format(value, "f") for value in values]
    column = of_texts(pl.Series(texts, dtype=pl.String), "amount")
    assert column.decimals() == values
    assert of_decimals(values).decimals() == values
    again = [None if text is None else Decimal(text) for text in column.texts()]
    assert again == values


@settings(deadline=None)
@given(st.lists(st.tuples(amounts, amounts, st.booleans()), min_size=1))
def test_arithmetic_is_that_of_decimals(rows: list[tuple[Decimal, Decimal, bool]]) -> None:
    left, right = of_decimals([a for a, _, _ in rows]), of_decimals([b for _, b, _ in rows])
    flags = pl.Series([flag for _, _, flag in rows])
    with localcontext(Context(prec=60)):
        assert (left + right).decimals() == [a + b for a, b, _ in rows]
        assert (left - right).decimals() == [a - b for a, b, _ in rows]
        assert (left * right).decimals() == [a * b for a, b, _ in rows]
        assert (-left).decimals() == [-a for a, _, _ in rows]
        assert left.abs().decimals() == [abs(a) for a, _, _ in rows]
        assert left.signed(flags).decimals() == [a if flag else -a for a, _, flag in rows]
        assert left.total() == exact_sum(a for a, _, _ in rows) == sum(a for a, _, _ in rows)


@settings(deadline=None)
@given(st.lists(st.tuples(amounts.filter(lambda a: a > 0), st.integers(1, 10**6)), min_size=1))
def test_quotients_are_rounded_half_up(rows: list[tuple[Decimal, int]]) -> None:
    over = of_decimals([a for a, _ in rows])
    under = of_decimals([Decimal(b) for _, b in rows])
    with localcontext(Context(prec=60)):
        expected = [(a / b).quantize(Decimal("1E-12"), rounding="ROUND_HALF_UP") for a, b in rows]
    assert over.rounded_quotient(under, 12).decimals() == expected


def test_texts_with_exponents_signs_and_blanks_are_read() -> None:
    column = of_texts(pl.Series(["1e-8", " 5 ", "", None, "-0.10", "+3", "2E+3", ".5"]), "x")
    assert column.decimals() == [
        Decimal("1E-8"), Decimal(5), None, None, Decimal("-0.1"), Decimal(3), Decimal(2000),
        Decimal("0.5"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["x", "1,5", "NaN", "inf", "1.2.3", "--1", "1 2"])
def test_what_is_no_number_is_named_with_its_row(text: str) -> None:
    with pytest.raises(ComparatorError, match=r"price of row 2 is .* no number"):
        of_texts(pl.Series(["1", text]), "price")


def test_more_digits_than_128_bits_hold_are_refused_not_wrapped() -> None:
    large = of_decimals([Decimal(10**30)])
    with pytest.raises(ComparatorError, match="more than 38 digits"):
        _ = large * large
    with pytest.raises(ComparatorError, match="more than 38 digits"):
        large.at(20)
    with pytest.raises(ComparatorError, match="more than 38 digits"):
        of_decimals([Decimal(10**40)])
    many = Exact(pl.Series([2**120] * 100, dtype=pl.Int128), 0)
    with pytest.raises(ComparatorError, match="a sum needs more"):
        many.total()
    with pytest.raises(ComparatorError, match="decimals; at most"):
        of_texts(pl.Series(["0." + "1" * 31]), "x")


def test_long_values_are_not_rounded_to_the_context() -> None:
    long = Decimal("12345678901234567890.123456789012345678")
    assert negated(long) == Decimal("-12345678901234567890.123456789012345678")
    assert exact_sum([long, negated(long), Decimal("1E-18")]) == Decimal("1E-18")
    assert of_decimals([long]).decimals() == [long]


def test_columns_of_files_are_exact_or_refused() -> None:
    decimals = pl.Series([Decimal("1.50"), Decimal("2")], dtype=pl.Decimal(38, 18))
    assert of_column(decimals, "x").decimals() == [Decimal("1.5"), Decimal(2)]
    assert of_column(pl.Series([1, 2]), "x").decimals() == [Decimal(1), Decimal(2)]
    with pytest.raises(ComparatorError, match="x holds Float64, which is not exact"):
        of_column(pl.Series([0.1]), "x")


def test_idle_places_are_dropped() -> None:
    texts = pl.Series(["1.50000000000000000000", "-20.0", "0.00"])
    column = of_texts(texts, "x")
    assert column.places == 1
    assert column.decimals() == [Decimal("1.5"), Decimal(-20), Decimal(0)]
    assert of_texts(pl.Series(["100", None]), "x").places == 0


def test_a_constant_repeats_and_more_places_are_refused() -> None:
    assert constant(Decimal("0.5"), 3).decimals() == [Decimal("0.5")] * 3
    with pytest.raises(ValueError, match="more than 1 places"):
        units_of(Decimal("0.55"), 1)
    with pytest.raises(ValueError, match="do not fit into 0"):
        of_decimals([Decimal("0.5")]).at(0)
    with pytest.raises(ComparatorError, match="no finite number"):
        of_decimals([Decimal("NaN")])


def test_unknown_values_are_left_out_of_sums_and_known_as_zero() -> None:
    column = of_decimals([Decimal(1), None, Decimal(2)])
    assert column.total() == 3
    assert column.known().decimals() == [Decimal(1), Decimal(0), Decimal(2)]
    assert column.value(1) is None
    assert of_decimals([]).total() == 0
