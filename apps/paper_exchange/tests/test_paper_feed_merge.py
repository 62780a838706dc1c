"""Feeds put together, written down, and pushed in from outside."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcore import SideType
from paper_exchange.feeds import Feed, FeedOverflowError, LiveFeed, ScriptedFeed, merged
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

START_MS = 1_767_225_600_000


def trade(ts_ms: int, price: str = "100", symbol: str = "AUSDT", trade_id: str = "t") -> FeedTrade:
    return FeedTrade(
        symbol=symbol, ts_ms=ts_ms, price=Decimal(price), qty=Decimal(1), side=SideType.BUY,
        trade_id=trade_id,
    )  # fmt: skip


def quote(
    ts_ms: int, symbol: str = "AUSDT", last: str | None = None, mark: str | None = None
) -> FeedQuote:
    return FeedQuote(
        symbol=symbol,
        ts_ms=ts_ms,
        last_price=None if last is None else Decimal(last),
        mark_price=None if mark is None else Decimal(mark),
    )


TIMES = st.lists(st.integers(0, 20), min_size=1, max_size=30).map(sorted)


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_merged_feeds_are_in_order_and_whole(times: list[list[int]]) -> None:
    feeds: list[Feed] = [
        ScriptedFeed(
            [trade(ms, symbol=f"S{n}", trade_id=str(row)) for row, ms in enumerate(part)],
            keep_times=True,
            name=f"f{n}",
        )
        for n, part in enumerate(times)
    ]
    together = merged(feeds)
    events = list(together.events(0))
    assert together.symbols == tuple(f"S{n}" for n in range(len(times)))
    assert together.name == " + ".join(f"f{n}" for n in range(len(times)))
    assert len(events) == sum(map(len, times))
    places = [(event.ts_ms, event.symbol) for event in events]
    assert places == sorted(places)
    for one in feeds:
        assert [e for e in events if e.symbol == one.symbols[0]] == list(one.events(0))


def test_every_merged_feed_begins_at_the_start() -> None:
    feeds = [ScriptedFeed([trade(ms, symbol=name)]) for ms, name in ((5, "A"), (900, "B"))]
    assert [(e.ts_ms, e.symbol) for e in merged(feeds).events(START_MS)] == [
        (START_MS, "A"),
        (START_MS, "B"),
    ]


def test_what_cannot_be_merged_is_named() -> None:
    with pytest.raises(ValueError, match="no feed to merge"):
        merged([])
    twice: Sequence[Feed] = [ScriptedFeed([trade(0)], name="a"), ScriptedFeed([trade(0)], name="b")]
    with pytest.raises(ValueError, match=r"^AUSDT: more than one feed has it, a and b;"):
        merged(twice)


def test_a_script_is_moved_to_the_start_and_can_be_played_again() -> None:
    script = [quote(40, mark="99.5"), trade(40), trade(47, symbol="BUSDT")]
    feed = ScriptedFeed(script)
    assert feed.symbols == ("AUSDT", "BUSDT")
    expected = [replace(e, ts_ms=e.ts_ms - 40 + START_MS) for e in script]
    assert list(feed.events(START_MS)) == expected
    assert list(feed.events(START_MS)) == expected
    assert list(ScriptedFeed(script, keep_times=True).events(START_MS)) == script


def test_prices_become_trades_at_intervals() -> None:
    feed = ScriptedFeed.of_prices("AUSDT", ["100.5", 101, Decimal("99")], interval_ms=250)
    events = list(feed.events(START_MS))
    assert [e.ts_ms - START_MS for e in events] == [0, 250, 500]
    assert all(isinstance(e, FeedTrade) for e in events)
    assert [e.price for e in events if isinstance(e, FeedTrade)] == [Decimal("100.5"), 101, 99]
    assert len({e.trade_id for e in events if isinstance(e, FeedTrade)}) == 3


def test_wrong_scripts_are_named() -> None:
    with pytest.raises(ValueError, match="has no event"):
        ScriptedFeed([])
    with pytest.raises(ValueError, match="AUSDT at 4 ms comes after 5 ms"):
        ScriptedFeed([trade(5), trade(4)])
    with pytest.raises(ValueError, match="AUSDT: 0 is no price"):
        ScriptedFeed.of_prices("AUSDT", ["1", "0"])
    with pytest.raises(ValueError, match="interval_ms is -1"):
        ScriptedFeed.of_prices("AUSDT", ["1"], interval_ms=-1)


def test_pushed_events_come_out_in_order_and_in_time() -> None:
    feed = LiveFeed(["AUSDT", "BUSDT"])
    pushed = [trade(50, trade_id="1"), trade(49, symbol="BUSDT"), trade(60, trade_id="2")]
    for event in pushed:
        feed.push(event)
    feed.close()
    events = list(feed.events(10))
    assert [e.ts_ms for e in events] == [50, 50, 60]
    assert [replace(e, ts_ms=0) for e in events] == [replace(e, ts_ms=0) for e in pushed]
    late = LiveFeed(["AUSDT"])
    late.push(trade(50))
    late.close()
    assert [e.ts_ms for e in late.events(1_000)] == [1_000]


def test_quotes_conflate_and_trades_do_not() -> None:
    feed = LiveFeed(["AUSDT", "BUSDT"], max_trades=5)
    feed.push(quote(1, last="10", mark="11"))
    feed.push(quote(2, symbol="BUSDT", mark="5"))
    feed.push(quote(3, mark="12"))
    feed.push(trade(4))
    feed.push(quote(5, mark="13"))
    feed.push(quote(6, last="9"))
    assert feed.drain() == [
        quote(2, symbol="BUSDT", mark="5"),
        quote(3, last="10", mark="12"),
        trade(4),
        quote(6, last="9", mark="13"),
    ]
    assert feed.drain() == []
    feed.push(quote(7, mark="14"))  # what was taken is not changed any more
    assert feed.drain() == [quote(7, mark="14")]


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["A", "B", "C"]), st.integers(1, 9))),
)
def test_after_conflation_the_market_looks_the_same(pushes: list[tuple[bool, str, int]]) -> None:
    """At every trade and at the end the last quote fields known are those that were pushed."""

    def seen(events: Sequence[FeedEvent]) -> list[object]:
        state: dict[str, dict[str, Decimal]] = {"A": {}, "B": {}, "C": {}}
        looks: list[object] = []
        for event in events:
            if isinstance(event, FeedTrade):
                looks.append((event.trade_id, dict(state[event.symbol])))
            else:
                for name in ("last_price", "mark_price"):
                    if getattr(event, name) is not None:
                        state[event.symbol][name] = getattr(event, name)
        return [*looks, state]

    events: list[FeedEvent] = []
    for n, (is_trade, symbol, price) in enumerate(pushes):
        if is_trade:
            events.append(trade(n, str(price), symbol, str(n)))
        elif price % 2:
            events.append(quote(n, symbol, last=str(price)))
        else:
            events.append(quote(n, symbol, mark=str(price)))
    feed = LiveFeed(["A", "B", "C"])
    for event in events:
        feed.push(event)
    taken = feed.drain()
    assert seen(taken) == seen(events)
    count = sum(isinstance(e, FeedTrade) for e in events)
    assert len(taken) <= 2 * count + 3
    assert all(late.ts_ms >= early.ts_ms for early, late in pairwise(taken))


def test_a_full_feed_says_so_to_both_sides_and_loses_no_trade_before() -> None:
    feed = LiveFeed(["AUSDT"], max_trades=2)
    for n in range(2):
        feed.push(trade(n))
    for n in range(10):
        feed.push(quote(n, mark="1"))  # quotes need no room
    with pytest.raises(FeedOverflowError, match="2 trades wait and AUSDT has another"):
        feed.push(trade(2))
    with pytest.raises(FeedOverflowError):
        feed.push(quote(3))
    events = feed.events(0)
    assert [next(events).ts_ms for _ in range(3)] == [0, 1, 9]
    with pytest.raises(FeedOverflowError, match="start the feed again"):
        next(events)
    with pytest.raises(FeedOverflowError):
        feed.drain()


def test_what_is_taken_makes_room() -> None:
    feed = LiveFeed(["AUSDT"], max_trades=2)
    for n in range(0, 20, 2):
        pushed = [trade(n), trade(n + 1)]
        for event in pushed:
            feed.push(event)
        assert feed.drain() == pushed


def test_wrong_use_of_a_live_feed_is_named() -> None:
    for symbols in ([], ["AUSDT", "AUSDT"]):
        with pytest.raises(ValueError, match="give at least one, and each once"):
            LiveFeed(symbols)
    with pytest.raises(ValueError, match="max_trades is 0"):
        LiveFeed(["AUSDT"], max_trades=0)
    feed = LiveFeed(["AUSDT"])
    with pytest.raises(ValueError, match="BUSDT: feed live has AUSDT only"):
        feed.push(trade(0, symbol="BUSDT"))
    feed.close()
    with pytest.raises(ValueError, match="live is closed"):
        feed.push(trade(0))
    assert list(feed.events(0)) == []


def test_threads_push_while_another_takes() -> None:
    names = [f"S{n}" for n in range(4)]
    feed = LiveFeed(names)
    taken: list[FeedEvent] = []
    taker = Thread(target=lambda: taken.extend(feed.events(0)))
    taker.start()

    def push(symbol: str) -> None:
        for n in range(2_000):
            feed.push(trade(n, symbol=symbol, trade_id=str(n)))
            feed.push(quote(n, symbol=symbol, mark=str(n + 1)))

    pushers = [Thread(target=push, args=(name,)) for name in names]
    for pusher in pushers:
        pusher.start()
    for pusher in pushers:
        pusher.join()
    feed.close()
    taker.join(20)
    assert not taker.is_alive()
    for name in names:
        ids = [e.trade_id for e in taken if isinstance(e, FeedTrade) and e.symbol == name]
        assert ids == [str(n) for n in range(2_000)]
    assert all(late.ts_ms >= early.ts_ms for early, late in pairwise(taken))
