"""The comparison itself: it finds nothing unnamed, and it would find a broken rule."""

import random
from decimal import Decimal
from pathlib import Path

import pytest

from gridcore import AmountSpec, DirectionType, Grid, GridConfig, GridSideType, SideType
from testkit import parity
from testkit.parity_cases import built_in_contracts, recorded_contracts
from testkit.parity_grids import GridPair
from testkit.parity_positions import compare_searched_multipliers
from testkit.parity_quantities import QtyCase
from testkit.parity_report import READINGS, Deviation, Report, Tally, joined, least
from testkit.parity_steps import EnginePair
from testkit.parity_world import World

pytestmark = pytest.mark.untraced

BTC = built_in_contracts()[0]


@pytest.mark.parametrize("kind", list(parity.KINDS))
def test_no_difference_is_without_a_name(kind: str) -> None:
    report = parity.run(cases=1 if kind.startswith("sessions") else 5, seed=20, only=kind)
    assert report.failures == []
    assert report.compared.total() > 20


def test_no_difference_at_any_boundary_of_the_position_rules() -> None:
    tally = Tally("boundaries")
    for verdict in compare_searched_multipliers():
        tally.add(verdict)
    assert tally.failures == []
    assert tally.compared == 15_877


def test_a_run_repeats_exactly() -> None:
    one, two, other = (
        parity.run(cases=1, seed=seed, only="grids", workers=workers).as_text()
        for seed, workers in ((5, 1), (5, 2), (6, 1))
    )
    assert one == two
    assert one.splitlines()[1:] != other.splitlines()[1:]


def test_a_grid_of_another_step_is_an_unnamed_difference() -> None:
    pair = GridPair(Decimal("0.1"), GridConfig(20, 0.2), Grid(Decimal("0.1"), 20, 0.21))
    verdict = pair.build(Decimal(60_000))
    assert isinstance(verdict, str)
    assert "build(60000)" in verdict


def test_a_wrong_side_is_an_unnamed_difference() -> None:
    pair = GridPair(Decimal("0.1"), GridConfig(20, 0.2))
    assert pair.build(Decimal(60_000)) is None
    before = pair.core_levels()
    pair.core.sides[3] = GridSideType.SELL
    assert not pair.is_equal()
    assert pair.explain(before, Decimal(60_000), Decimal(60_010)) is None


def test_a_missing_order_of_the_engine_is_an_unnamed_difference() -> None:
    world = World(BTC, GridConfig(10, 1), AmountSpec.parse("b0.01"))
    pair = EnginePair(world)
    pair.grids.oracle.step_pct = 0.5  # the oracle would place nearer to the market
    verdict, _ = pair.poll(Decimal(60_000))
    assert isinstance(verdict, str)


def test_the_report_tells_counts_names_and_failures() -> None:
    tally = Tally("grids")
    tie, plain = Deviation.FLOAT_TIE, Deviation.PLAIN_USDT
    for verdict in (None, (tie,), (plain,), (plain, tie), "case 7: differs"):
        tally.add(verdict)
    report = Report(1, "built-in", [tally])
    assert (tally.compared, tally.equal, tally.named) == (5, 2, 3)
    assert report.deviations == {tie: 2, plain: 2}
    assert report.failures == ["grids: case 7: differs"]
    text = report.as_text()
    assert "1 UNNAMED DIFFERENCES" in text
    assert "grids: case 7: differs" in text
    assert all(deviation.title in text for deviation in Deviation)
    assert Deviation.PLAIN_USDT in READINGS


def test_the_exit_code_tells_whether_all_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main(["--cases", "1", "--only", "same-order error"]) == 0
    assert "no unnamed difference" in capsys.readouterr().out


def test_contracts_cover_every_scale() -> None:
    contracts = recorded_contracts() or built_in_contracts()
    ticks = {contract.info.tick_size.normalize() for contract in contracts}
    assert {Decimal("0.1"), Decimal("0.01"), Decimal("1E-7")} <= ticks
    rng = random.Random(1)
    prices = [rng.choice(contracts).price(rng) for _ in range(2000)]
    assert min(prices) < Decimal("0.01")
    assert max(prices) > 100_000
    assert all(0 < price <= 999_999 for price in prices)


def test_a_quantity_case_gives_both_the_same_reading_of_a_plain_amount() -> None:
    case = QtyCase(
        AmountSpec.parse("100"), Decimal(50_000), BTC.info, DirectionType.LONG, SideType.BUY,
        1.0, Decimal(1), Decimal(1000),
    )  # fmt: skip
    assert case.core() == Decimal("0.002")


def test_the_fewest_names_that_are_needed() -> None:
    one, two, three = Deviation.FLOAT_TIE, Deviation.MAX_QTY, Deviation.LONG_KOEF
    names = (one, two, three)
    assert least(names, lambda switched_off: True) == ()
    assert least(names, lambda switched_off: two in switched_off) == (two,)
    assert least(names, lambda switched_off: {one, three} <= switched_off) == (one, three)
    assert least(names, lambda switched_off: False) is None


def test_a_difference_without_a_name_is_stronger_than_names() -> None:
    one, two = (Deviation.FLOAT_TIE,), (Deviation.MAX_QTY,)
    assert joined(None, None) is None
    assert joined(one, None, two, one) == (*one, *two)
    assert joined(one, "differs", "too") == "differs"


def test_rules_and_comparison_have_the_same_names() -> None:
    rules = (Path(__file__).parents[4] / "RULES.md").read_text()
    section = rules.split("## Departures", 1)[1].split("## ", 1)[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("|")]
    listed = [row[1].strip() for row in rows if "`make parity`" in row[3]]
    assert sorted(listed) == sorted(deviation.title for deviation in Deviation)


def test_a_name_that_no_difference_has_fails_a_whole_run() -> None:
    tally = Tally("all")
    tally.add(tuple(Deviation))
    assert Report(1, "built-in", [tally], is_whole=True).unseen == []
    tally.deviations.pop(Deviation.MAX_QTY)
    report = Report(1, "built-in", [tally], is_whole=True)
    assert report.unseen == [Deviation.MAX_QTY]
    assert f"A NAME WITHOUT A DIFFERENCE: {Deviation.MAX_QTY.title}" in report.as_text()
    assert Report(1, "built-in", [tally]).unseen == []  # a part of a run proves nothing
