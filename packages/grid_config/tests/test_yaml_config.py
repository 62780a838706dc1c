"""One fault of a file is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from grid_config.base import Settings
from grid_config.yaml_config import ConfigFileError, load_yaml_config


class Part(Settings):
    size: int


class Whole(Settings):
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]


def faults(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "whole.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFileError) as error:
        load_yaml_config(path, Whole)
    return [line.removeprefix(f"{path}:") for line in str(error.value).splitlines()]


def test_what_is_wrong_in_a_list_does_not_make_the_list_short(tmp_path: Path) -> None:
    assert faults(tmp_path, "parts:\n  - {size: 1, sice: 2}\n") == [
        "2: parts[0].sice: is no setting; look for a typing error"
    ]


def test_a_list_that_is_short_is_said_to_be_short(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "parts: []\n")
    assert fault.startswith("1: parts: ")
    assert "at least 1 item" in fault
