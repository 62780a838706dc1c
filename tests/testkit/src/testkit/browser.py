"""A headless Chromium that tells what a page did: errors, requests, what it shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_S = 30.0


def find_chromium() -> str | None:
    """Return the browser on this machine, None without one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page in one browser of its own, spoken to over the DevTools protocol."""

    def __init__(self, program: str) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._numbers = count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={self._folder.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._socket = self._connect()
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)
        self._folder.cleanup()

    def _connect(self) -> websocket.WebSocket:
        """Attach to the page that the browser opened."""
        port_file = Path(self._folder.name) / "DevToolsActivePort"
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            if port_file.exists() and len(lines := port_file.read_text().split()) == 2:
                break
            time.sleep(0.05)
        else:
            raise TimeoutError("the browser did not start")
        address = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        # the proxy of the environment is not for a browser on this machine
        os.environ.setdefault("no_proxy", "127.0.0.1")
        self._socket = websocket.create_connection(address, timeout=START_S)
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        return self._socket

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one command; events on the way are noted."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        values = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(values["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if values["type"] in ("error", "warning"):
                self.problems.append(json.dumps(values["args"]))
            case "Log.entryAdded" if values["entry"]["level"] in ("error", "warning"):
                self.problems.append(json.dumps(values["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(values["request"]["url"])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def open(self, page: Path, ready: str, timeout_s: float = 30.0) -> None:
        """Open a file and wait until a JavaScript expression is true."""
        self.call("Page.navigate", url=page.resolve().as_uri())
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            if self.evaluate(f"Boolean({ready})"):
                return
            time.sleep(0.1)
        raise TimeoutError(f"{page.name}: {ready} did not become true")
