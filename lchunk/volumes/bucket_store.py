"""A folder of a bucket as a store of objects, whichever service the bucket is of."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lchunk.volumes.object_log import ObjectLogs
from lchunk.volumes.parallel import pool
from lchunk.volumes.ranges import Range, read_ranges
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store_settings import StoreSettings

CLOSE = 1 << 20
"""Bytes between two ranges that take less time to read than another request does."""
MOST = 1 << 24
"""Bytes of a request beyond which another one beside it is quicker."""


class BucketError(ValueError):
    """The bucket of a URL, or a setting of `[Store]`, is wrong; the message says which."""


@dataclass(frozen=True)
class Page:
    """A part of a listing.

    Args:
        objects: names and bytes.
        folders: names, each with a `/` at its end; only where folders were asked for.
        following: where the next page begins; empty after the last one.
    """

    objects: list[tuple[str, int]]
    folders: list[str]
    following: str


class Bucket(Protocol):
    """The requests of a service. Names are those of the bucket, from its top.

    Every method raises PermissionError where access is refused, BucketError where the bucket or a setting is wrong, and
    ConnectionError where the service has failed for longer than the patience of the settings.
    """

    url: str
    settings: StoreSettings

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        """Bytes `[start, stop)` of an object; a negative start counts from its end, and goes to its end."""

    def put(self, name: str, body: bytes | memoryview, version: str | None = None) -> bool:
        """Write an object in one atomic step.

        Args:
            name: of the object.
            body: its bytes.
            version: write only while the object has this version; empty: only while there is none; None: always.

        Returns:
            Whether it was written.
        """

    def stamp(self, name: str) -> Stamp:
        """Size, time and version of an object."""

    def remove(self, name: str) -> None:
        """Remove an object, if there is one."""

    def page(self, prefix: str, *, after: str = "", following: str = "", folders: bool = False) -> Page:
        """Objects whose names begin with a prefix, up to 1,000.

        Args:
            prefix: of the names.
            after: only names behind this one.
            following: what the page before gave, for the one after it; in place of `after`.
            folders: what lies below a folder counts as one; without `after`, as services differ there.
        """

    def sweep(self, prefix: str, older_than: float) -> None:
        """Give up uploads that were begun more than so many seconds ago and never completed."""


class BucketStore:
    """Objects of a bucket below a prefix; a put is one request, or one that completes an upload in parts.

    Args:
        bucket: makes the requests.
        prefix: the folder, without `/` at its ends; empty for the whole bucket.
    """

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.url = f"{bucket.url}/{prefix}" if prefix else bucket.url
        self.connections = bucket.settings.connections
        self._logs = ObjectLogs(self.put)

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _folder(self, key: str) -> str:
        name = "/".join(part for part in (self.prefix, key.strip("/")) if part)
        return f"{name}/" if name else ""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        return b"" if stop is not None and stop <= start else self.bucket.get(self._name(key), start, stop)

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[memoryview]:
        return read_ranges(ranges, functools.partial(self.get, key), close=CLOSE, most=MOST, threads=self.connections)

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        self.bucket.put(self._name(key), body)

    def create(self, key: str, body: bytes | memoryview) -> bool:
        name = self._name(key)
        if self.bucket.put(name, body, version=""):
            return True
        there = self.bucket.stamp(name)
        return not there.size and self.bucket.put(name, body, version=there.version)

    def append(self, key: str, body: bytes) -> None:
        self._logs.append(key, body)

    def flush(self) -> None:
        self._logs.flush()

    def size(self, key: str) -> int:
        return self.stamp(key).size

    def stamp(self, key: str) -> Stamp:
        return self.bucket.stamp(self._name(key))

    def exists(self, key: str) -> bool:
        try:
            return self.size(key) > 0
        except FileNotFoundError:
            return False

    def remove(self, key: str) -> None:
        self.bucket.remove(self._name(key))

    def list(self, prefix: str, *, empty: bool = False) -> Iterator[str]:
        cut = len(self._folder(""))
        for page in self._pages(self._folder(prefix)):
            yield from (name[cut:] for name, size in page.objects if (size or empty) and not name.endswith("/"))

    def _pages(self, prefix: str) -> Iterator[Page]:
        """All pages of a folder: where one does not hold it, its folders are listed side by side."""
        first = self.bucket.page(prefix)
        yield first
        if not first.following:
            return
        last = first.objects[-1][0] if first.objects else ""
        while True:
            folders: list[str] = []
            for page in self._level(prefix):
                folders += [name for name in page.folders if name > last or last.startswith(name)]
                yield Page([(name, size) for name, size in page.objects if name > last], [], "")
            if len(folders) != 1:
                break
            prefix = folders[0]
        yield from self._side_by_side(folders, last)

    def _level(self, prefix: str) -> Iterator[Page]:
        """Pages with the folders directly in one, and the objects beside them."""
        page = self.bucket.page(prefix, folders=True)
        yield page
        while page.following:
            page = self.bucket.page(prefix, following=page.following, folders=True)
            yield page

    def _side_by_side(self, folders: Sequence[str], last: str) -> Iterator[Page]:
        """Pages of several folders, in no order; as many are fetched at one time as there are connections.

        Args:
            folders: prefixes of names.
            last: a name up to which all are known.
        """
        threads, left = pool(os.getpid(), self.connections, "lists"), iter(folders)
        running: dict[Future[Page], str] = {}
        try:
            while True:
                while len(running) < self.connections and (folder := next(left, "")):
                    after = last if last.startswith(folder) else ""
                    running[threads.submit(self.bucket.page, folder, after=after)] = folder
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    folder, page = running.pop(future), future.result()
                    if page.following:
                        running[threads.submit(self.bucket.page, folder, following=page.following)] = folder
                    yield page
        finally:
            for future in running:
                future.cancel()

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        folder = self._folder(prefix)
        names = (name for page in self._level(folder) for name in page.folders)
        return tuple(sorted(name[len(folder) :].rstrip("/") for name in names))

    def path(self, key: str) -> Path | None:
        return None

    def sweep(self, prefix: str, older_than: float) -> None:
        self.bucket.sweep(self._folder(prefix), older_than)
