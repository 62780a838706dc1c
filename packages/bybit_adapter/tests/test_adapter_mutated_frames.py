"""Whatever happens to a frame on its way, only MalformedFrame comes out of the normaliser."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.records.normalizer import BybitNormalizer, StreamUpdate

NOW = datetime(2026, 8, 9, 21, 27, tzinfo=UTC)

NASTY = [
    *["", "0", "-1", "1e99", "NaN", "Infinity", "-0", "1_000", "\u0661", " 1", "9" * 60],
    *["Buy", "None", "linear", "snapshot", "delta", "\ud800", "\u0000", "0x10", "1.", ".5"],
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
JSON_VALUES = st.recursive(
    SCALARS | st.sampled_from(NASTY),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*path, index))
    return found


@st.composite
def mutated(draw: st.DrawFn, frame: dict[str, Any]) -> Any:
    """Return a copy of `frame` with one to three values replaced, removed or doubled."""
    result = copy.deepcopy(frame)
    for _ in range(draw(st.integers(1, 3))):
        places = paths(result)
        if not places:
            break
        *parents, last = draw(st.sampled_from(places))
        holder: Any = result
        for step in parents:
            holder = holder[step]
        action = draw(st.sampled_from(["replace", "remove", "double"]))
        if action == "remove":
            del holder[last]
        elif action == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            holder[last] = draw(JSON_VALUES)
    return result


def frame_of(topic: str, row: Any) -> dict[str, Any]:
    if topic == "tickers.X":
        return {"topic": topic, "type": "snapshot", "cs": 5, "ts": 1762199126022, "data": row}
    return {"topic": topic, "creationTime": 1762199126022, "ts": 1762199126022, "data": [row]}


TICKER = {
    "symbol": "X",
    "lastPrice": "5",
    "markPrice": "5.1",
    "bid1Price": "4.9",
    "fundingRate": "-0.1",
    "nextFundingTime": "1673280000000",
}
TRADE = {"T": 1762199126022, "s": "X", "S": "Buy", "v": "1", "p": "5", "i": "a", "BT": False}


def fitting(normalizer: BybitNormalizer, frame: object) -> tuple[StreamUpdate, ...]:
    try:
        return tuple(normalizer.normalize(frame, NOW))
    except MalformedFrame as error:
        if not error.topic or not error.field:
            raise
        return error.fitting


pytestmark = pytest.mark.untraced
TOPICS = ["execution", "order", "position", "wallet", "tickers.X", "publicTrade.X"]


@pytest.mark.parametrize("topic", TOPICS)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_only_malformed_frame_escapes(
    request: pytest.FixtureRequest, topic: str, data: st.DataObject
) -> None:
    rows = {"tickers.X": TICKER, "publicTrade.X": TRADE}
    row = rows[topic] if topic in rows else request.getfixturevalue(f"{topic}_row")
    frame = frame_of(topic, row)
    normalizer = BybitNormalizer()
    assert len(normalizer.normalize(frame, NOW)) == 1
    try:
        updates = fitting(normalizer, data.draw(mutated(frame)))
    except MalformedFrame as error:
        pytest.fail(f"{error!r} does not name topic and field")
    for update in updates:
        assert isinstance(update, StreamUpdate)
        assert update.event is None or update.event.exchange_ts.tzinfo is UTC
    # A broken frame leaves the stream whole: the next good one comes out as ever.
    assert len(normalizer.normalize(frame, NOW)) == 1


@settings(max_examples=300, deadline=None)
@given(JSON_VALUES)
def test_anything_that_is_json_is_refused_in_the_same_way(frame: Any) -> None:
    with pytest.raises(MalformedFrame):
        BybitNormalizer().normalize(frame, NOW)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["topic", "type", "data", "ts", "cs"]), JSON_VALUES))
def test_anything_with_the_names_of_a_frame_is_too(frame: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrame):
        BybitNormalizer().normalize(json.loads(json.dumps(frame)), NOW)
