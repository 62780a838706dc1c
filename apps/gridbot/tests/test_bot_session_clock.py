"""The exchange's clock as it is measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gridbot.ports import ExchangeClock, MachineTime

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def measured(clock: ExchangeClock, round_trip_s: float, server_s: float) -> float:
    received = NOON + timedelta(seconds=round_trip_s)
    return clock.measured(NOON, received, NOON + timedelta(seconds=server_s)).total_seconds()


def test_a_quick_answer_is_taken_by_its_middle() -> None:
    assert measured(ExchangeClock(MachineTime()), 0.2, 3.1) == pytest.approx(3.0)


def test_an_answer_that_waited_for_its_turn_is_no_drift() -> None:
    clock = ExchangeClock(MachineTime())
    assert measured(clock, 20.0, 19.9) == 0
    assert measured(clock, 20.0, 0.1) == 0


def test_a_slow_answer_still_shows_a_clock_that_is_far_off() -> None:
    assert measured(ExchangeClock(MachineTime()), 4.0, 12.0) == pytest.approx(8.0)
    assert measured(ExchangeClock(MachineTime()), 4.0, -8.0) == pytest.approx(-8.0)
