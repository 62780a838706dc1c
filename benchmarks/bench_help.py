"""What `--help` of every command costs: seconds of processor time of its process.

    python benchmarks/bench_help.py

Best of five, with compiled modules; the goal is half a second for each. Processor time counts what
other processes do not take, but a core that is shared makes it longer: measure with nothing else
to do.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from testkit.runnable import ROOT, arguments, commands

RUNS = 5
# a help that is asked of one of several commands costs more than that of all of them
WITHIN = {"backtest.data": "fetch", "grid_db.tenant_login": "create"}


def seconds_of(command: list[str]) -> float:
    """Return the processor seconds of a process and its children, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def best(command: list[str]) -> float:
    """Return the best of several runs, after one that compiles what is not compiled yet."""
    seconds_of(command)
    return min(seconds_of(command) for _ in range(RUNS))


def rows() -> list[tuple[str, float, str, str]]:
    """Return (figure, value, unit, input) of every command."""
    # a machine may be set up to compile modules anew each time; users' are not
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    found = [("nothing", best([sys.executable, "-c", "pass"]), "s", "python -c pass")]
    for command in commands():
        python = [sys.executable, *arguments(command)]
        found.append((command, best([*python, "--help"]), "s", "--help"))
        if inner := WITHIN.get(command):
            value = best([*python, inner, "--help"])
            found.append((command, value, "s", f"{inner} --help"))
    return found


if __name__ == "__main__":
    for name, value, unit, given in rows():
        print(f"{name:26} {value:6.2f} {unit}  {given}")
