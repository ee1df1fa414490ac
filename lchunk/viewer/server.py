"""A small web server that serves Neuroglancer's client and a dataset's files from one origin."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tornado.httpserver
import tornado.httputil
import tornado.routing
import tornado.web

from lchunk.viewer.elsewhere import Elsewhere, open_elsewhere, shown_as
from lchunk.viewer.hosts import Hosts
from lchunk.viewer.objects import LAYER_FILES, DataObjects
from lchunk.viewer.shown import Shown, layers_shown, open_dataset
from lchunk.viewer.state import MIDDLE, viewer_state
from lchunk.viewer.zarr_view import ZarrView
from lchunk.volumes.store import Store

logger = logging.getLogger(__name__)

READERS = 2
"""Number of chunks of volumes outside the dataset that are read at the same time."""


class DataFiles(tornado.web.StaticFileHandler):
    """Serves files of the dataset's layers, and ranges of them. The client draws nothing for a missing file (404).

    Only files in a layer's folder are served: no hidden files, and no links that lead out of that folder. The folder
    of a layer may itself be a link, for example to another disk.
    """

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        parts = Path(absolute_path).relative_to(root).parts if Path(absolute_path).is_relative_to(root) else ()
        if len(parts) < 2 or any(part.startswith(".") or "\0" in part for part in parts):
            raise tornado.web.HTTPError(404)
        folder = Path(root, parts[0])
        if not any((folder / name).is_file() for name in LAYER_FILES):
            raise tornado.web.HTTPError(404)
        real = folder.resolve()
        path = Path(absolute_path).resolve()
        if not path.is_relative_to(real):
            raise tornado.web.HTTPError(403)
        return super().validate_absolute_path(str(real), str(path))

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "no-cache")

    def compute_etag(self) -> str | None:
        return None  # the hash would need the whole file for every range of it

    def get_content_type(self) -> str:
        is_json = self.absolute_path is not None and self.absolute_path.endswith(".json")
        return "application/json" if is_json else "application/octet-stream"


class Views(tornado.web.RequestHandler):
    """Serves volumes outside the dataset as zarr. Few chunks are read at once, and none for a closed connection."""

    def initialize(self, views: Mapping[str, ZarrView], readers: ThreadPoolExecutor) -> None:
        self.views = views
        self.readers = readers
        self.gone = False

    def on_connection_close(self) -> None:
        self.gone = True

    async def get(self, name: str, key: str) -> None:
        try:
            body = await asyncio.get_running_loop().run_in_executor(self.readers, self._read, name, key)
        except (KeyError, FileNotFoundError) as error:
            raise tornado.web.HTTPError(404) from error
        except (ValueError, OSError) as error:
            logger.warning("%s of %s cannot be shown: %s", key, name, error)
            raise tornado.web.HTTPError(500) from error
        self.set_header("Content-Type", "application/json" if key.endswith(".json") else "application/octet-stream")
        self.set_header("Cache-Control", "no-cache")
        self.write(body)

    def compute_etag(self) -> str | None:
        return None

    def _read(self, name: str, key: str) -> bytes:
        return b"" if self.gone else self.views[name].get(key)


class State(tornado.web.RequestHandler):
    """Serves the state that the client shows at first."""

    def initialize(self, state: Callable[[str], dict[str, Any]], hosts: Hosts) -> None:
        self.state = state
        self.hosts = hosts

    def get(self) -> None:
        self.write(self.state(self.hosts.base(self.request.protocol, self.request.host)))


class Events(tornado.web.RequestHandler):
    """Keeps the stream open that the client expects of its server; nothing is ever sent on it."""

    def initialize(self) -> None:
        self.closed = asyncio.Event()

    def on_connection_close(self) -> None:
        self.closed.set()

    async def get(self, viewer: str) -> None:
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        await self.closed.wait()


class Accepted(tornado.web.RequestHandler):
    """Accepts the states that the client sends, and discards them."""

    def post(self, viewer: str) -> None:
        self.write({})


class Start(tornado.web.RequestHandler):
    """Redirects the bare address to the client with the dataset's state.

    `?at=0.5,0.5,0.5` is the volume's middle, and `?place=4000,52,88` a point in nanometres, to be seen closely.
    """

    def initialize(self, state: Callable[..., dict[str, Any]], hosts: Hosts) -> None:
        self.state = state
        self.hosts = hosts

    def get(self) -> None:
        base = self.hosts.base(self.request.protocol, self.request.host)
        at = self._numbers("at", "three shares of the volume")
        state = self.state(base, at or MIDDLE, self._numbers("place", "three numbers of nanometres"))
        # relative to this address, which a proxy may serve at a path of its own
        self.redirect(f"v/lchunk/#!{quote(json.dumps(state, separators=(',', ':')))}")

    def _numbers(self, name: str, rule: str) -> tuple[float, float, float] | None:
        """The three numbers of an argument; None where it is absent."""
        text = self.get_query_argument(name, "")
        if not text:
            return None
        try:
            z, y, x = map(float, text.split(","))
        except ValueError as error:
            raise tornado.web.HTTPError(400, f"{name} must be {rule}, z,y,x") from error
        return z, y, x


class NoIcon(tornado.web.RequestHandler):
    """Answers the browser's request for an icon, of which there is none, without an error."""

    def get(self) -> None:
        self.set_status(204)


class OtherHost(tornado.web.RequestHandler):
    """Refuses a request whose Host header is not a known name of this server."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain")
        self.finish(
            f"the Host header must be a name of this server, got {self.request.host_name!r}; "
            "if that name is yours, start lchunk view with --host NAME\n"
        )


class NamesOf(tornado.routing.Matcher):
    """Matches requests to a known host."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts

    def match(self, request: tornado.httputil.HTTPServerRequest) -> dict[str, Any] | None:
        return {} if request.host_name in self.hosts else None


class Viewer(tornado.web.Application):
    """Logs answers as other servers do, except those for missing files, of which an unfinished dataset has many."""

    def log_request(self, handler: tornado.web.RequestHandler) -> None:
        if handler.get_status() != 404:
            super().log_request(handler)


def application(
    root: str | None,
    hosts: Hosts | None = None,
    elsewhere: Iterable[Elsewhere] = (),
    voxel_size: tuple[float, ...] = (),
    named: Sequence[tuple[str, ZarrView]] = (),
    *,
    maps: Iterable[tuple[Shown, ZarrView]] = (),
) -> tornado.web.Application:
    """The web application for a dataset's folder, or for volumes without a dataset.

    Args:
        root: the folder; None without a dataset.
        hosts: the names of the server; default: this machine's loopback names.
        elsewhere: volumes outside the folder to show too.
        voxel_size: nanometres zyx, for volumes without a voxel size, if there is no layer either.
        named: volumes that the user named, each with another name, which no volume of `elsewhere` has.
        maps: volumes that are computed, over all others.

    Raises:
        ImportError: Neuroglancer is not installed.
        FileNotFoundError: there is no such folder, or nothing to show.
        ValueError, OSError: a volume of `named` cannot be read.
    """
    try:
        import neuroglancer.static as client  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        raise ImportError("lchunk view needs Neuroglancer; install it with: pip install 'lchunk[view]'") from error
    store = None if root is None else open_dataset(root)
    opened = [] if store is None else list(open_elsewhere(elsewhere, store, voxel_size))
    opened += [*_shown(named), *maps]
    others = [shown for shown, _ in opened]
    views = {shown.name: view for shown, view in opened}
    layers_shown(store, others)

    def state(
        base: str, at: tuple[float, float, float] = MIDDLE, place: tuple[float, float, float] | None = None
    ) -> dict[str, Any]:
        return viewer_state(store, base, at, others, place)

    hosts = hosts or Hosts("127.0.0.1")
    files = str(Path(client.__file__).parent / "client")
    readers = ThreadPoolExecutor(READERS, "view")
    routes: list[Any] = [
        (r"/", Start, {"state": state, "hosts": hosts}),
        (r"/state.json", State, {"state": state, "hosts": hosts}),
        (r"/v/lchunk/(.*)", tornado.web.StaticFileHandler, {"path": files, "default_filename": "index.html"}),
        *_of_dataset(store),
        (r"/volumes/([^/]+)/(.*)", Views, {"views": views, "readers": readers}),
        (r"/events/(.*)", Events),
        (r"/(?:state|action|credentials)/(.*)", Accepted),
        (r"/favicon.ico", NoIcon),
        (r".*", tornado.web.ErrorHandler, {"status_code": 404}),
    ]
    return Viewer([tornado.routing.Rule(NamesOf(hosts), routes)], default_handler_class=OtherHost)


def _shown(named: Sequence[tuple[str, ZarrView]]) -> Iterator[tuple[Shown, ZarrView]]:
    """Volumes that the user named. Probabilities after an image are drawn over it, as those of `Inference` are."""
    image = False
    for name, view in named:
        shown = replace(shown_as(name, view), named=True)
        low, high = shown.intensities or (0, 1)
        share = view.volume.dtype.kind == "f" and not shown.labels and not shown.channels and 0 <= low < high <= 1
        yield replace(shown, stage="Inference") if share and image else shown, view
        image = image or not shown.labels


def _of_dataset(store: Store | None) -> list[Any]:
    """The routes to the files of a dataset's folder."""
    if store is None:
        return []
    folder = store.path("")
    if folder is not None:
        data: Any = (DataFiles, {"path": str(folder.resolve())})
    else:
        data = (DataObjects, {"store": store, "readers": ThreadPoolExecutor(store.connections, "objects")})
    # coarser mips of volumes are in the dataset's folder
    return [(r"/data/(.*)", *data), (r"/volumes/([^/]+/[1-9][0-9]*/.*)", *data)]


async def serve(app: tornado.web.Application, hosts: Hosts, port: int, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; `ready` is called with the address to open.

    Raises:
        ValueError: the port is not a port.
        OSError: the port is taken, or the address is not this machine's.
    """
    if not 0 <= port < 2**16:
        raise ValueError(f"port must be 0 to 65535, got {port}; 0 takes a free one")
    family = socket.AF_INET6 if ":" in hosts.address else socket.AF_INET
    try:
        bound = socket.create_server((hosts.address.strip("[]"), port), family=family)
    except OSError as error:
        raise OSError(_why_not(error, hosts.address, port)) from error
    bound.setblocking(False)
    # a proxy sends a header with the protocol of the original request
    server = tornado.httpserver.HTTPServer(app, xheaders=bool(hosts.names))
    server.add_socket(bound)
    try:
        ready(hosts.url(bound.getsockname()[1]))
        await asyncio.Event().wait()
    finally:
        server.stop()
        await server.close_all_connections()


def _why_not(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port must be free, got {port}, which another program uses; choose one with --port, 0 takes a free one"
    if error.errno == errno.EACCES:
        return f"port must be one that you may use, got {port}; ports from 1024 up need no special rights"
    return f"address must be one of this machine's, got {address} ({error.strerror or error}); leave --address out"
