"""What README and docs/gridcore.md show of the library runs as it stands."""

import re
from pathlib import Path

import pytest

from gridcore import commands

ROOT = Path(__file__).parents[3]


def blocks(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return "\n".join(one for one in found if "from gridcore import" in one)


@pytest.mark.parametrize("page", ["README.md", "docs/gridcore.md"])
def test_the_examples_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks(page), page, "exec"), {"__name__": page})  # noqa: S102 - our own pages
    shown = capsys.readouterr().out
    assert "Buy" in shown
    assert "Sell" in shown


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/gridcore.md").read_text(encoding="utf-8")
    assert [one.__name__ for one in commands.COMMANDS if f"`{one.__name__}(" not in text] == []
