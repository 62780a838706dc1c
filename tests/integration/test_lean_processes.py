"""What a process loads: a bot on an exchange has no simulation in it, a setting no runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.bot_host import Mover, bot_file, bot_host, bot_settings, strategy

LOOK = """
import json, sys
from gridbot.main import main
code = main(["--config", sys.argv[1], "--duration", "4"])
print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def test_a_live_bot_loads_no_simulated_exchange_and_nothing_of_files(tmp_path: Path) -> None:
    with bot_host(("BTCUSDT", "ETHUSDT")) as host, Mover(host, ("BTCUSDT", "ETHUSDT")):
        settings = bot_settings(
            tmp_path,
            host.server.port,
            strategies=[strategy(), strategy("ETHUSDT", shadow_mode=True)],
        )
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(bot_file(tmp_path, settings))],
            capture_output=True,
            text=True,
            check=False,
        )
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert "pybit" in loaded
    assert set(loaded) & {"backtest", "paper_exchange", "comparator", "polars", "aiohttp"} == set()


ROOT = Path(__file__).resolve().parents[2]
# what declares and reads settings; everything else belongs to what is set
DECLARING = {
    "pydantic", "pydantic_core", "pydantic_settings", "annotated_types", "typing_extensions",
    "typing_inspection", "dotenv", "yaml", "_yaml",
}  # fmt: skip
SETTINGS = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(
    {name.partition(".")[0] for name, module in list(sys.modules.items())
     if name not in before and "site-packages" in (getattr(module, "__file__", "") or "")}
)))
"""


def settings_modules() -> list[str]:
    """Return every module that declares settings: by the name of its file or of its folder."""
    found = []
    for source in sorted(ROOT.glob("*/*/src")):
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            if {"settings", "config", "grid_config"} & set(parts):
                found.append(".".join(parts).removesuffix(".__init__"))
    return found


def test_the_settings_are_found() -> None:
    assert {
        "backtest.settings.config", "event_saver.settings.config", "gridbot.settings.config_file",
        "grid_config.strategy", "grid_db.settings", "paper_exchange.config",
    } <= set(settings_modules())  # fmt: skip


@pytest.mark.parametrize("module", settings_modules())
def test_settings_load_nothing_that_works_with_them(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS, module], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) <= DECLARING
