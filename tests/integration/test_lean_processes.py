"""What a process loads: a bot on an exchange has no simulation in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
