"""Figures of a comparison, and what tells a spike from a drift."""

from dataclasses import replace
from decimal import Decimal
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparator.columns.exact import of_decimals
from comparator.columns.trades import NormalizedTrade, Source
from comparator.match.matcher import TradeMatcher
from comparator.money.metrics import (
    Breach,
    BreachKind,
    Tolerances,
    ValidationMetrics,
    calculate_metrics,
    correlation,
)
from comparator.money.spread import Shape, spread_of
from gridcore import DirectionType, SideType

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT


def trade(number: int, source: Source, **changes: object) -> NormalizedTrade:
    one = NormalizedTrade(
        client_order_id=f"id{number}",
        symbol="X",
        side=SideType.BUY,
        price=Decimal(100),
        qty=Decimal(2),
        fee=Decimal("0.04"),
        realized_pnl=Decimal(number),
        ts_us=number * 1_000_000,
        source=source,
        direction=LONG,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def measured(
    live: list[NormalizedTrade],
    backtest: list[NormalizedTrade],
    tolerances: Tolerances | None = None,
) -> ValidationMetrics:
    return calculate_metrics(TradeMatcher().match(live, backtest), tolerances)


def both(count: int) -> tuple[list[NormalizedTrade], list[NormalizedTrade]]:
    return (
        [trade(n, Source.LIVE) for n in range(count)],
        [trade(n, Source.BACKTEST) for n in range(count)],
    )


def test_equal_sides_have_no_difference() -> None:
    metrics = measured(*both(10))
    assert metrics.within_tolerance
    assert (metrics.match_rate, metrics.phantom_rate) == (1, 0)
    assert metrics.price is not None
    assert metrics.price.shape is Shape.NONE
    assert metrics.pnl_delta == metrics.fee_delta == 0
    assert metrics.pnl_correlation == 1.0


def test_rates_and_sums_hold_the_unmatched() -> None:
    live, backtest = both(4)
    metrics = measured(live[:3], [backtest[0], *backtest[2:]])
    assert (metrics.matched, metrics.live_only, metrics.backtest_only) == (2, 1, 1)
    assert metrics.match_rate == Decimal(2) / 3
    assert metrics.phantom_rate == Decimal(1) / 3
    assert metrics.live_volume == metrics.backtest_volume == 600
    assert (metrics.live_pnl, metrics.backtest_pnl) == (3, 5)
    assert metrics.pnl_delta == -2
    assert metrics.legs[LONG] == (2, 1, 1, Decimal(-2))
    assert metrics.legs[SHORT] == (0, 0, 0, Decimal(0))
    assert not metrics.within_tolerance
    assert metrics.breaches == ()


def test_figures_that_do_not_exist_are_none() -> None:
    metrics = measured([], [])
    assert metrics.match_rate is metrics.phantom_rate is None
    assert metrics.price is metrics.time_us is metrics.pnl_correlation is None
    assert metrics.within_tolerance


@pytest.mark.parametrize(
    ("changes", "tolerances", "kinds"),
    [
        ({"price": Decimal("100.5")}, {}, {BreachKind.PRICE}),
        ({"price": Decimal("100.5")}, {"price": "0.5"}, set()),
        ({"price": Decimal("99.4")}, {"price": "0.5"}, {BreachKind.PRICE}),
        ({"qty": Decimal("2.001")}, {}, {BreachKind.QUANTITY}),
        ({"qty": Decimal("2.001")}, {"qty": "0.001"}, set()),
        ({"fee": Decimal("0.05")}, {}, {BreachKind.FEE}),
        ({"fee": Decimal("0.04000001")}, {"fee": "0.00000001"}, set()),
        ({"fee": Decimal("0.04000002")}, {"fee": "0.00000001"}, {BreachKind.FEE}),
        # the backtest's rate of the live notional: a tolerated quantity is no fee beyond
        ({"qty": Decimal("2.5"), "fee": Decimal("0.05")}, {"qty": "1"}, set()),
        ({"qty": Decimal("2.5"), "fee": Decimal("0.06")}, {"qty": "1"}, {BreachKind.FEE}),
        ({"fee": None}, {}, set()),
        ({"realized_pnl": Decimal(7)}, {}, set()),
    ],
)
def test_tolerances(
    changes: dict[str, object], tolerances: dict[str, str], kinds: set[BreachKind]
) -> None:
    live, backtest = both(3)
    live[1] = replace(live[1], **changes)  # type: ignore[arg-type]
    limits = Tolerances(**{name: Decimal(text) for name, text in tolerances.items()})
    metrics = measured(live, backtest, limits)
    breach = (Breach("id1", 1),)
    assert {kind for kind, found in metrics.breach_kinds.items() if found} == kinds
    assert metrics.breaches == (breach if kinds else ())
    assert metrics.within_tolerance is not bool(kinds)


def test_a_pair_in_several_breaches_is_listed_once() -> None:
    live, backtest = both(2)
    live[0] = replace(live[0], price=Decimal(90), qty=Decimal(1), fee=Decimal(1))
    metrics = measured(live, backtest)
    assert metrics.breaches == (Breach("id0", 1),)
    assert all(found == metrics.breaches for found in metrics.breach_kinds.values())


@settings(deadline=None)
@given(st.lists(st.decimals("-1000", "1000", allow_nan=False, places=5), min_size=1))
def test_a_spread_is_that_of_the_sorted_values(values: list[Decimal]) -> None:
    spread = spread_of(of_decimals(list(values)))
    assert spread is not None
    sizes = sorted(abs(value) for value in values)
    assert spread.maximum == sizes[-1]
    assert spread.median == median(sizes)
    assert spread.mean == sum(sizes) / len(sizes)
    assert sum(size <= spread.p95 for size in sizes) * 100 >= 95 * len(sizes)
    assert sum(size < spread.p95 for size in sizes) * 100 < 95 * len(sizes)
    assert spread.differing == sum(size != 0 for size in sizes)
    assert spread.spikes == sum(size > 3 * spread.p95 for size in sizes)


@pytest.mark.parametrize(
    ("deltas", "shape"),
    [
        ([0] * 100, Shape.NONE),
        ([0] * 99 + [50], Shape.SPIKES),
        ([1] * 99 + [50], Shape.SPIKES),
        ([1] * 100, Shape.DRIFT),
        (list(range(100)), Shape.DRIFT),
        ([0] * 90 + [5] * 10, Shape.DRIFT),
    ],
)
def test_a_spike_is_told_from_a_drift(deltas: list[int], shape: Shape) -> None:
    spread = spread_of(of_decimals([Decimal(delta) for delta in deltas]))
    assert spread is not None
    assert spread.shape is shape


def test_unknown_profits_are_left_out_of_spread_and_sum() -> None:
    live, backtest = both(3)
    live[2] = replace(live[2], realized_pnl=None)
    metrics = measured(live, backtest)
    assert metrics.pnl is not None
    assert metrics.pnl.pairs == 2
    assert metrics.live_pnl == 1


def test_correlation_of_curves() -> None:
    rising = np.array([0.0, 1.0, 2.0, 3.0])
    assert correlation(rising, rising * 2) == pytest.approx(1.0)
    assert correlation(rising, -rising) == pytest.approx(-1.0)
    assert correlation(rising, np.zeros(4)) is None
    assert correlation(rising[:1], rising[:1]) is None
    assert correlation(rising * 0.1, rising * 0.1) == 1.0
