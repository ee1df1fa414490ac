"""Chromium without a window, steered through its debugging port: it opens pages and takes pictures of Neuroglancer."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

from tornado.websocket import WebSocketClientConnection, websocket_connect

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip
"""WebGL 2 by software, and no access to other machines."""
ANSWER_SECONDS = 60.0
DRAWN_SECONDS = 240.0
BETWEEN_SECONDS = 2.0
"""Between two pictures that must be equal: some layers are drawn after the page says that it is ready."""
FILES = "/tmp"
"""Holds the browser's files while it runs. It makes a socket there, whose path may have 107 characters only: the
`TMPDIR` of a batch system may be longer."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs, in the order in which they are tried."""


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

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the page in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", size)

    async def open(self, url: str) -> None:
        """Load a URL."""
        await self._call("Page.enable")
        await self._call("Network.enable")
        attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        await self._call("Target.setAutoAttach", attach)
        await self._call("Page.navigate", {"url": url})

    async def drawn(self) -> bytes:
        """Wait until Neuroglancer has drawn everything. Returns a picture of the whole page, a PNG.

        Raises:
            TimeoutError: it still draws after four minutes.
        """
        before = None
        try:
            async with asyncio.timeout(DRAWN_SECONDS):
                while True:
                    ready = await self.value("Boolean(window.viewer && window.viewer.isReady())")
                    now = await self.picture() if ready else None
                    if now is not None and now == before:
                        return now
                    before = now
                    await asyncio.sleep(BETWEEN_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(
                f"a view must be drawn within {DRAWN_SECONDS:g} s, got one that was not; make coarser mips of large "
                "volumes (docs/mips.md), or show fewer layers"
            ) from error

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return answer["result"].get("value")

    async def picture(self) -> bytes:
        """A picture of the whole page as it is now, a PNG."""
        answer = await self._call("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(answer["data"])

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
    """The program; None if neither Chromium nor Chrome is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.asynccontextmanager
async def chromium(width: int = 1200, height: int = 800) -> AsyncIterator[Page]:
    """Start Chromium with one empty page, and kill it at the end.

    Raises:
        FileNotFoundError: neither Chromium nor Chrome is installed.
        ChildProcessError: it does not start.
    """
    program = installed()
    if program is None:
        raise FileNotFoundError(
            f"a browser must be installed, got none of {', '.join(NAMES)} on the PATH; "
            "install one, for example with: apt-get install chromium"
        )
    with tempfile.TemporaryDirectory(dir=FILES, ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank",
            stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": profile},  # killed, it leaves its temporary files
        )  # fmt: skip
        try:
            errors = cast(asyncio.StreamReader, process.stderr)  # a pipe, as asked for
            port = await _listening(program, errors)
            idle = asyncio.create_task(errors.read())  # a full pipe would stop the browser
            request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
            with urllib.request.urlopen(request) as answer:
                address = json.load(answer)["webSocketDebuggerUrl"]
            socket = await websocket_connect(address, max_message_size=1 << 28)
            try:
                page = Page(socket)
                await page.resize(width, height)
                yield page
            finally:
                socket.close()
                idle.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.kill()
            await process.wait()


async def _listening(program: str, errors: asyncio.StreamReader) -> int:
    """The debugging port, which the browser tells on its standard error when it listens."""
    last = b""
    while line := await asyncio.wait_for(errors.readline(), ANSWER_SECONDS):
        found = re.search(rb"ws://127\.0\.0\.1:(\d+)/", line)
        if found:
            return int(found[1])
        last = line
    said = last.decode(errors="replace").strip() or "nothing"
    raise ChildProcessError(f"{program} must start without a window, got: {said}; try it with --headless=new")
