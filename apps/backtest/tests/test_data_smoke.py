"""Real files through the command line into the store and out again as columns."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backtest.data import app
from market_data.providers.data_provider import ArchiveDataProvider, KlineDataProvider
from market_data.providers.store_provider import StoreDataProvider

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="no real market data beside the project")
COMMAND = CliRunner()


@pytest.mark.parametrize("path", sorted((REAL / "trades").glob("*")), ids=lambda path: path.name)
def test_every_trade_archive_reads_stores_and_returns_the_same(path: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    done = COMMAND.invoke(app, ["import", str(path), "--store", store])
    assert done.exit_code == 0, done.output
    provider = ArchiveDataProvider([path])
    symbol = provider.symbols()[0]
    direct = provider.load(symbol)
    stored = StoreDataProvider(store).load(symbol)
    assert np.array_equal(direct.ts_us, stored.ts_us)
    assert direct.price(0) == stored.price(0)
    assert direct.price(len(direct) - 1) == stored.price(len(stored) - 1)
    assert direct.qty(0) == stored.qty(0)
    shown = COMMAND.invoke(app, ["info", "--store", store])
    assert shown.exit_code == 0
    assert symbol in shown.output


def test_klines_marks_funding_and_rules_go_into_one_store(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    paths = [
        *(REAL / "klines").glob("*2022*"),
        *(REAL / "mark").glob("*BTC*"),
        *(REAL / "funding").glob("*BTC*"),
        *(REAL / "rest").glob("*"),
    ]
    done = COMMAND.invoke(app, ["import", *map(str, sorted(paths)), "--store", store])
    assert done.exit_code == 0, done.output
    shown = COMMAND.invoke(app, ["info", "--store", store])
    assert "BTCUSDT" in shown.output
    bars = KlineDataProvider(paths[:1]).load("BTCUSDT")
    assert len(bars) == 4 * 721


def test_wrong_input_ends_with_a_sentence(tmp_path: Path) -> None:
    missing = COMMAND.invoke(app, ["import", str(tmp_path / "no.csv"), "--store", str(tmp_path)])
    assert missing.exit_code != 0
    truncated = tmp_path / "BTCUSDT2024-01-01.csv.gz"
    whole = next((REAL / "trades").glob("BINANCE-USDM_BTCUSDT_2023*")).read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    cut = COMMAND.invoke(app, ["import", str(truncated), "--store", str(tmp_path / "store")])
    assert cut.exit_code != 0
    assert truncated.name in cut.output
