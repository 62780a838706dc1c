"""`--check` refuses what a start refuses: the same sentence, the same exit code."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter import AccountInfo, BybitAsyncClient, BybitRestClient, Environment, Instrument
from gridbot.instance_lock import InstanceLock
from gridbot.main import main
from gridbot.ports import ExchangeClock, MachineTime
from gridbot.session.preflight import look_at_account, look_at_strategy
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import ConfigFileError, load_gridbot_config
from paper_exchange.host.control import ACTION
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_host import RunningBot, Witness, bot_file, bot_settings
from testkit.paper import KEY, SECRET, PaperHost
from testkit.telegram import TOKEN, TelegramServer
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


class Scene:
    """An exchange, a folder, and a configuration that a case spoils."""

    def __init__(self, host: PaperHost, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.settings = bot_settings(folder, host.server.port)
        self.price: str | None = "60000"
        self.open: list[Any] = []  # closed at the end

    @property
    def strategy(self) -> dict[str, Any]:
        one: dict[str, Any] = self.settings["strategies"][0]
        return one

    def fault(self, kind: FaultKind, match: str, **more: Any) -> None:
        self.host.do(lambda: self.host.parts.faults.add(FaultRule(kind=kind, match=match, **more)))

    def taken_port(self) -> int:
        taken = socket.socket()
        self.open.append(taken)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        return port

    def telegram(self, token: str) -> None:
        server = TelegramServer()
        self.open.append(server)
        chat = {"bot_token": token, "chat_id": 4711, "api_url": server.url, "commands": False}
        self.settings["notification"] = {"telegram": chat}


@pytest.fixture
def scene(host: PaperHost, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(host, tmp_path)
    yield made
    for one in made.open:
        one.close()


def exchange_down(scene: Scene) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scene.settings["accounts"][0]["paper_port"] = port


def wrong_key(scene: Scene) -> None:
    scene.settings["accounts"][0]["api_key"] = "another-key-of-mine"


def wrong_secret(scene: Scene) -> None:
    scene.settings["accounts"][0]["api_secret"] = "wrong-secret-of-mine"


def read_only_key(scene: Scene) -> None:
    exchange = scene.host.exchange
    account = exchange.accounts["one"]
    key = replace(account.keys[KEY], read_only=True)
    scene.host.do(lambda: exchange.replace_key(account, key))


def empty_wallet(scene: Scene) -> None:
    exchange = scene.host.exchange
    scene.host.do(lambda: exchange.operator.deposit(exchange.accounts["one"], Decimal(-10_000)))


def one_way_mode(scene: Scene) -> None:
    exchange = scene.host.exchange
    scene.host.do(lambda: exchange.switch_mode(exchange.accounts["one"], ["BTCUSDT"], hedge=False))


def clock_off(scene: Scene) -> None:
    skew = ACTION.validate_python({"do": "skew_clock", "ms": 10_000})
    scene.host.do(lambda: scene.host.control.run(skew))


def rate_limit(scene: Scene) -> None:
    scene.fault(FaultKind.RATE_LIMIT, "account/info")


def no_answer(scene: Scene) -> None:
    scene.fault(FaultKind.HTTP_ERROR, "position/list", status=503)


def no_orders_answer(scene: Scene) -> None:
    scene.fault(FaultKind.HTTP_ERROR, "order/realtime", status=503)


def unknown_symbol(scene: Scene) -> None:
    scene.strategy["symbol"] = "NOPEUSDT"


def not_traded(scene: Scene) -> None:
    scene.host.exchange.market("BTCUSDT").listing.row["status"] = "Delivering"


def no_price(scene: Scene) -> None:
    scene.price = None


def other_tick_size(scene: Scene) -> None:
    scene.strategy["tick_size"] = "0.5"


def leverage(scene: Scene) -> None:
    scene.strategy["leverage"] = 1_000


def step_of_the_fees(scene: Scene) -> None:
    scene.strategy["grid_step"] = 0.04


def small_cap(scene: Scene) -> None:
    scene.strategy["safety_caps"] = {"max_notional": 59}


def small_amount(scene: Scene) -> None:
    scene.strategy["amount"] = "1"


def small_share(scene: Scene) -> None:
    scene.strategy["amount"] = "x0.0001"


def small_base(scene: Scene) -> None:
    scene.strategy["amount"] = "b0.0001"


def small_long_koef(scene: Scene) -> None:
    scene.strategy.update(amount="60", long_koef=0.1)


def metrics_port(scene: Scene) -> None:
    scene.settings["metrics_port"] = scene.taken_port()


def exchange_port(scene: Scene) -> None:
    scene.settings["accounts"] = [{"name": "one", "environment": "paper"}]
    scene.settings["paper"] = {
        "port": scene.taken_port(),
        "symbols": [{"symbol": "BTCUSDT", "feed": {"kind": "synthetic", "start_price": 60000}}],
        "accounts": [{"name": "one"}],
    }


def database_down(scene: Scene) -> None:
    scene.settings["database_url"] = "postgresql://me:hidden-word@127.0.0.1:1/grid"


def database_folder(scene: Scene) -> None:
    scene.settings["database_url"] = f"sqlite:///{scene.folder / 'nowhere' / 'bot.db'}"


def database_of_others(scene: Scene) -> None:
    (scene.folder / "bot.db").write_text("no database at all, but long enough to be looked at")


def a_file(scene: Scene) -> Path:
    path = scene.folder / "a-file"
    path.write_text("")
    return path


def state_folder(scene: Scene) -> None:
    scene.settings["state_path"] = str(a_file(scene) / "state")


def status_folder(scene: Scene) -> None:
    scene.settings["status_path"] = str(a_file(scene) / "status.json")


def log_folder(scene: Scene) -> None:
    scene.settings["log"]["file"] = str(a_file(scene) / "bot.log")


def log_is_folder(scene: Scene) -> None:
    scene.settings["log"]["file"] = str(scene.folder)


def telegram_form(scene: Scene) -> None:
    scene.telegram("no token")


def telegram_token(scene: Scene) -> None:
    scene.telegram(TOKEN[:-1] + "x")


CASES: list[tuple[Callable[[Scene], None], str]] = [
    (exchange_down, "no connection"),
    (wrong_key, "API key is invalid"),
    (wrong_secret, "rror sign"),
    (read_only_key, "account one: the key is read-only"),
    (empty_wallet, "account one: it holds no USDT"),
    (one_way_mode, "one_btcusdt: BTCUSDT is in one-way mode"),
    (clock_off, "account one: the clock of this machine differs"),
    (rate_limit, "account/info"),
    (no_answer, "position/list"),
    (no_orders_answer, "order/realtime"),
    (unknown_symbol, "NOPEUSDT"),
    (not_traded, "one_btcusdt: BTCUSDT is not traded, the exchange says Delivering"),
    (no_price, "one_btcusdt: BTCUSDT has no price"),
    (other_tick_size, "one_btcusdt: tick_size is 0.5, the exchange's is"),
    (leverage, "one_btcusdt: leverage is 1000, the contract has 151.52 at most"),
    (step_of_the_fees, "one_btcusdt: grid_step is 0.04 %, and the fees of buying and selling"),
    (small_cap, "one_btcusdt: safety_caps.max_notional is 59 USDT, and one order is"),
    (small_amount, "one_btcusdt: amount asks for 1.00 USDT an order, the contract's minimum"),
    (small_share, "one_btcusdt: amount asks for 1.00 USDT an order, the contract's minimum"),
    (small_base, "one_btcusdt: amount asks for 5.98 to 6.02 USDT an order"),
    (small_long_koef, "one_btcusdt: amount asks for 6.00 to 60.00 USDT an order"),
    (metrics_port, "cannot listen on 127.0.0.1:"),
    (exchange_port, "port"),
    (database_down, "database: "),
    (database_folder, "database: "),
    (database_of_others, "database: "),
    (state_folder, "state_path: "),
    (status_folder, "status_path: "),
    (log_folder, "log.file: "),
    (log_is_folder, "log.file: "),
    (telegram_form, "Telegram: the bot token has not the form"),
    (telegram_token, "Telegram: 401: Unauthorized; the token is wrong or was revoked"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "sentence"), CASES, ids=lambda one: getattr(one, "__name__", ""))
def test_a_check_refuses_what_a_start_refuses(
    scene: Scene,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Scene], None],
    sentence: str,
) -> None:
    witness = Witness(scene.host)
    spoil(scene)
    if scene.price is not None:
        scene.host.trade(scene.price)
    path = str(bot_file(scene.folder, scene.settings))
    told = []
    try:
        for arguments in (["--check"], ["--duration", "3"]):
            assert main(["--config", path, *arguments]) == 1
            told.append(capsys.readouterr().err)
    finally:
        logging.shutdown()
    checked, started = (_without_numbers_that_change(text) for text in told)
    assert checked == started
    (line,) = told[0].splitlines()
    assert line.startswith("gridbot: ")
    assert sentence in line
    for secret in (KEY, SECRET, "secret-of-mine", "hidden-word", TOKEN):
        assert secret not in line
    assert witness.placed == 0


def _without_numbers_that_change(text: str) -> str:
    return re.sub(r"\d{13}|[+-]\d+\.\d s", "#", text)


FAULTS = {
    "min_liq_ratio": ("1.2", "stays below 1 and this never guards it"),
    "max_liq_ratio": ("0.8", "stays above 1 and this never guards it"),
    "max_margin": ("0", "no leg would ever open anything"),
    "max_amount_factor": ("0.5", "greater than or equal to 1"),
}


@pytest.mark.parametrize("setting", FAULTS)
def test_a_threshold_on_the_wrong_side_is_refused_with_its_line(scene: Scene, setting: str) -> None:
    value, sentence = FAULTS[setting]
    scene.strategy[setting] = float(value)
    path = bot_file(scene.folder, scene.settings)
    with pytest.raises(ConfigFileError, match=sentence) as refusal:
        load_gridbot_config(path, {})
    assert re.match(rf".*bot\.yaml:\d+: strategies\[0\]\.{setting}", str(refusal.value))


def test_a_factor_that_the_configuration_allows_starts(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.strategy.update(amount="1", max_amount_factor=70)
    scene.host.trade("60000")
    path = str(bot_file(scene.folder, scene.settings))
    try:
        assert main(["--config", path, "--check"]) == 0
        shown = capsys.readouterr().out
        assert main(["--config", path, "--duration", "1"]) == 0
        started = capsys.readouterr().out
    finally:
        logging.shutdown()
    lines = [line.split(maxsplit=3) for line in shown.splitlines() if line.startswith("  ")]
    told = {" ".join(line[:3]): line[3] for line in lines if len(line) == 4}
    assert told["asked per order"] == "1.00 USDT"
    assert told["placed per order"].startswith("59.8")
    assert "one_btcusdt: an order of 1.00 USDT is placed as 59.8" in started


def test_a_wallet_that_shrank_is_refused_at_the_next_start(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.strategy["amount"] = "x0.006"  # 60 USDT
    scene.host.trade("60000")
    path = str(bot_file(scene.folder, scene.settings))
    exchange = scene.host.exchange
    try:
        assert main(["--config", path, "--duration", "1"]) == 0
        scene.host.do(lambda: exchange.operator.deposit(exchange.accounts["one"], Decimal(-6_000)))
        assert main(["--config", path, "--duration", "1"]) == 1
    finally:
        logging.shutdown()
    assert "asks for 24" in capsys.readouterr().err


def test_a_check_shows_what_it_would_do_and_leaves_no_trace(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.strategy["safety_caps"] = {"max_notional": 5000, "session_loss_limit": 100}
    scene.host.trade("60000")
    scene.telegram(TOKEN)
    path = bot_file(scene.folder, scene.settings)
    assert main(["--config", str(path), "--check"]) == 0
    logging.shutdown()
    assert sorted(one.name for one in scene.folder.iterdir()) == ["bot.yaml"]
    shown = capsys.readouterr().out
    for line in (
        "environment       paper, sends orders",
        "leverage          10",
        "cap               max_notional 5000 USDT",
        "cap               max_open_orders none",
        "cap               session_loss_limit 100 USDT",
        "note              Telegram bot grid_bot",
        "note              the database will be made",
    ):
        assert line in shown


def test_telegram_that_is_away_keeps_nothing_from_starting(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.host.trade("60000")
    scene.telegram(TOKEN)
    scene.open[0].stop()
    path = str(bot_file(scene.folder, scene.settings))
    try:
        assert main(["--config", path, "--check"]) == 0
        assert "note              Telegram: not reachable" in capsys.readouterr().out
        assert main(["--config", path, "--duration", "1"]) == 0
    finally:
        scene.open[0].start()
        logging.shutdown()


def lasting(folder: Path) -> list[str]:
    """Return the files of a folder, but for one that is just taking the place of another."""
    return sorted(one.name for one in folder.iterdir() if one.suffix != ".new")


def test_a_check_beside_the_running_bot_says_so_and_disturbs_nothing(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.host.trade("60000")
    scene.settings["metrics_port"] = 0
    path = bot_file(scene.folder, scene.settings)
    with InstanceLock(GridbotConfig.model_validate(scene.settings)), RunningBot(scene.settings):
        scene.host.trade("60001")
        eventually((scene.folder / "status.json").exists)
        before = lasting(scene.folder)
        assert main(["--config", str(path), "--check"]) == 3
        assert lasting(scene.folder) == before
    logging.shutdown()
    told = capsys.readouterr().err
    assert "the state folder" in told
    assert "is in use by another bot (process" in told


class Delivering(BybitAsyncClient):
    """A contract that is listed and takes no orders."""

    async def get_instrument(self, symbol: str) -> Instrument:  # type: ignore[override]
        return replace(await super().get_instrument(symbol), status="Delivering")


async def test_a_contract_in_delivery_is_refused(scene: Scene) -> None:
    scene.host.trade("60000")
    config = GridbotConfig.model_validate(scene.settings)
    port = scene.host.server.port
    rest = Delivering(BybitRestClient(KEY, SECRET, Environment.local(port)))
    report = await look_at_strategy(config, config.strategies[0], rest, Decimal(10_000))
    rest.close()
    assert report.problems == ["one_btcusdt: BTCUSDT is not traded, the exchange says Delivering"]


class Isolated(BybitAsyncClient):
    """An account that somebody switched to isolated margin."""

    async def get_account_info(self) -> AccountInfo:  # type: ignore[override]
        return replace(await super().get_account_info(), margin_mode="ISOLATED_MARGIN")


async def test_an_isolated_account_is_refused(host: PaperHost) -> None:
    host.trade("60000")
    rest = Isolated(BybitRestClient(KEY, SECRET, Environment.local(host.server.port)))
    report = await look_at_account("one", rest, ExchangeClock(MachineTime()))
    rest.close()
    (problem,) = report.problems
    assert problem.startswith("account one: margin mode ISOLATED_MARGIN, unified margin status")
