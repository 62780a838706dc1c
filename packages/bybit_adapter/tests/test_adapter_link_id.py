from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bybit_adapter.basics import link_id
from bybit_adapter.basics.link_id import client_order_id_of, make_order_link_id, placed_at

NOW = datetime(2026, 8, 9, 21, 27, 0, 123456, tzinfo=UTC)
OURS = "0123456789abcdef"


@given(
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.integers(0, 10**16),
)
def test_a_link_id_gives_back_what_it_was_made_of(client_order_id: str, microsecond: int) -> None:
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microsecond)
    made = make_order_link_id(client_order_id, now)
    assert client_order_id_of(made) == client_order_id
    assert placed_at(made) == now
    assert len(made) <= link_id.MAX_LENGTH
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made)


def test_every_placement_has_its_own_id_also_in_one_microsecond_and_from_many_threads() -> None:
    made: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: made.extend(make_order_link_id(OURS, NOW) for _ in range(500))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4000


def test_time_zones_do_not_matter() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=3)))
    assert placed_at(make_order_link_id(OURS, there)) == NOW


@pytest.mark.parametrize("wrong", ["", "0123", "0123456789ABCDEF", OURS + "0", "x" * 16])
def test_a_wrong_client_order_id_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="16 lower-case hex"):
        make_order_link_id(wrong, NOW)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_order_link_id(OURS, NOW.replace(tzinfo=None))


@pytest.mark.parametrize("foreign", ["", None, "my-order", "0123", OURS.upper()])
def test_foreign_ids_are_nobody_s(foreign: str | None) -> None:
    assert client_order_id_of(foreign) is None


@pytest.mark.parametrize("text", ["", "my-order", OURS, OURS + "-retry1", OURS + "-" + "Z" * 19])
def test_ids_of_another_maker_have_no_time(text: str) -> None:
    assert placed_at(text) is None
