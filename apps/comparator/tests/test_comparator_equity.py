"""Two equity curves on one grid of hours."""

import csv
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from comparator.money.equity import EquityComparator, wallet_curve, write_equity
from grid_db import WalletSnapshotRecord
from grid_db.testing_rows import NOW, after

HOUR = 3_600_000_000


def curve(*points: tuple[float, str]) -> list[tuple[int, Decimal]]:
    return [(int(hours * HOUR), Decimal(value)) for hours, value in points]


def test_each_curve_holds_its_last_value() -> None:
    live = curve((0.5, "100"), (1.9, "110"), (3, "90"))
    backtest = curve((0, "100"), (1.5, "108"), (2.5, "90"), (4, "1"))
    found = EquityComparator().compare(live, backtest)
    assert found is not None
    assert [ts_us // HOUR for ts_us in found.ts_us] == [1, 2, 3]
    assert found.live == (100, 110, 90)
    assert found.backtest == (100, 108, 90)
    assert found.divergence == [0, 2, 0]
    assert (found.maximum, found.mean) == (2, Decimal(2) / 3)
    assert found.start_offset == 0
    assert found.correlation is not None
    assert found.correlation > 0.9


def test_other_deposits_are_an_offset_and_no_change() -> None:
    live = curve((0, "1000"), (2, "1010"))
    backtest = curve((0, "100"), (2, "110"))
    found = EquityComparator().compare(live, backtest)
    assert found is not None
    assert found.start_offset == found.maximum == found.mean == 900
    assert found.maximum_of_change == found.mean_of_change == 0


def test_without_a_common_hour_there_is_nothing_to_compare() -> None:
    compare = EquityComparator().compare
    assert compare([], curve((0, "1"))) is None
    assert compare(curve((0, "1")), []) is None
    assert compare(curve((0.1, "1"), (0.9, "1")), curve((0, "1"), (5, "1"))) is None
    assert compare(curve((0, "1"), (1, "1")), curve((2, "1"), (5, "1"))) is None


def snapshot(**changes: object) -> WalletSnapshotRecord:
    record = WalletSnapshotRecord(
        account_id="a", coin="USDT", exchange_ts=NOW, local_ts=NOW, equity=Decimal(5)
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def test_equity_of_wallets() -> None:
    parts = {"equity": None, "wallet_balance": Decimal(7), "unrealised_pnl": Decimal("-0.5")}
    found = wallet_curve(
        [
            snapshot(exchange_ts=after(2), **parts),
            snapshot(exchange_ts=after(1)),
            snapshot(exchange_ts=after(3), equity=None, wallet_balance=Decimal(7)),
        ]
    )
    assert [value for _, value in found] == [Decimal(5), Decimal("6.5")]


def test_the_file_holds_what_was_compared(tmp_path: Path) -> None:
    found = EquityComparator().compare(curve((0, "1.5"), (2, "2")), curve((0, "1"), (2, "3")))
    assert found is not None
    write_equity(tmp_path / "equity.csv", found)
    with (tmp_path / "equity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["divergence"] for row in rows] == ["0.5", "0.5", "-1"]
    assert rows[1]["ts"] == "1970-01-01T01:00:00+00:00"
