"""docs/gridcore.md names every command."""

from pathlib import Path

from gridcore import commands

ROOT = Path(__file__).parents[3]


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/gridcore.md").read_text(encoding="utf-8")
    assert [one.__name__ for one in commands.COMMANDS if f"`{one.__name__}(" not in text] == []
