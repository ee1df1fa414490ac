"""A picture of the viewer's page, taken by a browser without a window."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from lchunk.viewer.chromium import chromium
from lchunk.viewer.hosts import Hosts
from lchunk.viewer.server import serve

if TYPE_CHECKING:
    import tornado.web


async def photograph(app: tornado.web.Application, query: str, size: tuple[int, int]) -> bytes:
    """Serve the viewer on a free port of this machine, and take a picture once everything is drawn.

    Args:
        app: the viewer.
        query: the query of the address of the page, with its question mark; empty for none.
        size: width and height of the page in pixels.

    Returns:
        A PNG.

    Raises:
        FileNotFoundError: no browser is installed.
        ChildProcessError: the browser does not start.
        TimeoutError: the page still draws after some minutes.
    """
    async with served(app) as url, chromium(*size) as page:
        await page.open(f"{url}{query}")
        return await page.drawn()


@contextlib.asynccontextmanager
async def served(app: tornado.web.Application) -> AsyncIterator[str]:
    """The address of the viewer while a `with` block runs."""
    opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, Hosts("127.0.0.1"), 0, opened.set_result))
    try:
        await asyncio.wait((opened, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving  # it ended by an error
        yield await opened
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
