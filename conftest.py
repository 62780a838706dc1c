"""What holds for the tests of every folder."""

import sys
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of tests marked `untraced`: tracing doubles the time of arithmetic.

    The mark `no_cover` of pytest-cov has no effect in the processes of pytest-xdist: there it
    only hands over to another tracer.
    """
    tracer = sys.gettrace()
    if tracer is None or item.get_closest_marker("untraced") is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
