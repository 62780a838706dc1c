"""Tasks that fail are told of; tasks that are left are ended."""

from __future__ import annotations

import asyncio

from grid_service.tasks import TaskSet
from grid_service.threads import in_thread


async def nothing() -> None:
    pass


async def test_a_task_that_fails_is_told_and_one_that_ends_is_forgotten() -> None:
    told: list[BaseException] = []
    tasks = TaskSet(told.append)

    async def fail() -> None:
        raise OSError("away")

    tasks.spawn(fail())
    tasks.spawn(nothing())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [str(one) for one in told] == ["away"]
    assert len(tasks) == 0


async def test_cancelling_waits_for_the_end_of_all_and_tells_of_none() -> None:
    told: list[BaseException] = []
    tasks = TaskSet(told.append)
    ended: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(number)

    for number in range(3):
        tasks.spawn(work(number))
    await asyncio.sleep(0)
    await tasks.cancel()
    assert sorted(ended) == [0, 1, 2]
    assert told == []
    assert len(tasks) == 0


async def test_a_blocking_call_returns_and_raises_as_it_did() -> None:
    assert await in_thread(lambda: 7) == 7
    try:
        await in_thread(lambda: 1 // 0)
    except ZeroDivisionError:
        return
    raise AssertionError("nothing was raised")
