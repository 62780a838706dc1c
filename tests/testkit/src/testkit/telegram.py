"""A server of Telegram's protocol on a port of this machine, as far as the bot uses it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from testkit.loop_thread import LoopThread

TOKEN = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"
CHAT, STRANGER = 4711, 666


def busy(retry_after: int) -> tuple[int, dict[str, Any]]:
    """Return an answer that asks to wait so many seconds."""
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests"}
    return 429, body | {"parameters": {"retry_after": retry_after}}


class TelegramServer:
    """getMe, getUpdates with long polling and sendMessage, on a port of this machine."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        self.replies: list[tuple[int, dict[str, Any] | str]] = []  # next answers of sendMessage
        self.hits = 0
        self.polls = 0
        self._updates: list[dict[str, Any]] = []
        self._next_id = 100
        self._thread = LoopThread("telegram")
        self._runner: web.AppRunner | None = None
        self.port = 0
        self._thread.start()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.run(self._start())

    def stop(self) -> None:
        self._thread.run(self._stop())

    def close(self) -> None:
        self.stop()
        self._thread.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.Response:
        self.hits += 1
        if request.match_info["token"] != TOKEN:
            return _fault(401, "Unauthorized")
        values = dict(request.query) | dict(await request.post())
        match request.match_info["method"]:
            case "getMe":
                me = {"id": 123456789, "is_bot": True, "first_name": "b", "username": "grid_bot"}
                return _result(me)
            case "getUpdates":
                return _result(await self._poll(values))
            case "sendMessage":
                return self._send(values)
        return _fault(404, "Not Found")

    async def _poll(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        self.polls += 1
        offset, until = int(values.get("offset", 0)), time.monotonic() + float(values["timeout"])
        if offset < 0:
            self._updates = self._updates[offset:]
            return self._updates
        self._updates = [one for one in self._updates if one["update_id"] >= offset]
        while not self._updates and time.monotonic() < until:  # noqa: ASYNC110 - long polling
            await asyncio.sleep(0.01)
        return self._updates

    def _send(self, values: dict[str, Any]) -> web.Response:
        if self.replies:
            status, body = self.replies.pop(0)
            if isinstance(body, str):
                return web.Response(status=status, text=body)
            return web.json_response(body, status=status)
        chat = int(values["chat_id"])
        if chat != CHAT:
            return _fault(400, "Bad Request: chat not found")
        self.sent.append((chat, str(values["text"])))
        return _result(_message(1, chat, "ok"))

    def write(self, text: str, chat: int = CHAT) -> None:
        """Let somebody write a message to the bot."""
        self._next_id += 1
        update = {"update_id": self._next_id, "message": _message(self._next_id, chat, text)}
        self._thread.loop.call_soon_threadsafe(self._updates.append, update)

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.sent]


def _message(number: int, chat: int, text: str) -> dict[str, Any]:
    return {
        "message_id": number,
        "date": 1_785_000_000,
        "chat": {"id": chat, "type": "private", "first_name": "t"},
        "from": {"id": chat, "is_bot": False, "first_name": "t"},
        "text": text,
    }


def _result(value: Any) -> web.Response:
    return web.json_response({"ok": True, "result": value})


def _fault(code: int, text: str, **more: Any) -> web.Response:
    body = {"ok": False, "error_code": code, "description": text, **more}
    return web.json_response(body, status=code)
