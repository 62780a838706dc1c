"""The proof as a test: a short one, and that it would not be proven if it were not so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from grid_service.command import DONE
from gridbot import prove
from gridbot.proof_run import FAILED

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


@pytest.mark.slow
def test_backtest_and_live_agree_to_the_last_digit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prove.main(["--fills", "24", "--output", str(tmp_path)]) == DONE
    told = capsys.readouterr().out
    assert "PROVEN: backtest and live are the same" in told
    assert told.count("match rate 100.00%") == 2
    assert told.count("phantom rate 0.00%") == 2
    assert (tmp_path / "exact" / "BTCUSDT" / "report.html").stat().st_size > 50_000
    recording = sqlite3.connect(tmp_path / "exact" / "recording.db")
    (executions,) = recording.execute("select count(*) from private_executions").fetchone()
    recording.close()
    assert executions >= 24


def test_a_proof_that_cannot_be_run_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "BTCUSDT.csv"
    wrong.write_text("nothing\n")
    code = prove.main(["--fills", "1", "--output", str(tmp_path), "--data", str(wrong)])
    assert code == FAILED
    assert "BTCUSDT.csv" in capsys.readouterr().err
    assert prove.main(["--fills", "0"]) == FAILED
