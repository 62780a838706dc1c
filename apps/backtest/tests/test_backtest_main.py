"""The command as a user types it: exit codes, messages, files."""

import gzip
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from backtest.data import main as data_main
from backtest.main import main
from backtest.report.export import read_trades
from backtest.reported_run import FAILED, WRONG_START
from grid_service.command import DONE

ROOT = Path(__file__).resolve().parents[3]
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="no real market data beside the project"
)
TRADES = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional\n"
)


def config(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "b.yaml"
    path.write_text(
        "strategies:\n  - {strat_id: g, grid_count: 20, grid_step: 0.1, amount: x0.02}\n" + more
    )
    return path


SYNTHETIC = "data: {synthetic: [{rows: 20000, trades_per_s: 0.2}]}\n"


def archive(tmp_path: Path, symbol: str = "ABCUSDT", rows: int = 400) -> Path:
    path = tmp_path / f"{symbol}2025-01-01.csv"
    lines = [
        f"{1735689600 + n}.0,{symbol},Buy,1,{100 + (n * 7 % 40) / 100:.2f},PlusTick,id{n},0,0,0\n"
        for n in range(rows)
    ]
    path.write_text(TRADES + "".join(lines))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> tuple[int, str, list[str]]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def test_a_run_reports_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "out", tmp_path / "r.html"
    code, text, errors = run(
        capsys, "--config", config(tmp_path, SYNTHETIC), "--export", out, "--report", page
    )
    assert (code, errors) == (DONE, [])
    assert text.startswith("BTCUSDT: net ")
    assert read_trades(out / "BTCUSDT" / "trades.csv")
    assert page.stat().st_size > 1_000_000


@pytest.mark.parametrize("by", ["option", "setting"])
def test_a_file_is_no_place_for_an_export_and_said_so_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    out, kept = tmp_path / "results.csv", tmp_path / "kept"
    kept.write_text("mine")
    for place in (out, kept):
        more = f"report: {{export: {place}}}\n" if by == "setting" else ""
        options = ("--export", place) if by == "option" else ()
        code, text, errors = run(capsys, "--config", config(tmp_path, SYNTHETIC + more), *options)
        assert (code, text) == (WRONG_START, "")
        assert errors == [f"backtest: {errors[0].removeprefix('backtest: ')}"]
        assert str(place) in errors[0]
        assert "folder" in errors[0]
    assert not out.exists()
    assert kept.read_text() == "mine"


def test_a_folder_is_no_place_for_a_report_and_said_so_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    code, text, errors = run(
        capsys, "--config", config(tmp_path, SYNTHETIC), "--report", tmp_path / "here"
    )
    assert (code, text) == (WRONG_START, "")
    assert "is a folder; a report is one file" in errors[0]


def test_the_store_takes_the_place_of_the_configuration_s_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEDGE_GRID_STORE", str(tmp_path / "store"))
    example, trades = config(tmp_path, SYNTHETIC), archive(tmp_path)
    wanted = ("--config", example, "--symbol", "ABCUSDT")
    code, _, errors = run(capsys, *wanted, "--from-store")
    assert code == WRONG_START
    assert "backtest.data fetch" in errors[-1]
    assert data_main(["import", str(trades)]) == DONE
    code, text, _ = run(capsys, *wanted, "--from-store")
    assert code == DONE
    assert "ABCUSDT: net " in text
    code, _, errors = run(capsys, *wanted, "--from-store", "--data", trades)
    assert (code, errors) == (
        WRONG_START,
        ["backtest: --data and --from-store: two sources; choose one"],
    )


def test_both_ways_write_the_same_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = config(tmp_path, SYNTHETIC)
    run(capsys, "--config", settings, "--export", tmp_path / "a")
    run(capsys, "--config", settings, "--export", tmp_path / "b", "--exact-ticks")
    for name in ("trades.csv", "funding.csv", "equity.csv", "metrics.csv"):
        one, other = ((tmp_path / side / "BTCUSDT" / name).read_bytes() for side in "ab")
        assert one == other


def test_one_of_several_symbols_fails_and_the_others_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(tmp_path)
    good = archive(tmp_path)
    arguments = ["--config", settings, "--data", good, "--workers", "1"]
    code, text, errors = run(capsys, *arguments, "--symbol", "ABCUSDT", "--symbol", "XYZUSDT")
    assert code == FAILED
    assert "ABCUSDT: net" in text
    assert "not run" in text
    assert errors == [
        "backtest: XYZUSDT: not run: XYZUSDT: no such symbol in the files; there is ABCUSDT"
    ]
    code, text, errors = run(
        capsys, *arguments, "--symbol", "XYZUSDT", "--symbol", "ABCUSDT", "--strict"
    )
    assert code == WRONG_START
    assert "ABCUSDT" not in text
    assert len(errors) == 1


def test_symbols_in_processes_give_the_same_as_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(tmp_path)
    files = [archive(tmp_path, name) for name in ("ABCUSDT", "DEFUSDT")]
    for workers in ("1", "2"):
        code, _, errors = run(
            capsys,
            *("--config", settings, "--workers", workers, "--export", tmp_path / workers),
            *("--data", *files),
        )
        assert (code, errors) == (DONE, [])
    for symbol in ("ABCUSDT", "DEFUSDT"):
        for name in ("trades.csv", "metrics.csv"):
            one, two = ((tmp_path / w / symbol / name).read_bytes() for w in ("1", "2"))
            assert one == two


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv: there is no such file or folder"),
        (["--config", "nothing.yaml"], "nothing.yaml: there is no such file"),
        (["--start", "2025-01-03", "--end", "2025-01-02"], "is not before end"),
        (["--start", "2026-01-01"], "ABCUSDT: no data from 2026-01-01 00:00:00 to the end; there"),
        (["--symbol", "XYZUSDT"], "no such symbol in the files; there is ABCUSDT"),
    ],
)
def test_wrong_input_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], says: str
) -> None:
    given = ["--config", config(tmp_path), "--data", archive(tmp_path), *arguments]
    code, _, errors = run(capsys, *given)
    assert code == WRONG_START
    assert len(errors) == 1
    assert says in errors[0]
    assert errors[0].startswith("backtest: ")


def test_a_cut_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = gzip.compress(archive(tmp_path, rows=3000).read_bytes())
    cut = tmp_path / "ABCUSDT2025-01-02.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    code, _, errors = run(capsys, "--config", config(tmp_path), "--data", cut)
    assert code == WRONG_START
    assert len(errors) == 1
    assert "ABCUSDT2025-01-02.csv.gz" in errors[0]


def test_imperfect_data_is_told_and_refused_when_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path)
    path.write_text(path.read_text() + "garbage,row\n")
    arguments = ["--config", config(tmp_path), "--data", path]
    code, text, _ = run(capsys, *arguments)
    assert code == DONE
    assert "1 corrupt rows left out" in text.replace("\n", " ")
    code, _, errors = run(capsys, *arguments, "--strict")
    assert code == WRONG_START
    assert "refused in strict mode" in errors[0]


def test_wrong_options_are_no_execution_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == WRONG_START
    assert main(["--help"]) == DONE
    assert "Exit codes" in capsys.readouterr().out


@pytest.mark.untraced
@needs_real_data
@pytest.mark.parametrize(
    "name",
    [
        "trades/FXSUSDT2023-10-10_excerpt.csv",
        "trades/BTCUSDT2026-08-09_ws-excerpt.csv",
        "trades/BINANCE-SPOT_XRPETH_2019-10-11T000011_2019-10-13T111928_aggtrades.csv.gz",
        "trades/BINANCE-USDM_BTCUSDT_2020-02-22T000002_020547_trades.csv.gz",
        "klines/bybit_linear_BTCUSDT_1m_2022-12-13T0000_1200.csv.gz",
        "klines/bybit_linear_DOGEUSDT_1m_2025-05-30_2025-06-29.csv.gz",
    ],
)
def test_real_files_run_with_the_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, text, errors = run(
        capsys,
        *("--config", ROOT / "conf" / "backtest.yaml", "--data", REAL / name),
        *("--export", tmp_path / "out", "--report", tmp_path / "r.html"),
    )
    assert (code, errors) == (DONE, [])
    assert ": net " in text
    assert (tmp_path / "r.html").stat().st_size < 15_000_000


@needs_real_data
def test_rules_of_today_do_not_refuse_prices_of_yesterday(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trades = next((REAL / "trades").glob("BINANCE-USDM_BTCUSDT_2020*"))
    code, text, errors = run(capsys, "--config", config(tmp_path), "--data", trades, REAL / "rest")
    assert (code, errors) == (DONE, [])
    assert "do not fit the contract's tick size 0.10" in text.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.untraced
@needs_real_data
def test_the_crash_with_real_funding_and_marks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *("--config", config(tmp_path, "fill_model: touch\n"), "--symbol", "SOLUSDT"),
        *("--start", "2025-10-09", "--end", "2025-10-12", "--data"),
        REAL / "klines" / "bybit_linear_SOLUSDT_5m_2025-09-24_2026-07-21.csv.gz",
        REAL / "funding",
        REAL / "mark",
        REAL / "rest",
    ]
    for number, more in enumerate(((), ("--exact-ticks",))):
        code, text, errors = run(capsys, *more, "--export", tmp_path / str(number), *arguments)
        assert (code, errors) == (DONE, [])
        assert "902 settled rates from data" in text
        assert "instruments-info" in text
    for name in ("trades.csv", "funding.csv", "equity.csv", "metrics.csv"):
        jumped, walked = ((tmp_path / n / "SOLUSDT" / name).read_bytes() for n in "01")
        assert jumped == walked


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backtest.main", "--config", str(config(tmp_path, SYNTHETIC))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == DONE
    assert done.stderr == ""
