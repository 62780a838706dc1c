"""The spool: order, checksums, bounds, crashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_saver.spool import rows as kinds
from event_saver.spool.codec import CorruptLineError, decode, encode
from event_saver.spool.rows import KINDS, Batch
from event_saver.spool.spool import Spool, SpoolError, SpoolFullError
from grid_db import (
    CaptureGapRecord,
    CaptureStream,
    OrderRecord,
    PositionSnapshotRecord,
    SnapshotSource,
    TickerSnapshotRecord,
    WalletSnapshotRecord,
)
from grid_db.testing_rows import NOBODY, NOW, execution, market_gap, order, ticker, trade
from gridcore import DirectionType

Opener = Callable[..., Spool]


def trades(first: int, count: int = 10) -> Batch:
    return Batch(kinds.TRADES, None, [trade(number) for number in range(first, first + count)])


def drain(spool: Spool, max_rows: int = 25) -> list[str]:
    ids = []
    while not spool.is_empty:
        ids += [record.trade_id for batch in spool.peek(max_rows) for record in batch.records]
        spool.forget_read()
    return ids


def fill(spool: Spool, batch: Batch) -> None:
    """Append until there is no room."""
    for _ in range(1_000):
        try:
            spool.append(batch)
        except SpoolFullError:
            return
    raise AssertionError("there is room without end")


def test_batches_come_back_in_order_and_the_spool_is_empty_afterwards(
    tmp_path: Path, open_spool: Opener
) -> None:
    spool = open_spool(tmp_path, segment_bytes=2_000)
    for first in range(0, 200, 10):
        spool.append(trades(first))
    assert len(list(tmp_path.glob("*.spool"))) > 3
    assert drain(spool) == [f"t{number}" for number in range(200)]
    assert not list(tmp_path.glob("*.spool"))
    assert spool.size == 0


def test_what_is_added_while_reading_comes_last(tmp_path: Path, open_spool: Opener) -> None:
    spool = open_spool(tmp_path)
    spool.append(trades(0))
    first = spool.peek(1)
    spool.append(trades(10))
    assert spool.peek(1) == first  # the same until it is forgotten
    assert drain(spool) == [f"t{number}" for number in range(20)]


def test_a_new_process_finds_what_the_last_one_left(tmp_path: Path, open_spool: Opener) -> None:
    spool = open_spool(tmp_path)
    for first in range(0, 50, 10):
        spool.append(trades(first))
    spool.peek(20)
    spool.close()  # read, but never said to be stored
    again = open_spool(tmp_path)
    again.append(trades(50))
    assert drain(again) == [f"t{number}" for number in range(60)]


def test_a_torn_or_altered_line_costs_that_line_only(tmp_path: Path, open_spool: Opener) -> None:
    spool = open_spool(tmp_path)
    for first in range(0, 30, 10):
        spool.append(trades(first))
    spool.close()
    (file,) = tmp_path.glob("*.spool")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"t12", b"t99")
    file.write_bytes(b"".join(lines) + lines[0][:-40])
    again = open_spool(tmp_path)
    again.append(trades(30))
    wanted = [*range(10), *range(20, 40)]
    assert drain(again) == [f"t{number}" for number in wanted]
    assert again.corrupt_lines == 2


def test_a_segment_of_garbage_does_not_stop_what_follows(
    tmp_path: Path, open_spool: Opener
) -> None:
    (tmp_path / "0000000001.spool").write_bytes(b"\x00garbage\n" * 10)
    spool = open_spool(tmp_path)
    spool.append(trades(0))
    assert drain(spool) == [f"t{number}" for number in range(10)]


def test_public_rows_leave_the_last_room_to_private_ones(
    tmp_path: Path, open_spool: Opener
) -> None:
    spool = open_spool(tmp_path, max_bytes=20_000)
    fill(spool, trades(0))
    assert spool.size <= 18_000
    mine = Batch(kinds.EXECUTIONS, NOBODY, [execution(NOBODY, NOBODY)])
    spool.append(mine)
    fill(spool, mine)
    assert spool.size <= 20_000


def test_two_processes_cannot_share_a_folder(tmp_path: Path, open_spool: Opener) -> None:
    first = open_spool(tmp_path)
    with pytest.raises(SpoolError, match=r"in use by another process.*EVENTSAVER_SPOOL_DIR"):
        open_spool(tmp_path)
    first.close()
    open_spool(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, open_spool: Opener) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot be used"):
        open_spool(tmp_path / "file" / "spool")


def test_rows_refused_for_good_are_kept_aside(tmp_path: Path, open_spool: Opener) -> None:
    spool = open_spool(tmp_path)
    assert spool.reject(trades(0), "a reason")
    (line,) = (tmp_path / "rejected.lines").read_bytes().splitlines(keepends=True)
    assert decode(line).records == trades(0).records
    assert spool.is_empty
    assert spool.rejected_rows == 10


RECORDS = [
    (kinds.TRADES, trade(local_ts=NOW)),
    (kinds.TICKERS, ticker(mark_price=Decimal("1E-8"), next_funding_ts=NOW)),
    (kinds.EXECUTIONS, execution(NOBODY, NOBODY, is_maker=True, seq=7, raw_json='{"a":"\n"}')),
    (kinds.ORDERS, order(NOBODY, NOBODY, direction=DirectionType.SHORT)),
    (
        kinds.POSITIONS,
        PositionSnapshotRecord(
            account_id=NOBODY,
            symbol="BTCUSDT",
            direction=DirectionType.LONG,
            source=SnapshotSource.PAPER,
            size=Decimal("0.10"),
            exchange_ts=NOW,
            local_ts=NOW,
        ),
    ),
    (
        kinds.WALLET,
        WalletSnapshotRecord(account_id=NOBODY, coin="USDT", exchange_ts=NOW, local_ts=NOW),
    ),
    (kinds.GAPS, market_gap(stream=CaptureStream.TICKERS)),
]


@pytest.mark.parametrize(("kind", "record"), RECORDS, ids=lambda value: getattr(value, "name", ""))
def test_every_kind_comes_back_as_it_was(kind: kinds.RowKind, record: object) -> None:
    batch = decode(encode(Batch(kind, NOBODY, [record, record])))
    assert batch.kind is kind
    assert batch.user_id == NOBODY
    assert batch.records == [record, record]
    for field in fields(record):  # type: ignore[arg-type]  # a dataclass
        assert type(getattr(batch.records[0], field.name)) is type(getattr(record, field.name))


def test_every_kind_is_tried_above() -> None:
    assert {kind.name for kind, _ in RECORDS} == set(KINDS)
    assert OrderRecord is kinds.ORDERS.record_type
    assert TickerSnapshotRecord is kinds.TICKERS.record_type
    assert CaptureGapRecord is kinds.GAPS.record_type


@given(
    price=st.decimals(allow_nan=False, allow_infinity=False, places=12),
    moment=st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    text=st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_values_come_back_exactly(price: Decimal, moment: datetime, text: str) -> None:
    record = trade(price=price, exchange_ts=moment, trade_id=text)
    (back,) = decode(encode(Batch(kinds.TRADES, None, [record]))).records
    assert back == record
    assert str(back.price) == str(price)


@given(st.binary(max_size=200))
def test_no_line_makes_decoding_fail_otherwise(line: bytes) -> None:
    with pytest.raises(CorruptLineError):
        decode(line + b"\n")


def test_times_keep_their_zone() -> None:
    record = trade(local_ts=NOW + timedelta(microseconds=1))
    (back,) = decode(encode(Batch(kinds.TRADES, None, [record]))).records
    assert back.local_ts.utcoffset() == timedelta(0)
