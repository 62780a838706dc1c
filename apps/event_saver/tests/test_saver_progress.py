"""Until when streams are complete: what holds it, and what survives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from event_saver.collectors.progress import Progress, StreamKey
from grid_db import CaptureStream

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRADES = StreamKey(CaptureStream.TRADES, "BTCUSDT")
ORDERS = StreamKey(CaptureStream.ORDERS, account_id="a")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_stream_stays_where_it_is_until_every_hold_is_released(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.begin(TRADES, NOW)
    progress.hold([TRADES])
    progress.hold([TRADES, ORDERS])
    progress.advance(TRADES, after(1))
    progress.release([TRADES])
    progress.advance(TRADES, after(2))
    assert progress.of(TRADES) == NOW
    progress.release([TRADES])
    progress.advance(TRADES, after(3))
    progress.advance(ORDERS, after(3))
    assert progress.of(TRADES) == after(3)
    assert progress.of(ORDERS) is None


def test_it_never_goes_back_and_survives(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.advance(TRADES, after(5))
    progress.advance(TRADES, after(4))
    progress.begin(TRADES, after(9))
    progress.save()
    again = Progress(tmp_path)
    assert again.of(TRADES) == after(5)
    assert again.of(ORDERS) is None


def test_a_hole_that_was_left_is_known_to_the_next_process(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.begin(TRADES, NOW)
    progress.begin(ORDERS, NOW)
    progress.hold([TRADES])
    progress.save()
    assert not progress.has_left(TRADES)
    again = Progress(tmp_path)
    assert (again.has_left(TRADES), again.has_left(ORDERS)) == (True, False)
    again.save()  # nobody has looked at it yet
    last = Progress(tmp_path)
    assert last.has_left(TRADES)
    last.hold([TRADES])
    last.release([TRADES])
    last.save()
    assert not Progress(tmp_path).has_left(TRADES)


def test_holds_of_what_nobody_follows_are_taken_back(tmp_path: Path) -> None:
    progress = Progress(tmp_path)
    progress.hold([TRADES])
    progress.hold([TRADES])
    progress.abandon([TRADES, ORDERS])
    progress.release([TRADES])  # whoever held it ends later
    progress.hold([TRADES])
    progress.advance(TRADES, NOW)
    assert progress.of(TRADES) is None


def test_a_broken_file_is_begun_anew(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"a": 1}', '{"a": "x"}', '{"held": 1}', '{"held": [[]]}'):
        (tmp_path / "progress.json").write_text(text)
        progress = Progress(tmp_path)
        assert progress.of(TRADES) is None
        progress.begin(TRADES, NOW)
        progress.save()
        assert Progress(tmp_path).of(TRADES) == NOW


def test_a_damaged_file_leaves_the_one_before_it_and_no_stream_is_trusted_further(
    tmp_path: Path,
) -> None:
    """A flipped digit would be a later moment, and hide a hole."""
    progress = Progress(tmp_path)
    progress.begin(TRADES, NOW)
    progress.save()
    progress.advance(TRADES, after(5))
    progress.save()
    path = tmp_path / "progress.json"
    path.write_text(path.read_text().replace("00:00:05", "08:00:05"))
    again = Progress(tmp_path)
    assert again.of(TRADES) == NOW
    assert again.has_left(TRADES)  # so the newest stored row does not count
    again.save()
    assert Progress(tmp_path).of(TRADES) == NOW
