"""Archives and klines come out whole, in order, at the times of the play."""

import gzip
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import InstrumentInfo, SideType
from market_data.basics.data_errors import DataError, UnknownSymbolError, UnreadableFileError
from paper_exchange.feeds import ArchiveFeed, archive
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
FIRST_S = 1_735_689_600  # 2025-01-01
START_MS = 1_767_225_600_000
MIN_MS = 60_000
HEADER = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional"
)
real_data = pytest.mark.skipif(not REAL.is_dir(), reason="no real market data beside the project")


def instrument(symbol: str = "ABCUSDT", tick: str = "0.05", step: str = "0.001") -> InstrumentInfo:
    return InstrumentInfo(
        symbol=symbol,
        tick_size=Decimal(tick),
        qty_step=Decimal(step),
        min_qty=Decimal(step),
        min_notional=Decimal(0),
        max_qty=Decimal(step) * 10**6,
    )


def row(us: int, price: str, size: str = "1", side: str = "Buy", n: int = 0) -> str:
    ts = f"{FIRST_S + us // 1_000_000}.{us % 1_000_000:06}"
    return f"{ts},ABCUSDT,{side},{size},{price},PlusTick,id{n},0,0,0"


def write(path: Path, rows: Iterable[str], header: str = HEADER) -> Path:
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def feed(*paths: Path, tick: str = "0.05", loop: bool = False) -> ArchiveFeed:
    return ArchiveFeed(paths, "ABCUSDT", instrument(tick=tick), loop)


def trades(events: Iterable[FeedEvent]) -> list[FeedTrade]:
    return [event for event in events if isinstance(event, FeedTrade)]


def quotes(events: Iterable[FeedEvent]) -> list[FeedQuote]:
    return [event for event in events if isinstance(event, FeedQuote)]


MOMENTS = st.lists(st.integers(0, 5_000_000), min_size=1, max_size=60).map(sorted)


@given(
    moments=MOMENTS,
    name=st.sampled_from(["a.csv", "a.csv.gz", "a.parquet"]),
    chunk=st.integers(1, 20),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_an_archive_comes_out_whole_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    moments: list[int],
    name: str,
    chunk: int,
    data: st.DataObject,
) -> None:
    made = [
        (us, data.draw(st.integers(1, 10**6)), data.draw(st.integers(1, 10**6)), side)
        for us, side in zip(
            moments,
            data.draw(
                st.lists(st.sampled_from(["Buy", "Sell"]), min_size=60, max_size=60)
            ),
            strict=False,
        )
    ]  # fmt: skip
    rows = [
        row(us, f"{ticks * Decimal('0.05')}", f"{steps * Decimal('0.001')}", side, n)
        for n, (us, ticks, steps, side) in enumerate(made)
    ]
    path = tmp_path_factory.mktemp("archive") / name
    if name.endswith("parquet"):
        cells = [text.split(",") for text in rows]
        pl.DataFrame(cells, schema=HEADER.split(","), orient="row").write_parquet(path)
    else:
        write(path, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "CHUNK_ROWS", chunk)
        events = list(feed(path).events(START_MS))
    first_ms = moments[0] // 1_000
    assert [
        (e.ts_ms, e.price, e.qty, e.side) if isinstance(e, FeedTrade) else e for e in events
    ] == [
        (
            START_MS + us // 1_000 - first_ms,
            ticks * Decimal("0.05"),
            steps * Decimal("0.001"),
            SideType(side),
        )
        for us, ticks, steps, side in made
    ]
    assert len({t.trade_id for t in trades(events)}) == len(made)


def test_a_feed_can_be_played_again_with_other_ids(tmp_path: Path) -> None:
    made = feed(write(tmp_path / "a.csv", [row(n * 1_000, "100", n=n) for n in range(5)]))
    assert list(made.events(START_MS)) == list(made.events(START_MS))
    first, later = trades(made.events(START_MS)), trades(made.events(START_MS + 1))
    assert not {t.trade_id for t in first} & {t.trade_id for t in later}


def test_files_of_several_days_are_one_feed(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{day}.csv", [row(day * 86_400_000_000 + n, "100") for n in range(3)])
        for day in (1, 0)
    ]
    times = [e.ts_ms - START_MS for e in feed(*paths).events(START_MS)]
    assert times == [0, 0, 0, 86_400_000, 86_400_000, 86_400_000]


def test_prices_off_the_tick_are_rounded_and_never_below_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [row(n, p) for n, p in enumerate(["1.24", "1.26", "0.01"])])
    prices = [t.price for t in trades(feed(path, tick="0.5").events(0))]
    assert prices == [Decimal("1.0"), Decimal("1.5"), Decimal("0.5")]
    finer = [t.price for t in trades(feed(path, tick="0.001").events(0))]
    assert finer == [Decimal("1.24"), Decimal("1.26"), Decimal("0.01")]


def test_a_loop_goes_on_in_time_with_other_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [row(0, "100"), row(2_500_900, "90", side="Sell", n=1)])
    events = trades(islice(feed(path, loop=True).events(START_MS), 7))
    assert [e.ts_ms - START_MS for e in events] == [0, 2500, 2501, 5001, 5002, 7502, 7503]
    assert [e.price for e in events] == [100, 90, 100, 90, 100, 90, 100]
    assert len({e.trade_id for e in events}) == 7
    assert len(list(feed(path).events(START_MS))) == 2


def bars(*volumes: str) -> list[str]:
    """Return green bars of a minute: open 100, low 99, high 102, close 101; flat without volume."""
    return [
        f"{(FIRST_S + 60 * n) * 1_000},{prices},{volume}"
        for n, volume in enumerate(volumes)
        for prices in ["100,102,99,101" if volume != "0" else "101,101,101,101"]
    ]


KLINE_HEADER = "startTime,open,high,low,close,volume"


def test_klines_are_traded_but_for_bars_without_volume(tmp_path: Path) -> None:
    path = write(tmp_path / "ABCUSDT_1m.csv", bars("8", "0", "2"), KLINE_HEADER)
    events = list(feed(path).events(START_MS))
    assert [e.ts_ms - START_MS for e in events] == [n * MIN_MS // 4 for n in range(12)]
    assert [(t.price, t.qty) for t in trades(events)] == [
        *((price, 2) for price in (100, 99, 102, 101)),
        # the price of the thin bar did go there, so somebody traded
        *((price, Decimal("0.001")) for price in (100, 99, 102)),
        (101, 2),
    ]
    assert [q.last_price for q in quotes(events)] == [101] * 4


def test_mark_prices_and_rates_are_quoted_when_they_begin_to_hold(tmp_path: Path) -> None:
    hour = 3_600
    trade_rows = [row(n * 1_800_000_000 + 1_800_000_000, "100", n=n) for n in range(40)]
    mark = write(
        tmp_path / "ABCUSDT_mark.csv",
        [f"{(FIRST_S + n * hour) * 1_000},{100 + n}.123,200,1,150" for n in range(30)],
        "startTime,open,high,low,close",
    )
    funding = write(
        tmp_path / "funding.csv",
        [f"ABCUSDT,0.000{n + 1},{(FIRST_S + n * 8 * hour) * 1_000}" for n in range(4)],
        "symbol,fundingRate,fundingRateTimestamp",
    )
    archived = write(tmp_path / "a.csv", trade_rows)
    events = list(feed(archived, mark, funding).events(START_MS))
    assert len(trades(events)) == 40
    assert all(late.ts_ms >= early.ts_ms for early, late in pairwise(events))
    first = events[0]
    assert isinstance(first, FeedQuote)
    assert first.ts_ms == events[1].ts_ms == START_MS
    assert (first.mark_price, first.funding_rate) == (Decimal("100.123"), Decimal("0.0002"))
    half = hour * 500  # the first trade is half an hour after the first mark, ms
    marks = [(q.ts_ms - START_MS + half, q.mark_price) for q in quotes(events) if q.mark_price]
    assert marks[1:] == [(n * hour * 1_000, Decimal(f"{100 + n}.123")) for n in range(1, 21)]
    rates = [(q.ts_ms - START_MS + half, q.funding_rate) for q in quotes(events) if q.funding_rate]
    # the rate of a settlement is known from just after the one before
    assert rates[1:] == [
        (8 * hour * 1_000 + 1, Decimal("0.0003")),
        (16 * hour * 1_000 + 1, Decimal("0.0004")),
    ]
    at_mark = [e for e in events if e.ts_ms == START_MS + half]
    assert [type(e) for e in at_mark] == [FeedQuote, FeedTrade]
    looped = list(islice(feed(archived, mark, funding, loop=True).events(START_MS), 200))
    assert looped[: len(events)] == events
    again = looped[len(events)]
    assert isinstance(again, FeedQuote)
    assert (again.ts_ms, again.mark_price) == (events[-1].ts_ms + 1, Decimal("100.123"))


def test_wrong_input_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [row(0, "100")])
    klines = write(tmp_path / "ABCUSDT_1m.csv", bars("1"), KLINE_HEADER)
    with pytest.raises(UnreadableFileError, match=r"no\.csv: No such file"):
        feed(tmp_path / "no.csv")
    with pytest.raises(UnknownSymbolError, match="XYZUSDT: no such symbol in the files; there is"):
        ArchiveFeed([path], "XYZUSDT", instrument("XYZUSDT"))
    with pytest.raises(ValueError, match=r"^XYZUSDT: the rules given are those of ABCUSDT"):
        ArchiveFeed([path], "XYZUSDT", instrument())
    with pytest.raises(DataError, match="both trades and klines"):
        feed(path, klines)
    with pytest.raises(DataError, match="neither trades nor klines"):
        feed()
    damaged = tmp_path / "b.csv.gz"
    whole = write(tmp_path / "c.csv.gz", [row(n, "100", n=n) for n in range(20_000)]).read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"b\.csv\.gz: the gzip data ends early"):
        feed(damaged).events(0)


def real(pattern: str) -> Path:
    return next(REAL.glob(pattern))


@real_data
@pytest.mark.parametrize(
    "path", sorted((REAL / "trades").glob("*")), ids=lambda path: path.name.split("_")[0]
)
def test_real_archives_come_out_as_they_are_written(path: Path) -> None:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        head, *lines = file.read().splitlines()
    cells = [dict(zip(head.split(","), text.split(","), strict=True)) for text in lines]
    cells.sort(key=lambda cell: Decimal(cell["timestamp"]))
    symbol = cells[0]["symbol"]
    events = trades(ArchiveFeed([path], symbol, instrument(symbol, "1E-8")).events(START_MS))
    ms = [int(Decimal(cell["timestamp"]) * 1_000) for cell in cells]
    assert [e.ts_ms - START_MS for e in events] == [one - ms[0] for one in ms]
    assert [(e.price, e.qty, str(e.side)) for e in events] == [
        (Decimal(cell["price"]), Decimal(cell["size"]), cell["side"]) for cell in cells
    ]


@real_data
def test_the_tick_size_of_today_does_not_refuse_older_prices(tmp_path: Path) -> None:
    older = row(0, "100.01").replace("ABCUSDT", "BTCUSDT")
    rules = real("rest/instruments-info_linear_selected*")
    paths = [write(tmp_path / "a.csv", [older]), rules]
    made = ArchiveFeed(paths, "BTCUSDT", instrument("BTCUSDT", "0.1"))
    assert [t.price for t in trades(made.events(0))] == [100]


@pytest.mark.slow
@real_data
def test_real_klines_with_marks_funding_and_rules_of_today() -> None:
    paths = [
        real("klines/bybit_linear_BTCUSDT_1m_2026*"),
        real("mark/bybit_linear_BTCUSDT*"),
        real("funding/bybit_linear_BTCUSDT*"),
        real("rest/instruments-info_linear_selected*"),
    ]
    made = ArchiveFeed(paths, "BTCUSDT", instrument("BTCUSDT", "0.1"))
    count = marks = rates = 0
    before = START_MS
    for event in made.events(START_MS):
        assert event.ts_ms >= before
        before = event.ts_ms
        if isinstance(event, FeedQuote):
            marks += event.mark_price is not None
            rates += event.funding_rate is not None
        else:
            count += 1
            assert not event.price % Decimal("0.1")
    days = (before - START_MS) / 86_400_000
    assert count == pytest.approx(days * 1_440 * 4, rel=0.01)
    assert marks == pytest.approx(days * 24, rel=0.01)
    assert rates == pytest.approx(days * 3 + 1, abs=1)
