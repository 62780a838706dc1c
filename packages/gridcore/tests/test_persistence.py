"""The anchor on disk: atomic, kept apart by strategy, safe from threads and processes."""

import json
import logging
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest

from gridcore import (
    Grid,
    GridAnchorStore,
    GridConfig,
    GridEngine,
    GridStrategy,
    SnapshotError,
    StrategyConfig,
)
from testkit.builders import strategy_config, ticker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db" / "grid_anchor.json"


def save(store: GridAnchorStore, strat_id: str = "a", price: str = "60000") -> None:
    store.save(strat_id, Decimal(price), Decimal("0.2"), 50)


def test_what_was_saved_is_loaded(path: Path) -> None:
    save(GridAnchorStore(path))
    assert GridAnchorStore(path).load("a") == {
        "anchor_price": "60000",
        "grid_step": "0.2",
        "grid_count": 50,
    }


def test_the_file_is_one_json_object_keyed_by_strategy(path: Path) -> None:
    store = GridAnchorStore(str(path))
    save(store, "a")
    save(store, "b", "3000")
    content = json.loads(path.read_text())
    assert set(content) == {"a", "b"}
    assert content["b"]["anchor_price"] == "3000"


def test_levels_come_back_exactly(path: Path) -> None:
    grid = Grid(Decimal("0.1"), 10, 0.2)
    grid.build_grid(Decimal(60_000))
    store = GridAnchorStore(path)
    store.save("a", Decimal(60_000), 0.2, 10, grid.snapshot())
    entry = store.load("a")
    assert entry is not None
    other = Grid(Decimal("0.1"), 10, 0.2)
    other.restore(entry["levels"], Decimal(entry["anchor_price"]))
    assert (other.grid, other.anchor_price) == (grid.grid, grid.anchor_price)


def test_nothing_saved_is_none(path: Path) -> None:
    store = GridAnchorStore(path)
    assert store.load("a") is None
    save(store, "b")
    assert store.load("a") is None


def test_the_default_place() -> None:
    assert GridAnchorStore().path == Path("db/grid_anchor.json")


def test_an_unchanged_save_writes_nothing(path: Path) -> None:
    store = GridAnchorStore(path)
    save(store)
    before = path.stat()
    save(store)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    save(store, price="60001")
    assert path.stat().st_ino != before.st_ino  # replaced whole, not written into


def test_only_the_file_and_its_lock_stay(path: Path) -> None:
    save(GridAnchorStore(path))
    assert {p.name for p in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def test_a_reader_with_the_old_file_open_keeps_it_whole(path: Path) -> None:
    store = GridAnchorStore(path)
    save(store)
    with path.open() as reader:
        save(store, price="1")
        assert json.load(reader)["a"]["anchor_price"] == "60000"


def test_deleting(path: Path) -> None:
    store = GridAnchorStore(path)
    store.delete("a")
    save(store, "a")
    save(store, "b")
    store.delete("a")
    assert store.load("a") is None
    assert store.load("b") is not None
    before = path.stat().st_ino
    store.delete("a")
    assert path.stat().st_ino == before


@pytest.mark.parametrize("strat_id", ["", None])
def test_a_strategy_without_a_name_is_refused(path: Path, strat_id: str) -> None:
    store = GridAnchorStore(path)
    for act in (store.load, store.delete, lambda name: save(store, name)):
        with pytest.raises(SnapshotError, match="strat_id is empty"):
            act(strat_id)
    assert not path.exists()


DAMAGED = ["", "{", '{"a": ', "[1, 2]", '"text"', "null", "5", b"\xff\xfe\x00"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_or_foreign_file_reads_as_empty_with_a_warning(
    path: Path, content: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with caplog.at_level(logging.WARNING, "gridcore.persistence"):
        assert GridAnchorStore(path).load("a") is None
    assert str(path) in caplog.text
    assert "counts as empty" in caplog.text


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_kept_aside_before_it_is_replaced(
    path: Path, content: str | bytes
) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    path.parent.mkdir()
    path.write_bytes(raw)
    store = GridAnchorStore(path)
    save(store, "b")
    assert path.with_name(f"{path.name}.corrupt-1").read_bytes() == raw
    assert store.load("b") is not None
    path.write_bytes(raw)
    save(store, "b")
    assert path.with_name(f"{path.name}.corrupt-2").read_bytes() == raw


def test_deleting_from_a_damaged_file_leaves_it_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("{")
    GridAnchorStore(path).delete("a")
    assert path.read_text() == "{"


def test_a_missing_file_is_no_damage(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gridcore.persistence"):
        assert GridAnchorStore(path).load("a") is None
    assert caplog.text == ""


def test_a_foreign_entry_reads_as_none_and_survives_other_saves(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"a": "something else"}')
    store = GridAnchorStore(path)
    assert store.load("a") is None
    save(store, "b")
    assert json.loads(path.read_text())["a"] == "something else"


def test_many_threads_lose_nothing(path: Path) -> None:
    store = GridAnchorStore(path)
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            for number in range(10):
                save(store, name, str(60_000 + number))
                assert store.load(name) is not None
        except Exception as error:  # noqa: BLE001  # a thread's failure must fail the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    content = json.loads(path.read_text())
    assert {name: entry["anchor_price"] for name, entry in content.items()} == {
        f"t{i}": "60009" for i in range(6)
    }


WRITER = """
import sys
from decimal import Decimal
from gridcore import GridAnchorStore
store = GridAnchorStore(sys.argv[1])
for number in range(25):
    store.save(f"{sys.argv[2]}-{number}", Decimal(number + 1), 0.2, 50)
    assert store.load(f"{sys.argv[2]}-0") is not None
"""


def test_many_processes_lose_nothing(path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"p{i}"]) for i in range(4)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    content = json.loads(path.read_text())
    assert set(content) == {f"p{i}-{number}" for i in range(4) for number in range(25)}
    assert not [p for p in path.parent.iterdir() if "corrupt" in p.name or "tmp" in p.name]


# the way an anchor is used


@pytest.mark.parametrize("step", [0.2, Decimal("0.2"), Decimal("0.20")])
@pytest.mark.parametrize("saved", [0.2, Decimal("0.2")])
def test_a_loaded_step_equals_the_configured_one(
    path: Path, step: float | Decimal, saved: float | Decimal
) -> None:
    store = GridAnchorStore(path)
    config = GridConfig(50, step)
    store.save("a", Decimal("60000.5"), saved, config.grid_count)
    loaded = store.load("a")
    assert loaded is not None
    assert loaded["grid_step"] == config.grid_step
    assert config.grid_step == loaded["grid_step"]
    assert loaded["grid_count"] == config.grid_count
    assert loaded["grid_step"] != GridConfig(50, 0.3).grid_step
    assert loaded["grid_step"] != "a fifth"
    assert loaded["anchor_price"] == Decimal("60000.5")


def use(path: Path, config: StrategyConfig) -> tuple[GridEngine, GridStrategy]:
    """Take up an earlier grid as an example of the documentation does."""
    loaded = GridAnchorStore(str(path)).load("a")
    anchor, levels = None, None
    if loaded and loaded["grid_step"] == config.grid.grid_step:
        anchor, levels = loaded["anchor_price"], loaded.get("levels")
    tick = config.instrument.tick_size
    engine = GridEngine("BTCUSDT", tick, config.grid, "a", anchor, levels)
    return engine, GridStrategy(config, anchor_price=anchor, levels=levels)


@pytest.mark.parametrize("with_levels", [False, True])
def test_a_loaded_anchor_goes_on_to_engine_and_strategy(path: Path, with_levels: bool) -> None:
    config = strategy_config(strat_id="a", grid=GridConfig(10, 0.2))
    first = GridEngine("BTCUSDT", Decimal("0.1"), config.grid, "a")
    first.on_event(ticker("60123.4"))
    anchor = first.get_anchor_price()
    assert anchor is not None
    levels = first.grid.snapshot() if with_levels else None
    GridAnchorStore(path).save("a", anchor, config.grid.grid_step, 10, levels)
    engine, strategy = use(path, config)
    engine.on_event(ticker("60150"))
    assert engine.grid.ticks == first.grid.ticks
    assert engine.get_anchor_price() == anchor
    if with_levels:
        assert [one.price for one in strategy.view.levels] == [
            one["price"] for one in first.grid.grid
        ]


def test_a_file_of_plain_numbers_is_read_and_survives_others(path: Path) -> None:
    path.parent.mkdir()
    plain = {"anchor_price": 60000.5, "grid_step": 0.2, "grid_count": 50}
    path.write_text(json.dumps({"a": plain}))
    store = GridAnchorStore(path)
    loaded = store.load("a")
    assert loaded == plain
    assert loaded["anchor_price"] == Decimal("60000.5")
    engine, _ = use(path, strategy_config(strat_id="a"))
    engine.on_event(ticker("60100"))
    assert engine.get_anchor_price() == Decimal("60000.5")
    save(store, "b")
    assert store.load("a") == plain


@pytest.mark.parametrize(
    "entry",
    [
        5,
        [],
        {},
        {"anchor_price": "60000", "grid_step": "0.2"},
        {"anchor_price": "many", "grid_step": "0.2", "grid_count": 50},
        {"anchor_price": "-1", "grid_step": "0.2", "grid_count": 50},
        {"anchor_price": "NaN", "grid_step": "0.2", "grid_count": 50},
        {"anchor_price": "60000", "grid_step": "0.2", "grid_count": 50.5},
        {"anchor_price": None, "grid_step": "0.2", "grid_count": 50},
    ],
)
def test_an_entry_that_is_no_anchor_reads_as_none_with_a_warning(
    path: Path, entry: object, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"a": entry}))
    assert GridAnchorStore(path).load("a") is None
    assert "the anchor of a cannot be used" in caplog.text


@pytest.mark.parametrize("anchor", ["many", -5, Decimal("NaN"), float("inf"), 0])
def test_an_anchor_that_is_no_price_is_refused_at_once(anchor: float) -> None:
    with pytest.raises(ValueError, match=r"anchor_price is .*; it is a price in USDT"):
        GridEngine("BTCUSDT", Decimal("0.1"), GridConfig(), "a", anchor)
