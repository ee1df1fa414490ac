"""Chromium without a window, steered through its debugging port: it opens pages and takes pictures of Neuroglancer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import re
import shutil
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tornado.websocket import WebSocketClientConnection, websocket_connect

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip
"""WebGL 2 by software, and no access to other machines."""
PANEL = """(() => {
  const box = document.querySelector(".neuroglancer-rendered-data-panel").getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
})()"""
ANSWER_SECONDS = 60.0
DRAWN_SECONDS = 240.0


@dataclass
class Page:
    """A page of a browser.

    Args:
        socket: connection to the page.
        requests: URLs that the page and its workers have requested.
    """

    socket: WebSocketClientConnection
    requests: list[str] = field(default_factory=list)
    _number: int = 0

    async def open(self, url: str) -> None:
        """Load a URL."""
        await self._call("Page.enable")
        await self._call("Network.enable")
        attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        await self._call("Target.setAutoAttach", attach)
        await self._call("Page.navigate", {"url": url})

    async def drawn(self) -> npt.NDArray[np.uint8]:
        """Wait until Neuroglancer has drawn everything. Returns the pixels of the whole page, (y, x, 3)."""
        before = None
        async with asyncio.timeout(DRAWN_SECONDS):
            while True:
                ready = await self.value("Boolean(window.viewer && window.viewer.isReady())")
                now = await self._picture() if ready else None
                if now is not None and before is not None and np.array_equal(now, before):
                    return now
                before = now
                await asyncio.sleep(2)

    async def panel(self) -> npt.NDArray[np.uint8]:
        """The pixels of the first panel of data, once everything is drawn."""
        pixels = await self.drawn()
        x, y, width, height = map(round, await self.value(PANEL))
        return pixels[y : y + height, x : x + width]

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return answer["result"].get("value")

    async def _picture(self) -> npt.NDArray[np.uint8]:
        answer = await self._call("Page.captureScreenshot", {"format": "png"})
        with Image.open(io.BytesIO(base64.b64decode(answer["data"]))) as picture:
            return np.asarray(picture.convert("RGB"))

    async def _call(self, method: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        number = await self._send(method, values or {})
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                text = await self.socket.read_message()
                if text is None:
                    raise ConnectionError("the browser closed the page")
                message: dict[str, Any] = json.loads(text)
                if message.get("id") == number:
                    if "error" in message:
                        raise RuntimeError(f"{method}: {message['error']}")
                    answer: dict[str, Any] = message["result"]
                    return answer
                await self._note(message)

    async def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") == "Target.attachedToTarget":  # a worker, which loads the chunks
            session = event["params"]["sessionId"]
            for method in ("Network.enable", "Runtime.runIfWaitingForDebugger"):
                await self._send(method, {}, session)

    async def _send(self, method: str, values: dict[str, Any], session: str = "") -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        await self.socket.write_message(json.dumps(message | ({"sessionId": session} if session else {})))
        return self._number


def installed() -> str | None:
    """The program; None if Chromium is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.asynccontextmanager
async def chromium(width: int = 1200, height: int = 800) -> AsyncIterator[Page]:
    """Start Chromium with one empty page, and kill it at the end.

    Raises:
        FileNotFoundError: Chromium is not installed.
    """
    program = installed()
    if program is None:
        raise FileNotFoundError("Chromium must be installed, and is not: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank",
            stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            found = None
            while found is None:
                line = await asyncio.wait_for(process.stderr.readline(), ANSWER_SECONDS)
                if not line:
                    raise RuntimeError("Chromium ended before it listened")
                found = re.search(rb"ws://127\.0\.0\.1:(\d+)/", line)
            idle = asyncio.create_task(process.stderr.read())  # a full pipe would stop the browser
            request = urllib.request.Request(f"http://127.0.0.1:{int(found[1])}/json/new?about:blank", method="PUT")
            with urllib.request.urlopen(request) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            socket = await websocket_connect(address, max_message_size=1 << 28)
            try:
                yield Page(socket)
            finally:
                socket.close()
                idle.cancel()
        finally:
            process.kill()
            await process.wait()
