"""Alerts and commands by the real pyTelegramBotAPI, against a server of Telegram's protocol."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from gridbot.control.chat_commands import COMMANDS, ChatCommand, help_text
from gridbot.control.telegram_commands import CommandDesk
from gridbot.control.telegram_listener import CommandsOnLoop, TelegramListener
from gridbot.settings.sections import TelegramSettings
from testkit.telegram import CHAT, STRANGER, TOKEN, TelegramServer
from testkit.waiting import eventually


def busy(retry_after: int) -> tuple[int, dict[str, Any]]:
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests"}
    return 429, body | {"parameters": {"retry_after": retry_after}}


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


class RecordingControl:
    """A bot that says what it was told, and on which thread."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.threads: set[str] = set()

    def _note(self, call: str) -> str:
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)
        return call

    def run(self, command: ChatCommand, strat_id: str | None) -> str:
        if command.name == "pnl":
            raise RuntimeError(f"no figures, token {TOKEN}")
        if strat_id == "nobody":
            raise KeyError(strat_id)
        return self._note(f"{command.name} {strat_id}" if strat_id else command.name)


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


# commands


@pytest.fixture
def control() -> RecordingControl:
    return RecordingControl()


@pytest.fixture
def listener(chat: TelegramChat, control: RecordingControl) -> Iterator[TelegramListener]:
    listener = TelegramListener(chat, CommandDesk(control, redactor=Redactor()), poll_s=1)
    yield listener
    listener.close(timeout_s=5)


def test_commands_are_answered(
    listener: TelegramListener, server: TelegramServer, control: RecordingControl
) -> None:
    listener.start()
    eventually(lambda: server.polls > 1)
    for text in ("/status", "/positions@grid_bot", "/ORDERS", "/status@other_bot", "hello"):
        server.write(text)
    eventually(lambda: len(server.sent) == 3)
    assert server.texts == ["status", "positions", "orders"]
    assert control.calls == ["status", "positions", "orders"]


def test_a_change_needs_its_confirmation(
    listener: TelegramListener, server: TelegramServer, control: RecordingControl
) -> None:
    listener.start()
    eventually(lambda: server.polls > 1)
    server.write("/pause btc")
    eventually(lambda: len(server.sent) == 1)
    question = server.texts[0]
    assert question.startswith("pause btc? Answer /confirm ")
    assert control.calls == []
    server.write(question.split("Answer ")[1].split(" within")[0])
    eventually(lambda: len(server.sent) == 2)
    assert control.calls == ["pause btc"]


def test_other_chats_are_not_heard(
    listener: TelegramListener,
    server: TelegramServer,
    control: RecordingControl,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener.start()
    eventually(lambda: server.polls > 1)
    server.write("/status", chat=STRANGER)
    server.write("/stop", chat=STRANGER)
    server.write("/positions")
    eventually(lambda: bool(server.sent))
    assert control.calls == ["positions"]
    assert caplog.text.count("chat 666 is not the configured one") == 1


def test_an_answer_waits_as_long_as_telegram_asks(
    listener: TelegramListener, server: TelegramServer
) -> None:
    listener.start()
    eventually(lambda: server.polls > 1)
    server.replies.append(busy(1))
    server.write("/status")
    eventually(lambda: bool(server.sent))
    server.replies.append((502, "bad gateway"))
    server.write("/orders")
    eventually(lambda: not server.replies)
    server.write("/positions")
    eventually(lambda: len(server.sent) == 2)
    assert server.texts == ["status", "positions"]


def test_what_was_written_before_the_start_is_passed_over(
    listener: TelegramListener, server: TelegramServer, control: RecordingControl
) -> None:
    server.write("/status")
    server.write("/orders")
    listener.start()
    eventually(lambda: server.polls > 1)
    server.write("/positions")
    eventually(lambda: bool(server.sent))
    assert control.calls == ["positions"]


def test_commands_are_heard_again_after_an_outage(
    listener: TelegramListener, server: TelegramServer, control: RecordingControl
) -> None:
    listener.start()
    eventually(lambda: server.polls > 1)
    server.stop()
    time.sleep(0.2)
    server.start()
    server.write("/status")
    eventually(lambda: control.calls == ["status"])


def test_a_wrong_token_leaves_the_bot_alone(
    server: TelegramServer, control: RecordingControl, caplog: pytest.LogCaptureFixture
) -> None:
    api = TelegramApi(SecretStr("1:nobody"), server.url)
    listener = TelegramListener(TelegramChat(api, CHAT), CommandDesk(control))
    listener.start()
    eventually(lambda: "commands are not heard: 401" in caplog.text)
    hits = server.hits
    time.sleep(0.3)
    assert server.hits == hits
    listener.close(timeout_s=5)
    api.close()


def named(name: str) -> ChatCommand:
    return next(one for one in COMMANDS if one.name == name)


def test_every_command_is_in_the_help_and_in_the_operating_guide() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "operating.md").read_text(encoding="utf-8")
    for one in COMMANDS:
        written = f"/{one.name} [strategy]" if one.of_strategies else f"/{one.name}"
        assert f"{written} – {one.help}" in help_text(COMMANDS)
        assert f"`{written}`" in guide, f"docs/operating.md does not name {written}"


def answers(desk: CommandDesk, *texts: str) -> list[str]:
    return [desk.answer(text) or "" for text in texts]


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("/pause", "pause"),
        ("/pause btc", "pause btc"),
        ("/resume", "resume"),
        ("/stop", "stop"),
        ("/reset_same_order eth", "reset_same_order eth"),
        ("/reset_loss_breaker eth", "reset_loss_breaker eth"),
        ("/reset_reduce_only", "reset_reduce_only"),
    ],
)
def test_each_change_does_what_it_says(control: RecordingControl, command: str, call: str) -> None:
    desk = CommandDesk(control)
    (question,) = answers(desk, command)
    code = question.split("/confirm ")[1].split()[0]
    assert answers(desk, f"/confirm {code}") == [call]
    assert answers(desk, f"/confirm {code}") == ["there is nothing to confirm"]
    assert control.calls == [call]


def test_a_confirmation_that_does_not_fit_does_nothing(control: RecordingControl) -> None:
    now = [0.0]
    desk = CommandDesk(control, clock=lambda: now[0])
    (question,) = answers(desk, "/stop")
    code = question.split("/confirm ")[1].split()[0]
    assert "that is not the code" in answers(desk, f"/confirm {(int(code) + 1) % 10_000:04d}")[0]
    assert answers(desk, f"/confirm {code}") == ["there is nothing to confirm"]
    (question,) = answers(desk, "/stop")
    code = question.split("/confirm ")[1].split()[0]
    now[0] = 61
    assert "too late" in answers(desk, f"/confirm {code}")[0]
    (question,) = answers(desk, "/stop")
    code = question.split("/confirm ")[1].split()[0]
    assert answers(desk, "/status", f"/confirm {code}")[1] == "there is nothing to confirm"
    assert control.calls == ["status"]


def test_faults_are_answered(control: RecordingControl) -> None:
    desk = CommandDesk(control)
    assert answers(desk, "/pnl") == ["that failed: RuntimeError: no figures, token ***"]
    assert "is no command" in answers(desk, "/sell_everything")[0]
    assert answers(desk, "/help")[0].startswith("/status –")
    assert answers(desk, "/pause a b") == ["too many words; write /pause or /pause STRATEGY"]
    (question,) = answers(desk, "/pause nobody")
    code = question.split("/confirm ")[1].split()[0]
    assert answers(desk, f"/confirm {code}") == ["there is no strategy nobody"]


async def test_commands_run_on_the_loop_of_the_bot(control: RecordingControl) -> None:
    on_loop = CommandsOnLoop(control, asyncio.get_running_loop(), timeout_s=5)
    assert await asyncio.to_thread(on_loop.run, named("status"), None) == "status"
    assert await asyncio.to_thread(on_loop.run, named("pause"), "btc") == "pause btc"
    assert control.threads == {threading.current_thread().name}
    with pytest.raises(RuntimeError, match="no figures"):
        await asyncio.to_thread(on_loop.run, named("pnl"), None)


async def test_a_command_that_nobody_waits_for_does_not_happen_later(
    control: RecordingControl,
) -> None:
    on_loop = CommandsOnLoop(control, asyncio.get_running_loop(), timeout_s=0.1)
    failure: list[BaseException] = []

    def call() -> None:
        try:
            on_loop.run(named("stop"), None)
        except TimeoutError as error:
            failure.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(5)  # the loop is busy: this test holds it
    await asyncio.sleep(0.05)
    assert "nothing was done" in str(failure[0])
    assert control.calls == []
