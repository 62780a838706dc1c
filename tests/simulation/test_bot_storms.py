"""The bot on an exchange in process, in virtual time, through seeded storms.

`make test-simulation SEEDS=200` runs as many; a seed that fails is named, and runs the same again:
`SIMULATION_FIRST=17 make test-simulation SEEDS=1`.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from testkit.bot_storm import Storm, StormReport
from testkit.virtual_loop import NothingWillHappenError, run_virtually

FIRST = int(os.environ.get("SIMULATION_FIRST", "0"))
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "16"))
CHUNK = 4
MINUTES = 6.0

pytestmark = [pytest.mark.simulation, pytest.mark.untraced]


def storm(seed: int, **how: object) -> StormReport:
    """Return what a storm brought; the text of a failure names the seed and what happened."""
    report = run_virtually(Storm(seed, **how).run())  # type: ignore[arg-type]
    story = "\n".join(report.faults)
    assert not report.problems, f"seed {seed}: {report.problems}\n{story}"
    for reason in report.stopped:
        assert reason, f"seed {seed}: stopped without a reason\n{story}"
    return report


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_the_bot_and_the_exchange_agree_after_a_storm(first: int) -> None:
    reports = [
        storm(seed, minutes=MINUTES) for seed in range(first, min(first + CHUNK, FIRST + SEEDS))
    ]
    assert sum(report.fills for report in reports) > 0


def test_two_symbols_on_one_account_agree_after_a_storm() -> None:
    report = storm(FIRST + 1_000, minutes=MINUTES, symbols=("BTCUSDT", "ETHUSDT"))
    assert report.fills > 0


def digest(seed: int) -> tuple[list[str], str, int]:
    session = Storm(seed, minutes=3.0)
    report = run_virtually(session.run())
    account = session.world.paper.account
    return report.faults, str(account.money.wallet), len(account.executions)


def test_a_seed_replays_exactly() -> None:
    assert digest(7) == digest(7)
    assert digest(7) != digest(8)


# the ground that the simulation stands on


def test_time_passes_only_while_everybody_waits() -> None:
    async def work() -> tuple[float, list[int]]:
        order: list[int] = []

        async def later(seconds: float, number: int) -> None:
            await asyncio.sleep(seconds)
            order.append(number)

        await asyncio.gather(later(3_600, 3), later(5, 1), later(60, 2))
        return asyncio.get_running_loop().time(), order

    assert run_virtually(work()) == (3_600.0, [1, 2, 3])


def test_waiting_for_nothing_is_an_error_and_not_for_ever() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingWillHappenError):
        run_virtually(work())
