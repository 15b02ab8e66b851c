"""Chromium without a window, driven over its DevTools protocol: what a page looks like, and what a reader hears of it.

https://chromedevtools.github.io/devtools-protocol/. A browser has no better client here than aiohttp's WebSocket, and
needs none: two dozen commands and one event.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
_START_S = 60.0
_COMMAND_S = 30.0


def browser_program() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


class Tab:
    """One page. `said` is what it wrote to the console and what the browser refused it, as errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []  # the addresses of all requests
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read(), name="browser")

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(_COMMAND_S):
            return await future

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            await self.command(f"{domain}.enable")
        await self.command("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What a script's expression is. A promise is awaited."""
        found = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, expression: str, within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s):
            while not await self.value(expression):  # noqa: ASYNC110 - the page tells of no event
                await asyncio.sleep(0.1)

    async def text(self, selector: str) -> str:
        return str(await self.value(f"document.querySelector({selector!r}).innerText"))

    async def fill(self, selector: str, text: str) -> None:
        await self.value(f"document.querySelector({selector!r}).focus()")
        await self.value(f"document.querySelector({selector!r}).select()")
        await self.command("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        down = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.command("Input.dispatchKeyEvent", type="keyDown", **down, **text)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **down)

    async def looks(self, *, width: int = 1200, height: int = 1000, scheme: str = "light") -> None:
        mobile = width < 600
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        await self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def picture(self, path: Path) -> None:
        taken = await self.command("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(taken["data"]))

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                future = self._waiting.pop(told["id"])
                if "error" in told:
                    future.set_exception(AssertionError(told["error"]["message"]))
                else:
                    future.set_result(told["result"])
            elif told["method"] == "Network.requestWillBeSent":
                self.asked.append(told["params"]["request"]["url"])
            elif told["method"] == "Log.entryAdded":
                if told["params"]["entry"]["source"] != "network":  # which tells of each answer that is no 2xx
                    self.said.append(told["params"]["entry"]["text"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.said.append(str(told["params"]["exceptionDetails"]))


@asynccontextmanager
async def browser(program: str, folder: Path) -> AsyncIterator[Tab]:
    """A tab of a browser of its own, whose profile is in `folder`."""
    process = _started(program, folder)
    try:
        port = await _port(folder / "profile" / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                try:
                    yield tab
                finally:
                    await tab.close()
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    async with asyncio.timeout(_START_S):
        while True:
            assert process.poll() is None, "the browser ended"
            if lines := _lines(file):
                return int(lines[0])
            await asyncio.sleep(0.1)


def _started(program: str, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "browser.log").open("wb") as errors:
        return subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",  # it runs as root in containers, and shows nothing but our own page
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder / 'profile'}",
                "about:blank",
            ],
            stdout=errors,
            stderr=errors,
        )


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
