"""How many files a way through the code visits, and how often it comes back to one of them.

Who reads along turns a page with every call into another file; a call into a file that was visited
before is a return. One way is measured, over the real parts: the bot against a local exchange, from
the ticker frame on the socket to the last request on the wire, at a tick that wants four commands.

    python tools/trace_path.py          # figures
    python tools/trace_path.py --steps  # and every step
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Example: python tools/trace_path.py --steps. More: docs/architecture.md",
    )
    parser.add_argument("--steps", action="store_true", help="print every step too")
    options = parser.parse_args(arguments)
    # imported when there is something to do, so that --help answers at once
    from tick_path import COMMANDS, tick_to_wire  # noqa: PLC0415

    trace = tick_to_wire()
    if options.steps:
        for step in trace.steps:
            print(f"{'->' if step.is_call else '<-'} {step.file}  {step.function}")
    print(
        f"a tick that wants {COMMANDS} commands, from the socket to the wire: "
        f"{trace.files} files, {trace.returns} returns"
    )
    for package in sorted({step.file.partition("/")[0] for step in trace.steps}):
        part = trace.within(package)
        print(f"  {package}: {part.files} files, {part.returns} returns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
