"""What holds for the tests of every folder."""

import os
import sys
import threading
from collections.abc import Generator

import pytest

pytest_plugins = ["testkit.plugin"]


def waits(item: pytest.Item) -> bool:
    """Tell whether a test mostly waits: for sockets, processes and clocks."""
    return any(item.get_closest_marker(name) is not None for name in ("integration", "slow"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every process of pytest-xdist begin with its share of the tests that wait.

    What waits leaves the cores to what waits beside it, where a test in accelerated time would
    fall behind beside arithmetic, and no process is left alone with a long test at the end. Every
    second process begins with the last of them, so that the hungriest file does not meet itself.
    `--dist worksteal` gives each process the next equal part of the list.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    long = [item for item in items if waits(item)]
    short = [item for item in items if not waits(item)]
    size = -(-len(short) // workers)
    items[:] = [
        item
        for part in range(workers)
        for item in (
            *long[part::workers][:: -1 if part % 2 else 1],
            *short[part * size : (part + 1) * size],
        )
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of tests marked `untraced`: tracing doubles the time of arithmetic.

    The mark `no_cover` of pytest-cov has no effect in the processes of pytest-xdist: there it
    only hands over to another tracer.
    """
    here, threads = sys.gettrace(), threading.gettrace()
    if here is None or item.get_closest_marker("untraced") is None:
        return (yield)
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]  # None is what it is before a tracer comes
    try:
        return (yield)
    finally:
        threading.settrace(threads)  # type: ignore[arg-type]
        sys.settrace(here)
