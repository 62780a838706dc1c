"""What clients of the measured exchange heard."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

import orjson
from paper_host import (
    ACCOUNTS,
    BESIDE,
    SYMBOLS,
)


@dataclass(slots=True)
class Placed:
    """When an order was sent and when it was acknowledged."""

    account: int
    sent: float
    acked: float


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured. Delays in ms are those of the paced part."""

    orders_per_s: float
    order_frames_per_s: float
    frames_per_s: float
    mixed_orders_per_s: float
    mixed_frames_per_s: float
    order_us: float  # processor time of the exchange
    frame_us: float  # likewise
    faults: int
    acks: list[float]
    frames: list[float]
    kept_up: bool


class Heard:
    """What all connections heard, and what is wrong with it."""

    def __init__(self, connections: list[list[tuple[float, bytes]]]) -> None:
        self._connections = [
            [(when, orjson.loads(text)) for when, text in frames] for frames in connections
        ]
        self._times = [when for frames in connections for when, _ in frames]

    def frames_between(self, start: float, end: float) -> int:
        """Return how many frames came between two moments."""
        return sum(start <= when <= end for when in self._times)

    def resting_after(self, placed: dict[str, Placed]) -> dict[str, float]:
        """Return, for each order, the ms from its sending to the frame that it rests."""
        return {
            row["orderLinkId"]: (when - placed[row["orderLinkId"]].sent) * 1000
            for frames in self._connections
            for when, frame in frames
            if frame["topic"] == "order"
            for row in frame["data"]
            if row["orderStatus"] == "New"
        }

    def last_fill_before(self, moment: float) -> float:
        """Return when the last execution before a moment was heard."""
        return max(
            when
            for frames in self._connections
            for when, frame in frames
            if when < moment and frame["topic"] == "execution"
        )

    def faults(self, placed: dict[str, Placed], pushed: int) -> int:
        """Return how many frames are missing, too many, or out of order."""
        count = sum(len(frames) for frames in self._connections)
        return (
            abs(pushed - count)
            + sum(map(self._out_of_order, self._connections))
            + self._stories(placed)
            + self._sequences()
        )

    @staticmethod
    def _out_of_order(frames: list[tuple[float, dict[str, object]]]) -> int:
        numbers = [int(str(frame["id"]).partition("_")[2]) for _, frame in frames]
        return sum(later <= earlier for earlier, later in pairwise(numbers))

    def _stories(self, placed: dict[str, Placed]) -> int:
        """Every order rests and then fills; every fill is told once, to its account alone."""
        states: defaultdict[str, list[str]] = defaultdict(list)
        fills: Counter[str] = Counter()
        foreign = 0
        for account, frames in enumerate(self._connections):
            for _, frame in frames:
                for row in frame["data"]:
                    if frame["topic"] not in ("order", "execution"):
                        continue
                    name = row["orderLinkId"]
                    foreign += placed[name].account != account
                    if frame["topic"] == "order":
                        states[name].append(row["orderStatus"])
                    else:
                        fills[name] += 1
        wrong = sum(states[name] != ["New", "Filled"] for name in placed)
        return foreign + wrong + sum(fills[name] != 1 for name in placed)

    def _sequences(self) -> int:
        """Fills of all accounts and trades of the market share one sequence per symbol."""
        seen: defaultdict[str, list[int]] = defaultdict(list)
        for frames in self._connections:
            for _, frame in frames:
                if frame["topic"] == "execution":
                    for row in frame["data"]:
                        seen[row["symbol"]].append(row["seq"])
        trades = 1 + BESIDE.stop  # a first one, and one per level; they are not heard here
        whole = set(range(1, 1 + trades + ACCOUNTS * BESIDE.stop))
        return sum(
            len(whole) - len(set(found)) != trades or not set(found) <= whole
            for found in (seen[symbol] for symbol in SYMBOLS)
        )
