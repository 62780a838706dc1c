"""Logs: a line each, in the background, and no secret in any of them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bybit_adapter import ORDERS_FIRST
from bybit_adapter.basics import orders_first
from grid_service.logs import JsonFormatter, Logs
from grid_service.redaction import Redactor
from gridbot.settings.config_file import load_gridbot_config
from gridbot.settings.sections import LogSettings
from gridbot.words.bot_logs import bot_logs
from gridbot.words.decisions import describe, log_decision
from gridcore import CancelIntent, CancelReason, DirectionType, PlaceLimitIntent, SideType

SECRET = 'a"b\\c s3cr3t/ü'
TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
log = logging.getLogger("gridbot.test")


@pytest.fixture
def console() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "bot.log"


@pytest.fixture
def opened(file: Path, console: io.StringIO) -> Iterator[Callable[..., Logs]]:
    logs: list[Logs] = []

    def open_logs(**more: Any) -> Logs:
        settings = {name: more.pop(name) for name in ("level", "max_mb") if name in more}
        redactor = Redactor([SECRET, SecretStr("plain-secret"), "abc"])
        logs.append(bot_logs(LogSettings(file=file, **settings), redactor, console=console, **more))
        return logs[-1]

    yield open_logs
    for one in logs:
        one.close()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_is_json_in_the_file_and_text_on_the_console(
    opened: Callable[..., Logs], file: Path, console: io.StringIO
) -> None:
    logs = opened()
    log.info("placed %s", 3, extra={"strat_id": "btc", "price": Decimal("60000.10"), "n": 1})
    log.debug("not at this level")
    logging.getLogger("somebody.else").info("not theirs")
    logging.getLogger("somebody.else").warning("but this")
    logs.close()
    first, second = lines(file)
    assert first["message"] == "placed 3"
    assert (first["level"], first["logger"]) == ("info", "gridbot.test")
    assert (first["strat_id"], first["price"], first["n"]) == ("btc", "60000.10", 1)
    assert first["ts"].endswith("+00:00")
    assert second["message"] == "but this"
    assert "INFO    gridbot.test: placed 3\n" in console.getvalue()


def test_no_secret_reaches_a_log(
    opened: Callable[..., Logs], file: Path, console: io.StringIO
) -> None:
    logs = opened()
    log.warning("key %s", SECRET)
    log.warning("repr %r", {"api_secret": "xyz123", "k": SECRET})
    log.warning("extra", extra={"what": SECRET, "nested": {"token": TOKEN}})
    log.warning("url %s", "postgresql://user:pa55word@host/db?x=1")
    log.warning("https://api.telegram.org/bot%s/getMe", TOKEN)
    log.warning("refused: origin_string[1700000000000KEYVALUE5000x=1]")
    try:
        try:
            raise ValueError(f"inner {SECRET}")
        except ValueError as inner:
            raise RuntimeError("outer plain-secret") from inner
    except RuntimeError:
        log.exception("it failed with plain-secret")
    logs.close()
    for text in (file.read_text(), console.getvalue()):
        for secret in (SECRET, json.dumps(SECRET)[1:-1], "s3cr3t", "plain-secret", TOKEN):
            assert secret not in text
        for part in ("xyz123", "pa55word", "KEYVALUE"):
            assert part not in text
        assert "postgresql://user:***@host/db" in text
        assert "RuntimeError" in text
        assert "abc" not in text or "***" in text
    # what others say meanwhile, of tasks that nobody awaited, comes into the log too
    mine = [line for line in lines(file) if line["logger"] == log.name]
    assert mine[-1]["exception"].startswith("Traceback")
    assert len(mine) == 7


@given(st.text(), st.text(), st.sampled_from(["api_secret", "x", "password"]))
def test_a_line_of_the_file_is_always_json(message: str, value: str, name: str) -> None:
    text = f'{message} {{"{name}": "{value}", \'{name}\': \'{value}\'}} {name}="{value}"'
    record = logging.makeLogRecord({"msg": text, "what": value, "nan": float("nan"), "name": "g"})
    line = JsonFormatter(Redactor(["s3cr3t-key"])).format(record)
    assert json.loads(line)["nan"] == "nan"
    assert "\n" not in line


def test_a_message_with_line_breaks_stays_one_line(
    opened: Callable[..., Logs], file: Path, console: io.StringIO
) -> None:
    logs = opened()
    log.info("first\n12:00:00.000 INFO gridbot: forged\r\n")
    logs.close()
    said = [line for line in console.getvalue().splitlines() if "first" in line or "forged" in line]
    assert len(said) == 1
    assert len(file.read_text().splitlines()) == 1


def test_files_rotate(opened: Callable[..., Logs], file: Path) -> None:
    logs = opened(max_mb=1)
    for _ in range(1_200):
        log.info("x" * 1_000)
    logs.close()
    assert [path.name for path in sorted(file.parent.iterdir())] == ["bot.log", "bot.log.1"]
    assert file.stat().st_size < 1_000_000


class SlowConsole(io.StringIO):
    """A terminal that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()

    def write(self, text: str) -> int:
        self.may_go.wait(5)
        return super().write(text)


def test_a_slow_console_holds_nobody_up_and_drops_are_counted(file: Path) -> None:
    console = SlowConsole()
    logs = bot_logs(LogSettings(file=file), Redactor(), console=console, most_waiting=100)
    started = time.monotonic()
    for number in range(1_000):
        log.info("line %d", number)
    assert time.monotonic() - started < 2
    console.may_go.set()
    logs.close()
    assert "log lines were dropped" in console.getvalue()
    assert len(console.getvalue().splitlines()) < 300


async def test_lines_wait_while_orders_go_out(
    opened: Callable[..., Logs], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_first, "LONGEST_S", 30.0)
    opened()
    ORDERS_FIRST.claim()
    log.info("decided")
    time.sleep(0.4)  # noqa: ASYNC251 - the loop is busy
    assert lines(file) == []
    while not lines(file):  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(0.01)


def test_arguments_are_taken_as_they_were(opened: Callable[..., Logs], file: Path) -> None:
    logs = opened()
    changing = {"a": 1}
    log.info("%s", changing)
    changing["a"] = 2
    logs.close()
    assert lines(file)[0]["message"] == "{'a': 1}"


def test_what_nobody_catches_is_logged(
    opened: Callable[..., Logs], file: Path, console: io.StringIO
) -> None:
    def fail() -> None:
        raise RuntimeError("in a thread, plain-secret")

    logs = opened()
    thread = threading.Thread(target=fail, name="worker-7")
    thread.start()
    thread.join()
    error = ValueError("at the top")
    sys.excepthook(ValueError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", stacklevel=1)
    logs.close()
    told = file.read_text()
    assert "uncaught in thread worker-7" in told
    assert "in a thread, ***" in told
    assert "at the top" in told
    assert "old way" in told
    assert "KeyboardInterrupt" not in told


def test_logging_is_left_as_it_was(opened: Callable[..., Logs]) -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers), log.level, sys.excepthook, threading.excepthook
    logs = opened(debug=True)
    assert logging.getLogger("gridbot").level == logging.DEBUG
    assert logging.getLogger("TeleBot").handlers == []
    logs.close()
    after = root.level, list(root.handlers), log.level, sys.excepthook, threading.excepthook
    assert before == after
    assert logging.getLogger("gridbot").level == logging.NOTSET


def test_a_file_that_cannot_be_written_is_said_and_the_bot_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    console = io.StringIO()
    logs = bot_logs(LogSettings(file=Path("/dev/full")), Redactor(), console=console)
    for number in range(10):
        log.info("line %d", number)
    logs.close()
    assert console.getvalue().count("\n") == 10
    assert capsys.readouterr().err.count("the log file cannot be written") == 1


def test_a_configuration_names_its_secrets() -> None:
    root = Path(__file__).resolve().parents[3]
    environ = {"BYBIT_API_KEY": "k3y-of-bybit", "BYBIT_API_SECRET": "of-bybit-s"}
    config = load_gridbot_config(root / "conf" / "gridbot.yaml.example", environ)
    config = config.model_copy(update={"database_url": SecretStr("postgresql://u:pw-5ec@h/d")})
    redactor = Redactor.of_config(config)
    assert redactor.clean("k3y-of-bybit, of-bybit-s, pw-5ec, at h/d") == "***, ***, ***, at h/d"
    assert repr(redactor) == "Redactor(secrets hidden)"


@given(
    st.text(min_size=4, max_size=40).filter(lambda text: "*" not in text),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_registered_secret_never_survives(secret: str, before: str, after: str) -> None:
    cleaned = Redactor([secret]).clean(before + secret + after)
    if secret not in before + after:
        assert secret not in cleaned


def place(**more: Any) -> PlaceLimitIntent:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": SideType.BUY,
        "price": Decimal("60000.10"),
        "qty": Decimal("0.0010"),
        "grid_level": 3,
        "direction": DirectionType.LONG,
    }
    return PlaceLimitIntent.create(**values | more)


def test_a_decision_is_one_line(opened: Callable[..., Logs], file: Path) -> None:
    cancel = CancelIntent(
        symbol="BTCUSDT",
        order_id="o-1",
        reason=CancelReason.OUTSIDE_GRID,
        price=Decimal(61000),
        side=SideType.SELL,
        client_order_id="0123456789abcdef",
    )
    assert describe(place()) == "place Buy 0.001 at 60000.1: opens long, level 3"
    short = place(direction=DirectionType.SHORT, reduce_only=True)
    assert describe(short) == "place Buy 0.001 at 60000.1: closes short, level 3"
    assert describe(cancel) == "cancel Sell at 61000: outside_grid"
    logs = opened()
    log_decision("btc", place())
    log_decision("btc", cancel, shadow=True)
    logs.close()
    first, second = lines(file)
    assert first["message"] == "btc: place Buy 0.001 at 60000.1: opens long, level 3"
    assert (first["decision"], first["qty"], first["reduce_only"]) == ("place", "0.0010", False)
    assert second["message"] == "btc: shadow: cancel Sell at 61000: outside_grid"
    assert second["order_id"] == "o-1"
