"""Serve a dataset in a bucket to the browser, which has no credentials and may not be allowed to read the bucket."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

import tornado.web

from lchunk.volumes.place import Place
from lchunk.volumes.store import Store

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
LAYER_FILES = ("0/zarr.json", "1/zarr.json", "mesh/info", "skeletons/info", "properties/info")
"""A folder that contains one of these files belongs to a layer."""


class DataObjects(tornado.web.RequestHandler):
    """Serves objects of the dataset's layers, whole or in ranges. Neuroglancer shows nothing for a 404."""

    def initialize(self, store: Store, readers: ThreadPoolExecutor) -> None:
        self.store = store
        self.readers = readers

    async def get(self, key: str) -> None:
        work = asyncio.get_running_loop().run_in_executor
        await work(self.readers, self._require, key)
        self.set_header("Content-Type", "application/json" if key.endswith(".json") else "application/octet-stream")
        self.set_header("Cache-Control", "no-cache")
        asked = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        low, high = 0, None
        if asked or self.request.method == "HEAD":  # a whole object needs no other request for its size
            start, stop = asked.groups() if asked else ("", "")
            size = await work(self.readers, self._size, key)
            low, high = _limits(start, stop, size)
            if asked:
                self._announce(low, high, size)
            if self.request.method == "HEAD":
                self.set_header("Content-Length", str(high - low))
                return
        try:
            self.write(await work(self.readers, self.store.get, key, low, high))
        except FileNotFoundError as error:
            raise tornado.web.HTTPError(404) from error

    head = get

    def compute_etag(self) -> str | None:
        return None  # hashing each answer would cost more than it saves

    def _announce(self, low: int, high: int, size: int) -> None:
        """Write the header of a range, `[low, high)` of `size` bytes."""
        if low >= high:
            raise tornado.web.HTTPError(416)
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {low}-{high - 1}/{size}")

    def _require(self, key: str) -> None:
        """Refuse what does not belong to a layer."""
        layer, _, rest = key.partition("/")
        hidden = any(part.startswith(".") or not part for part in key.split("/"))
        if not rest or hidden or not any((Place(self.store, layer) / mark).stamp() for mark in LAYER_FILES):
            raise tornado.web.HTTPError(404)

    def _size(self, key: str) -> int:
        """Size of an object in bytes."""
        found = Place(self.store, key).stamp()
        if found is None:
            raise tornado.web.HTTPError(404)
        return found.size


def _limits(start: str, stop: str, size: int) -> tuple[int, int]:
    """First byte, and the byte after the last one, of a range that a browser asks for.

    >>> _limits("", "", 100), _limits("10", "", 100), _limits("10", "19", 100), _limits("", "5", 100)
    ((0, 100), (10, 100), (10, 20), (95, 100))
    """
    if not start:
        return (max(0, size - int(stop)), size) if stop else (0, size)
    return int(start), min(size, int(stop) + 1) if stop else size
