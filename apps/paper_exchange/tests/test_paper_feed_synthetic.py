"""Made-up markets: the same seed gives the same market, and it is what its settings say."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice, pairwise
from statistics import mean, pstdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import InstrumentInfo, SideType
from paper_exchange.feeds import SyntheticFeed, SyntheticSettings, WalkKind
from paper_exchange.feeds.walks import Underlying
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

START_MS = 1_767_225_600_000
KINDS = [*WalkKind, "sine+jumps", "mean_reversion + jumps", "gbm+sine"]


def instrument(**changes: Any) -> InstrumentInfo:
    rules: dict[str, Any] = {
        "symbol": "ABCUSDT",
        "tick_size": Decimal("0.1"),
        "qty_step": Decimal("0.001"),
        "min_qty": Decimal("0.001"),
        "min_notional": Decimal(5),
        "max_qty": Decimal(1_000),
    }
    return InstrumentInfo(**(rules | changes))


def feed(one: InstrumentInfo | None = None, **changes: Any) -> SyntheticFeed:
    return SyntheticFeed(
        one or instrument(), SyntheticSettings(**({"start_price": Decimal(60_000)} | changes))
    )


def until(made: SyntheticFeed, seconds: float) -> Iterator[FeedEvent]:
    for event in made.events(START_MS):
        if event.ts_ms > START_MS + seconds * 1_000:
            return
        yield event


def trades(made: SyntheticFeed, seconds: float) -> list[FeedTrade]:
    return [event for event in until(made, seconds) if isinstance(event, FeedTrade)]


def marks(made: SyntheticFeed, seconds: float) -> list[float]:
    quotes = (event for event in until(made, seconds) if isinstance(event, FeedQuote))
    return [float(quote.mark_price) for quote in quotes if quote.mark_price is not None]


@pytest.mark.untraced
@given(
    kind=st.sampled_from(KINDS),
    start_ticks=st.integers(1, 10**9),
    tick=st.sampled_from(["0.1", "0.5", "0.00001", "1", "0.25"]),
    step=st.sampled_from(["0.001", "1", "0.2"]),
    volatility=st.floats(0, 1_000),
    trades_per_s=st.floats(0.001, 500),
    qty_mean=st.floats(0.01, 1e7),
    spread=st.integers(1, 5),
    seed=st.integers(),
)
@settings(max_examples=150, deadline=None)
def test_what_leaves_is_on_the_grid_and_in_order(
    kind: str,
    start_ticks: int,
    tick: str,
    step: str,
    volatility: float,
    trades_per_s: float,
    qty_mean: float,
    spread: int,
    seed: int,
) -> None:
    one = instrument(
        tick_size=Decimal(tick),
        qty_step=Decimal(step),
        min_qty=Decimal(step),
        max_qty=Decimal(step) * 1_000,
    )
    made = feed(
        one,
        kind=kind,
        start_price=one.tick_size * start_ticks,
        volatility=volatility,
        trades_per_s=trades_per_s,
        qty_mean_usdt=qty_mean,
        spread_ticks=spread,
        seed=seed,
        jumps_per_day=100_000.0,
        jump_ratio=0.5,
    )
    events = list(islice(made.events(START_MS), 300))
    assert len(events) == 300
    assert events[0].ts_ms == START_MS
    assert all(late.ts_ms >= early.ts_ms for early, late in pairwise(events))
    for event in events:
        assert event.symbol == "ABCUSDT"
        if isinstance(event, FeedTrade):
            assert not event.qty % one.qty_step
            assert one.qty_step <= event.qty <= one.max_qty
            prices = [event.price]
        else:
            assert event.ask1_price is not None
            assert event.bid1_price is not None
            assert event.ask1_price - event.bid1_price == spread * one.tick_size
            prices = [
                price
                for price in (
                    event.mark_price, event.index_price, event.bid1_price, event.ask1_price,
                )
                if price is not None
            ]  # fmt: skip
            assert len(prices) == 4
        assert all(not price % one.tick_size and price >= one.tick_size for price in prices)
    ids = [event.trade_id for event in events if isinstance(event, FeedTrade)]
    assert len(set(ids)) == len(ids)


@pytest.mark.untraced
@given(st.sampled_from(KINDS), st.integers(0, 1 << 40))
@settings(max_examples=30, deadline=None)
def test_a_seed_gives_one_market(kind: str, seed: int) -> None:
    first = list(islice(feed(kind=kind, seed=seed).events(START_MS), 500))
    made = feed(kind=kind, seed=seed)
    assert list(islice(made.events(START_MS), 500)) == first
    assert list(islice(made.events(START_MS), 500)) == first  # a feed can be started again
    other = list(islice(feed(kind=kind, seed=seed + 1).events(START_MS), 500))
    assert other != first
    later = list(islice(made.events(START_MS + 77), 500))
    for early, late in zip(first, later, strict=True):
        back = replace(late, ts_ms=late.ts_ms - 77)
        if isinstance(early, FeedTrade) and isinstance(back, FeedTrade):
            assert early.trade_id != back.trade_id  # ids never come again
            back = replace(back, trade_id=early.trade_id)
        assert back == early


def test_the_same_seed_is_the_same_market_in_every_process() -> None:
    # known values: a hash of text, which differs between processes, would show here
    made = [event for event in islice(feed(seed=7).events(0), 40) if isinstance(event, FeedTrade)]
    assert [(t.ts_ms, str(t.price), str(t.qty), t.side) for t in made[4:9]] == [
        (1004, "59987.7", "0.003", SideType.BUY),
        (1004, "59987.7", "0.002", SideType.BUY),
        (1004, "59987.7", "0.021", SideType.BUY),
        (1004, "59987.7", "0.001", SideType.BUY),
        (1053, "59988.7", "0.001", SideType.BUY),
    ]
    assert made[0].trade_id == "9d3c7578-ac3f-44fe-abeb-a4620fe10390"


def test_symbols_differ_with_the_same_seed() -> None:
    first, second = (
        [m / marks(made, 60)[0] for m in marks(made, 60)]
        for made in (feed(), feed(instrument(symbol="XYZUSDT")))
    )
    assert first != second


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(5))
def test_the_walk_is_as_wide_as_its_volatility(seed: int) -> None:
    prices = marks(feed(volatility=2.0, trades_per_s=0.01, seed=seed), 20_000)
    moves = [math.log(b / a) for a, b in pairwise(prices)]
    a_year = pstdev(moves) * math.sqrt(365.25 * 86_400)
    assert a_year == pytest.approx(2.0, rel=0.05)


def test_without_volatility_the_price_stays() -> None:
    assert set(marks(feed(volatility=0.0), 600)) == {60_000.0}


@pytest.mark.untraced
@pytest.mark.parametrize("seed", range(5))
def test_trades_come_as_often_as_asked_and_in_clusters(seed: int) -> None:
    times = [t.ts_ms - START_MS for t in trades(feed(trades_per_s=10.0, seed=seed), 4_000)]
    assert len(times) / 4_000 == pytest.approx(10, rel=0.1)
    per_second = [0] * 4_000
    for ms in times:
        per_second[min(3_999, ms // 1_000)] += 1
    # independent trades would have a variance equal to their mean
    assert pstdev(per_second) ** 2 > 2 * mean(per_second)


def test_quotes_come_once_a_second_and_tell_the_rate_first() -> None:
    made = feed(trades_per_s=0.2, funding_rate=Decimal("-0.0002"))
    quotes = [event for event in until(made, 60) if isinstance(event, FeedQuote)]
    assert [q.ts_ms - START_MS for q in quotes] == [n * 1_000 for n in range(61)]
    assert [q.funding_rate for q in quotes[:2]] == [Decimal("-0.0002"), None]


def test_the_side_follows_the_move() -> None:
    orders = {t.ts_ms: t for t in trades(feed(volatility=1.0, seed=3), 2_000)}
    moves = [
        (late.price > early.price, late.side is SideType.BUY)
        for early, late in pairwise(orders.values())
        if abs(late.price - early.price) > 2
    ]
    assert len(moves) > 1_000
    assert sum(up == buy for up, buy in moves) / len(moves) > 0.9


def test_sizes_are_exponential_around_their_mean() -> None:
    usdt = [float(t.qty * t.price) for t in trades(feed(qty_mean_usdt=5_000.0), 4_000)]
    assert mean(usdt) == pytest.approx(5_000, rel=0.05)
    assert pstdev(usdt) == pytest.approx(5_000, rel=0.07)


@pytest.mark.untraced
@given(st.floats(0, 0.5), st.floats(1, 100_000), st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_a_sine_stays_in_its_band(amplitude: float, period_s: float, seed: int) -> None:
    made = feed(
        kind="sine", sine_amplitude_ratio=amplitude, sine_period_s=period_s, seed=seed,
        trades_per_s=0.5,
    )  # fmt: skip
    slack = Decimal(1)  # ten ticks: spread, levels of the book, rounding
    reach = Decimal(60_000) * Decimal(amplitude) + slack
    prices = [t.price for t in trades(made, 1_000)]
    assert all(abs(price - 60_000) <= reach for price in prices)


def test_a_sine_reaches_both_ends_and_comes_back() -> None:
    made = marks(feed(kind="sine", sine_amplitude_ratio=0.1, sine_period_s=400.0), 400)
    assert made[0] == made[200] == made[400] == 60_000
    assert (made[100], made[300]) == (66_000, 54_000)


@pytest.mark.untraced
@given(st.floats(0.001, 0.5), st.floats(1, 10_000), st.floats(0, 50), st.integers(0, 1_000))
@settings(max_examples=40, deadline=None)
def test_mean_reversion_stays_in_its_band(
    band: float, half_life_s: float, volatility: float, seed: int
) -> None:
    made = feed(
        kind="mean_reversion", reversion_band_ratio=band, reversion_half_life_s=half_life_s,
        volatility=volatility, seed=seed, trades_per_s=0.5,
    )  # fmt: skip
    reach = Decimal(60_000) * Decimal(band) + 1
    assert all(abs(t.price - 60_000) <= reach for t in trades(made, 1_000))


def test_mean_reversion_comes_back_and_is_as_wide_as_it_should_be() -> None:
    made = feed(
        kind="mean_reversion", volatility=1.0, reversion_half_life_s=30.0,
        reversion_band_ratio=0.9, trades_per_s=0.01,
    )  # fmt: skip
    logs = [math.log(price / 60_000) for price in marks(made, 50_000)]
    pull = math.log(2) / 30
    assert pstdev(logs) == pytest.approx(1 / math.sqrt(2 * pull * 365.25 * 86_400), rel=0.1)
    assert abs(mean(logs)) < 0.2 * pstdev(logs)


def test_jumps_occur_as_often_and_as_far_as_asked() -> None:
    made = feed(
        kind="jumps", volatility=0.01, jumps_per_day=864.0, jump_ratio=0.02, trades_per_s=0.01
    )
    moves = [abs(math.log(b / a)) for a, b in pairwise(marks(made, 40_000))]
    jumps = [move for move in moves if move > 0.005]
    assert 330 < len(jumps) < 470  # 400 expected
    single = [jump for jump in jumps if jump < 0.0325]
    assert len(single) > 0.95 * len(jumps)  # the others are two in one second
    assert all(math.log1p(0.0099) < jump < math.log1p(0.0301) for jump in single[:50])
    assert not [m for m in marks(feed(kind="gbm", volatility=0.01), 500) if abs(m - 60_000) > 300]


def test_jumps_alone_come_on_top_of_a_random_walk() -> None:
    assert marks(feed(kind="jumps", jumps_per_day=0.0), 100) == marks(feed(kind="gbm"), 100)


class Away:
    """A walk that leads far away at once."""

    def __init__(self, log: float) -> None:
        self._log = log

    def at(self, s: float) -> float:
        return self._log * s


def test_a_walk_ends_at_one_tick_and_at_the_highest_price() -> None:
    for log, end in ((-1e4, 1.0), (1e4, 5_000.0)):
        fair = Underlying(100.0, 5_000.0, [Away(log)])
        assert fair.at(0) == pytest.approx(100)
        assert fair.at(1) == pytest.approx(end)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "waves"}, "kind is 'waves'; use one of gbm, mean_reversion, jumps, sine"),
        ({"kind": "sine+sine"}, "kind is 'sine+sine'; name sine once"),
        ({"kind": ""}, "kind is ''"),
        ({"volatility": -0.1}, "volatility is -0.1; it is at least 0 and finite"),
        ({"volatility": math.nan}, "volatility is nan"),
        ({"volatility": math.inf}, "volatility is inf"),
        ({"trades_per_s": 0.0}, "trades_per_s is 0.0; it is above 0 and finite"),
        ({"qty_mean_usdt": -1.0}, "qty_mean_usdt is -1.0; it is above 0"),
        (
            {"sine_amplitude_ratio": 1.0},
            "sine_amplitude_ratio is 1.0; it is at least 0 and below 1",
        ),
        ({"reversion_band_ratio": 1.5}, "reversion_band_ratio is 1.5"),
        ({"jumps_per_day": -1.0}, "jumps_per_day is -1.0"),
        ({"spread_ticks": 0}, "spread_ticks is 0; set at least 1"),
        ({"start_price": Decimal(0)}, "start_price is 0; it is above 0"),
        ({"start_price": Decimal("NaN")}, "start_price is Decimal"),
        ({"start_price": 60_000.0}, "start_price is 60000.0; it is a Decimal"),
        ({"funding_rate": 0.0001}, "funding_rate is 0.0001; it is a Decimal"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        feed(**changes)
