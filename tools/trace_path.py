"""How many files a way through the code visits, and how often it comes back to one of them.

Ways are measured over the real parts, against a local exchange; ways.py lists them. How files and
returns are counted: trace_recorder.py.

    python tools/trace_path.py                # a table of all ways
    python tools/trace_path.py tick           # of one
    python tools/trace_path.py tick --steps   # and every step of it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of the ways that are named, or of all."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python tools/trace_path.py tick --steps. More: docs/architecture.md",
    )
    parser.add_argument("ways", nargs="*", metavar="WAY", help="a way's name; default all")
    parser.add_argument("--steps", action="store_true", help="print every step too")
    options = parser.parse_args(arguments)
    # imported when there is something to do, so that --help answers at once
    from ways import WAYS  # noqa: PLC0415

    names = [way.name for way in WAYS]
    unknown = [name for name in options.ways if name not in names]
    if unknown:
        parser.error(f"there is no way {unknown[0]}; there are {', '.join(names)}")
    wanted = [way for way in WAYS if not options.ways or way.name in options.ways]
    table = [("way", "part", "files", "returns")]
    for way in wanted:
        trace = way.measure()
        if options.steps:
            for step in trace.steps:
                print(f"{'->' if step.is_call else '<-'} {step.file}  {step.function}")
        table.append((way.name, "in all", str(trace.files), str(trace.returns)))
        for package in trace.packages:
            part = trace.within(package)
            table.append(("", package, str(part.files), str(part.returns)))
    for name, package, files, returns in table:
        print(f"{name:<12}{package:<16}{files:>6}{returns:>9}")
    print()
    for way in wanted:
        print(f"{way.name}: {way.what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
