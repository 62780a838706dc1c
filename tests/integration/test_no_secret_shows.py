"""Whatever is given a secret shows it to nobody: in no repr, text, dump, traceback or log line."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import io
import json
import logging
import pickle
import pkgutil
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from pydantic import BaseModel, SecretStr, ValidationError

import bybit_adapter
import event_saver
import grid_db
import gridbot
import paper_exchange
from backtest.settings.config import BacktestConfig, DataSettings
from bybit_adapter import (
    BybitAsyncClient,
    BybitRestClient,
    Environment,
    Hidden,
    PrivateWebSocketClient,
)
from bybit_adapter.basics.keys import Keys
from event_saver.accounts.contexts import AccountContext
from event_saver.settings.config import EventSaverConfig
from grid_db import CredentialCipher, DatabaseFactory, DatabaseSettings
from grid_service.logs import JsonFormatter, TextFormatter
from grid_service.redaction import Redactor
from gridbot.alerts.notifier import Notifier, telegram_chat
from gridbot.orchestrator import Orchestrator
from gridbot.proof_run import Traded
from gridbot.session.connections import Connector
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig
from gridbot.watchdog.watchdog import Watchdog, connect
from paper_exchange.book.account import ApiKey

CANARY = "kanarienvogel"
KEY, SECRET, WORD = f"key-{CANARY}", f"secret-{CANARY}", f"word-{CANARY}"
TOKEN = f"123456789:{CANARY}"
URL = f"postgresql://me:{WORD}@127.0.0.1:1/grid"
CIPHER_KEY = Fernet.generate_key().decode()
NOWHERE = Environment.local(1)
OURS = ("bybit_adapter", "gridbot", "grid_db", "paper_exchange", "event_saver", "backtest", "pybit")


def bot_config(tmp_path: Path) -> GridbotConfig:
    return GridbotConfig.model_validate(
        {
            "accounts": [
                {
                    "name": "one", "environment": "paper", "paper_port": 1, "api_key": KEY,
                    "api_secret": SECRET,
                }
            ],
            "strategies": [{"strat_id": "s", "account": "one", "symbol": "BTCUSDT"}],
            "database_url": URL,
            "notification": {"telegram": {"bot_token": TOKEN, "chat_id": 1}},
            "state_path": str(tmp_path / "state"),
            "status_path": str(tmp_path / "status.json"),
            "paper": {
                "symbols": [
                    {
                        "symbol": "BTCUSDT",
                        "feed": {
                            "kind": "database", "url": URL,
                        },
                    }
                ],
                "accounts": [{"name": "one", "keys": [{"key": "name-of-a-key", "secret": SECRET}]}],
            },
        }
    )  # fmt: skip


def holders(tmp_path: Path) -> dict[str, Any]:
    """Return one of every public object that is given a secret, by what it is."""
    config = bot_config(tmp_path)
    account = config.accounts[0]
    chat = telegram_chat(config.notification.telegram)
    assert chat is not None
    assert account.keys is not None
    assert config.paper is not None
    settings = DatabaseSettings(database_url=SecretStr(URL))
    cipher = CredentialCipher([CIPHER_KEY])
    owner = str(uuid4())
    token = cipher.encrypt(owner, SecretStr(KEY), SecretStr(SECRET))
    rest = BybitRestClient(KEY, SECRET, NOWHERE)
    return {
        "Keys": Keys(KEY, SECRET),
        "BybitRestClient": rest,
        "BybitAsyncClient": BybitAsyncClient(rest),
        "PrivateWebSocketClient": PrivateWebSocketClient(
            KEY, SECRET, NOWHERE, on_event=lambda _: None
        ),
        "GridbotConfig": config,
        "Traded": Traded(config.database_url, owner, {}, 0, 0.0),
        "AccountConfig": account,
        "ApiKeys": account.keys,
        "TelegramSettings": config.notification.telegram,
        "PaperConfig": config.paper,
        "KeySettings": config.paper.accounts[0].keys[0],
        "DatabaseFeedSettings": config.paper.symbols[0].feed,
        "ApiKey": ApiKey(key="name", secret=SECRET),
        "TelegramApi": chat.api,
        "TelegramChat": chat,
        "Notifier": Notifier(chat, redactor=Redactor.of_config(config)),
        "Redactor": Redactor.of_config(config),
        "Connector": Connector(account, account.place()),
        "Orchestrator": Orchestrator(config, Redactor.of_config(config)),
        "Watchdog": Watchdog(config, Notifier()),
        "DatabaseSettings": settings,
        "DatabaseFactory": DatabaseFactory(settings),
        "CredentialCipher": cipher,
        "ApiCredential": cipher.decrypt(owner, token),
        "EventSaverConfig": EventSaverConfig(
            api_key=SecretStr(KEY), api_secret=SecretStr(SECRET), database_url=SecretStr(URL)
        ),
        "AccountContext": AccountContext(owner, owner, None, KEY, SECRET, NOWHERE, ("BTCUSDT",)),
    }


# made of the above and looked at inside of them, or named so without holding a secret
PARTS_OR_NAMESAKES = {
    # Keys
    "Transport", "AnswerReader", "Signer", "StreamClient", "StreamConnection", "PybitSocket",
    "StreamCollector",
    "PaperAccount", "AccountSettings",  # keys of the local exchange: ApiKey, KeySettings
    "_Secure",  # of a connection, ours give none
    "Hidden",
    "Alert", "BulkTable", "Call", "Credentials", "RetryQueue", "RevokeKey", "_Cell", "_Gaps",
    "_Connection",
    "_Kind",  # a key of a table, the name of a key
}  # fmt: skip
NAMED_LIKE_A_SECRET = re.compile(r"secret|token|passw|api_key|database_url|^keys?$", re.IGNORECASE)


@pytest.fixture
def given(tmp_path: Path) -> Iterator[dict[str, Any]]:
    made = holders(tmp_path)
    yield made
    for name in ("BybitRestClient", "DatabaseFactory"):
        getattr(made[name], "close", getattr(made[name], "dispose", None))()
    made["TelegramApi"].close()
    # a bot that never ran closes nothing, and one process talks to one Telegram
    vars(made["Orchestrator"])["_chat"].api.close()


def hides(text: str) -> bool:
    return CANARY not in text and CIPHER_KEY not in text


def in_a_traceback(value: Any) -> str:
    """Return a traceback that shows its locals, a value among them."""
    try:
        raise RuntimeError("odd", value)
    except RuntimeError as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )


WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda one: f"{one}",
    "percent": lambda one: "%s %r" % (one, one),  # noqa: UP031 - a way of its own
    "list": lambda one: str([one, {"it": one}]),
    "attributes": lambda one: repr(getattr(one, "__dict__", "")),
    "json": lambda one: json.dumps(getattr(one, "__dict__", one), default=str),
    "model": lambda one: one.model_dump_json() if isinstance(one, BaseModel) else "",
    "traceback": in_a_traceback,
}


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_shows(given: dict[str, Any], way: str) -> None:
    shown = {name: WAYS[way](one) for name, one in given.items()}
    assert [name for name, text in shown.items() if not hides(text)] == []


def test_nor_in_what_they_hold(given: dict[str, Any]) -> None:
    """At any depth, as far as the objects are of this project or of the exchange's library."""
    found = {
        f"{name}: {type(one).__name__}"
        for name, value in given.items()
        for one in parts_of(value)
        if not (hides(repr(one)) and hides(repr(getattr(one, "__dict__", ""))))
    }
    assert found == set()


def parts_of(value: Any) -> Iterator[Any]:
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | str | bytes):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
            continue
        if isinstance(one, list | tuple | set | frozenset):
            waiting += one
            continue
        if type(one).__module__.partition(".")[0] not in OURS:
            continue
        yield one
        waiting += vars(one).values() if hasattr(one, "__dict__") else ()
        for kind in type(one).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else slots
            waiting += [getattr(one, name) for name in names if hasattr(one, name)]


def test_clients_and_settings_of_the_bot_are_not_pickled(given: dict[str, Any]) -> None:
    for name in (
        "Keys", "BybitRestClient", "BybitAsyncClient", "PrivateWebSocketClient", "GridbotConfig",
        "AccountConfig", "TelegramSettings", "TelegramApi", "Connector", "AccountContext",
    ):  # fmt: skip
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)) as refusal:
            pickle.dumps(given[name])
        assert hides(str(refusal.value))
    with pytest.raises(TypeError):
        dataclasses.asdict(given["Keys"])


def test_every_class_that_is_given_a_secret_is_looked_at(given: dict[str, Any]) -> None:
    takers = set()
    for package in (bybit_adapter, gridbot, grid_db, paper_exchange, event_saver):
        for module in modules_of(package):
            for name, kind in inspect.getmembers(module, inspect.isclass):
                is_ours = kind.__module__ == module.__name__
                if is_ours and any(map(NAMED_LIKE_A_SECRET.search, names_of(kind))):
                    takers.add(name)
    assert takers - given.keys() - PARTS_OR_NAMESAKES == set()


def modules_of(package: Any) -> Iterator[Any]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if ".migrations" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def names_of(kind: type[Any]) -> set[str]:
    if issubclass(kind, BaseModel):
        return set(kind.model_fields)
    try:
        return set(inspect.signature(kind).parameters)
    except (TypeError, ValueError):
        return set()


class Nobody:
    """Hears nothing of a stream."""

    def on_event(self, update: Any) -> None: ...
    def on_disconnect(self, ts: datetime) -> None: ...
    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None: ...


def test_what_goes_wrong_with_keys_shows_none_of_them(tmp_path: Path) -> None:
    account = (
        bot_config(tmp_path)
        .accounts[0]
        .model_copy(update={"api_secret": SecretStr(f"{CANARY} with a space")})
    )
    for attempt in (
        lambda: Connector(account, account.place()).rest(),
        lambda: Connector(account, account.place()).open_private(arm_dcp=False)(Nobody()),
        lambda: connect(account),
    ):
        with pytest.raises(ValueError, match="holds a space") as refusal:
            attempt()
        shown = traceback.TracebackException.from_exception(refusal.value, capture_locals=True)
        assert hides("".join(shown.format()))
    with pytest.raises(ValidationError) as wrong:
        AccountConfig(name="n", environment="paper", api_key=f" {CANARY} ", api_secret=SECRET)  # type: ignore[arg-type]
    assert hides(str(wrong.value))
    assert hides(repr(wrong.value.errors(include_input=False, include_context=False)))


def test_a_log_line_shows_none(given: dict[str, Any]) -> None:
    redactor = given["Redactor"]
    for formatter in (JsonFormatter(redactor), TextFormatter(redactor)):
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(formatter)
        logger = logging.getLogger("test of secrets")
        logger.propagate = False
        logger.addHandler(handler)
        try:
            raise RuntimeError(f"{KEY} {SECRET} {TOKEN} {WORD}")
        except RuntimeError:
            logger.exception(
                "%s and %s", SECRET, given["Keys"],
                extra={"request": {"api_key": KEY}, "url": URL, "at": datetime.now(UTC)},
            )  # fmt: skip
        finally:
            logger.removeHandler(handler)
        assert out.getvalue()
        assert hides(out.getvalue())


def test_a_report_of_a_backtest_shows_none() -> None:
    config = BacktestConfig(strategies=({},), data=DataSettings(database_url=URL))  # type: ignore[arg-type]
    assert hides(repr(config))
    assert hides(json.dumps(config.for_report()))


def test_a_hidden_text_is_used_as_text() -> None:
    hidden = Hidden(Hidden(SECRET))
    assert hidden == SECRET
    assert hidden.encode() == SECRET.encode()
    assert "a" + hidden + "b" == f"a{SECRET}b"
    assert (repr(hidden), str(hidden), f"{hidden}", f"{hidden:>5}") == (
        "'***'",
        "***",
        "***",
        "  ***",
    )
