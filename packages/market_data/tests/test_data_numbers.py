"""Numbers in files: what is one, and in which steps."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_data.basics.data_errors import (
    DataError,
    ImperfectDataError,
    NoDataError,
    UnreadableFileError,
)
from market_data.basics.decimal_text import common_divisor, parse_decimals, steps_in
from market_data.columns.ticks import FundingColumns
from market_data.columns.trade_rows import join
from market_data.files.archive import read_archive
from market_data.files.bar_files import read_bars
from market_data.files.file_kind import FileKind, file_kind
from market_data.files.funding_files import read_funding
from market_data.providers.data_provider import KlineDataProvider
from market_data.providers.file_provider import file_provider
from market_data.providers.store_provider import StoreDataProvider
from market_data.rules.market_rules import read_instruments, read_risk_limits
from market_data.store.store_import import Importer
from testkit.trade_files import START_S, line, prices, write


@given(st.text(max_size=12))
def test_text_that_is_no_number_is_never_taken_for_one(text: str) -> None:
    (unit,), (valid,) = parse_decimals(pl.Series([text]), 6)
    try:
        expected = Decimal(text)
    except ArithmeticError:
        expected = None
    if valid:
        assert expected is not None
        assert int(unit) == expected.scaleb(6)
    else:
        assert unit == 0


@given(st.lists(st.integers(-(10**6), 10**6), max_size=600))
def test_the_common_divisor_is_that_of_all(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    assert common_divisor(array) == int(np.gcd.reduce(array) if values else 0)


def test_a_step_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.3 is not a multiple of 0\.2"):
        steps_in(Decimal("0.3"), Decimal("0.2"))
    with pytest.raises(ValueError, match="a step is positive"):
        steps_in(Decimal(0), Decimal(1))


def test_joining_nothing_or_two_symbols_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trades to join"):
        join([])
    one = read_archive(write(tmp_path / "a.csv", line(0)))
    other = read_archive(write(tmp_path / "b.csv", line(0, symbol="XYZUSDT")))
    with pytest.raises(DataError, match="files of different symbols"):
        join([one, other])


BARS = "startTime,open,high,low,close,volume"


def bar(n: int, row: str = "10,12,9,11,7", minutes: int = 5) -> str:
    return f"{(START_S + n * minutes * 60) * 1000},{row}"


def bars_of(tmp_path: Path, *lines: str, name: str = "bybit_linear_ABCUSDT_5m.csv") -> Path:
    return write(tmp_path / name, *lines, header=BARS)


def test_a_bar_becomes_four_ticks_by_its_colour(tmp_path: Path) -> None:
    path = bars_of(tmp_path, bar(0), bar(1, "11,13,8,10,4"))
    columns = KlineDataProvider([path], symbol="ABCUSDT").load("ABCUSDT")
    assert prices(columns) == [10, 9, 12, 11, 11, 13, 8, 10]
    assert sum(columns.qty(row) for row in range(4)) == 7
    assert "order and number of crossings inside a bar are unknown" in columns.quality.approximation


@pytest.mark.parametrize(
    "row", ["10,9,8,11,1", "10,12,11,11,1", "0,12,0,11,1", "a,12,9,11,1", "10,12,9,11,-1"]
)
def test_a_bar_that_cannot_be_is_left_out(tmp_path: Path, row: str) -> None:
    bars = read_bars(bars_of(tmp_path, bar(0), bar(1), bar(2, row), bar(3)), symbol="ABCUSDT")
    assert len(bars) == 3
    assert bars.quality.corrupt_rows == 1
    assert len(bars.quality.gaps) == 1


def test_bars_missing_doubled_and_newest_first(tmp_path: Path) -> None:
    rows = [bar(4), bar(2), bar(2, "10,12,9,11,3"), bar(1), bar(0)]
    bars = read_bars(bars_of(tmp_path, *rows), symbol="ABCUSDT")
    assert [int(us) for us in np.diff(bars.start_us) // 60_000_000] == [5, 5, 10]
    assert bars.quality.duplicate_rows == 1
    assert int(bars.volume[2]) * bars.volume_step == 7  # the fuller one of two with one start
    assert bars.quality.sources[0].newest_first


def test_an_answer_of_the_exchange_loses_its_unfinished_bar(tmp_path: Path) -> None:
    rows = [[*bar(n).split(","), "0"] for n in (2, 1, 0)]
    answer = {
        "retCode": 0,
        "result": {"symbol": "ABCUSDT", "category": "linear", "list": rows},
        "time": (START_S + 11 * 60) * 1000,
    }
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    bars = read_bars(path)
    assert (bars.symbol, len(bars)) == ("ABCUSDT", 2)
    assert bars.quality.notes == ("answer.json: the unfinished last bar is left out",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty|no column"),
        ("time,open\n1,2\n", "no column startTime"),
        ("startTime,open,high\n1,2,3\n", "no column low, close"),
        ('{"result": {}}', "no kline answer"),
        ('{"result": {"list": []}}', "no list of bars"),
        (BARS + "\nx,1,1,1,1,1\n", "no readable bar in 1 rows"),
    ],
)
def test_a_file_without_bars_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bybit_linear_ABCUSDT_5m.csv"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=says):
        read_bars(path, symbol="ABCUSDT")


def test_funding_of_both_forms(tmp_path: Path) -> None:
    ms = START_S * 1000
    csv = tmp_path / "f.csv"
    csv.write_text(
        "symbol,fundingRate,fundingRateTimestamp\n"
        f"A,0.0001,{ms + 1}\nB,-5e-05,{ms}\nA,-0.00375,{ms}\n"
    )
    found = read_funding(csv)
    assert sorted(found) == ["A", "B"]
    assert list(found["A"].settlements(0, 1 << 60)) == [
        (ms * 1000, Decimal("-0.00375")),
        (ms * 1000 + 1000, Decimal("0.0001")),
    ]
    rows = [{"symbol": "B", "fundingRate": "-0.00005", "fundingRateTimestamp": str(ms)}]
    answer = tmp_path / "f.json"
    answer.write_text(json.dumps({"retCode": 0, "result": {"list": rows}}))
    same: FundingColumns = read_funding(answer)["B"]
    assert list(same.settlements(0, 1 << 60)) == list(found["B"].settlements(0, 1 << 60))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("A,0.0001,x", "funding row 1 cannot be read"),
        ("A,,1735689600000", "funding row 1 cannot be read"),
        ("A,0.1,1735689600000\nA,0.2,1735689600000", "two different rates for one settlement"),
        ("A,0.1", "funding must be whole"),
        ("", "no row at all"),
    ],
)
def test_doubtful_funding_is_refused_as_a_whole(tmp_path: Path, rows: str, says: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text("symbol,fundingRate,fundingRateTimestamp\n" + rows)
    with pytest.raises(UnreadableFileError, match=says):
        read_funding(path)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("no json", "no answer of Bybit"),
        ('{"retCode": 10001, "retMsg": "params error"}', "an error of Bybit: params error"),
        ('{"result": {"list": {}}}', "no list of objects"),
        ('{"result": {"list": [{"symbol": "A"}]}}', "'A' cannot be read|cannot be read"),
    ],
)
def test_rules_that_cannot_be_read_are_refused(tmp_path: Path, answer: str, says: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(answer)
    for read in (read_instruments, read_risk_limits):
        with pytest.raises(UnreadableFileError, match=says):
            read(path)


def mixed(tmp_path: Path) -> list[Path]:
    ms = START_S * 1000
    funding = tmp_path / "funding.csv"
    funding.write_text(f"symbol,fundingRate,fundingRateTimestamp\nABCUSDT,0.0001,{ms + 1000}\n")
    mark = write(
        tmp_path / "ABCUSDT_mark_1h.csv",
        f"{ms},50.005,51,50,50.5",
        f"{ms + 3_600_000},51,51,50,50.5",
        header="startTime,open,high,low,close",
    )
    row = {
        "symbol": "ABCUSDT",
        "priceFilter": {"tickSize": "0.25"},
        "lotSizeFilter": {
            "qtyStep": "1",
            "minOrderQty": "1",
            "maxOrderQty": "9",
            "minNotionalValue": "5",
        },
        "fundingInterval": 480,
    }
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"retCode": 0, "result": {"list": [row]}}))
    return [funding, mark, rules]


def test_files_of_all_kinds_become_one_source(tmp_path: Path) -> None:
    trades = write(tmp_path / "t.csv", line(0), line(1))
    others = mixed(tmp_path)
    kinds = [FileKind.TRADES, FileKind.FUNDING, FileKind.MARK, FileKind.INSTRUMENTS]
    assert [file_kind(path) for path in (trades, *others)] == kinds
    columns = file_provider([trades, *others], symbol="ABCUSDT").load("ABCUSDT")
    assert columns.tick_size == Decimal("0.25")
    assert columns.mark is not None
    assert columns.mark.at(int(columns.ts_us[0])) == Decimal("50.005")
    assert columns.mark.at(0) is None
    assert columns.funding is not None
    given = file_provider([trades, *others], symbol="ABCUSDT", tick_sizes=Decimal("0.1"))
    assert given.load("ABCUSDT").tick_size == Decimal("0.1")


def test_trades_and_klines_together_are_refused(tmp_path: Path) -> None:
    trades, klines = write(tmp_path / "t.csv", line(0)), bars_of(tmp_path, bar(0), bar(1))
    with pytest.raises(DataError, match="both trades and klines; pass one of the two"):
        file_provider([trades, klines], symbol="ABCUSDT")
    with pytest.raises(DataError, match="neither trades nor klines"):
        file_provider(mixed(tmp_path), symbol="ABCUSDT")


@pytest.mark.parametrize("text", ["", "hello\n", '{"result": {"list": [{"a": 1}]}}', "{"])
def test_a_file_of_no_kind_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "what.csv"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=r"what\.csv"):
        file_kind(path)


def test_the_store_gives_trades_else_the_bars_that_cover_most(tmp_path: Path) -> None:
    root = tmp_path / "store"
    trades = write(tmp_path / "ABCUSDT2025-01-01.csv", *(line(n) for n in range(5)))
    five = bars_of(tmp_path, *(bar(n) for n in range(400)))
    hour = bars_of(
        tmp_path,
        *(bar(n, minutes=60) for n in range(10)),
        name="bybit_linear_ABCUSDT_1h.csv",
    )
    results = Importer(root).add_all([trades, five, hour, *mixed(tmp_path)])
    assert not any(result.error for result in results), results
    provider = StoreDataProvider(root, tick_sizes=Decimal("0.5"))
    assert provider.symbols() == ["ABCUSDT"]
    assert len(provider.load("ABCUSDT", "2025-01-01", "2025-01-01")) == 5
    second_day = provider.load("ABCUSDT", "2025-01-02", "2025-01-02")
    assert len(second_day) == 4 * (400 - 288)
    assert "bars of 5 minutes" in second_day.quality.approximation
    assert second_day.funding is not None
    with pytest.raises(NoDataError, match=r"trades of 1 days\), .*\(bars of 5 min\), .*60 min"):
        provider.load("ABCUSDT", "2026-01-01")
    strict = StoreDataProvider(root, tick_sizes=Decimal("0.5"), strict=True)
    with pytest.raises(ImperfectDataError, match="refused in strict mode"):
        strict.load("ABCUSDT", "2025-01-02", "2025-01-02")
