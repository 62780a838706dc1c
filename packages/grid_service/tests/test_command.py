"""How commands end: a sentence, an exit code, nothing of the program itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

import pytest

from grid_service.command import run_command

Output = pytest.CaptureFixture[str]


class SomeError(Exception):
    pass


class SpecialError(SomeError):
    pass


CODES: Mapping[type[Exception], int] = {SpecialError: 3, SomeError: 1}


def ending(error: BaseException | None, *, wrong_usage: int = 1) -> int:
    def work() -> None:
        if error is not None:
            raise error

    return run_command("example", work, lambda: CODES, wrong_usage=wrong_usage)


def test_an_error_that_is_expected_is_told_line_by_line(capsys: Output) -> None:
    assert ending(SomeError("a.yaml:1: is wrong\na.yaml:2: too")) == 1
    assert capsys.readouterr().err == "example: a.yaml:1: is wrong\nexample: a.yaml:2: too\n"


def test_the_first_kind_that_fits_gives_the_code(capsys: Output) -> None:
    assert ending(SpecialError()) == 3
    assert capsys.readouterr().err == ""  # it has no text: the code tells all


def test_an_error_that_nobody_expected_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        ending(ZeroDivisionError())


def test_what_the_work_needs_is_not_asked_for_without_an_error() -> None:
    def codes() -> Mapping[type[Exception], int]:
        raise AssertionError("nobody failed")

    assert run_command("example", lambda: None, codes) == 0


@pytest.mark.parametrize(("code", "meaning"), [(0, 0), (None, 0), (2, 1), (130, 130), ("no", 1)])
def test_the_parser_ends_a_command(code: int | str | None, meaning: int) -> None:
    assert ending(SystemExit(code)) == meaning


def test_a_command_may_end_with_another_code_for_its_arguments() -> None:
    assert ending(SystemExit(2), wrong_usage=2) == 2


TYPED = """
import sys, time, typer
from grid_service.command import run_command, typer_app
app = typer_app()
@app.command()
def example() -> None:
    {work}
sys.exit(run_command("example", lambda: app(prog_name="example"), dict))
"""
PLAIN = """
import sys, time
from grid_service.command import run_command
def work() -> None:
    {work}
sys.exit(run_command("example", work, dict))
"""


@pytest.mark.parametrize("kind", [TYPED, PLAIN], ids=["typer", "without"])
def test_an_interrupt_is_no_fault(kind: str) -> None:
    script = kind.format(work='print("begun", flush=True); time.sleep(60)')
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("", 130)


@pytest.mark.parametrize("kind", [TYPED, PLAIN], ids=["typer", "without"])
@pytest.mark.parametrize("lines", [1, 100_000])  # told when the buffer is written, or before
def test_a_reader_who_goes_away_is_no_fault(kind: str, lines: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", kind.format(work=f'for _ in range({lines}): print("x" * 80)')],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.stderr, done.returncode) == ("", 1)
