"""A start that cannot be confirmed: nothing placed, one sentence, exit code 1."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from grid_db import DatabaseFactory, DatabaseSettings
from gridbot.main import main
from paper_exchange.host.control import ACTION
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_host import (
    Mover,
    RunningBot,
    StoredFacts,
    Witness,
    bot_file,
    bot_host,
    bot_settings,
    executions_of,
    status_of,
    strategy,
)
from testkit.paper import KEY, SECRET, PaperHost, paper_account
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange(priced=True)]


Attempt = Callable[..., str]


@pytest.fixture
def refused(host: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Attempt:
    """Start with settings, which has to be refused; return the one sentence."""
    witness = Witness(host)

    def attempt(settings: dict[str, Any] | None = None, **changes: Any) -> str:
        given = (settings or bot_settings(tmp_path, host.server.port)) | changes
        try:
            code = main(["--config", str(bot_file(tmp_path, given)), "--duration", "3"])
        finally:
            logging.shutdown()
        text = capsys.readouterr().err
        assert code == 1
        (line,) = text.splitlines()
        assert line.startswith("gridbot: ")
        log = (tmp_path / "bot.log").read_text()
        for secret in (SECRET, KEY, "wrong-secret", "Traceback"):
            assert secret not in text
            assert secret not in log
        assert witness.placed == 0
        return line

    return attempt


def keyed(folder: Path, host: PaperHost, key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    return bot_settings(folder, host.server.port, accounts={"one": (key, secret)})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_the_exchange_is_down(refused: Attempt, tmp_path: Path) -> None:
    line = refused(bot_settings(tmp_path, free_port()))
    assert "account one" in line
    assert "no connection" in line


def test_a_wrong_key(refused: Attempt, tmp_path: Path, host: PaperHost) -> None:
    assert "API key is invalid" in refused(keyed(tmp_path, host, key="another-key-of-mine"))


def test_a_wrong_secret(refused: Attempt, tmp_path: Path, host: PaperHost) -> None:
    assert "rror sign" in refused(keyed(tmp_path, host, secret="wrong-secret-of-mine"))


def test_a_read_only_key(refused: Attempt, host: PaperHost) -> None:
    account = host.exchange.accounts["one"]
    key = account.keys[KEY]
    host.do(lambda: host.exchange.replace_key(account, replace(key, read_only=True)))
    assert "read-only" in refused()


def test_a_check_refuses_a_read_only_key(
    host: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(bot_file(tmp_path, bot_settings(tmp_path, host.server.port)))
    account = host.exchange.accounts["one"]
    key = account.keys[KEY]
    try:
        assert main(["--config", path, "--check"]) == 0
        assert capsys.readouterr().err == ""
        host.do(lambda: host.exchange.replace_key(account, replace(key, read_only=True)))
        assert main(["--config", path, "--check"]) == 1
    finally:
        logging.shutdown()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gridbot: account one: the key is read-only; make one with")


def test_a_check_fits_a_narrow_terminal(
    host: PaperHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(bot_file(tmp_path, bot_settings(tmp_path, host.server.port)))
    assert main(["--config", path, "--check"]) == 0
    logging.shutdown()
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 80
    shown = dict(line.strip().split("  ", 1) for line in lines if line.startswith("  "))
    assert shown["price"].strip() == "60000"
    assert shown["wallet"].strip() == "10000.00 USDT"
    assert Decimal(shown["qty per order"].strip()) == Decimal("0.001")
    assert lines[-1] == "nothing was placed"


def test_one_way_mode(refused: Attempt, host: PaperHost) -> None:
    account = host.exchange.accounts["one"]
    host.do(lambda: host.exchange.switch_mode(account, ["BTCUSDT"], hedge=False))
    assert "one-way mode" in refused()


@pytest.mark.parametrize("ms", [10_000, -10_000])
def test_a_clock_ten_seconds_off(refused: Attempt, host: PaperHost, ms: int) -> None:
    host.do(lambda: host.control.run(ACTION.validate_python({"do": "skew_clock", "ms": ms})))
    line = refused()
    assert "clock" in line
    assert "10." in line or "9.9" in line


def test_an_unknown_symbol(refused: Attempt, tmp_path: Path, host: PaperHost) -> None:
    wrong = strategy(symbol="BTCUSDT") | {"symbol": "NOPEUSDT"}
    assert "NOPEUSDT" in refused(bot_settings(tmp_path, host.server.port, [wrong]))


def test_a_tick_size_that_is_not_the_exchanges(
    refused: Attempt, tmp_path: Path, host: PaperHost
) -> None:
    wrong = strategy(tick_size="0.5")
    line = refused(bot_settings(tmp_path, host.server.port, [wrong]))
    assert "tick_size is 0.5" in line


def test_a_grid_that_does_not_fit_the_tick_is_told_before_anything_is_placed(
    refused: Attempt, tmp_path: Path, host: PaperHost
) -> None:
    far = strategy(leverage=1_000)
    assert "leverage" in refused(bot_settings(tmp_path, host.server.port, [far]))


def test_a_wallet_without_usdt(refused: Attempt, host: PaperHost) -> None:
    account = host.exchange.accounts["one"]
    host.do(lambda: host.exchange.operator.deposit(account, Decimal(-10_000)))
    assert "no USDT" in refused()


def test_a_contract_that_is_not_traded(refused: Attempt, host: PaperHost) -> None:
    listing = host.exchange.market("BTCUSDT").listing
    listing.row["status"] = "Delivering"
    assert "BTCUSDT is not traded, the exchange says Delivering" in refused()


def test_an_answer_that_never_comes(refused: Attempt, host: PaperHost) -> None:
    host.do(
        lambda: host.parts.faults.add(
            FaultRule(kind=FaultKind.HTTP_ERROR, match="position/list", status=503)
        )
    )
    assert "position/list" in refused()


def test_a_taken_port_of_the_metrics_is_told_before_anything_is_placed(
    refused: Attempt, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "port" in refused(metrics_port=taken.getsockname()[1])


def test_a_refused_start_leaves_a_failed_run_and_nothing_locked(
    refused: Attempt, host: PaperHost, tmp_path: Path
) -> None:
    account = host.exchange.accounts["one"]
    host.do(lambda: host.exchange.switch_mode(account, ["BTCUSDT"], hedge=False))
    refused()
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
        assert StoredFacts(database).runs() == {"failed": 1}
    host.do(lambda: host.exchange.switch_mode(account, ["BTCUSDT"], hedge=True))
    with RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        host.trade("60001")
        eventually(lambda: len(running.do(running.bot.snapshot).strategies[0].orders) == 12)


def test_a_start_after_an_outage_is_tried_again(host: PaperHost, tmp_path: Path) -> None:
    fault = FaultRule(kind=FaultKind.HTTP_ERROR, match="order/realtime", status=503, count=4)
    host.do(lambda: host.parts.faults.add(fault))
    with RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        host.trade("60001")
        eventually(lambda: len(running.do(running.bot.snapshot).strategies[0].orders) == 12)


def test_a_fresh_start_shows_a_heartbeat_and_the_wallet_at_once(
    host: PaperHost, tmp_path: Path
) -> None:
    settings = bot_settings(
        tmp_path, host.server.port, status_interval=60, watchdog={"stale_after": 200}
    )
    with RunningBot(settings) as running:
        eventually(lambda: status_of(tmp_path), 2, "a status file")
        (account,) = running.do(running.bot.snapshot).accounts
        assert account.wallet_balance == 10_000
        assert running.alerts("bot_started") == 1


def test_a_second_account_that_fails_does_not_keep_the_first_from_trading(
    tmp_path: Path,
) -> None:
    accounts = [
        paper_account(),
        paper_account("two", key="key-two", secret="secret-two", uid=1002, hedge_mode=False),
    ]
    with bot_host(accounts=accounts) as host, Mover(host):
        settings = bot_settings(
            tmp_path,
            host.server.port,
            [strategy(), strategy(account="two")],
            {"one": (KEY, SECRET), "two": ("key-two", "secret-two")},
        )
        with RunningBot(settings) as running:
            eventually(lambda: len(executions_of(host)) > 3)
            assert running.alerts("strategy_stopped") == 1
            assert executions_of(host, "two") == []


def test_a_start_does_not_take_long(host: PaperHost, tmp_path: Path) -> None:
    begun = time.monotonic()
    with RunningBot(bot_settings(tmp_path, host.server.port)):
        assert time.monotonic() - begun < 10
