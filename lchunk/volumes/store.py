"""A store of objects under a URL. Stores on disks, in buckets and on web servers share this interface."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lchunk.volumes.bucket_store import Bucket, BucketStore
from lchunk.volumes.file_store import PARTIAL, FileStore
from lchunk.volumes.ranges import Range
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store_settings import StoreSettings

__all__ = ["PARTIAL", "FileStore", "Store", "StoreSettings", "configure", "open_store", "scheme_of", "split_url"]


class Store(Protocol):
    """Objects by key (`folder/name`). A put is atomic: readers see either the old object or the new one."""

    url: str
    connections: int
    """How many requests to make in parallel; 1 on a disk."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes `[start, stop)` of an object; a negative start counts from its end.

        Raises:
            FileNotFoundError: the object does not exist.
        """

    def get_encoded(self, key: str) -> tuple[bytes, str]:
        """All bytes of an object, and the compression that its Content-Encoding names; empty if it names none.

        A web server's client may have decompressed the bytes: "identity".

        Raises:
            FileNotFoundError: the object does not exist.
        """

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[memoryview]:
        """Several ranges of an object, read with few requests and returned in the order of `ranges`.

        A range that extends beyond the end is shortened.

        Raises:
            FileNotFoundError: the object does not exist.
        """

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        """Write a whole object. If `durable`, the object survives a power cut after this returns."""

    def settle(self, folder: str) -> None:
        """Let all objects that were put into a folder, durable or not, survive a power cut after this returns."""

    def create(self, key: str, body: bytes | memoryview) -> bool:
        """Write a whole object unless it exists. If several writers try at the same time, exactly one succeeds.

        Returns:
            Whether this call wrote the object; if False, read what the other writer wrote.
        """

    def append(self, key: str, body: bytes) -> None:
        """Append bytes to a log that only one process, and those that it forks, write. A crash may lose them.

        On a disk, the bytes are appended to the file `key`. In a bucket, they are buffered for some seconds and then
        written to objects with the same suffix, next to `key`. To read a log, list its folder.
        """

    def flush(self) -> None:
        """Write the bytes that `append` has buffered."""

    def size(self, key: str) -> int:
        """Size of an object in bytes.

        Raises:
            FileNotFoundError: the object does not exist.
        """

    def stamp(self, key: str) -> Stamp:
        """Size, time and version of an object, which differ after a change. The object is not read.

        Raises:
            FileNotFoundError: the object does not exist.
        """

    def exists(self, key: str) -> bool:
        """Whether the object exists and is not empty. A disk may leave empty files after a crash."""

    def remove(self, key: str) -> None:
        """Remove an object. Removing an object that does not exist is not an error."""

    def prune(self, folder: str) -> None:
        """Remove a folder, those below it and those above it if they hold no files; a bucket has no empty folders."""

    def list(self, prefix: str, *, empty: bool = False) -> Iterator[str]:
        """Keys of all objects in the folder `prefix` and below, in any order; of empty ones only if `empty`."""

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly in the folder `prefix`, sorted."""

    def path(self, key: str) -> Path | None:
        """The file of an object, for libraries that only read files; None if the store is not on a disk."""

    def sweep(self, prefix: str, older_than: float) -> None:
        """Remove the files that killed writers left under `prefix` more than `older_than` seconds ago."""


SCHEMES = ("s3", "gs", "https", "http")
"""Schemes of stores that are not on a disk."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_settings = StoreSettings()


def configure(settings: StoreSettings) -> None:
    """Set the settings of all stores that this process, and the processes that it forks, open from now on."""
    global _settings  # noqa: PLW0603 - the settings are those of the process
    if settings != _settings:
        _settings = settings
        open_store.cache_clear()


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case; empty for a path.

    >>> scheme_of("S3://bucket/a"), scheme_of("/data/a"), scheme_of("file:///data")
    ('s3', '', 'file')
    """
    found = re.match(r"([a-z][a-z0-9+.-]*)://", url, re.IGNORECASE)
    return found[1].lower() if found else ""


@functools.lru_cache(maxsize=64)
def open_store(url: str) -> Store:
    """The store of a folder URL: a path, `file://…`, `s3://bucket/folder`, `gs://bucket/folder` or `https://…`.

    Raises:
        ValueError: the URL has another scheme, or does not name a bucket or a host.
    """
    scheme = scheme_of(url)
    if scheme == "file" and urlsplit(url).netloc not in ("", "localhost"):
        raise ValueError(f"a file:// URL must have an absolute path, got {url!r}; write file:///…, or the path alone")
    if scheme in ("", "file"):
        return FileStore(Path(unquote(urlsplit(url).path) if scheme else url))
    if scheme not in SCHEMES:
        raise ValueError(
            f"a store must be a path, file://…, s3://…, gs://… or https://…, got {url!r}; copy it to a disk first"
        )
    top, folder = split_url(url)
    return BucketStore(_bucket(scheme, top.partition("://")[2]), folder)


def split_url(url: str) -> tuple[str, str]:
    """Split a URL into the URL of its bucket or server, and the path that follows.

    >>> split_url("s3://bucket/some/folder/")
    ('s3://bucket', 'some/folder')

    Raises:
        ValueError: the URL does not name a bucket or a host, or has more parts than a path in it.
    """
    scheme = scheme_of(url)
    host, _, folder = url.partition("://")[2].partition("/")
    if not (_BUCKET if scheme in ("s3", "gs") else _HOST).fullmatch(host):
        shown = host.rpartition("@")[2]  # the part before @ may contain a password
        raise ValueError(f"a URL must name a bucket or a host alone, got {shown!r} in {scheme}://…; correct it")
    if "?" in folder and scheme in ("https", "http"):
        raise ValueError(f"a URL must have no query, got one of {scheme}://{host}; give the folder itself")
    return f"{scheme}://{host}", folder.strip("/")


def _bucket(scheme: str, host: str) -> Bucket:
    # the package of a service is imported when a URL of this service is opened
    if scheme == "s3":
        from lchunk.volumes.s3_store import S3Bucket  # noqa: PLC0415

        return S3Bucket(host, _settings)
    if scheme == "gs":
        from lchunk.volumes.gcs_store import GcsBucket  # noqa: PLC0415

        return GcsBucket(host, _settings)
    from lchunk.volumes.http_store import HttpServer  # noqa: PLC0415

    return HttpServer(f"{scheme}://{host}", _settings)
