"""Files of the spool that are damaged on disk: what they had comes back, or is told as lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from event_saver.spool.codec import encode
from event_saver.spool.rows import EXECUTIONS, GAPS, TICKERS, TRADES, WALLET, Batch
from event_saver.spool.spans import Span, StreamOf, spans_of
from event_saver.spool.spool import Spool
from event_saver.writers import WriteLimits, WriteLoop, WriterSet
from grid_db import (
    CaptureStream,
    DatabaseFactory,
    GapStatus,
    MarketGapRepository,
    PublicTradeRepository,
    TenantScope,
    WalletSnapshotRecord,
)
from grid_db.testing_rows import NOBODY, NOW, SYMBOL, Tenant, after, execution, market_gap, ticker
from grid_db.testing_rows import trade as trade_row

SEED = 11
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ROSTER = (
    StreamOf(CaptureStream.TRADES, SYMBOL),
    StreamOf(CaptureStream.TRADES, "ETHUSDT"),
    StreamOf(CaptureStream.TICKERS, SYMBOL),
    StreamOf(CaptureStream.EXECUTIONS, account_id=NOBODY, user_id=NOBODY),
    StreamOf(CaptureStream.WALLET, account_id=NOBODY, user_id=NOBODY),
)


def batches() -> list[Batch]:
    """Return a session of all sorts of rows, later ones later."""
    found = []
    for number in range(24):
        second = number * 2.0
        found.append(
            Batch(TRADES, None, [
                trade_row(
                    number * 10 + n,
                    symbol=SYMBOL if n % 3 else "ETHUSDT",
                    exchange_ts=after(second + n / 10),
                )
                for n in range(10)
            ])
        )  # fmt: skip
        match number % 4:
            case 0:
                rows: list[Any] = [ticker(exchange_ts=after(second + 0.5))]
                found.append(Batch(TICKERS, None, rows))
            case 1:
                rows = [execution(NOBODY, NOBODY, exec_id=f"e{number}", exchange_ts=after(second))]
                found.append(Batch(EXECUTIONS, NOBODY, rows))
            case 2:
                rows = [
                    WalletSnapshotRecord(
                        account_id=NOBODY, coin="USDT", exchange_ts=after(second), local_ts=NOW
                    )
                ]
                found.append(Batch(WALLET, NOBODY, rows))
            case _:
                rows = [
                    market_gap(
                        stream=CaptureStream.TRADES, gap_start=after(second - 9),
                        gap_end=after(second - 8),
                    )
                ]  # fmt: skip
                found.append(Batch(GAPS, None, rows))
    return found


def write(folder: Path) -> list[Path]:
    """Write the session as segments; return their paths."""
    spool = Spool(folder, segment_bytes=6_000)
    for batch in batches():
        spool.append(batch)
    spool.close()
    paths = sorted(folder.glob("*.spool"))
    assert len(paths) >= 4
    return paths


def written_then(path: Path) -> None:
    """Let a file look as if it had been written when its rows came."""
    os.utime(path, (after(60).timestamp(), after(60).timestamp()))


@dataclass(frozen=True)
class Read:
    """What a spool gave: the rows, and what it says is lost."""

    batches: list[Batch]
    lost: list[Span]
    spool: Spool


def read(folder: Path) -> Read:
    spool = Spool(folder)
    spool.may_hold = lambda: ROSTER
    found: list[Batch] = []
    lost: list[Span] = []
    while not spool.is_empty:
        found += spool.peek(20)
        lost += [span for spans, _ in spool.take_lost() for span in spans]
        spool.forget_read()
    spool.close()
    return Read(found, lost, spool)


def keys(batch: Batch) -> list[tuple[str, Any, datetime, datetime]]:
    """Return each row of a batch as what tells it from others, with its stream and times."""
    found = []
    for record in batch.records:
        (span,) = spans_of(Batch(batch.kind, batch.user_id, [record]))
        found.append((repr(record), span.of, span.start, span.end))
    return found


def check(result: Read) -> int:
    """Every row came back or lies in what is told as lost; return how many are lost."""
    there = {key[0] for batch in result.batches for key in keys(batch)}
    missing = [key for batch in batches() for key in keys(batch) if key[0] not in there]
    for row, of, start, end in missing:
        assert any(
            span.of.stream is of.stream
            and span.of.account_id == of.account_id
            and span.of.user_id == of.user_id
            and span.of.symbol in (of.symbol, "*")
            and span.start <= start
            and end <= span.end
            for span in result.lost
        ), f"{row} is gone and no loss tells of it"
    return len(missing)


@pytest.mark.parametrize("part", range(4))
def test_a_byte_that_flips_anywhere(tmp_path: Path, part: int) -> None:
    paths = write(tmp_path / "whole")
    path = paths[1]
    content = path.read_bytes()
    chance = random.Random(SEED + part)
    newlines = [place for place, byte in enumerate(content) if byte == 10]
    heads = [0, *(place + 1 for place in newlines[:-1])]
    places = [*newlines[part::4], *heads[part::4], *(heads[part] + n for n in range(10))]
    places += [chance.randrange(len(content)) for _ in range(12)]
    for place in places:
        for bits in (1 << chance.randrange(8), content[place] ^ 10):
            if not bits:
                continue
            folder = tmp_path / "flipped"
            shutil.copytree(tmp_path / "whole", folder)
            damaged = bytearray(content)
            damaged[place] ^= bits
            (folder / path.name).write_bytes(damaged)
            result = read(folder)
            # a line, or two where the line feed between them is gone
            assert check(result) <= 20
            exact = {span.of for span in result.lost}
            assert all(span.end - span.start < after(20) - NOW for span in result.lost), exact
            shutil.rmtree(folder)


def _lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def _bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _shorten(path: Path, size: float) -> None:
    os.truncate(path, int(size))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "the tail is cut off": lambda path: _shorten(path, path.stat().st_size / 1.5),
    "whole lines are cut off": lambda path: _lines(path, lambda lines: lines[:1]),
    "two lines are one": lambda path: _bytes(path, lambda all_: all_.replace(b"\n", b"", 1)),
    "no line feed is left": lambda path: _bytes(path, lambda all_: all_.replace(b"\n", b" ")),
    "the file is gone": Path.unlink,
    "the file is empty": lambda path: _shorten(path, 0),
    "the file is of zeros": lambda path: _bytes(path, lambda all_: bytes(len(all_))),
    "another version wrote it": lambda path: _bytes(path, lambda _: b"v9 \x00 something\n" * 9),
    "a sector is lost": lambda path: _bytes(
        path, lambda all_: all_[:1_000] + bytes(4_096) + all_[5_096:]
    ),
}
HARMLESS: dict[str, Callable[[Path], object]] = {
    "a line stands twice": lambda path: _lines(path, lambda lines: [*lines, lines[0]]),
    "the file stands twice": lambda path: shutil.copy(path, path.with_name("0000000099.spool")),
    "the index is gone": lambda path: path.with_suffix(".index").unlink(),
    "the index is torn": lambda path: _shorten(
        path.with_suffix(".index"), path.with_suffix(".index").stat().st_size - 20
    ),
}
WHICH = pytest.mark.parametrize("number", [0, 1, -1], ids=["first", "middle", "last"])


@WHICH
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_comes_back_or_is_told_to_the_moment(
    tmp_path: Path, damage: Callable[[Path], object], number: int
) -> None:
    path = write(tmp_path)[number]
    damage(path)
    result = read(tmp_path)
    assert check(result) > 0
    told = {span for batch in batches() for span in spans_of(batch)}
    assert set(result.lost) <= told


@WHICH
@pytest.mark.parametrize("damage", HARMLESS.values(), ids=HARMLESS)
def test_nothing_is_told_as_lost_where_nothing_is(
    tmp_path: Path, damage: Callable[[Path], object], number: int
) -> None:
    damage(write(tmp_path)[number])
    result = read(tmp_path)
    assert check(result) == 0
    assert result.lost == []


@WHICH
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damage_of_the_index_too_is_told_from_what_lies_around(
    tmp_path: Path, damage: Callable[[Path], object], number: int
) -> None:
    path = write(tmp_path)[number]
    damage(path)
    if path.exists():  # else nothing tells that there was one, unless it is in the middle
        path.with_suffix(".index").write_bytes(b"\x00" * 50)
        written_then(path)
        check(read(tmp_path))


@pytest.mark.parametrize("number", [1, 2], ids=["second", "third"])
def test_a_segment_without_a_trace_is_told_from_its_neighbours(tmp_path: Path, number: int) -> None:
    path = write(tmp_path)[number]
    path.unlink()
    path.with_suffix(".index").unlink()
    result = read(tmp_path)
    assert check(Read(result.batches, result.lost, result.spool)) > 10


def test_a_file_of_an_older_version_tells_a_broken_line_by_its_neighbours(tmp_path: Path) -> None:
    lines = [encode(batch) for batch in batches()]
    broken = bytearray(lines[10])
    broken[60] ^= 1
    (tmp_path / "0000000001.spool").write_bytes(b"".join([*lines[:10], broken, *lines[11:]]))
    written_then(tmp_path / "0000000001.spool")
    result = read(tmp_path)
    assert 0 < check(result) <= 10
    assert {span.of for span in result.lost} >= set(ROSTER)
    trades = next(span for span in result.lost if span.of == ROSTER[0])
    # the line before and the line after of the same kind are its bounds
    assert trades.end - trades.start < after(10) - NOW


def test_lines_that_cannot_be_read_are_kept_aside(tmp_path: Path) -> None:
    path = write(tmp_path)[0]
    content = path.read_bytes()
    path.write_bytes(content[:50] + b"#" + content[51:])
    first = path.read_bytes().splitlines(keepends=True)[0]
    result = read(tmp_path)
    assert result.spool.corrupt_lines == result.spool.damages == 1
    assert (tmp_path / "damaged.lines").read_bytes() == first
    assert not list(tmp_path.glob("*.spool"))
    assert not list(tmp_path.glob("*.index"))


@on_sqlite
def test_a_damage_is_a_row_of_the_ledger_before_its_file_goes(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    tenant = Tenant(database, "alice")
    spool = Spool(tmp_path / "spool")
    spool.append(Batch(TRADES, None, [trade_row(n) for n in range(10)]))
    mine = [tenant.execution("e1", exchange_ts=after(3))]
    spool.append(Batch(EXECUTIONS, tenant.user_id, mine))
    spool.append(Batch(TRADES, None, [trade_row(n) for n in range(10, 20)]))
    spool.close()
    (path,) = (tmp_path / "spool").glob("*.spool")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2][:-30])
    again = Spool(tmp_path / "spool")
    writers = WriterSet()
    loop = WriteLoop(database, again, writers.all, WriteLimits(flush_interval_s=0.1))
    loop.start()
    end = time.monotonic() + 10
    while not again.is_empty:
        assert time.monotonic() < end
        time.sleep(0.01)
    with database.get_session() as session:
        rows = [one.trade_id for one in PublicTradeRepository(session).iterate(SYMBOL)]
        (market,) = MarketGapRepository(session).find()
        (private,) = TenantScope(session, tenant.user_id).capture_gaps.find()
    loop.stop()
    again.close()
    assert rows == [f"t{n}" for n in range(10)]
    assert (market.stream, market.symbol) == (CaptureStream.TRADES, SYMBOL)
    assert (market.gap_start, market.gap_end) == (
        trade_row(10).exchange_ts,
        trade_row(19).exchange_ts,
    )
    assert (private.stream, private.account_id) == (CaptureStream.EXECUTIONS, tenant.account.id)
    assert private.gap_start == private.gap_end == after(3)
    assert {market.status, private.status} == {GapStatus.OPEN}
    assert market.reason.startswith("damaged on disk; 2 lines of 0000000001.spool")


WATCHER = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
opens = []
sys.addaudithook(
    lambda name, args: opens.append(0) if name == "open" and str(args[0]) == sys.argv[1] else None
)
from event_saver.collectors.progress import Progress
from event_saver.spool.rows import TRADES, Batch
from event_saver.spool import Spool
from grid_db.testing_rows import trade
spool = Spool(folder, segment_bytes=4_000)
counts = []
for number in range(40):
    spool.append(Batch(TRADES, None, [trade(n) for n in range(10)]))
    counts.append(len(opens))
files = len(list(folder.glob("*.spool")))
while not spool.is_empty:
    spool.peek(10)
    spool.forget_read()
counts.append(len(opens))
Progress(folder).save()
counts.append(len(opens))
print(files, *counts)
"""


def test_names_of_files_are_made_durable_once_for_each_file(tmp_path: Path) -> None:
    """The folder is opened to be synced for each file that comes, goes or is replaced."""
    folder = tmp_path / "spool"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", WATCHER, str(folder)], capture_output=True, text=True, check=True
    )
    files, *counts = map(int, done.stdout.split())
    assert 2 < files < 20
    assert counts[0] == 1
    assert counts[39] == files
    assert counts[40] == 2 * files
    assert counts[41] == 2 * files + 1
