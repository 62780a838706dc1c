"""One command, one table: `make bench`, or `python benchmarks/run.py [PART...]`.

Runs every `bench_*.py` beside this file, or the named parts only (for example `gridcore`), each in
a process of its own, so that one cannot warm up or crowd out another.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def parts() -> list[str]:
    """Return the names of all benchmark files, without `bench_`."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def rows_of(part: str) -> list[tuple[str, float, str, str]]:
    """Import one benchmark file and return its figures."""
    spec = importlib.util.spec_from_file_location(f"bench_{part}", HERE / f"bench_{part}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return list(module.rows())


def measure(part: str) -> list[tuple[str, float, str, str]]:
    """Run one part in a process of its own."""
    done = subprocess.run(  # noqa: S603  # this very file
        [sys.executable, __file__, "--json", part], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"benchmark {part} failed:\n{done.stderr}")
    return [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]


def main() -> int:
    """Print the table; exit code 0, 1 when a part fails, 2 for an unknown part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", help=f"any of: {', '.join(parts())}; default all")
    parser.add_argument("--json", action="store_true", help="print the rows of one part as JSON")
    args = parser.parse_args()
    wanted = args.part or parts()
    unknown = sorted(set(wanted) - set(parts()))
    if unknown:
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(parts())}")
    if args.json:
        print(json.dumps([row for part in wanted for row in rows_of(part)]))
        return 0
    # imported when there is something to show, so that --help answers at once
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    table = Table(title=f"Python {platform.python_version()}, {platform.machine()}")
    table.add_column("part")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("input")
    for part in wanted:
        with console.status(f"measuring {part}"):
            rows = measure(part)
        for name, value, unit, given in rows:
            shown = f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}"
            table.add_row(part, name, shown, unit, given)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
