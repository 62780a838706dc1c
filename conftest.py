"""What holds for the tests of every folder."""

import sys
import threading
from collections.abc import Generator

import pytest


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
