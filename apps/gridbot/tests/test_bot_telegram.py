"""Alerts by the real pyTelegramBotAPI, against a server of Telegram's protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from grid_service.redaction import Redactor
from gridbot.alerts.alerts import AlertKey
from gridbot.alerts.notifier import Notifier, TelegramChat, telegram_chat
from gridbot.alerts.telegram_api import (
    TelegramApi,
    TelegramBusyError,
    TelegramDownError,
    TelegramRefusedError,
    parts_of,
)
from gridbot.settings.sections import TelegramSettings
from testkit.telegram import CHAT, TOKEN, TelegramServer, busy
from testkit.waiting import eventually


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    server = TelegramServer()
    yield server
    server.close()


@pytest.fixture
def api(server: TelegramServer) -> Iterator[TelegramApi]:
    api = TelegramApi(SecretStr(TOKEN), server.url)
    yield api
    api.close()


@pytest.fixture
def chat(api: TelegramApi) -> TelegramChat:
    return TelegramChat(api, CHAT)


# the API


def test_the_name_of_the_bot_tells_that_the_token_works(api: TelegramApi) -> None:
    assert api.user_name() == "grid_bot"
    assert TOKEN not in repr(api)


def test_a_long_text_goes_in_parts(api: TelegramApi, server: TelegramServer) -> None:
    api.send(CHAT, "\n".join(f"line {number} {'x' * 90}" for number in range(100)))
    assert len(server.sent) == 3
    assert all(len(text) <= 4_000 and text.startswith("line") for text in server.texts)
    assert parts_of("x" * 9_000) == ["x" * 4_000, "x" * 4_000, "x" * 1_000]
    assert parts_of("\n\n") == []


def test_failures_are_told_apart_and_hold_no_token(
    api: TelegramApi, server: TelegramServer
) -> None:
    server.replies.append(busy(7))
    with pytest.raises(TelegramBusyError) as waits:
        api.send(CHAT, "x")
    assert waits.value.retry_after_s == 7
    server.replies.append((502, "<html>bad gateway</html>"))
    with pytest.raises(TelegramDownError, match="HTTP 502"):
        api.send(CHAT, "x")
    server.replies.append((500, {"ok": False, "error_code": 500, "description": "Internal"}))
    with pytest.raises(TelegramDownError, match="500: Internal"):
        api.send(CHAT, "x")
    server.replies.append((200, {"odd": 1}))
    with pytest.raises(TelegramDownError, match="no known form"):
        api.send(CHAT, "x")
    with pytest.raises(TelegramRefusedError, match="chat not found"):
        api.send(1, "x")
    server.stop()
    with pytest.raises(TelegramDownError, match="not reachable") as away:
        api.send(CHAT, "x")
    assert TOKEN not in str(away.value)
    assert away.value.__suppress_context__


def test_a_wrong_token_is_told(server: TelegramServer) -> None:
    wrong = TelegramApi(SecretStr("1:nobody"), server.url)
    with pytest.raises(TelegramRefusedError, match="the token is wrong or was revoked"):
        wrong.user_name()
    wrong.close()
    for form in ("nothing", "a b:c"):
        with pytest.raises(TelegramRefusedError, match="has not the form") as refusal:
            TelegramApi(SecretStr(form), server.url)
        assert form not in str(refusal.value)


def test_one_process_talks_to_one_server(api: TelegramApi, server: TelegramServer) -> None:
    with pytest.raises(ValueError, match="already"):
        TelegramApi(SecretStr(TOKEN), "http://127.0.0.1:1")
    second = TelegramApi(SecretStr(TOKEN), server.url)
    assert second.user_name() == "grid_bot"
    second.close()
    second.close()
    assert api.user_name() == "grid_bot"


# alerts


def test_an_alert_reaches_the_chat_without_secrets(
    chat: TelegramChat, server: TelegramServer
) -> None:
    notifier = Notifier(chat, redactor=Redactor(["s3cr3t-key"]))
    notifier.start()
    notifier.alert(AlertKey.AUTH_ERROR, f"key s3cr3t-key of {TOKEN} refused", about="main")
    eventually(lambda: bool(server.sent))
    notifier.close()
    assert server.texts == ["CRITICAL auth_error main: key *** of *** refused"]
    assert notifier.sent == 1


def test_of_one_key_there_is_one_message_in_a_minute(
    chat: TelegramChat, server: TelegramServer
) -> None:
    now = [0.0]
    notifier = Notifier(chat, clock=lambda: now[0])
    notifier.start()
    for number in range(1_000):
        notifier.alert(AlertKey.ORDER_REJECTED, f"no. {number}", about="btc")
    notifier.alert(AlertKey.ORDER_REJECTED, "another strategy", about="eth")
    eventually(lambda: notifier.sent == 2)
    now[0] = 61.0
    notifier.alert(AlertKey.STREAM_DOWN, "wakes it up")
    eventually(lambda: notifier.sent == 4)
    notifier.close()
    whole = "\n\n".join(server.texts)
    assert "btc: no. 0\n" in whole
    assert "btc: no. 999\n(and 998 more of these since)" in whole
    assert notifier.suppressed == 999


def test_an_outage_delays_alerts_and_loses_none(chat: TelegramChat, server: TelegramServer) -> None:
    notifier = Notifier(chat)
    notifier.start()
    server.stop()
    started = time.monotonic()
    for number in range(5):
        notifier.alert(AlertKey.STREAM_DOWN, "x", about=f"a{number}")
    assert time.monotonic() - started < 0.5  # raising one waits for nobody
    time.sleep(0.3)
    server.start()
    eventually(lambda: notifier.sent == 5)
    notifier.close()
    whole = "\n".join(server.texts)
    assert [f"a{number}:" in whole for number in range(5)] == [True] * 5


def test_telegram_may_ask_to_wait(chat: TelegramChat, server: TelegramServer) -> None:
    server.replies.append(busy(1))
    notifier = Notifier(chat)
    notifier.start()
    started = time.monotonic()
    notifier.alert(AlertKey.BOT_STARTED, "hello")
    eventually(lambda: notifier.sent == 1)
    assert time.monotonic() - started > 0.9
    notifier.close()


def test_what_waits_is_bounded_and_the_loss_is_told(
    chat: TelegramChat, server: TelegramServer
) -> None:
    notifier = Notifier(chat, most_waiting=10)
    for number in range(25):
        notifier.alert(AlertKey.STREAM_DOWN, "x", about=f"a{number}")
    notifier.start()
    eventually(lambda: notifier.sent == 10)
    notifier.close()
    assert notifier.dropped == 15
    assert "(15 older alerts were dropped, the log has them)" in server.texts[0]
    assert "a24" in server.texts[0]


def test_a_refused_alert_is_logged_and_the_next_one_is_tried(
    server: TelegramServer, caplog: pytest.LogCaptureFixture
) -> None:
    api = TelegramApi(SecretStr("1:nobody"), server.url)
    notifier = Notifier(TelegramChat(api, CHAT))
    notifier.start()
    notifier.alert(AlertKey.BOT_STARTED, "hello")
    eventually(lambda: "does not take the alerts" in caplog.text)
    notifier.close()
    api.close()
    assert notifier.sent == 0


class Odd:
    """Fails in a way that nobody thought of, once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.failures = 1

    def send(self, text: str) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("odd")
        self.texts.append(text)


def test_a_sender_that_fails_oddly_is_used_again(caplog: pytest.LogCaptureFixture) -> None:
    odd = Odd()
    notifier = Notifier(odd)
    notifier.start()
    notifier.alert(AlertKey.BOT_STARTED, "first")
    eventually(lambda: "alerts could not be sent" in caplog.text)
    notifier.alert(AlertKey.BOT_STOPPED, "second")
    eventually(lambda: bool(odd.texts))
    notifier.close()
    assert odd.texts == ["INFO bot_stopped: second"]


def test_closing_sends_what_waits_and_does_not_wait_for_a_dead_server(
    chat: TelegramChat, server: TelegramServer
) -> None:
    notifier = Notifier(chat)
    notifier.start()
    notifier.alert(AlertKey.ORDER_REJECTED, "first")
    eventually(lambda: notifier.sent == 1)
    notifier.alert(AlertKey.ORDER_REJECTED, "second")
    notifier.alert(AlertKey.BOT_STOPPED, "bye")
    notifier.close()
    assert "bye" in "".join(server.texts)
    assert "second" in "".join(server.texts)
    server.stop()
    late = Notifier(chat)
    late.start()
    late.alert(AlertKey.BOT_STOPPED, "bye")
    started = time.monotonic()
    late.close()
    assert time.monotonic() - started < 4


def test_without_a_token_alerts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert telegram_chat(TelegramSettings()) is None
    assert telegram_chat(TelegramSettings(bot_token=SecretStr(""), chat_id=1)) is None
    notifier = Notifier(None)
    notifier.start()
    notifier.alert(AlertKey.LIQUIDATION_OR_ADL, "gone", about="main")
    notifier.close()
    assert "alert CRITICAL liquidation_or_adl main: gone" in caplog.text


def test_a_configured_chat_is_used(server: TelegramServer) -> None:
    settings = TelegramSettings(bot_token=SecretStr(TOKEN), chat_id=CHAT, api_url=server.url)
    chat = telegram_chat(settings)
    assert chat is not None
    chat.send("hello")
    chat.api.close()
    assert server.sent == [(CHAT, "hello")]
