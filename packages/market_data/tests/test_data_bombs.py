"""Small files that unfold into gigabytes: refused in a sentence, in little memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from market_data.basics.data_errors import UnreadableFileError
from market_data.files.archive import peek_symbol, read_archive
from market_data.files.bar_files import read_bars
from market_data.files.file_kind import file_kind
from market_data.files.funding_files import read_funding
from market_data.files.line_blocks import LineBlocks
from market_data.rules.market_rules import read_answer

HEAD = (
    b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    b"foreignNotional\n"
)
TRADE = b"1735689600.5,BTCUSDT,Buy,0.1,93000.0,ZeroPlusTick,a,1,1,1\n"
MEGABYTE = 1 << 20
READ = """
import sys
from pathlib import Path
import market_data.files.archive

def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024

begun = peak()
try:
    market_data.files.archive.read_archive(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__)
print(peak() - begun)
"""


def packed(path: Path, head: bytes, unit: bytes, times: int, level: int = 1) -> Path:
    with gzip.open(path, "wb", compresslevel=level) as file:
        file.write(head)
        for _ in range(times):
            file.write(unit)
    return path


@pytest.fixture(scope="module")
def one_line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A header, and one line of 600 MB in a file of 3."""
    path = tmp_path_factory.mktemp("bomb") / "BTCUSDT2025-01-01.csv.gz"
    return packed(path, HEAD, b"0" * MEGABYTE, 600)


@pytest.mark.parametrize("read", [read_archive, peek_symbol, read_bars, read_funding, read_answer])
def test_a_line_without_an_end_is_refused(
    one_line: Path, tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    path = one_line
    if read is peek_symbol:  # it looks at the head alone
        path = packed(tmp_path / one_line.name, b"", b"0" * MEGABYTE, 40)
    with pytest.raises(UnreadableFileError) as refusal:
        read(path)
    assert "a line of more than" in str(refusal.value)
    assert one_line.name in str(refusal.value)


def test_it_takes_little_memory(one_line: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(one_line)], capture_output=True, text=True, check=True
    )
    kind, megabytes = done.stdout.split()
    assert kind == "UnreadableFileError"
    assert int(megabytes) < 150


def test_what_kind_of_file_it_is_is_told_in_bounds(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.json.gz", b"{", b"0" * MEGABYTE, 40)
    with pytest.raises(UnreadableFileError, match="a line of more than 33,554,432 bytes"):
        file_kind(path)


def test_text_out_of_all_proportion_to_its_file_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "BTCUSDT2025-01-01.csv.gz", HEAD, TRADE * 20_000, 600, level=9)
    with pytest.raises(UnreadableFileError, match="bytes of gzip unfold into more than"):
        for _ in LineBlocks(path):
            pass


def test_an_archive_of_a_quiet_market_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "BTCUSDT2025-01-01.csv.gz", HEAD, TRADE * 1_000, 3)
    assert read_archive(path).quality.rows_read == 3_000


def test_lines_across_every_border_of_blocks_are_whole(tmp_path: Path) -> None:
    lines = [f"{number},{'x' * (number % 900)}\n".encode() for number in range(20_000)]
    path = packed(tmp_path / "lines.gz", b"", b"".join(lines), 1)
    for size in (1, 1_000, MEGABYTE):
        assert b"".join(LineBlocks(path, size)) == b"".join(lines)


def test_nesting_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT_1m.json"
    path.write_text('{"result": {"list": ' + "[" * 200_000)
    for read in (file_kind, read_bars, read_funding, read_answer):
        with pytest.raises(UnreadableFileError):
            read(path)


def test_rows_out_of_all_proportion_to_a_parquet_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT.parquet"
    count = 3_000_000
    pl.select(
        timestamp=pl.repeat(1735689600.5, count),
        symbol=pl.repeat("BTCUSDT", count),
        side=pl.repeat("Buy", count),
        size=pl.repeat(0.1, count),
        price=pl.repeat(93000.0, count),
    ).write_parquet(path)
    with pytest.raises(UnreadableFileError, match="3,000,000 rows in"):
        read_archive(path)


@pytest.fixture(autouse=True)
def _no_big_files_left(tmp_path: Path) -> Iterator[None]:
    yield
    for path in tmp_path.iterdir():
        path.unlink()
