"""The command as a user types it: exit codes, messages, files."""

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from backtest.report.export import export_session
from backtest.result.session import BacktestSession
from comparator.main import main
from comparator.verdict import BREACHED, WRONG_START
from grid_db import DatabaseFactory
from grid_db.testing_rows import NOBODY, Tenant
from grid_service.command import DONE

CONFIG = "strategies:\n  - {strat_id: grid, grid_count: 20, grid_step: 0.1, amount: x0.02}\n"


@pytest.fixture
def url(sqlite_database: DatabaseFactory) -> str:
    return str(sqlite_database.engine.url)


@pytest.fixture(scope="session")
def trades(session_of_walk: BacktestSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bt")
    export_session(session_of_walk, folder)
    return folder / "BTCUSDT" / "trades.csv"


def run(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> tuple[int, str, list[str]]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def test_a_run_that_is_repeated_exits_with_0_and_writes_its_report(
    sqlite_database, recording, url: str, trades: Path, tmp_path: Path, capsys
) -> None:
    recording.write(sqlite_database)
    out = tmp_path / "out"
    code, text, errors = run(
        capsys,
        *("--run-id", recording.run_id, "--database-url", url),
        *("--backtest-trades", trades, "--output", out),
    )
    assert (code, errors) == (DONE, [])
    assert text.startswith("WITHIN TOLERANCE: ")
    names = {path.name for path in out.iterdir()}
    assert names == {
        "matched.csv", "live_only.csv", "backtest_only.csv", "metrics.csv", "split.csv",
        "breaches.csv", "equity.csv", "report.html",
    }  # fmt: skip


@pytest.mark.slow
def test_the_recorded_market_through_the_same_configuration_repeats_the_run(
    database: DatabaseFactory, recording, tmp_path: Path, capsys
) -> None:
    """The whole circle: ticks, orders and fills in a database, and nothing else."""
    recording.write(database)
    config = tmp_path / "backtest.yaml"
    config.write_text(CONFIG)
    code, text, errors = run(
        capsys,
        *("--run-id", recording.run_id, "--backtest-config", config, "--symbol", "BTCUSDT"),
        *("--database-url", database.engine.url.render_as_string(hide_password=False)),
    )
    assert (code, errors) == (DONE, [])
    assert "(100.00 %)" in text.splitlines()[0]


def test_a_difference_exits_with_3_unless_it_is_tolerated(
    sqlite_database, recording, url: str, trades: Path, capsys
) -> None:
    recording.change(7, exec_price=recording.executions[7].exec_price + Decimal("0.5"))
    recording.write(sqlite_database)
    given = ("--run-id", recording.run_id, "--database-url", url, "--backtest-trades", trades)
    code, text, errors = run(capsys, *given)
    assert (code, errors) == (BREACHED, [])
    assert text.startswith("BREACHED: ")
    assert run(capsys, *given, "--price-tolerance", "0.5")[0] == DONE
    assert run(capsys, *given, "--price-tolerance", "0.4")[0] == BREACHED


def test_a_part_of_a_run_and_one_of_its_symbols(
    sqlite_database, recording, url: str, trades: Path, capsys
) -> None:
    recording.write(sqlite_database)
    middle = recording.session.trades[len(recording.session.trades) // 2].ts
    given = ("--run-id", recording.run_id, "--database-url", url, "--backtest-trades", trades)
    code, text, _ = run(capsys, *given, "--start", middle.isoformat(), "--symbol", "BTCUSDT")
    assert code == DONE
    # both legs held something at that moment, and both sides the same
    assert re.search(r"starting position +0\b", text)
    assert re.search(r"live − backtest +0\b", text)
    code, _, errors = run(capsys, *given, "--symbol", "ETHUSDT")
    assert code == WRONG_START
    assert "has no trade from" in errors[0]
    assert "of BTCUSDT from" in errors[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--run-id", NOBODY), f"the user has no run {NOBODY}"),
        (("--run-id", "abc"), "--run-id is 'abc', no UUID"),
        (("--start", "2020-01-01", "--end", "2020-01-02"), "the live run has no trade from 2020"),
        (("--start", "2025-01-02", "--end", "2025-01-01"), "is not before end"),
        (("--start", "noon"), "'noon' is no date or time"),
        (("--user", "nobody"), "the user has no run"),
        (("--price-tolerance", "much"), "--price-tolerance is 'much'"),
        (("--qty-tolerance", "-1"), "--qty-tolerance is '-1'"),
        (("--backtest-config", "x.yaml"), "either --backtest-trades or --backtest-config"),
        (("--backtest-trades", "nowhere.csv"), "nowhere.csv: there is no such file"),
        (("--backtest-equity", "nowhere.csv"), "nowhere.csv: there is no such file"),
        (("--database-url", "sqlite:///nowhere/x.db"), "the folder nowhere does not exist"),
    ],
)
def test_wrong_input_is_one_clear_line(
    sqlite_database, recording, url: str, trades: Path, capsys, options: tuple[str, ...], says: str
) -> None:
    recording.write(sqlite_database)
    given = {
        "--run-id": recording.run_id,
        "--database-url": url,
        "--backtest-trades": str(trades),
    } | dict(zip(options[::2], options[1::2], strict=True))
    code, text, errors = run(capsys, *[part for pair in given.items() for part in pair])
    assert code == WRONG_START
    assert text == ""
    assert len(errors) == 1
    assert errors[0].startswith("comparator: ")
    assert says in errors[0]


def test_another_tenants_run_is_answered_as_one_that_never_was(
    database: DatabaseFactory, recording, trades: Path, capsys
) -> None:
    recording.write(database, "alice")
    bob = Tenant(database, "bob")
    given = (
        *("--database-url", database.engine.url.render_as_string(hide_password=False)),
        *("--backtest-trades", trades),
    )
    code, _, errors = run(capsys, *given, "--run-id", recording.run_id)
    assert code == WRONG_START
    assert errors == ["comparator: the database shows 2 users; say with --user whose run it is"]
    answers = []
    for run_id in (recording.run_id, NOBODY):
        code, _, errors = run(capsys, *given, "--user", "bob", "--run-id", run_id)
        assert code == WRONG_START
        answers.append(errors[0].replace(run_id, "ID"))
    assert answers[0] == answers[1]
    assert bob.run.id in answers[0]
    assert run(capsys, *given, "--user", "alice", "--run-id", recording.run_id)[0] == DONE


def test_backtests_of_another_time_have_no_overlap(
    sqlite_database, recording, url: str, tmp_path: Path, capsys
) -> None:
    recording.write(sqlite_database)
    path = tmp_path / "trades.csv"
    path.write_text(
        "client_order_id,symbol,side,direction,price,qty,fee,realised_pnl,ts\n"
        "a,BTCUSDT,Buy,long,100,1,0,0,2020-01-01T00:00:00\n"
    )
    code, _, errors = run(
        capsys,
        *("--run-id", recording.run_id, "--database-url", url, "--backtest-trades", path),
    )
    assert code == WRONG_START
    assert "the backtest has no trade from 2025" in errors[0]
    assert "it has 1 of BTCUSDT from 2020-01-01 00:00:00" in errors[0]


@pytest.mark.slow
def test_another_strategy_is_said_to_be_one(
    sqlite_database, recording, url: str, tmp_path: Path, capsys
) -> None:
    recording.write(sqlite_database)
    config = tmp_path / "backtest.yaml"
    config.write_text(CONFIG.replace("strat_id: grid", "strat_id: other"))
    code, text, _ = run(
        capsys,
        *("--run-id", recording.run_id, "--database-url", url),
        *("--backtest-config", config, "--symbol", "BTCUSDT"),
    )
    assert code == BREACHED
    assert "look whether strat_id, symbol and tick size" in " ".join(text.split())


def test_a_configuration_needs_its_symbol_and_a_known_one(
    sqlite_database, recording, url: str, tmp_path: Path, capsys
) -> None:
    recording.write(sqlite_database)
    config = tmp_path / "backtest.yaml"
    config.write_text(CONFIG)
    given = ("--run-id", recording.run_id, "--database-url", url, "--backtest-config", config)
    code, _, errors = run(capsys, *given)
    assert (code, len(errors)) == (WRONG_START, 1)
    assert "--backtest-config needs --symbol" in errors[0]
    code, _, errors = run(capsys, *given, "--symbol", "ETHUSDT")
    assert (code, len(errors)) == (WRONG_START, 1)
    assert "ETHUSDT: no such symbol in the database" in errors[0]


def test_wrong_options_are_no_failed_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == WRONG_START
    assert main([]) == WRONG_START
    assert main(["--help"]) == DONE
    assert "Exit codes" in capsys.readouterr().out


def test_the_module_runs_as_a_command(
    sqlite_database, recording, url: str, trades: Path, tmp_path: Path
) -> None:
    recording.executions.pop(3)
    recording.write(sqlite_database)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "comparator.main", "--run-id", recording.run_id),
            *("--backtest-trades", str(trades)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"GRIDBOT_DATABASE_URL": url, "PATH": ""},
    )
    assert done.returncode == BREACHED
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("BREACHED: ")
