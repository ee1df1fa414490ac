"""Files of a precomputed volume: where they are, and how they are packed as a whole."""

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
"""How cloud-volume packs a file on a disk, by what it adds to the file's name."""

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
    """A file as it is stored, or a range of it.

    Args:
        name: of the file, for messages.
        body: its bytes.
        packing: how all of it is packed; empty where it is not.
    """

    name: str
    body: bytes
    packing: str


class Folder(Protocol):
    """The folder of a volume."""

    @property
    def url(self) -> str:
        """What a message calls it."""

    @property
    def remote(self) -> bool:
        """Whether a request takes so long that several should be under way."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> Stored | None:
        """A file, or its bytes `[start, stop)`; None where there is no such file."""

    def stamp(self, key: str) -> Hashable:
        """What differs where the file does, as far as that is known without reading it."""


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
        """The file of a key, with the suffix that it has."""
        names = (f"{self.path}/{key}{suffix}" for suffix in SUFFIXES)
        return next((Path(name) for name in names if os.path.isfile(name)), None)


def unpacked(stored: Stored) -> bytes:
    """The content of a whole file.

    Raises:
        ValueError: its packing is not known.
        Exception: whatever the packing's library raises where the file is damaged.
    """
    if stored.packing not in _UNPACK:
        raise ValueError(f"it is packed as {stored.packing}, which is none of {', '.join(filter(None, _UNPACK))}")
    return _UNPACK[stored.packing](stored.body)
