"""Differences that are put into a recording on purpose."""

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from comparator.comparison import Comparison
from comparator.money.split import SplitCause
from gridcore import DirectionType

Compare = Callable[..., Comparison]


def worth(comparison: Comparison) -> dict[SplitCause, Decimal]:
    """Return the causes of the split that are worth anything."""
    return {cause: usdt for cause, usdt in comparison.split.causes.items() if usdt}


def nothing_else(comparison: Comparison, *, missed: int = 0, phantom: int = 0) -> None:
    metrics = comparison.metrics
    assert (metrics.live_only, metrics.backtest_only) == (missed, phantom)
    assert comparison.explanations.unexplained == 0
    assert comparison.split.residue == 0


def a_close(recording: Any, leg: DirectionType = DirectionType.LONG) -> int:
    """Return the number of an execution in the middle of the run that closes a part of a leg."""
    middle = len(recording.session.trades) // 2
    return next(
        number
        for number in count(middle)
        if recording.session.trades[number].closing
        and recording.session.trades[number].direction is leg
    )
