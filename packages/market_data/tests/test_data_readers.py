"""Every form in which market data comes, hard ones included, and every way in which it is wrong."""

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
from market_data.basics.decimal_text import coarsest_step, parse_decimals
from market_data.columns.ticks import TickColumns
from market_data.providers.data_provider import ArchiveDataProvider
from testkit.trade_files import HEADER, START_S, line, prices, write


def load(*paths: Path, **options: object) -> TickColumns:
    return ArchiveDataProvider(paths, **options).load("ABCUSDT")  # type: ignore[arg-type]


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
