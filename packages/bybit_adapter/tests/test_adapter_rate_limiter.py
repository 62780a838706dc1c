from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bybit_adapter.basics.errors import RateLimited
from bybit_adapter.http import endpoints
from bybit_adapter.http.endpoints import Endpoint, Priority
from bybit_adapter.http.rate_limiter import (
    AddressWindow,
    LimitHeaders,
    RateLimiter,
    SlidingWindow,
    backoff_s,
)

START = datetime(2026, 8, 9, 12, tzinfo=UTC)


class HandClock:
    """Time that moves when somebody sleeps; every thread's sleep moves it once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.seconds += seconds


def limiter_on(clock: HandClock, address: AddressWindow | None = None) -> RateLimiter:
    return RateLimiter(clock=clock, random=Random(1), address=address or AddressWindow())


def reset_in(clock: HandClock, seconds: float) -> LimitHeaders:
    return LimitHeaders(reset=clock.now() + timedelta(seconds=seconds))


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(1, 12), st.floats(0, 0.4)), min_size=1, max_size=60),
)
def test_no_span_ever_holds_more_than_the_limit(limit: int, calls: list[tuple[int, float]]) -> None:
    window = SlidingWindow(limit, 1.0)
    now, sent = 0.0, []
    for cost, gap in calls:
        now += gap
        units = min(cost, limit)
        while (delay := window.delay(now, units)) > 0:
            now = max(now + delay, now + 1e-9)
        window.add(now, units)
        sent.append((now, units))
    for moment, _ in sent:
        inside = sum(units for at, units in sent if moment - 1.0 + 1e-6 < at <= moment)
        assert inside <= limit


def test_ten_orders_go_at_once_and_the_eleventh_waits_a_second() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    for _ in range(10):
        limiter.acquire(endpoints.PLACE)
    assert clock.slept == []
    limiter.acquire(endpoints.PLACE)
    assert clock.seconds == pytest.approx(1.05)


def test_endpoints_do_not_hold_each_other_up_nor_do_accounts() -> None:
    clock, address = HandClock(), AddressWindow()
    first, second = limiter_on(clock, address), limiter_on(clock, address)
    for _ in range(10):
        first.acquire(endpoints.PLACE)
        first.acquire(endpoints.CANCEL)
        second.acquire(endpoints.PLACE)
    assert clock.slept == []


def test_every_order_of_a_batch_counts() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    limiter.acquire(endpoints.PLACE_BATCH, cost=6)
    limiter.acquire(endpoints.PLACE_BATCH, cost=4)
    assert clock.seconds == 0
    limiter.acquire(endpoints.PLACE_BATCH, cost=1)
    assert clock.seconds == pytest.approx(1.05)


def test_waiting_longer_than_allowed_is_refused_at_once() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    for _ in range(10):
        limiter.acquire(endpoints.PLACE)
    with pytest.raises(RateLimited) as raised:
        limiter.acquire(endpoints.PLACE, max_wait_s=0.5)
    assert clock.seconds == 0
    assert raised.value.retry_at == START + timedelta(seconds=1.05)


def test_the_answer_s_limit_is_the_real_one() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    limiter.observe(endpoints.PLACE, LimitHeaders(limit=20, remaining=20))
    for _ in range(20):
        limiter.acquire(endpoints.PLACE)
    assert clock.slept == []
    limiter.acquire(endpoints.PLACE)
    assert clock.slept


def test_what_somebody_else_used_of_the_account_counts() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    limiter.acquire(endpoints.PLACE)
    limiter.observe(endpoints.PLACE, LimitHeaders(limit=10, remaining=2))
    limiter.acquire(endpoints.PLACE)
    limiter.acquire(endpoints.PLACE)
    assert clock.slept == []
    limiter.acquire(endpoints.PLACE)
    assert clock.seconds == pytest.approx(1.05)


def test_market_data_has_no_limit_but_the_address_s() -> None:
    clock = HandClock()
    limiter = limiter_on(clock, AddressWindow(limit=100, span_s=5.0))
    limiter.observe(endpoints.TICKERS, LimitHeaders(limit=1, remaining=0))
    for _ in range(100):
        limiter.acquire(endpoints.TICKERS)
    assert clock.slept == []
    limiter.acquire(endpoints.TICKERS)
    assert clock.seconds == pytest.approx(5.0)


def test_after_10006_the_endpoint_waits_for_the_reset_and_others_go_on() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    at = limiter.refused(endpoints.PLACE, 10006, reset_in(clock, 3.0))
    assert at == START + timedelta(seconds=3)
    limiter.acquire(endpoints.CANCEL)
    assert clock.seconds == 0
    limiter.acquire(endpoints.PLACE)
    assert clock.seconds == pytest.approx(3.0)


@pytest.mark.parametrize("offset", [-3600.0, 0.0, 86_400.0])
def test_an_odd_reset_time_does_no_harm(offset: float) -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    at = limiter.refused(endpoints.PLACE, 10006, reset_in(clock, offset))
    assert timedelta(0) < at - START <= timedelta(seconds=30)


def test_pauses_double_up_to_a_bound_with_jitter_and_end_with_a_success() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    pauses = []
    for _ in range(9):
        at = limiter.refused(endpoints.PLACE, 10006, LimitHeaders())
        pauses.append((at - clock.now()).total_seconds())
    for number, pause in enumerate(pauses):
        longest = min(30.0, 0.5 * 2**number)
        assert longest / 2 <= pause <= longest
    assert len(set(pauses)) == len(pauses)
    limiter.observe(endpoints.PLACE, LimitHeaders())
    at = limiter.refused(endpoints.PLACE, 10006, LimitHeaders())
    assert (at - clock.now()).total_seconds() <= 0.5


def test_a_banned_address_stops_all_accounts_for_ten_minutes() -> None:
    clock, address = HandClock(), AddressWindow()
    first, second = limiter_on(clock, address), limiter_on(clock, address)
    first.refused(endpoints.TICKERS, 403, LimitHeaders())
    with pytest.raises(RateLimited) as raised:
        second.acquire(endpoints.CANCEL)
    assert raised.value.retry_at is not None
    assert raised.value.retry_at >= START + timedelta(minutes=10)
    clock.seconds += 661
    second.acquire(endpoints.CANCEL)


def test_an_overloaded_exchange_is_left_alone_by_all_endpoints() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    at = limiter.refused(endpoints.PLACE, 429, LimitHeaders())
    limiter.acquire(endpoints.CANCEL)
    assert clock.now() == at


class GatedClock(HandClock):
    """Sleepers wait in real threads until `open` says how late it is."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Condition()
        self.sleepers = 0

    def sleep(self, seconds: float) -> None:
        with self.gate:
            wake = self.seconds + seconds
            self.sleepers += 1
            self.gate.notify_all()
            self.gate.wait_for(lambda: self.seconds >= wake, timeout=10)
            self.sleepers -= 1
            self.gate.notify_all()

    def open(self, seconds: float) -> None:
        with self.gate:
            self.seconds = seconds
            self.gate.notify_all()

    def wait_for_sleepers(self, count: int) -> None:
        with self.gate:
            assert self.gate.wait_for(lambda: self.sleepers == count, timeout=10)


def test_cancels_go_before_places_and_places_before_queries() -> None:
    clock = GatedClock()
    limiter = limiter_on(clock, AddressWindow(limit=1, span_s=5.0))
    limiter.acquire(endpoints.TICKERS)
    went: list[Priority] = []

    def call(endpoint: Endpoint) -> None:
        limiter.acquire(endpoint, max_wait_s=100)
        went.append(endpoint.priority)

    waiting = [endpoints.POSITIONS, endpoints.PLACE, endpoints.CANCEL]
    threads = [threading.Thread(target=call, args=(endpoint,)) for endpoint in waiting]
    for number, thread in enumerate(threads, 1):
        thread.start()
        clock.wait_for_sleepers(number)
    for number in range(1, 40):
        clock.open(number * 5.0)
        threads[0].join(0.02)  # the query goes last
        if not threads[0].is_alive():
            break
    for thread in threads:
        thread.join(10)
    assert went == [Priority.CANCEL, Priority.PLACE, Priority.QUERY]


def test_many_threads_stay_below_the_limit() -> None:
    clock = HandClock()
    limiter = limiter_on(clock)
    moments: list[float] = []

    def work() -> None:
        for _ in range(25):
            limiter.acquire(endpoints.PLACE, max_wait_s=1000)
            moments.append(clock.seconds)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(moments) == 200
    # Time moves while somebody is between taking a place and noting it, so the bound is of the
    # whole: 200 calls at 10 a second take no less than 19 seconds.
    assert clock.seconds >= 19


def test_headers() -> None:
    headers = {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "9",
        "X-Bapi-Limit-Reset-Timestamp": "1786276800000",
    }
    assert LimitHeaders.parse(headers) == LimitHeaders(10, 9, datetime(2026, 8, 9, 12, tzinfo=UTC))
    assert LimitHeaders.parse({}) == LimitHeaders()
    odd = dict.fromkeys(headers, "-1")
    assert LimitHeaders.parse(odd) == LimitHeaders()
    huge = dict.fromkeys(headers, "9" * 30)
    assert LimitHeaders.parse(huge) == LimitHeaders()


def test_repeating_a_query_waits_longer_each_time() -> None:
    random = Random(7)
    for attempt, longest in enumerate([0.25, 0.5, 1, 2, 4, 4, 4]):
        assert longest / 2 <= backoff_s(attempt, random) <= longest
