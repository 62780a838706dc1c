"""Every form in which market data comes, hard ones included, and every way in which it is wrong."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.data_errors import (
    DataError,
    ImperfectDataError,
    NoDataError,
    PriceOffTickError,
    TruncatedFileError,
    UnreadableFileError,
)
from market_data.basics.decimal_text import coarsest_step, common_divisor, parse_decimals, steps_in
from market_data.columns.ticks import FundingColumns, TickColumns
from market_data.columns.trade_rows import join
from market_data.files.archive import read_archive
from market_data.files.bar_files import read_bars
from market_data.files.file_kind import FileKind, file_kind
from market_data.files.funding_files import read_funding
from market_data.providers.data_provider import ArchiveDataProvider, KlineDataProvider
from market_data.providers.file_provider import file_provider
from market_data.providers.store_provider import StoreDataProvider
from market_data.rules.market_rules import read_instruments, read_risk_limits
from market_data.store.store_import import Importer

START_S = 1_735_689_600  # 2025-01-01
HEADER = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional"
)


def line(n: int, price: str = "100.5", side: str = "Buy", size: str = "1", **parts: str) -> str:
    ts, symbol = parts.get("ts", f"{START_S + n}.25"), parts.get("symbol", "ABCUSDT")
    trade_id = parts.get("id", f"id{n}")
    return f"{ts},{symbol},{side},{size},{price},PlusTick,{trade_id},0,0,0"


def write(path: Path, *lines: str, header: str | None = HEADER, end: str = "\n") -> Path:
    text = end.join([*([header] if header else []), *lines]) + end
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def load(*paths: Path, **options: object) -> TickColumns:
    return ArchiveDataProvider(paths, **options).load("ABCUSDT")  # type: ignore[arg-type]


def prices(columns: TickColumns) -> list[Decimal]:
    return [columns.price(row) for row in range(len(columns))]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_plain_form(tmp_path: Path, name: str, end: str) -> None:
    path = write(tmp_path / name, line(0), line(1, "100.25", "Sell", "0.5"), end=end)
    columns = load(path)
    assert prices(columns) == [Decimal("100.5"), Decimal("100.25")]
    assert columns.ts_us.tolist() == [(START_S + n) * 1_000_000 + 250_000 for n in (0, 1)]
    assert columns.side.tolist() == [TAKER_BUY, TAKER_SELL]
    assert [columns.qty(row) for row in (0, 1)] == [1, Decimal("0.5")]
    assert columns.tick_size == Decimal("0.05")  # of 1, 2, 5 x 10^n the coarsest that fits
    assert columns.quality.is_clean


@pytest.mark.parametrize("form", ["eleven", "no header", "both", "bom", "blank lines", "no end"])
def test_forms_that_mean_the_same(tmp_path: Path, form: str) -> None:
    lines = [line(n) for n in range(3)]
    path = tmp_path / "a.csv"
    if form in ("eleven", "both"):
        lines = [text + ",0" for text in lines]
    match form:
        case "eleven":
            write(path, *lines, header=HEADER + ",RPI")
        case "no header" | "both":
            write(path, *lines, header=None)
        case "bom":
            write(path, *lines, header="\ufeff" + HEADER)
        case "blank lines":
            write(path, *lines, "", "")
        case "no end":
            path.write_text("\n".join([HEADER, *lines]))
    columns = load(path)
    assert prices(columns) == [Decimal("100.5")] * 3
    assert columns.quality.is_clean


def test_numbers_in_scientific_notation_and_of_tiny_prices(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        line(0, "4.5e-05", size="1E3"),
        line(1, "0.00004501", size="1000.5"),
        line(2, "0.000000000001"),
    )
    columns = load(path)
    assert prices(columns) == [Decimal("4.5e-05"), Decimal("0.00004501"), Decimal("1e-12")]
    assert columns.qty(0) == 1000


def test_newest_first_is_turned_round_and_ties_keep_their_order(tmp_path: Path) -> None:
    lines = [line(n, f"10{n}", id=f"n{n}") for n in (3, 2, 1)]
    tie = [line(0, price, id=price, ts=f"{START_S}.5") for price in ("91", "92", "93")]
    newest_first = write(tmp_path / "a.csv", *lines, *tie)
    columns = load(newest_first)
    assert prices(columns) == [93, 92, 91, 101, 102, 103]
    assert columns.quality.sources[0].newest_first
    assert columns.quality.out_of_order_rows == 0
    oldest_first = write(tmp_path / "b.csv", *tie, *reversed(lines))
    assert prices(load(oldest_first)) == [91, 92, 93, 101, 102, 103]


def test_rows_out_of_order_are_sorted_counted_and_refused_when_strict(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", line(0, "1"), line(5, "2"), line(3, "3"), line(6, "4"))
    columns = load(path)
    assert prices(columns) == [1, 3, 2, 4]
    assert columns.quality.out_of_order_rows == 1
    with pytest.raises(ImperfectDataError, match="1 rows out of time order"):
        load(path, strict=True)


def test_trades_that_two_files_share_count_once(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", *(line(n) for n in range(5)))
    second = write(tmp_path / "b.csv", *(line(n) for n in range(3, 8)))
    columns = load(first, second)
    assert len(columns) == 8
    assert columns.quality.duplicate_rows == 2
    assert np.all(np.diff(columns.ts_us) > 0)
    with pytest.raises(ImperfectDataError, match="2 duplicate rows"):
        load(first, second, strict=True)


def test_equal_trades_with_ids_of_their_own_are_all_kept(tmp_path: Path) -> None:
    same = [line(0, id="x"), line(0, id="y"), line(0, id="x"), line(0, id=""), line(0, id="")]
    columns = load(write(tmp_path / "a.csv", *same))
    assert len(columns) == 4
    assert columns.quality.duplicate_rows == 1


def test_files_come_in_order_of_time_whatever_their_names(tmp_path: Path) -> None:
    late = write(tmp_path / "a.csv", line(10, "2.5"), line(11, "2.25"))
    early = write(tmp_path / "b.csv", line(0, "1"), line(1, "1.125", size="0.001"))
    columns = load(late, early)
    assert prices(columns) == [1, Decimal("1.125"), Decimal("2.5"), Decimal("2.25")]
    assert columns.qty(1) == Decimal("0.001")
    assert columns.quality.is_clean


def test_pauses_are_gaps(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", line(0), line(301), line(302))
    gaps = load(path).quality.gaps
    assert [gap.seconds for gap in gaps] == [301.0]
    assert "the longest 2025-01-01 00:00:00.25 to" in load(path).quality.faults()[0]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("x,y", "2 fields instead of 10"),
        (line(1, "-5"), "price '-5'"),
        (line(1, "abc"), "price 'abc'"),
        (line(1, "NaN"), "price 'NaN'"),
        (line(1, "1.0000000000001"), "price '1.0000000000001'"),
        (line(1, side="Bought"), "side 'Bought'"),
        (line(1, size="0"), "size '0'"),
        (line(1, ts="0"), "timestamp '0'"),
        (line(1, ts="yesterday"), "timestamp 'yesterday'"),
        (line(1, symbol="XYZUSDT"), "symbol 'XYZUSDT'"),
    ],
)
def test_a_corrupt_row_is_left_out_and_told(tmp_path: Path, bad: str, why: str) -> None:
    path = write(tmp_path / "a.csv", line(0), bad, line(2))
    quality = load(path).quality
    assert (quality.rows_read, quality.rows_kept, quality.corrupt_rows) == (3, 2, 1)
    assert quality.corrupt_samples == (f"a.csv line 3: {why}",)
    with pytest.raises(ImperfectDataError, match="1 corrupt rows left out"):
        load(path, strict=True)


def test_bytes_that_are_no_text_spoil_their_own_row_only(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [HEADER, line(0), line(1, "12\xff"), line(2)]
    path.write_bytes("\n".join(rows).encode("latin-1"))
    assert load(path).quality.corrupt_rows == 1


@pytest.mark.parametrize(
    ("contents", "error", "says"),
    [
        (b"", UnreadableFileError, "a.csv"),
        (b"\n\n", UnreadableFileError, "a.csv"),
        (b"a,b,c\n1,2,3\n", UnreadableFileError, "not a trade archive: 3 columns"),
        (b"timestamp,symbol\n1,2\n", UnreadableFileError, "no column side, size, price"),
        ((HEADER + "\n").encode(), UnreadableFileError, "a.csv"),
        ((HEADER + "\nx\n").encode(), UnreadableFileError, "a.csv"),
    ],
)
def test_a_file_without_trades_is_refused(
    tmp_path: Path, contents: bytes, error: type[DataError], says: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(contents)
    with pytest.raises(error, match=says):
        ArchiveDataProvider([path]).load("ABCUSDT")


def test_a_truncated_gzip_says_how_far_it_could_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv.gz", *(line(n, f"{n + 1}.{n % 9}") for n in range(50_000)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TruncatedFileError, match=r"a\.csv\.gz") as cut:
        load(path)
    assert cut.value.whole_rows > 10_000
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(UnreadableFileError, match=r"a\.csv\.gz"):
        load(path)


def test_a_price_between_two_ticks_names_the_row_and_what_would_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", line(0, "100.5"), line(1, "100.51"))
    with pytest.raises(PriceOffTickError, match=r"a\.csv line 3: price 100\.51 is off") as off:
        load(path, tick_sizes=Decimal("0.5"))
    assert off.value.fitting_tick == Decimal("0.01")
    assert load(path, tick_sizes=Decimal("0.01")).price_ticks.tolist() == [10050, 10051]


def test_ranges_and_what_exists(tmp_path: Path) -> None:
    provider = ArchiveDataProvider([write(tmp_path / "a.csv", *(line(n) for n in range(10)))])
    part = provider.load("ABCUSDT", "2025-01-01T00:00:02", "2025-01-01T00:00:05")
    assert part.ts_us.tolist() == [(START_S + n) * 1_000_000 + 250_000 for n in (2, 3, 4)]
    assert len(provider.load("ABCUSDT", "2025-01-01", "2025-01-01")) == 10
    with pytest.raises(NoDataError, match=r"there is 2025-01-01 00:00:00\.25 to 2025"):
        provider.load("ABCUSDT", "2025-02-01")


def test_parquet_of_text_and_of_numbers(tmp_path: Path) -> None:
    names = HEADER.split(",")
    rows = [line(0).split(","), line(1, "100.25", "Sell").split(",")]
    text = pl.DataFrame(rows, schema=names, orient="row")
    numbers = text.with_columns(
        pl.col("timestamp").cast(pl.Float64),
        pl.col("price").cast(pl.Float64),
        pl.col("size").cast(pl.Int64),
    )
    for name, frame in (("text", text), ("numbers", numbers)):
        path = tmp_path / f"{name}.parquet"
        frame.write_parquet(path)
        columns = load(path)
        assert prices(columns) == [Decimal("100.5"), Decimal("100.25")]
        assert columns.ts_us.tolist() == [(START_S + n) * 1_000_000 + 250_000 for n in (0, 1)]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(UnreadableFileError, match=r"bad\.parquet"):
        load(tmp_path / "bad.parquet")
    text.drop("price").write_parquet(tmp_path / "poor.parquet")
    with pytest.raises(UnreadableFileError, match=r"poor\.parquet.*price"):
        load(tmp_path / "poor.parquet")


@given(
    st.lists(
        st.decimals("0.000001", "9000000", places=6).filter(lambda d: d > 0),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_written_is_what_is_read(values: list[Decimal]) -> None:
    texts = [format(value, "f") for value in values]
    units, valid = parse_decimals(pl.Series(texts), 12)
    assert valid.all()
    assert [int(unit) * Decimal("1e-12") for unit in units] == values
    step = coarsest_step(units, Decimal("1e-12"))
    assert all(value % step == 0 for value in values)
    assert str(step.normalize().as_tuple().digits[0]) in "125"


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


# bars

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


# funding and rules


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


# many files at once


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
