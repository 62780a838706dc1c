"""Commands by the real pyTelegramBotAPI, against a server of Telegram's protocol."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from grid_service.redaction import Redactor
from gridbot.alerts.notifier import TelegramChat
from gridbot.alerts.telegram_api import (
    TelegramApi,
)
from gridbot.control.chat_commands import COMMANDS, ChatCommand, help_text
from gridbot.control.telegram_commands import CommandDesk
from gridbot.control.telegram_listener import CommandsOnLoop, TelegramListener
from testkit.telegram import CHAT, STRANGER, TOKEN, TelegramServer, busy
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
