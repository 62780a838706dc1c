"""How often an alert is told, how it reads, and that the guide explains every one of them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_db import AlertSeverity
from gridbot.alerts.alert_throttle import Alert, AlertThrottle
from gridbot.alerts.alerts import AlertKey
from testkit.provokes import provoked_in

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "operating.md"


def alert(number: int = 0, key: AlertKey = AlertKey.ORDER_REJECTED, about: str = "btc") -> Alert:
    return Alert(
        key=key,
        message=f"no. {number}",
        severity=key.severity,
        raised_at=datetime(2026, 1, 1, tzinfo=UTC),
        about=about,
    )


@pytest.mark.parametrize("key", AlertKey)
def test_the_guide_says_what_to_do(key: AlertKey) -> None:
    rows = [
        line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    found = [line for line in rows if f"`{key}`" in line.split("|")[1]]
    assert found, f"the table of alerts in docs/operating.md has no row of `{key}`"
    (row,) = found
    _, _, meaning, action, _ = row.split("|")
    assert len(meaning) > 20
    assert len(action) > 15


PROVOKED = provoked_in(Path(__file__).parent)


@pytest.mark.parametrize("key", AlertKey)
def test_every_alert_is_provoked_by_a_test_over_the_real_parts(key: AlertKey) -> None:
    assert PROVOKED.get(key.name), f"no test of this folder has @provokes(AlertKey.{key.name})"


def test_what_tests_say_they_provoke_exists() -> None:
    assert PROVOKED.keys() <= set(AlertKey.__members__)


def test_a_text_names_its_subject_once() -> None:
    assert alert().text() == "WARNING order_rejected btc: no. 0"
    named = Alert(
        key=AlertKey.AUTH_ERROR,
        message="account main: expired",
        severity=AlertSeverity.CRITICAL,
        raised_at=datetime(2026, 1, 1, tzinfo=UTC),
        about="main",
    )
    assert named.text() == "CRITICAL auth_error: account main: expired"


def test_the_first_goes_at_once_and_the_rest_is_counted() -> None:
    throttle = AlertThrottle()
    assert throttle.admit(alert(0), 0.0) == alert(0)
    assert throttle.admit(alert(1), 1.0) is None
    assert throttle.admit(alert(2), 59.9) is None
    assert throttle.next_due == 60.0
    assert throttle.due(59.9) == []
    (late,) = throttle.due(60.0)
    assert (late.message, late.suppressed) == ("no. 2", 1)
    assert throttle.admit(alert(3), 61.0) is None  # a new minute has begun with it
    (last,) = throttle.flush()
    assert (last.message, last.suppressed) == ("no. 3", 0)


def test_what_was_held_back_is_told_with_the_next_one() -> None:
    throttle = AlertThrottle()
    throttle.admit(alert(0), 0.0)
    throttle.admit(alert(1), 1.0)
    found = throttle.admit(alert(2), 70.0)
    assert found is not None
    assert (found.message, found.suppressed) == ("no. 2", 1)
    assert throttle.next_due is None


def test_keys_and_subjects_are_throttled_apart() -> None:
    throttle = AlertThrottle()
    for one in (alert(), alert(about="eth"), alert(key=AlertKey.AUTH_ERROR), alert(about="")):
        assert throttle.admit(one, 0.0) is not None
        assert throttle.admit(one, 1.0) is None


def test_memory_is_bounded() -> None:
    throttle = AlertThrottle(most_topics=10)
    for number in range(1_000):
        throttle.admit(alert(about=str(number)), 0.0)
        throttle.admit(alert(about=str(number)), 0.0)
    assert len(throttle.flush()) == 10


@given(st.lists(st.floats(0, 30), max_size=60))
def test_never_two_of_a_topic_within_its_time_and_none_is_lost(pauses: list[float]) -> None:
    throttle = AlertThrottle()
    now, told, times = 0.0, 0, []
    for number, pause in enumerate(pauses):
        now += pause
        sent = throttle.due(now)
        admitted = throttle.admit(alert(number), now)
        sent += [admitted] if admitted is not None else []
        for one in sent:
            told += 1 + one.suppressed
            times.append(now)
    told += sum(1 + one.suppressed for one in throttle.flush())
    assert told == len(pauses)
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))
