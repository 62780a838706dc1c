"""Configuration of the bot: what is wrong, where, and what would be right."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    Environment,
    TenantScope,
    UserRepository,
    generate_key,
)
from grid_db.crypto import CredentialCipher
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import ConfigFileError, config_path, load_gridbot_config
from gridbot.settings.session_settings import SessionSettings
from gridcore import InstrumentInfo
from gridcore.errors import ConfigError
from market_data.rules.instrument_info import default_rules

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {"KEY": "key-of-main", "SECRET": "5ecret-of-main"}
HEAD = """accounts:
  - name: main
    environment: testnet
    api_key: ${KEY}
    api_secret: ${SECRET}
"""
GRID = """strategies:
  - strat_id: btc
    account: main
    symbol: BTCUSDT
"""


def load(tmp_path: Path, text: str, **environment: str) -> GridbotConfig:
    path = tmp_path / "g.yaml"
    path.write_text(text)
    return load_gridbot_config(path, SECRETS | environment)


def faults(tmp_path: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigFileError) as refusal:
        load(tmp_path, text, **environment)
    return str(refusal.value).replace(str(tmp_path) + "/", "")


def btc() -> InstrumentInfo:
    rules = default_rules("BTCUSDT")
    assert rules is not None
    return rules.instrument


def test_the_example_is_valid() -> None:
    environ = {"BYBIT_API_KEY": "k", "BYBIT_API_SECRET": "s"}
    loaded = load_gridbot_config(ROOT / "conf" / "gridbot.yaml.example", environ)
    (one,) = loaded.strategies
    assert loaded.accounts[0].environment is Environment.TESTNET
    assert one.safety_caps.max_notional == Decimal(50_000)
    assert one.shadow_mode  # an example that is copied sends nothing
    assert loaded.position_check_interval == 63.0


def test_the_demo_needs_no_environment() -> None:
    loaded = load_gridbot_config(ROOT / "conf" / "demo.yaml", {})
    assert [one.symbol for one in loaded.strategies] == ["BTCUSDT", "ETHUSDT"]
    (account,) = loaded.accounts
    assert account.is_embedded
    assert account.keys is not None
    assert account.keys.api_key.get_secret_value() == "demo-key"
    assert account.place(8123).rest_url == "http://127.0.0.1:8123"
    with pytest.raises(ValueError, match="embedded exchange is not known"):
        account.place()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (HEAD, "g.yaml:1: strategies: is missing"),
        (GRID, "g.yaml:1: accounts: is missing"),
        ("accounts: []\n" + GRID, "g.yaml:1: accounts: .*at least 1"),
        (HEAD + GRID + "what: 1", "g.yaml:10: what: is no setting"),
        (HEAD + GRID + "    grid_cuont: 5", r"g.yaml:10: strategies\[0\].grid_cuont: is no set"),
        (
            HEAD + GRID.replace("account: main", "account: other"),
            r"g.yaml:8: strategies\[0\].account: other is no account of this file; there is main",
        ),
        (
            HEAD + GRID + GRID.replace("strategies:\n", "").replace("btc", "two"),
            r"g.yaml:12: strategies\[1\].symbol: BTCUSDT of account main is traded by btc already",
        ),
        (
            HEAD + GRID + GRID.replace("strategies:\n", "").replace("BTCUSDT", "ETHUSDT"),
            r"g.yaml:10: strategies\[1\].strat_id: btc is used twice",
        ),
        (HEAD + GRID + "    amount: 5%", r"g.yaml:10: .*amount: the amount is '5%'; it is one of"),
        (HEAD + GRID + "    symbol_: x", r"symbol_: is no setting"),
        (HEAD + GRID.replace("BTCUSDT", "btcusdt"), r"g.yaml:9: strategies\[0\].symbol: .*pattern"),
        (HEAD.replace("${KEY}", "${NOPE}") + GRID, r"g.yaml:4: .*variable NOPE is not set"),
        (HEAD.replace("${KEY}", '""') + GRID, r"g.yaml:4: accounts\[0\].api_key: is empty or has"),
        (
            HEAD.replace("    api_secret: ${SECRET}\n", "") + GRID,
            r"g.yaml:2: accounts\[0\]: api_secret is missing; give both",
        ),
        (
            HEAD.replace("environment: testnet", "environment: moon") + GRID,
            r"g.yaml:3: accounts\[0\].environment: .*'mainnet', 'testnet', 'demo' or 'paper'",
        ),
        (
            HEAD + "    testnet: false\n" + GRID,
            r"g.yaml:2: accounts\[0\]: testnet is false but environment is testnet; keep one",
        ),
        (
            HEAD.replace("environment: testnet", "environment: paper") + GRID,
            r"g.yaml:3: accounts\[0\].environment: is paper, but there is no section paper",
        ),
        (
            HEAD + "    paper_port: 5\n" + GRID,
            r"g.yaml:2: accounts\[0\]: paper_port is given but environment is testnet",
        ),
        (
            HEAD + HEAD.replace("accounts:\n", "").replace("main", "twin") + GRID,
            r"g.yaml:8: accounts\[1\].api_key: is the one of account main",
        ),
        (
            HEAD + HEAD.replace("accounts:\n", "").replace("${KEY}", "other") + GRID,
            r"g.yaml:6: accounts\[1\].name: main is used twice",
        ),
        (HEAD + GRID + "database_url: nonsense", "g.yaml:10: database_url: "),
        (HEAD.replace("environment: testnet", "testnet: maybe") + GRID, "it is true or false"),
        (HEAD + GRID + "dcp_window: 2", "g.yaml:10: dcp_window: 2 s is too short"),
        (HEAD + GRID + "order_sync_interval: -1", "g.yaml:10: order_sync_interval: .*equal to 0"),
        (
            HEAD + GRID + "watchdog:\n  stale_after: 20",
            "g.yaml:11: watchdog.stale_after: 20 s is less than 3 heartbeats",
        ),
        (
            HEAD + GRID + "notification:\n  telegram:\n    bot_token: 1:x",
            "g.yaml:12: notification.telegram.bot_token: has no chat_id",
        ),
        (
            HEAD
            + GRID
            + "paper:\n  symbols:\n    - symbol: BTCUSDT\n      feed: {kind: sinthetic}",
            r"g.yaml:13: paper.symbols\[0\].feed: ",
        ),
    ],
)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, text: str, fault: str) -> None:
    told = faults(tmp_path, text)
    assert re.search(fault, told), told
    assert "5ecret" not in told


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = HEAD + GRID.replace("account: main", "account: a{b}c") + "status_interval: 50\n"
    first, second = faults(tmp_path, text).splitlines()
    assert first.startswith("g.yaml:8: strategies[0].account: a{b}c is no account")
    assert second.startswith("g.yaml:1: watchdog.stale_after: 60 s is less than 3")


@pytest.mark.parametrize(
    ("value", "environment"), [("true", Environment.TESTNET), ("false", Environment.MAINNET)]
)
def test_testnet_stands_for_the_environment(
    tmp_path: Path, value: str, environment: Environment
) -> None:
    text = HEAD.replace("environment: testnet", f"testnet: {value}") + GRID
    account = load(tmp_path, text).account("main")
    assert account.environment is environment
    assert account.place().name == environment.value


def test_secrets_are_shown_nowhere(tmp_path: Path) -> None:
    text = HEAD + GRID + "database_url: postgresql://u:5ecret@localhost/x\n"
    text += "notification: {telegram: {bot_token: 12:5ecret, chat_id: 7}}\n"
    config = load(tmp_path, text)
    for shown in (repr(config), str(config), config.model_dump_json(), repr(config.accounts[0])):
        assert "5ecret" not in shown
        assert "key-of-main" not in shown
    keys = config.account("main").keys
    assert keys is not None
    assert "5ecret" not in repr(keys)
    assert keys.api_secret.get_secret_value() == "5ecret-of-main"


def test_keys_come_from_the_database(tmp_path: Path) -> None:
    url, key = f"sqlite:///{tmp_path}/g.db", generate_key()
    with DatabaseFactory(DatabaseSettings(database_url=url)) as database:
        database.create_tables()
        with database.get_session() as session:
            user = UserRepository(session).get_or_create("default")
        with database.get_session() as session:
            scope = TenantScope(session, user.id)
            account = scope.accounts.get_or_create("main", Environment.TESTNET)
            scope.credentials(CredentialCipher([key])).store(account.id, "db-key", "db-5ecret")
    text = HEAD.split("    api_key", maxsplit=1)[0] + GRID + f"database_url: {url}\n"
    keys = load(tmp_path, text, GRIDBOT_SECRET_KEY=key).account("main").keys
    assert keys is not None
    assert keys.api_secret.get_secret_value() == "db-5ecret"
    assert "main has no api_key" in faults(tmp_path, text)
    wrong = Fernet.generate_key().decode()
    assert "encrypted with a key" in faults(tmp_path, text, GRIDBOT_SECRET_KEY=wrong)
    other = text.replace("main", "other")
    told = faults(tmp_path, other, GRIDBOT_SECRET_KEY=key)
    assert told.startswith("g.yaml:2: accounts[0]: account other has no api_key")
    assert "python -m gridbot.credentials" in told


PAPER = """accounts:
  - {name: one, environment: paper}
strategies:
  - {strat_id: btc, account: one, symbol: BTCUSDT}
paper:
  accounts: [{name: one}]
"""


def test_an_embedded_account_fits_its_exchange(tmp_path: Path) -> None:
    assert load(tmp_path, PAPER).account("one").is_embedded
    told = faults(tmp_path, PAPER.replace("[{name: one}]", "[{name: two}]"))
    assert told.startswith("g.yaml:2: accounts[0].name: one is no account of the section paper")
    told = faults(tmp_path, PAPER.replace("symbol: BTCUSDT", "symbol: ETHUSDT"))
    assert told.startswith("g.yaml:4: strategies[0].symbol: ETHUSDT is no symbol of the section")


def test_two_names_of_one_account_are_found_when_the_keys_are(tmp_path: Path) -> None:
    twin = "  - {name: two, environment: paper, api_key: one-key, api_secret: one-secret}\n"
    told = faults(tmp_path, PAPER.replace("strategies:", twin + "strategies:"))
    assert told.startswith("g.yaml:3: accounts[1].api_key: is the one of account one")


def test_a_separate_paper_exchange_is_found_by_its_port(tmp_path: Path) -> None:
    text = HEAD.replace("environment: testnet", "environment: paper\n    paper_port: 8899") + GRID
    account = load(tmp_path, text).account("main")
    assert not account.is_embedded
    assert account.place().rest_url == "http://127.0.0.1:8899"
    with pytest.raises(KeyError):
        load(tmp_path, text).account("nobody")


def test_a_database_without_tables_is_told(tmp_path: Path) -> None:
    text = (
        HEAD.split("    api_key", maxsplit=1)[0]
        + GRID
        + f"database_url: sqlite:///{tmp_path}/no.db\n"
    )
    told = faults(tmp_path, text, GRIDBOT_SECRET_KEY=generate_key())
    assert "there are no tables" in told


def test_the_path_comes_from_the_environment() -> None:
    assert config_path(None, {}) == Path("conf/gridbot.yaml")
    assert config_path(None, {"GRIDBOT_CONFIG_PATH": "x.yaml"}) == Path("x.yaml")
    assert config_path(Path("given.yaml"), {"GRIDBOT_CONFIG_PATH": "x.yaml"}) == Path("given.yaml")
    with pytest.raises(ConfigFileError, match="there is no such file"):
        load_gridbot_config(None, {"GRIDBOT_CONFIG_PATH": "missing.yaml"})


def test_a_strategy_becomes_one_of_gridcore(tmp_path: Path) -> None:
    text = HEAD + GRID + "    post_only: true\n    tick_size: '0.10'\n    leverage: 7\n"
    config = load(tmp_path, text + "position_check_interval: 30\nwallet_cache_interval: 100\n")
    built = config.strategy_config(config.strategies[0], btc())
    assert built.strat_id == "btc"
    assert built.post_only
    assert built.leverage == 7
    assert built.position_check_interval == timedelta(seconds=30)
    assert built.wallet_max_age == timedelta(seconds=300)
    off = load(tmp_path, text + "wallet_cache_interval: 0\n")
    unread = off.strategy_config(off.strategies[0], btc())
    assert unread.wallet_max_age == timedelta(minutes=15)


def test_a_tick_size_that_disagrees_is_refused(tmp_path: Path) -> None:
    config = load(tmp_path, HEAD + GRID + "    tick_size: '0.5'\n")
    with pytest.raises(ConfigError, match=r"btc: tick_size is 0.5, the exchange's is 0.1"):
        config.strategy_config(config.strategies[0], btc())
    eth = load(tmp_path, HEAD + GRID.replace("BTCUSDT", "ETHUSDT"))
    with pytest.raises(ConfigError, match="trades ETHUSDT, not BTCUSDT"):
        eth.strategy_config(eth.strategies[0], btc())


# of the bot's own, in no configuration
NOT_CONFIGURED = {"stream_alert_s", "blocking"}


def test_every_setting_of_a_session_comes_from_the_configuration() -> None:
    """Every number of a configuration is another one; a field that is forgotten stays as it was."""
    changed: dict[str, object] = load_numbers()
    loaded = SessionSettings.of(GridbotConfig.model_validate(changed))
    unchanged = {
        field.name
        for field in dataclasses.fields(SessionSettings)
        if getattr(loaded, field.name) == field.default
    }
    assert unchanged == NOT_CONFIGURED, "SessionSettings.of has to set every other field"


def load_numbers() -> dict[str, object]:
    """Return a configuration in which no number is its default."""
    found: dict[str, object] = {
        "accounts": [{"name": "main", "environment": "testnet"}],
        "strategies": [{"strat_id": "btc", "account": "main", "symbol": "BTCUSDT"}],
    }
    for name, field in GridbotConfig.model_fields.items():
        if type(field.default) in (int, float, Decimal):
            # a share stays below 1, and the shortest window of dcp is 3 s
            found[name] = field.default / 2 if 0 < field.default < 1 else field.default + 3
    return found
