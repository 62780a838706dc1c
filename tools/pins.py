"""Index-free pins: exact versions of every dependency, transitive ones too, in pyproject.toml.

`write` copies the versions of uv.lock (local, git-ignored, because it names an index) into the
`constraint-dependencies` block; `clear` empties it before an upgrade. `check` compares that block
with what is installed, and looks for lines in tracked files that must not be there: names of
package index hosts.

Exit codes: 0 all agree; 1 something does not; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
BLOCK = re.compile(r"^constraint-dependencies = \[.*?\]$", re.MULTILINE | re.DOTALL)
# Written so that this file does not match itself.
INDEX_HOSTS = re.compile(
    r"files\.pythonhosted\."
    r"org|pypi\."
    r"(?:org|io)|registry\.npmjs\."
    r"org|/simple"
    r"/"
)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version_key(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def locked_versions() -> dict[str, set[str]]:
    """Return name -> versions of uv.lock, workspace members left out."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    found: dict[str, set[str]] = {}
    for package in lock["package"]:
        source = package["source"]
        if "registry" in source:
            found.setdefault(_normal(package["name"]), set()).add(package["version"])
    return found


def pinned_versions() -> dict[str, str]:
    """Return name -> version of the block in pyproject.toml."""
    lines = tomllib.loads(PYPROJECT.read_text())["tool"]["uv"]["constraint-dependencies"]
    pins = {}
    for line in lines:
        requirement = line.split(";")[0].strip()
        name, version = requirement.split("==")
        pins[_normal(name)] = version
    return pins


def _replace_block(lines: str) -> bool:
    text, count = BLOCK.subn(f"constraint-dependencies = [{lines}]", PYPROJECT.read_text())
    if count == 1:
        PYPROJECT.write_text(text)
    else:
        print("pins: pyproject.toml has no single constraint-dependencies block")
    return count == 1


def clear() -> int:
    """Empty the block, so that the next `uv lock --upgrade` is free to move."""
    return 0 if _replace_block("") else 1


def write() -> int:
    """Replace the block by the versions in uv.lock.

    Where the lock forks by Python version, the older release is the one that runs on all of them.
    """
    found = locked_versions()
    lines = "".join(
        f'    "{name}=={min(found[name], key=_version_key)}",\n' for name in sorted(found)
    )
    if not _replace_block("\n" + lines):
        return 1
    print(f"pins: wrote {len(found)} exact versions")
    return 0


def check() -> int:
    """Compare the block with the environment this runs in, and scan tracked files."""
    pins = pinned_versions()
    members = {
        _normal(p.parent.name) for p in ROOT.glob("**/src/*/py.typed") if ".venv" not in p.parts
    }
    faults = []
    for distribution in importlib.metadata.distributions():
        name = _normal(distribution.metadata["Name"])
        if name in members or name in {"hedge-grid", "pip", "setuptools"}:
            continue
        if name not in pins:
            faults.append(
                f"{name} {distribution.version} is installed but not pinned: run `make lock`"
            )
        elif pins[name] != distribution.version:
            faults.append(f"{name}: installed {distribution.version}, pinned {pins[name]}")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\0")
    for name in filter(None, tracked):
        path = ROOT / name
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if INDEX_HOSTS.search(line):
                faults.append(f"{name}:{number}: names a package index; keep the tree index-free")
    for fault in faults:
        print(f"pins: {fault}")
    if not faults:
        print(f"pins: {len(pins)} exact versions agree with the environment")
    return 1 if faults else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one of the three; return the exit code."""
    actions = {"clear": clear, "write": write, "check": check}
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Exit codes: 0 all agree; 1 something does not; 2 wrong arguments."
        " Example: python tools/pins.py check",
    )
    parser.add_argument(
        "action",
        choices=actions,
        help="clear: empty the block, before an upgrade; write: fill it from uv.lock; check:"
        " compare it with what is installed",
    )
    return actions[parser.parse_args(arguments).action]()


if __name__ == "__main__":
    sys.exit(main())
