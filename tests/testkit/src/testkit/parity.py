"""Compare gridcore with the restatement of the older bot: `python -m testkit.parity`.

Same inputs to both, over the whole parameter space. Differences that are meant have a name; any
other one makes the exit code 1 and is printed with what repeats it. So does a name that no
difference has.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from testkit.parity_cases import Contract, contracts
from testkit.parity_positions import (
    compare_check_sequence,
    compare_equal_legs,
    compare_random_checks,
    compare_searched_multipliers,
)
from testkit.parity_quantities import compare_quantities
from testkit.parity_report import Report, Tally, Verdict
from testkit.parity_same_order import compare_same_order
from testkit.parity_sessions import compare_noisy_steps, compare_session, compare_steps
from testkit.parity_walks import (
    compare_fills_at_every_level,
    compare_grids,
    compare_noisy_walk,
    compare_waiting_ends,
    compare_walk,
)

DEFAULT_CASES = 100
DEFAULT_SEED = 1
PARTS = 24  # of each kind, done by whichever process is free

Comparison = Callable[[random.Random, Contract], Iterator[Verdict]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is compared, by what unit, how, and how many random sequences per case."""

    unit: str
    compare: Comparison
    share: float


GRIDS, STEPS, STATES = "grid operations", "steps", "position states"
KINDS: dict[str, Kind] = {
    "grids": Kind(GRIDS, compare_grids, 8),
    "grids, fill at every level": Kind(GRIDS, compare_fills_at_every_level, 1),
    "grids, walks": Kind(GRIDS, lambda rng, contract: compare_walk(rng, contract, 2000), 0.36),
    "grids, waiting ends": Kind(GRIDS, compare_waiting_ends, 8),
    "grids, tick 0.2 at 717037.2": Kind(
        GRIDS, lambda rng, contract: compare_noisy_walk(rng, contract, 500), 0.2
    ),
    "steps, random orders": Kind(STEPS, compare_steps, 2),
    "steps, tick 0.2 at 717037.2": Kind(STEPS, compare_noisy_steps, 0.5),
    "sessions, fills and polls": Kind(
        STEPS, lambda rng, contract: compare_session(rng, contract, 2000), 0.26
    ),
    "quantities": Kind("quantities", lambda rng, one: compare_quantities(rng, one, 100), 3),
    "positions, random legs": Kind(STATES, lambda rng, _: compare_random_checks(rng, 100), 1.5),
    "positions, walks": Kind(STATES, lambda rng, _: compare_check_sequence(rng, 200), 1),
    "positions, legs change places": Kind(STATES, lambda rng, _: compare_equal_legs(rng), 5),
    "same-order error": Kind("executions", lambda rng, _: compare_same_order(rng, 100), 1),
}
SEARCHED = "positions, every boundary"


def run(
    cases: int = DEFAULT_CASES,
    seed: int = DEFAULT_SEED,
    *,
    only: str | None = None,
    number: int | None = None,
    workers: int = 1,
) -> Report:
    """Run the comparison; `only` one kind and only its sequence `number`, to repeat a failure.

    The report is the same whatever the number of processes.
    """
    is_whole = only is None and number is None and cases >= DEFAULT_CASES
    report = Report(seed, contracts()[1], is_whole=is_whole)
    jobs: list[tuple[str, int, Sequence[int]]] = []
    for kind, what in KINDS.items():
        if only in (None, kind):
            report.tallies.append(Tally(kind, what.unit))
            numbers = range(max(1, round(cases * what.share))) if number is None else (number,)
            jobs += [(kind, seed, numbers[part::PARTS]) for part in range(PARTS)]
    if only in (None, SEARCHED):
        report.tallies.append(Tally(SEARCHED, STATES))
        jobs.append((SEARCHED, seed, ()))
    tallies = {tally.what: tally for tally in report.tallies}
    if workers == 1:
        for found in map(_run_part, jobs):
            tallies[found.what].join(found)
        return report
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - --help answers at once

    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(_run_part, jobs):
            tallies[found.what].join(found)
    return report


def _run_part(job: tuple[str, int, Sequence[int]]) -> Tally:
    """Compare some sequences of one kind."""
    kind, seed, numbers = job
    tally = Tally(kind)
    was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # thousands of rebuilds are no news here
    try:
        if kind == SEARCHED:
            for verdict in compare_searched_multipliers():
                tally.add(verdict)
        for number in numbers:
            rng = random.Random(f"{seed} {kind} {number}")
            for verdict in KINDS[kind].compare(rng, rng.choice(contracts()[0])):
                if isinstance(verdict, str):
                    verdict = f"--seed {seed} --only '{kind}' --number {number}: {verdict}"  # noqa: PLW2901
                tally.add(verdict)
    finally:
        logging.disable(was_disabled)
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; 1 for a difference without a name, or a name without a difference."""
    parser = argparse.ArgumentParser(prog="python -m testkit.parity", description=__doc__)
    parser.add_argument("--cases", type=int, default=DEFAULT_CASES, help="amount of work")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="other random cases")
    parser.add_argument("--only", choices=[*KINDS, SEARCHED], help="one kind of comparison")
    parser.add_argument("--number", type=int, help="one sequence of that kind")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; all cores by default"
    )
    args = parser.parse_args(argv)
    report = run(
        args.cases, args.seed, only=args.only, number=args.number, workers=max(1, args.workers)
    )
    sys.stdout.write(report.as_text() + "\n")
    return 1 if report.failures or report.unseen else 0


if __name__ == "__main__":
    sys.exit(main())
