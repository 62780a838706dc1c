"""Nobody outside gridcore reaches past the face of a strategy."""

from pathlib import Path

import pytest

from gridcore import GridStrategy
from testkit.builders import strategy_config
from testkit.strategy_reaches import FACE, parts_of, reaches_in, sources

ROOT = Path(__file__).parents[2]
PARTS = parts_of(GridStrategy(strategy_config()))


def test_nobody_reaches_into_a_strategy() -> None:
    files = list(sources(ROOT))
    assert len(files) > 300
    found = [
        sentence
        for path in files
        for sentence in reaches_in(
            path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)), PARTS
        )
    ]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "line",
    [
        "runner.strategy.book.get('o1')",
        "strategy.admission.loss.realised",
        "len(self.strategy.book)",
        "before = runner.strategy\nbefore.account.forget()",
        "made, x = GridStrategy(config), 1\nmade.engine.grid.ticks",
        "GridStrategy(config).desk",
        "runner.strategy.trips = {}",
        "setattr(runner.strategy, 'handle', None)",
        "self.strategy._band = None",
        "runner.strategy.use_rules(rules)",
    ],
)
def test_a_reach_is_found_and_its_line_named(line: str) -> None:
    (sentence,) = reaches_in(f"\n{line}\n", "apps/x.py", PARTS)
    assert sentence.startswith(f"apps/x.py:{2 + line.count(chr(10))} ")
    assert "strategy" in sentence


@pytest.mark.parametrize(
    "line",
    [
        "runner.strategy.handle(Hold('x'))",
        "runner.strategy.view.orders",
        "self._book.strategy = runner.strategy",
        "settings.account",
        "strategy.strat_id",
    ],
)
def test_what_goes_by_the_face_is_left_alone(line: str) -> None:
    assert list(reaches_in(line, "apps/x.py", PARTS)) == []


def test_the_face_is_there() -> None:
    strategy = GridStrategy(strategy_config())
    assert {name for name in FACE if hasattr(strategy, name)} == FACE
