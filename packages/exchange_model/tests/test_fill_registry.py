"""Fill models by name: all of them are made, described and documented."""

import pkgutil
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import pytest

from exchange_model import fills
from exchange_model.fills.registry import (
    FILL_MODELS,
    FillModelName,
    FillModelSettings,
    FillPlace,
    fill_model_entry,
    fill_model_sentence,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "backtest.md"
PLACE = FillPlace(qty_step=Decimal("0.001"), queue_ahead_usdt=Decimal(50))


@pytest.mark.parametrize("name", FillModelName)
def test_every_name_has_a_model_that_says_what_it_does(name: FillModelName) -> None:
    settings = FillModelSettings(fill_model=name)
    assert settings.fill_model_at(PLACE).name == name
    given = settings.model_dump() | {"queue_ahead_usdt": Decimal(50)}
    sentence = fill_model_sentence(name, given)
    assert "states fills" in sentence or "errs either way" in sentence
    assert "{" not in sentence


def test_every_class_that_fills_is_made_by_a_row() -> None:
    classes = {
        kind
        for found in pkgutil.iter_modules(fills.__path__, f"{fills.__name__}.")
        for kind in vars(import_module(found.name)).values()
        if isinstance(kind, type) and isinstance(getattr(kind, "name", None), str)
    }
    assert classes
    idle = sorted(kind.__name__ for kind in classes if getattr(kind, "name", "") not in FILL_MODELS)
    assert not idle, f"no row of FILL_MODELS makes {idle}: add name and row to fills/registry.py"


@pytest.mark.parametrize("name", FILL_MODELS)
def test_every_model_has_its_row_in_the_documentation(name: str) -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    assert any(line.startswith(f"| `{name}`") and line.count("|") == 5 for line in rows), (
        f"the fill model {name} has no row in the table of docs/backtest.md: when an order fills,"
        " what it overstates, what it understates"
    )


def test_an_unknown_name_is_told_which_there_are() -> None:
    with pytest.raises(ValueError, match="no fill model 'hope'; there are strict_cross, touch"):
        fill_model_entry("hope")
    with pytest.raises(ValueError, match="'strict_cross', 'touch', 'queue'"):
        FillModelSettings.model_validate({"fill_model": "hope"})
