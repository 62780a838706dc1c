"""A trade archive row by row: ids and exact numbers, whatever shape the file has."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gridcore import SideType
from market_data.basics.data_errors import TruncatedFileError, UnreadableFileError
from market_data.files.archive_trades import archive_trades

HEAD = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional"
)
START = datetime(2025, 1, 1, tzinfo=UTC)
END = START + timedelta(days=1)
FIRST_S = 1_735_689_600


def rows(count: int = 5, symbol: str = "BTCUSDT") -> list[str]:
    return [
        f"{FIRST_S + number}.123456,{symbol},Buy,0.{number + 1}00,94000.{number},PlusTick,"
        f"id-{number},1,1,1"
        for number in range(count)
    ]


def file_of(folder: Path, lines: list[str], *, packed: bool = True) -> Path:
    file = folder / "BTCUSDT2025-01-01.csv.gz"
    text = ("\n".join(lines) + "\n").encode()
    file.write_bytes(gzip.compress(text) if packed else text)
    return file


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("head", [[HEAD], []])
@pytest.mark.parametrize("newest_first", [True, False])
def test_all_shapes_give_the_same_trades(
    tmp_path: Path, head: list[str], packed: bool, newest_first: bool
) -> None:
    lines = rows()[::-1] if newest_first else rows()
    file = file_of(tmp_path, [*head, *lines], packed=packed)
    found = list(archive_trades(file, "BTCUSDT", START, END))
    assert {one.trade_id for one in found} == {f"id-{number}" for number in range(5)}
    (third,) = [one for one in found if one.trade_id == "id-2"]
    assert third.exchange_ts == START + timedelta(seconds=2, microseconds=123_456)
    assert (third.side, str(third.size), third.price) == (
        SideType.BUY,
        "0.300",
        Decimal("94000.2"),
    )


def test_other_times_and_symbols_are_left_out(tmp_path: Path) -> None:
    file = file_of(tmp_path, [HEAD, *rows(3), *rows(1, "ETHUSDT")])
    from_second = START + timedelta(seconds=1)
    found = archive_trades(file, "BTCUSDT", from_second, from_second + timedelta(seconds=1))
    assert [one.trade_id for one in found] == ["id-1"]


@pytest.mark.parametrize("bad", ["x,y", rows(1)[0].replace("Buy", "Bought"), rows(1)[0] + ",1"])
def test_a_row_that_cannot_be_read_ends_the_reading(tmp_path: Path, bad: str) -> None:
    file = file_of(tmp_path, [HEAD, *rows(1), bad])
    with pytest.raises(UnreadableFileError, match="line 3 is no trade"):
        list(archive_trades(file, "BTCUSDT", START, END))


def test_a_file_that_ends_early_is_told(tmp_path: Path) -> None:
    file = file_of(tmp_path, [HEAD, *rows(2_000)])
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(TruncatedFileError, match="download the file again"):
        list(archive_trades(file, "BTCUSDT", START, END))


def test_a_file_without_ids_is_refused(tmp_path: Path) -> None:
    file = file_of(tmp_path, ["timestamp,symbol,side,size,price", "1,BTCUSDT,Buy,1,1"])
    with pytest.raises(UnreadableFileError, match="no column trdMatchID"):
        list(archive_trades(file, "BTCUSDT", START, END))
