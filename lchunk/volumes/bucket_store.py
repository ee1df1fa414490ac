"""A folder in a bucket as a store of objects, for any service."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lchunk.volumes.asking import is_lost
from lchunk.volumes.object_log import ObjectLogs
from lchunk.volumes.parallel import pool
from lchunk.volumes.ranges import Range, read_ranges
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.step_parts import BUCKET, WEB, Part
from lchunk.volumes.store_settings import StoreSettings

CLOSE = 1 << 20
"""Two ranges with at most this many bytes between them are read faster in one request than in two."""
MOST = 1 << 24
"""Above this many bytes, a second request in parallel is faster than a longer one."""
SERIAL = 16
"""Pages of a folder that are listed one after the other, before more is listed in parallel."""
RUN = 16
"""Pages of a run of folders, about: at its end, up to a page is listed that belongs to the next run."""
WRITER = "lchunk-writer"
"""Name of the metadata by which a writer recognizes its own object if the answer to its request was lost."""


class BucketError(ValueError):
    """The bucket of a URL, or a setting of `[Store]`, is wrong; the message says which."""


def compression(encoding: str | None) -> str:
    """The compression that a Content-Encoding names; empty if it names none.

    >>> compression("gzip"), compression(None), compression("aws-chunked,br")
    ('gzip', '', 'br')
    """
    names = [name.strip().lower() for name in (encoding or "").split(",")]
    # S3 stores how an upload was divided, which it is not any more
    return ", ".join(name for name in names if name not in ("", "identity", "aws-chunked"))


@dataclass(frozen=True)
class Page:
    """A part of a listing.

    Args:
        objects: name and number of bytes of each object.
        folders: names, each with a `/` at its end; only if the request asked for folders.
        following: where the next page starts; empty for the last page.
    """

    objects: list[tuple[str, int]]
    folders: list[str]
    following: str


@dataclass(frozen=True)
class _Run:
    """Consecutive folders that are listed together.

    Args:
        parent: the folder that holds them.
        folders: their names, sorted, each with a `/` at its end.
    """

    parent: str
    folders: list[str]

    @property
    def prefix(self) -> str:
        return self.parent if len(self.folders) > 1 else self.folders[0]

    @property
    def before(self) -> str:
        """A name before the first object; empty if the prefix says it."""
        return self.folders[0] if len(self.folders) > 1 else ""

    def ends_before(self, name: str) -> bool:
        """Whether no object after this one belongs to the run."""
        return name > self.folders[-1] and not name.startswith(self.folders[-1])

    def holds(self, name: str) -> bool:
        """Whether an object is in one of the folders, and not beside them."""
        return "/" in name[len(self.parent) :] and not self.ends_before(name)


class Bucket(Protocol):
    """The requests to a bucket. Names are relative to the top of the bucket.

    Every method raises PermissionError if access is refused, BucketError if the bucket or a setting is wrong, and
    ConnectionError if the service fails for longer than `patience_seconds` of the settings.
    """

    url: str
    settings: StoreSettings

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        """Bytes `[start, stop)` of an object; a negative start counts from its end, and reads to its end."""

    def get_encoded(self, name: str) -> tuple[bytes, str]:
        """All bytes of an object, and the compression of its Content-Encoding; see `compression`."""

    def put(self, name: str, body: bytes | memoryview, version: str | None = None) -> bool:
        """Write an object in one atomic step.

        Args:
            name: name of the object.
            body: its bytes.
            version: write only if the object has this version; if empty, only if it does not exist; if None, always.

        Returns:
            Whether the object was written.
        """

    def stamp(self, name: str) -> Stamp:
        """Size, time and version of an object."""

    def remove(self, name: str) -> None:
        """Remove an object if it exists."""

    def page(self, prefix: str, *, after: str = "", following: str = "", folders: bool = False) -> Page:
        """List up to 1,000 objects whose names begin with a prefix.

        Args:
            prefix: beginning of the names.
            after: list only names after this one.
            following: `following` of the previous page, to get the next one; not together with `after`.
            folders: list the folders instead of the objects in them; not together with `after`, because services differ
                there.
        """

    def sweep(self, prefix: str, older_than: float) -> None:
        """Abort uploads that started more than `older_than` seconds ago and were never completed."""


class BucketStore:
    """Objects in a bucket under a prefix. A put becomes visible by one request, also if it is uploaded in parts.

    Args:
        bucket: the bucket, which makes the requests.
        prefix: the folder, without `/` at its ends; empty for the whole bucket.
    """

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.url = f"{bucket.url}/{prefix}" if prefix else bucket.url
        self.connections = bucket.settings.connections
        self._waits_for = BUCKET if not self.url.startswith("http") else WEB
        self._logs = ObjectLogs(self.put, lambda: is_lost(bucket.settings, bucket.url))

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _folder(self, key: str) -> str:
        name = "/".join(part for part in (self.prefix, key.strip("/")) if part)
        return f"{name}/" if name else ""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if stop is not None and stop <= start:
            return b""
        with Part(self._waits_for) as part:
            body = self.bucket.get(self._name(key), start, stop)
            part.moved(read=len(body))
            return body

    def get_encoded(self, key: str) -> tuple[bytes, str]:
        with Part(self._waits_for) as part:
            body, encoding = self.bucket.get_encoded(self._name(key))
            part.moved(read=len(body))
            return body, encoding

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[memoryview]:
        return read_ranges(ranges, functools.partial(self.get, key), close=CLOSE, most=MOST, threads=self.connections)

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        with Part(self._waits_for) as part:
            self.bucket.put(self._name(key), body)
            part.moved(written=memoryview(body).nbytes)

    def settle(self, folder: str) -> None:
        """Nothing: a bucket has kept what it has acknowledged."""

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
        with Part(self._waits_for):
            return self.bucket.stamp(self._name(key))

    def exists(self, key: str) -> bool:
        try:
            return self.size(key) > 0
        except FileNotFoundError:
            return False

    def remove(self, key: str) -> None:
        self.bucket.remove(self._name(key))

    def prune(self, folder: str) -> None:
        """Nothing: a folder of a bucket is the beginning of the names of its objects."""

    def list(self, prefix: str, *, empty: bool = False) -> Iterator[str]:
        cut = len(self._folder(""))
        for page in self._pages(self._folder(prefix)):
            yield from (name[cut:] for name, size in page.objects if (size or empty) and not name.endswith("/"))

    def _pages(self, prefix: str) -> Iterator[Page]:
        """All pages of a folder. After the first pages, runs of subfolders are listed in parallel."""
        following, last = "", ""
        for _ in range(SERIAL):
            page = self.bucket.page(prefix, following=following)
            yield page
            if not page.following:
                return
            following, last = page.following, page.objects[-1][0] if page.objects else last
        while True:
            begun, left = 0, list[str]()
            for page in self._level(prefix):
                left += [name for name in page.folders if name > last or last.startswith(name)]
                begun += len(page.folders)
                yield Page([(name, size) for name, size in page.objects if name > last], [], "")
            begun -= len(left)
            if len(left) != 1:
                break
            prefix = left[0]
        # folders that the first pages covered tell how many folders make a run of several pages
        length = max(1, begun * RUN // SERIAL)
        runs = [_Run(prefix, left[start : start + length]) for start in range(0, len(left), length)]
        yield from self._side_by_side(runs, last)

    def _level(self, prefix: str) -> Iterator[Page]:
        """Pages with the folders and the objects that are directly in a folder."""
        page = self.bucket.page(prefix, folders=True)
        yield page
        while page.following:
            page = self.bucket.page(prefix, following=page.following, folders=True)
            yield page

    def _side_by_side(self, runs: Sequence[_Run], last: str) -> Iterator[Page]:
        """Pages of several runs of folders, in any order, fetched in parallel over all connections.

        Args:
            runs: the runs.
            last: all names up to this one were listed before.
        """
        threads, left = pool(os.getpid(), self.connections, "lists"), iter(runs)
        running: dict[Future[Page], _Run] = {}
        try:
            while True:
                while len(running) < self.connections and (run := next(left, None)):
                    after = last if last.startswith(run.folders[0]) else run.before
                    running[threads.submit(self.bucket.page, run.prefix, after=after)] = run
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run, page = running.pop(future), future.result()
                    if page.following and not (page.objects and run.ends_before(page.objects[-1][0])):
                        running[threads.submit(self.bucket.page, run.prefix, following=page.following)] = run
                    yield Page([(name, size) for name, size in page.objects if run.holds(name)], [], "")
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
