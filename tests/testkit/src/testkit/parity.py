"""Compare gridcore with the restatement of the older bot: `python -m testkit.parity`.

Same inputs to both, over the whole parameter space. Differences that are meant have a name; any
other one makes the exit code 1 and is printed with what repeats it.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Callable, Iterator, Sequence

from testkit.parity_cases import Contract, built_in_contracts, recorded_contracts
from testkit.parity_grids import Verdict, compare_fills_at_every_level, compare_grids
from testkit.parity_numbers import (
    compare_quantities,
    compare_random_multipliers,
    compare_same_order,
    compare_searched_multipliers,
)
from testkit.parity_report import Report, Tally
from testkit.parity_steps import compare_session, compare_steps

DEFAULT_CASES = 80
DEFAULT_SEED = 1
SESSION_POLLS = 250

Comparison = Callable[[random.Random, Contract], Iterator[Verdict]]

# what is compared, how, and how many random sequences per case
KINDS: dict[str, tuple[Comparison, float]] = {
    "grids": (compare_grids, 1.5),
    "grids, fill at every level": (compare_fills_at_every_level, 0.5),
    "steps, random orders": (compare_steps, 1.0),
    "sessions, fills and polls": (
        lambda rng, contract: compare_session(rng, contract, SESSION_POLLS),
        0.12,
    ),
    "quantities": (lambda rng, contract: compare_quantities(rng, contract, 100), 1.5),
    "multipliers, random legs": (lambda rng, _: compare_random_multipliers(rng, 100), 1.0),
    "same-order error": (lambda rng, _: compare_same_order(rng, 100), 0.5),
}
SEARCHED = "multipliers, every boundary"


def run(
    cases: int = DEFAULT_CASES,
    seed: int = DEFAULT_SEED,
    *,
    only: str | None = None,
    number: int | None = None,
) -> Report:
    """Run the comparison; `only` one kind and only its sequence `number`, to repeat a failure."""
    recorded = recorded_contracts()
    contracts = recorded or built_in_contracts()
    report = Report(
        seed,
        f"{len(recorded)} recorded ones"
        if recorded
        else f"{len(contracts)} built-in ones; skipped: the recorded instruments-info is absent",
    )
    for kind, (compare, share) in KINDS.items():
        if only not in (None, kind):
            continue
        tally = Tally(kind)
        count = max(1, round(cases * share))
        for index in range(count) if number is None else (number,):
            rng = random.Random(f"{seed} {kind} {index}")
            for verdict in compare(rng, rng.choice(contracts)):
                if isinstance(verdict, str):
                    verdict = f"--seed {seed} --only '{kind}' --number {index}: {verdict}"  # noqa: PLW2901
                tally.add(verdict)
        report.tallies.append(tally)
    if only in (None, SEARCHED):
        tally = Tally(SEARCHED)
        for verdict in compare_searched_multipliers():
            tally.add(verdict)
        report.tallies.append(tally)
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; 1 when any difference has no name."""
    parser = argparse.ArgumentParser(prog="python -m testkit.parity", description=__doc__)
    parser.add_argument("--cases", type=int, default=DEFAULT_CASES, help="amount of work")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="other random cases")
    parser.add_argument("--only", choices=[*KINDS, SEARCHED], help="one kind of comparison")
    parser.add_argument("--number", type=int, help="one sequence of that kind")
    args = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)  # thousands of rebuilds are no news here
    try:
        report = run(args.cases, args.seed, only=args.only, number=args.number)
    finally:
        logging.disable(logging.NOTSET)
    sys.stdout.write(report.as_text() + "\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
