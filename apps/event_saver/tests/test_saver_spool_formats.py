"""The format of the spool has a number: what another version left is read rightly or kept whole."""

from __future__ import annotations

import ast
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import orjson
import pytest

import grid_db
from event_saver.spool import rows as kinds
from event_saver.spool.codec import NewerFormatError, decode, encode
from event_saver.spool.formats import FORMATS, check_formats, rows_name
from event_saver.spool.rows import KINDS, Batch
from event_saver.spool.spool import Spool
from event_saver.writers import WriteLimits, WriteLoop, WriterSet, records
from grid_db import DatabaseFactory, PublicTradeRecord, PublicTradeRepository
from grid_db.testing_rows import trade

# Of the names of every format that was ever written, in their order. An entry never changes: a
# spool on somebody's disk is read by it. A record that changes gets a further format, and a line.
WRITTEN = {
    "gaps": ["1d0b8bbed11b"],
    "executions": ["30194ea35207"],
    "orders": ["fb967374286e"],
    "positions": ["52cf184e9660"],
    "wallet": ["509aaba16c92"],
    "trades": ["ecac29f94673"],
    "tickers": ["d83d220592c5"],
}


def digest(names: tuple[str, ...]) -> str:
    return hashlib.sha256(",".join(names).encode()).hexdigest()[:12]


def line_of(content: dict[str, object]) -> bytes:
    body = orjson.dumps(content)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def newer(batch: Batch) -> bytes:
    """Return the line of a batch as a version with one more format would write it."""
    content = orjson.loads(encode(batch)[9:])
    version = content["v"] + 1
    content |= {"v": version, rows_name(version): [[*row, "more"] for row in content.pop("rows")]}
    return line_of(content)


def trades(first: int, count: int = 3) -> Batch:
    return Batch(kinds.TRADES, None, [trade(number) for number in range(first, first + count)])


def test_a_format_that_was_written_once_stays_as_it_is() -> None:
    for name, formats in FORMATS.items():
        now, written = [digest(one) for one in formats], WRITTEN[name]
        assert now[: len(written)] == written, f"a format of {name} was changed; add another one"
        added = now[len(written) :]
        assert not added, f"add the new format to WRITTEN[{name!r}] of this test: {added}"
    assert FORMATS.keys() == WRITTEN.keys()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_newest_format_is_the_record_as_it_is(kind: kinds.RowKind) -> None:
    names = tuple(one.name for one in fields(kind.record_type) if one.name != "id")
    assert names == FORMATS[kind.name][-1]


@dataclass(frozen=True, kw_only=True)
class _Longer(PublicTradeRecord):
    is_block_trade: bool = False


@dataclass(frozen=True, kw_only=True)
class _Moved:
    trade_id: str
    symbol: str


@dataclass(frozen=True, kw_only=True)
class _Shorter:
    symbol: str


@pytest.mark.parametrize(
    ("record", "formats", "words"),
    [
        (_Longer, FORMATS["trades"], r"_Longer .* \(is_block_trade\); add format 2 of trades"),
        (_Moved, (("symbol", "trade_id"),), r"\(the order\); add format 2 of trades"),
        (_Shorter, (("symbol", "trade_id"), ("symbol",)), "has no trade_id, which an older format"),
    ],
)
def test_a_record_that_changed_without_a_new_format_is_refused(
    record: type, formats: tuple[tuple[str, ...], ...], words: str
) -> None:
    with pytest.raises(TypeError, match=words):
        check_formats("trades", record, formats)


def test_a_line_tells_its_format_and_one_of_before_there_were_numbers_is_the_first() -> None:
    batch = trades(0)
    content = orjson.loads(encode(batch)[9:])
    assert content.pop("v") == len(FORMATS["trades"])
    assert decode(line_of(content)).records == batch.records


def test_a_line_of_a_newer_format_is_told_from_a_damaged_one() -> None:
    words = "trades in format 2, and this version of event_saver reads up to 1"
    with pytest.raises(NewerFormatError, match=words):
        decode(newer(trades(0)))
    with pytest.raises(NewerFormatError, match="options in format 1"):
        decode(line_of({"kind": "options", "v": 1, "user": None, "rows": []}))


def test_what_a_newer_version_left_is_kept_whole_and_noted(
    tmp_path: Path, open_spool: Callable[..., Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool = open_spool(tmp_path)
    spool.append(trades(0))
    spool.append(trades(10))
    spool.close()
    (file,) = tmp_path.glob("*.spool")
    (index,) = tmp_path.glob("*.index")
    first, second = file.read_bytes().splitlines(keepends=True)
    written = newer(decode(second))
    entries = index.read_bytes().splitlines(keepends=True)
    checksum = orjson.loads(entries[2][9:])
    checksum[0] = written[:8].decode()
    body = orjson.dumps(checksum)
    index.write_bytes(b"".join([*entries[:2], b"%08x %b\n" % (zlib.crc32(body), body)]))
    file.write_bytes(first + written)

    again = open_spool(tmp_path)
    (batch,) = again.peek(100)
    assert batch.records == trades(0).records
    ((spans, reason),) = again.take_lost()
    assert [(span.start, span.end) for span in spans] == [
        (trade(10).exchange_ts, trade(12).exchange_ts)
    ]
    assert "is of a newer version of event_saver" in reason
    assert again.corrupt_lines == 0
    again.forget_read()
    assert again.is_empty
    (kept,) = tmp_path.glob("*.spool.newer")
    assert kept.read_bytes() == first + written
    assert "is kept as 0000000001.spool.newer" in caplog.text
    # what is there under that name stays
    again.append(trades(20))
    again.close()
    (file,) = tmp_path.glob("*.spool")
    file.write_bytes(written)
    last = open_spool(tmp_path)
    assert last.peek(100) == []
    last.forget_read()
    assert len(list(tmp_path.glob("*.spool*.newer"))) == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_version_that_can_read_it_stores_what_was_kept(
    database: DatabaseFactory, tmp_path: Path, open_spool: Callable[..., Spool]
) -> None:
    (tmp_path / "0000000001.spool.newer").write_bytes(encode(trades(0)) + encode(trades(10)))
    (tmp_path / "0000000001.index.newer").write_bytes(b"")
    (tmp_path / "0000000007.spool.newer").write_bytes(newer(trades(30)))
    spool = open_spool(tmp_path)
    spool.append(trades(20))
    writers = WriterSet()
    loop = WriteLoop(database, spool, writers.all, WriteLimits(flush_interval_s=0.1))
    loop.start()
    assert loop.stop()
    with database.get_session() as session:
        stored = [one.trade_id for one in PublicTradeRepository(session).iterate("BTCUSDT")]
    assert sorted(stored) == sorted(f"t{number}" for number in (0, 1, 2, 10, 11, 12, 20, 21, 22))
    assert [one.name for one in tmp_path.glob("*.newer")] == ["0000000007.spool.newer"]


def test_every_field_of_a_record_is_filled() -> None:
    """A field that is left to its default is a column that stays empty."""
    tree = ast.parse(Path(records.__file__).read_text(encoding="utf-8"))
    checked = 0
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            continue
        kind = getattr(grid_db, call.func.id, None) if call.func.id.endswith("Record") else None
        if kind is None or not is_dataclass(kind):
            continue
        given = {one.arg for one in call.keywords} | {"id"}
        missing = sorted({field.name for field in fields(kind)} - given)
        assert not missing, f"event_saver/writers/records.py gives {call.func.id} no {missing}"
        checked += 1
    assert checked >= 5
