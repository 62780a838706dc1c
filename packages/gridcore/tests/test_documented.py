"""Every command is documented, exported, and given to strategies in the simulated worlds."""

import random
from pathlib import Path

import gridcore
from gridcore import AdoptOrders, IgnoreExecution, Shutdown, commands
from testkit.builders import btcusdt
from testkit.world import operators_commands

ROOT = Path(__file__).parents[3]


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/gridcore.md").read_text(encoding="utf-8")
    missing = [one.__name__ for one in commands.COMMANDS if f"`{one.__name__}(" not in text]
    assert not missing, f"docs/gridcore.md has no row of `{missing[0]}(...)`"


def test_every_command_can_be_imported_from_gridcore() -> None:
    missing = [one.__name__ for one in commands.COMMANDS if one.__name__ not in gridcore.__all__]
    assert not missing, f"gridcore/__init__.py does not export {', '.join(missing)}"


# the world gives these by itself, with lists, executions and its end
GIVEN_ELSEWHERE = {AdoptOrders, IgnoreExecution, Shutdown}


def test_every_command_is_given_in_the_simulated_worlds() -> None:
    """The quiet band and the promises are checked under each of them."""
    given = {type(one) for one in operators_commands(random.Random(1), btcusdt())}
    missing = sorted(one.__name__ for one in set(commands.COMMANDS) - given - GIVEN_ELSEWHERE)
    assert not missing, (
        f"operators_commands of testkit/world.py has no {', '.join(missing)}, so that neither the"
        " walk beside the quiet band nor a storm meets it"
    )
