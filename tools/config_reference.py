"""Writes docs/configuration.md from the configuration models, or tells whether it is current.

python tools/config_reference.py write
python tools/config_reference.py check

Exit codes: 0 written, or current; 1 not current; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Exit codes: 0 written, or current; 1 not current; 2 wrong arguments."
        " Example: python tools/config_reference.py check",
    )
    parser.add_argument("action", choices=("write", "check"), help="what to do with the page")
    action = parser.parse_args(arguments).action
    # imported when there is something to do, so that --help answers at once
    from config_page import PAGE, page  # noqa: PLC0415

    if action == "write":
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print("docs/configuration.md is not current: python tools/config_reference.py write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
