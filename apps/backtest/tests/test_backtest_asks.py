"""The command asks the exchange for the rules of a contract: when, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest.main import main
from grid_service.command import DONE
from market_data.rules.exchange_look_up import ask_exchange
from testkit.paper import PaperHost, paper_market

pytestmark = pytest.mark.integration

CONFIG = """
strategies: [{strat_id: g, grid_count: 20, grid_step: 0.1, amount: x0.02}]
data: {synthetic: [{rows: 2000, trades_per_s: 0.2}]}
"""
ON_THIS_MACHINE = """
from bybit_adapter import Environment
from bybit_adapter.offers.instrument_look_up import look_up as ask


def look_up(symbol):
    return ask(symbol, Environment.local(PORT))
"""


@pytest.fixture
def host() -> Iterator[PaperHost]:
    with PaperHost([paper_market()]) as made:
        made.act(do="change_rules", symbol="BTCUSDT", tick_size="0.05")
        yield made


@pytest.fixture
def offered(host: PaperHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PaperHost:
    """Install a package that asks the exchange on this machine, before all others."""
    folder = tmp_path / "installed"
    about = folder / "local_offer-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: local-offer\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[backtest.instrument_look_up]\nlocal = local_offer_{host.server.port}:look_up\n"
    )
    source = ON_THIS_MACHINE.replace("PORT", str(host.server.port))
    (folder / f"local_offer_{host.server.port}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("HEDGE_GRID_OFFLINE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return host


def rules_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    config = tmp_path / "b.yaml"
    config.write_text(CONFIG)
    assert main(["--config", str(config), "--workers", "1", *options]) == DONE
    text = " ".join(capsys.readouterr().out.split())
    return text[text.index("rules: ") :][:60]


def test_the_exchange_is_asked_once_and_remembered(
    offered: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rules_line(tmp_path, capsys).startswith("rules: exchange, as of 20")
    assert (tmp_path / "cache" / "hedge-grid" / "contracts" / "BTCUSDT.json").is_file()
    calls = offered.server.calls
    assert calls > 0
    assert rules_line(tmp_path, capsys).startswith("rules: cache, as of 20")
    assert offered.server.calls == calls


def test_offline_nobody_is_asked(
    offered: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rules_line(tmp_path, capsys, "--offline").startswith("rules: built-in defaults;")
    assert offered.server.calls == 0


def test_an_exchange_that_fails_leaves_the_next_source(
    offered: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offered.do(lambda: offered.server.restart(60))
    assert rules_line(tmp_path, capsys).startswith("rules: built-in defaults;")


def test_a_cache_that_cannot_be_written_is_no_failure(
    offered: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert rules_line(tmp_path, capsys).startswith("rules: exchange, as of 20")


def test_saved_rules_need_no_exchange(
    offered: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    rows = ask_exchange("BTCUSDT")
    assert rows is not None
    calls = offered.server.calls
    saved.mkdir()
    for name, content in (("a", [rows.instrument]), ("b", rows.risk_limits)):
        envelope = {"retCode": 0, "result": {"category": "linear", "list": content}}
        (saved / f"{name}.json").write_text(json.dumps(envelope))
    config = tmp_path / "b.yaml"
    config.write_text(CONFIG + f"instruments: [{saved}]\n")
    assert main(["--config", str(config), "--workers", "1"]) == DONE
    assert "rules: a.json; risk tiers: b.json" in " ".join(capsys.readouterr().out.split())
    assert offered.server.calls == calls


def test_an_unknown_contract_is_nobodys(offered: PaperHost) -> None:
    assert ask_exchange("NOPEUSDT") is None
