"""The market of the proof: prices of files or made up, a trade at a time, far enough apart.

The path goes to its end and back again, so that it never ends and never jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random

from market_data.basics.csv_cells import SafeWriter
from market_data.basics.paths import Paths
from market_data.providers.file_provider import file_provider

HEADER = (
    "timestamp", "symbol", "side", "size", "price", "tickDirection", "trdMatchID", "grossValue",
    "homeNotional", "foreignNotional",
)  # fmt: skip
STEP_PCT = Decimal("0.1")  # of the grid
SMALLEST_STEP_PCT = Decimal("0.015")
STEPS_IN_SPAN = 16
STILL_MS = 15_000
FIRST_S = 1_700_000_000  # moved to the present when it is played


def real_prices(paths: Paths, symbol: str) -> tuple[list[Decimal], Decimal]:
    """Return prices of files, and the grid step in percent that suits how far they move.

    Of each stretch the first price that lies two thirds of a step from the last: small moves are
    left out because the proof is about orders, which fill at larger ones. Raises DataError.
    """
    columns = file_provider(paths, symbol=symbol).load(symbol)
    units: list[int] = columns.price_ticks.tolist()
    span = Decimal(max(units) - min(units)) / max(units)
    step_pct = max(SMALLEST_STEP_PCT, min(STEP_PCT, round(span * 100 / STEPS_IN_SPAN, 3)))
    move = step_pct / 150
    kept: list[Decimal] = []
    for one in units:
        price = columns.tick_size * one
        if not kept or abs(price / kept[-1] - 1) >= move:
            kept.append(price)
    return kept, step_pct


def made_up_prices(start: Decimal, tick: Decimal, seed: int) -> list[Decimal]:
    """Return 600 prices of a seeded walk that is drawn back to its start, on the tick."""
    move = STEP_PCT / 150
    chance = Random(seed)  # noqa: S311 - a market that can be made again
    price, prices = start, []
    for _ in range(600):
        drawn = float((start - price) / start) * 0.02
        step = Decimal(str(round(chance.gauss(drawn, float(move)), 8)))
        price = max(tick, price * (1 + step) // tick * tick)
        prices.append(price)
    return prices


def write_archive(
    path: str | Path, symbol: str, prices: Sequence[Decimal], interval_ms: int, count: int
) -> None:
    """Write `count` trades over the path, there and back, in the form of Bybit's archive.

    The market stands still for a while first: a start is a race that no order should lose.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    there_and_back = [*prices, *reversed(prices[1:-1])]
    moving = (there_and_back[step % len(there_and_back)] for step in range(count))
    endless = [*[prices[0]] * (STILL_MS // interval_ms), *moving]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = SafeWriter(file)
        writer.row(HEADER)
        for step, (before, price) in enumerate(pairwise([endless[0], *endless])):
            side = "Buy" if price >= before else "Sell"
            moment = FIRST_S + Decimal(step * interval_ms) / 1000
            writer.row(
                (f"{moment:.3f}", symbol, side, "1", f"{price:f}", "ZeroPlusTick", f"t{step}",
                 "0", "1", f"{price:f}")
            )  # fmt: skip
