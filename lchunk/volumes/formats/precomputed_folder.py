"""Files of a precomputed volume: where they are, and how whole files are compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import imagecodecs
from numcodecs import Zstd

SUFFIXES = {"": "", ".gz": "gzip", ".br": "br", ".zstd": "zstd", ".xz": "xz", ".bz2": "bzip2"}
"""Compression of a file on a disk, by the suffix that cloud-volume adds to its name."""

_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda body: body,
    "gzip": gzip.decompress,
    "br": lambda body: bytes(imagecodecs.brotli_decode(body)),
    "zstd": Zstd().decode,
    "xz": lzma.decompress,
    "bzip2": bz2.decompress,
}


@dataclass(frozen=True)
class Stored:
    """A file as it is stored, or a range of a file.

    Args:
        name: name of the file, for messages.
        body: its bytes.
        packing: compression of the whole file; empty if it is not compressed.
    """

    name: str
    body: bytes
    packing: str


class Folder(Protocol):
    """The folder of a volume."""

    @property
    def url(self) -> str:
        """Name of the folder, for messages."""

    @property
    def remote(self) -> bool:
        """Whether requests are slow, so that several should be made in parallel."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> Stored | None:
        """A file, or its bytes `[start, stop)`; None if the file does not exist."""

    def stamp(self, key: str) -> Hashable:
        """A value that changes with the file, as far as this can be known without reading the file."""


@dataclass(frozen=True)
class LocalFolder:
    """A folder on a disk."""

    path: Path

    @property
    def url(self) -> str:
        return str(self.path)

    @property
    def remote(self) -> bool:
        return False

    def get(self, key: str, start: int = 0, stop: int | None = None) -> Stored | None:
        found = self.find(key)
        if found is None:
            return None
        with open(found, "rb") as file:
            file.seek(start)
            body = file.read() if stop is None else file.read(stop - start)
        return Stored(str(found), body, SUFFIXES[found.name[len(os.path.basename(key)) :]])

    def stamp(self, key: str) -> Hashable:
        found = self.find(key)
        if found is None:
            return None
        status = found.stat()
        return str(found), status.st_size, status.st_mtime_ns

    def find(self, key: str) -> Path | None:
        """The file of a key, including its suffix."""
        names = (f"{self.path}/{key}{suffix}" for suffix in SUFFIXES)
        return next((Path(name) for name in names if os.path.isfile(name)), None)


def unpacked(stored: Stored) -> bytes:
    """Decompress a whole file.

    Raises:
        ValueError: the compression is unknown.
        Exception: any exception that the compression's library raises for a damaged file.
    """
    if stored.packing not in _UNPACK:
        raise ValueError(f"its compression is {stored.packing}, which is not one of {', '.join(filter(None, _UNPACK))}")
    return _UNPACK[stored.packing](stored.body)
