"""A small web server: Neuroglancer's client, and a dataset's files beside it, from one origin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tornado.httputil
import tornado.web

from lchunk.viewer.state import MIDDLE, viewer_state
from lchunk.volumes.store import FileStore


class DataFiles(tornado.web.StaticFileHandler):
    """Files of the dataset: ranges are served, and what is missing is a 404, which the client draws as nothing."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Access-Control-Expose-Headers", "Content-Range, Content-Length, ETag")
        self.set_header("Cache-Control", "no-cache")

    def compute_etag(self) -> str | None:
        return None  # a hash of the whole file would be read for every range of it

    def get_content_type(self) -> str:
        return (
            "application/json"
            if self.absolute_path and self.absolute_path.endswith(".json")
            else "application/octet-stream"
        )


class State(tornado.web.RequestHandler):
    """What the client shows first."""

    def initialize(self, state: Callable[[str], dict[str, Any]]) -> None:
        self.state = state

    def get(self) -> None:
        self.write(self.state(f"{self.request.protocol}://{self.request.host}"))


class Events(tornado.web.RequestHandler):
    """The client keeps a stream open to its server; nothing is ever said on it."""

    async def get(self, viewer: str) -> None:
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        while not self.request.connection.stream.closed():  # type: ignore[union-attr]
            await asyncio.sleep(1)


class Accepted(tornado.web.RequestHandler):
    """The client tells its state; it is not kept."""

    def post(self, viewer: str) -> None:
        self.write({})


class Start(tornado.web.RequestHandler):
    """The way from the bare address to the client with the dataset in it; `?at=0.5,0.5,0.5` is the middle of it."""

    def initialize(self, state: Callable[..., dict[str, Any]]) -> None:
        self.state = state

    def get(self) -> None:
        base = f"{self.request.protocol}://{self.request.host}"
        try:
            z, y, x = map(float, self.get_query_argument("at", "0.5,0.5,0.5").split(","))
        except ValueError as error:
            raise tornado.web.HTTPError(400, "at must be three shares of the volume, z,y,x") from error
        self.redirect(f"/v/lchunk/#!{quote(json.dumps(self.state(base, (z, y, x)), separators=(',', ':')))}")


def application(root: str) -> tornado.web.Application:
    """The web application for a dataset's folder.

    Raises:
        ImportError: Neuroglancer is not installed.
    """
    try:
        import neuroglancer.static as client  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        raise ImportError("lchunk view needs Neuroglancer; install it with: pip install 'lchunk[view]'") from error
    store = FileStore(Path(root))

    def state(base: str, at: tuple[float, float, float] = MIDDLE) -> dict[str, Any]:
        return viewer_state(store, f"{base}/data", at)

    files = str(Path(client.__file__).parent / "client")
    return tornado.web.Application(
        [
            (r"/", Start, {"state": state}),
            (r"/state.json", State, {"state": state}),
            (r"/v/lchunk/(.*)", tornado.web.StaticFileHandler, {"path": files, "default_filename": "index.html"}),
            (r"/data/(.*)", DataFiles, {"path": str(Path(root).resolve())}),
            (r"/events/(.*)", Events),
            (r"/(?:state|action|credentials)/(.*)", Accepted),
        ]
    )


async def serve(root: str, address: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; `ready` is told the address to open.

    Raises:
        OSError: the port is taken.
    """
    server = application(root).listen(port, address)
    bound = next(iter(server._sockets.values())).getsockname()[1]
    ready(f"http://{address}:{bound}/")
    await asyncio.Event().wait()
