"""What the package exports, what an import of it costs, and paths that scripts know."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import bybit_adapter
from bybit_adapter import former_paths

# what is only loaded by whoever calls or listens
HEAVY = {"pybit", "requests", "urllib3", "websocket", "gridcore", "asyncio"}


def modules_after(code: str) -> set[str]:
    """Return the modules that a new interpreter holds after some code."""
    found = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(found.stdout.split())


def test_an_import_of_the_package_loads_nothing_of_it() -> None:
    loaded = modules_after("import bybit_adapter")
    assert not loaded & HEAVY
    ours = {name for name in loaded if name.startswith("bybit_adapter")}
    assert ours == {"bybit_adapter", "bybit_adapter.former_paths"}


@pytest.mark.parametrize("name", ["Environment", "BybitError", "PlaceRequest", "Instrument"])
def test_a_record_or_an_error_needs_no_client(name: str) -> None:
    assert not modules_after(f"from bybit_adapter import {name}") & {"pybit", "requests", "urllib3"}


def test_pybit_is_loaded_by_whoever_makes_a_client() -> None:
    assert not modules_after("from bybit_adapter import *") & {"pybit", "requests", "websocket"}


def test_every_name_is_there_and_listed() -> None:
    for name in bybit_adapter.__all__:
        assert getattr(bybit_adapter, name) is not None
    assert set(bybit_adapter.__all__) <= set(dir(bybit_adapter))
    assert sorted(bybit_adapter._HOME_OF) == sorted(bybit_adapter.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nobody'"):
        _ = bybit_adapter.Nobody


@pytest.mark.parametrize(("former", "home"), sorted(former_paths.HOMES.items()))
def test_a_former_path_is_the_same_module(former: str, home: str) -> None:
    module = importlib.import_module(f"bybit_adapter.{home}")
    assert importlib.import_module(f"bybit_adapter.{former}") is module
    assert getattr(bybit_adapter, former) is module
    assert isinstance(module, ModuleType)
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__ == f"bybit_adapter.{home}"


def test_a_former_name_is_the_same_object() -> None:
    for former, name in former_paths.NAMES.items():
        assert getattr(bybit_adapter, former) is getattr(bybit_adapter, name)


def test_a_script_that_takes_a_class_by_its_former_path_changes_the_one_that_all_use() -> None:
    code = (
        "from bybit_adapter.rest_market import MarketCalls\n"
        "from bybit_adapter.rest import market\n"
        "from bybit_adapter import BybitRestClient\n"
        "assert MarketCalls is market.MarketCalls\n"
        "assert issubclass(BybitRestClient, MarketCalls)"
    )
    assert "pybit" not in modules_after(code)
    made = f"{code}\nwith BybitRestClient(testnet=True):\n    assert 'pybit' in sys.modules"
    assert "pybit" in modules_after(made)
