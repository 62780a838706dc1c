"""Telegram through pyTelegramBotAPI, with our own errors and without the token in any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import telebot
from pydantic import SecretStr
from telebot import apihelper
from telebot.apihelper import ApiHTTPException, ApiInvalidJSONException, ApiTelegramException

T = TypeVar("T")

LONGEST_TEXT = 4_000  # characters; Telegram takes 4096
SEND_TIMEOUT_S = 10
POLL_S = 10  # how long Telegram holds a request for updates
LONGEST_WAIT_S = 300.0
_NOT_RETRIED = (400, 401, 403, 404)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class TelegramError(Exception):
    """A call that failed. The text holds no token."""


class TelegramRefusedError(TelegramError):
    """Token, chat or text is wrong: trying again does not help."""


class TelegramDownError(TelegramError):
    """Not reachable, or an answer that is none: try again later."""


class TelegramBusyError(TelegramError):
    """Too many calls, or another process reads the same updates: wait `retry_after_s`."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Incoming:
    """One text message. chat_id is where it was written."""

    update_id: int
    chat_id: int
    text: str


class _ApiUrl:
    """The library keeps its URL in a module, so one process talks to one Telegram at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._url = ""
        self._holders = 0

    def take(self, url: str) -> None:
        """Raises ValueError while somebody uses another URL."""
        with self._lock:
            if self._holders and url != self._url:
                raise ValueError(f"this process talks to {self._url} already; close it first")
            self._url = url
            self._holders += 1
            apihelper.API_URL = url.rstrip("/") + "/bot{0}/{1}"  # type: ignore[assignment]  # untyped
            # a proxy of the surroundings has no way to a server on this machine
            local = urlsplit(url).hostname in _LOOPBACK
            bypass = {"no_proxy": ",".join(_LOOPBACK)} if local else None
            apihelper.proxy = bypass  # type: ignore[assignment]  # untyped

    def release(self) -> None:
        with self._lock:
            self._holders -= 1


_API_URL = _ApiUrl()


class TelegramApi:
    """One bot. Blocking; usable from several threads. Every method raises TelegramError only."""

    def __init__(self, token: SecretStr, api_url: str = "https://api.telegram.org") -> None:
        """Raises TelegramRefusedError for a token of the wrong form, ValueError for a second URL.

        Nothing is sent.
        """
        try:
            bot = telebot.TeleBot(token.get_secret_value(), threaded=False)
        except ValueError:
            raise TelegramRefusedError(
                "the bot token has not the form 123456:ABC…; copy it from @BotFather"
            ) from None
        _API_URL.take(api_url)
        # the bot has the token among its attributes; a function shows none
        self._bot: Callable[[], telebot.TeleBot] = lambda: bot
        self._is_open = True

    def __repr__(self) -> str:
        return "TelegramApi(token hidden)"

    def close(self) -> None:
        """Let another server be used in this process. Calls under way go on."""
        if self._is_open:
            self._is_open = False
            _API_URL.release()

    def user_name(self) -> str:
        """Return the name of the bot itself: whether the token works."""
        me = self._call(lambda: self._bot().get_me())
        return str(me.username or "")

    def send(self, chat_id: int, text: str) -> None:
        """Send a text, in several messages where it is too long for one."""
        for part in parts_of(text):
            self._call(
                lambda part=part: self._bot().send_message(  # type: ignore[misc]
                    chat_id, part, timeout=SEND_TIMEOUT_S, disable_web_page_preview=True
                )
            )

    def updates(self, offset: int, wait_s: int = POLL_S) -> tuple[list[Incoming], int]:
        """Wait for messages; return them, and the offset to ask from next time.

        Updates below `offset` are forgotten by Telegram; -1 asks for the newest one alone.
        """
        found = self._call(
            lambda: self._bot().get_updates(
                offset, timeout=wait_s + 10, long_polling_timeout=wait_s,
                allowed_updates=["message"],
            )
        )  # fmt: skip
        messages = [
            Incoming(one.update_id, one.message.chat.id, one.message.text)
            for one in found
            if one.message is not None and one.message.text
        ]
        following = max((one.update_id + 1 for one in found), default=max(offset, 0))
        return messages, following

    @staticmethod
    def _call(work: Callable[[], T]) -> T:
        try:
            return work()
        except ApiTelegramException as error:
            raise _translated(error) from None
        except (ApiHTTPException, ApiInvalidJSONException) as error:
            status = error.result.status_code
            raise TelegramDownError(f"HTTP {status} that is no answer of Telegram") from None
        except requests.RequestException as error:
            # its text holds the URL, and the URL the token
            raise TelegramDownError(f"not reachable ({type(error).__name__})") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TelegramDownError(
                f"an answer of no known form ({type(error).__name__})"
            ) from None


def _translated(error: ApiTelegramException) -> TelegramError:
    code, text = int(error.error_code), str(error.description)
    if code == 429:
        more: Any = error.result_json.get("parameters") or {}
        wait_s = float(more.get("retry_after") or 1)
        return TelegramBusyError(f"too many messages: {text}", min(wait_s, LONGEST_WAIT_S))
    if code == 409:
        return TelegramBusyError("another process reads the updates of this bot", 30.0)
    if code in _NOT_RETRIED:
        hint = {
            401: "; the token is wrong or was revoked",
            403: "; the bot may not write to this chat",
        }.get(code, "")
        return TelegramRefusedError(f"{code}: {text}{hint}")
    return TelegramDownError(f"{code}: {text}")


def parts_of(text: str) -> list[str]:
    """Return a text in parts that Telegram takes, cut at line ends where there are some."""
    parts, rest = [], text.strip("\n")
    while len(rest) > LONGEST_TEXT:
        cut = rest.rfind("\n", 1, LONGEST_TEXT)
        cut = cut if cut > 0 else LONGEST_TEXT
        parts.append(rest[:cut])
        rest = rest[cut:].lstrip("\n")
    if rest.strip():
        parts.append(rest)
    return parts
