"""Configuration files: what is wrong, where, and what would be right."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from backtest.settings.config import BacktestConfig
from exchange_model.fills.chance import ChanceFillSimulator
from exchange_model.fills.fill_simulator import QueueFillSimulator
from exchange_model.fills.registry import FillModelName
from grid_config.yaml_config import ConfigFileError, load_yaml_config
from testkit.backtests import contract, ticks

ROOT = Path(__file__).resolve().parents[3]


def load(tmp_path: Path, text: str, **environment: str) -> BacktestConfig:
    path = tmp_path / "b.yaml"
    path.write_text(text)
    return load_yaml_config(path, BacktestConfig, environment)


def faults(tmp_path: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigFileError) as refusal:
        load(tmp_path, text, **environment)
    return str(refusal.value).replace(str(tmp_path) + "/", "")


def test_the_example_runs_as_it_is() -> None:
    loaded = load_yaml_config(ROOT / "conf" / "backtest.yaml", BacktestConfig)
    assert loaded.fill_model is FillModelName.STRICT_CROSS
    assert loaded.data.synthetic


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("strategies: []", "b.yaml:1: strategies is empty; give at least one"),
        ("strategies:\n  - {}\nwhat: 1", "b.yaml:3: what: is no setting"),
        ("strategies:\n  - grid_cuont: 5", r"b.yaml:2: strategies\[0\].grid_cuont: is no setting"),
        (
            "strategies:\n  - {}\nmaker_fee: 0.02",
            r"b.yaml:3: maker_fee: 0.02 is outside \[0, 0.01\]; 0.0002 stands for 0.02 %",
        ),
        ("strategies:\n  - {}\ntaker_fee: -0.1", r"b.yaml:3: taker_fee: -0.1 is outside"),
        ("strategies:\n  - {}\ninitial_balance: -5", "b.yaml:3: initial_balance: .*greater than 0"),
        (
            "strategies:\n  - amount: 5%",
            r"b.yaml:2: strategies\[0\].amount: the amount is '5%'; it is one of",
        ),
        ("strategies:\n  - {}\nfill_model: magic", "b.yaml:3: fill_model: .*'strict_cross'"),
        (
            "strategies:\n  - {}\nfill_chance: 1.5",
            "b.yaml:3: fill_chance: .*less than or equal to 1",
        ),
        (
            "strategies:\n  - {}\nstart: 2025-02-01\nend: 2025-01-01",
            "b.yaml:1: start 2025-02-01 00:00:00 is not before end",
        ),
        ("strategies:\n  - {}\nend: tomorrow", "'tomorrow' is no date or time"),
        (
            "strategies:\n  - {strat_id: a}\n  - {strat_id: a}",
            "b.yaml:1: strat_id a is used twice",
        ),
        (
            "strategies:\n  - {}\ndata:\n  files: [x]\n  store: y",
            "b.yaml:3: data: files and store are given; the ticks have one source",
        ),
        ("strategies:\n  - {}\nfunding: {interval_hours: 5}", "5 hours do not divide a day"),
        ("strategies: [", "b.yaml:1: not YAML"),
        ("- a", "b.yaml:1: the file holds no settings"),
        ("", "strategies: is missing; it has to be given"),
        ("fill_model: touch\nstrategies:\n  - {}\nfill_model: queue", "b.yaml:4: not YAML: fill_m"),
        (
            "strategies:\n  - strat_id: ${NOPE}",
            r"b.yaml:2: strategies\[0\].strat_id: .*NOPE is not",
        ),
    ],
)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, text: str, fault: str) -> None:
    assert re.search(fault, faults(tmp_path, text))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = "strategies:\n  - grid_count: 3\n    leverage: 0\nlatency_ms: -1"
    assert len(faults(tmp_path, text).splitlines()) == 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="there is no such file"):
        load_yaml_config(tmp_path / "none.yaml", BacktestConfig)
    with pytest.raises(ConfigFileError, match="cannot be read"):
        load_yaml_config(tmp_path, BacktestConfig)


def test_values_from_the_environment(tmp_path: Path) -> None:
    loaded = load(tmp_path, "strategies:\n  - strat_id: ${NAME}-1", NAME="grid")
    assert loaded.strategies[0].strat_id == "grid-1"


def test_dates_and_numbers_as_yaml_reads_them(tmp_path: Path) -> None:
    text = "start: 2025-01-01\nend: 2025-01-31\nstrategies:\n  - {amount: 100, grid_step: 0.1}"
    loaded = load(tmp_path, text)
    assert (loaded.start, loaded.end) == ("2025-01-01", "2025-01-31")
    assert loaded.strategies[0].amount == "100"
    assert loaded.strategies[0].grid_step == Decimal("0.1")


def test_the_address_of_a_database_is_in_no_report(tmp_path: Path) -> None:
    text = "strategies:\n  - {}\ndata: {database_url: 'postgresql://u:secret@h/d'}"
    loaded = load(tmp_path, text)
    assert "secret" not in repr(loaded)
    assert "secret" not in str(loaded.for_report())


def test_the_queue_is_as_long_as_told() -> None:
    config = BacktestConfig.model_validate(
        {"strategies": [{}], "fill_model": "queue", "queue_ahead_usdt": 123}
    )
    model = config.new_fill_model(contract(ticks([1])).instrument)
    assert isinstance(model, QueueFillSimulator)
    assert model.ahead_usdt == 123


def test_the_chance_is_as_told() -> None:
    config = BacktestConfig.model_validate(
        {"strategies": [{}], "fill_model": "chance", "fill_chance": "0.25", "fill_seed": 9}
    )
    model = config.new_fill_model(contract(ticks([1])).instrument)
    assert isinstance(model, ChanceFillSimulator)
    assert (model.chance, model.seed) == (Decimal("0.25"), 9)
