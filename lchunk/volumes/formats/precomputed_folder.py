"""Files of a precomputed volume: where they are, and how whole files are compressed."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import itertools
import lzma
import os
import uuid
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

import imagecodecs
from numcodecs import Zstd

from lchunk.volumes.place import Place

SUFFIXES = {"": "", ".gz": "gzip", ".br": "br", ".zstd": "zstd", ".xz": "xz", ".bz2": "bzip2"}
"""Compression of a file, by the suffix that cloud-volume adds to its name on a disk."""
LISTED = 1000
"""How many files of a folder in a bucket are listed to learn their suffixes: those of one request."""

_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda body: body,
    "identity": lambda body: body,
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


@dataclass(frozen=True)
class Folder:
    """The folder of a volume, in any store.

    Args:
        place: where it is.
        opened: differs each time a volume is opened.
    """

    place: Place
    opened: str = field(default_factory=lambda: uuid.uuid4().hex)

    def get(self, key: str) -> Stored | None:
        """A whole file; None if it does not exist under its name, or under its name and a suffix of `SUFFIXES`."""
        for name in self._names(key):
            place = self.place / name
            try:
                body, encoding = place.store.get_encoded(place.key)
            except (FileNotFoundError, NotADirectoryError):
                continue
            return Stored(str(place), body, encoding or SUFFIXES[name[len(key) :]])
        return None

    def get_range(self, key: str, start: int, stop: int) -> Stored | None:
        """The bytes `[start, stop)` of a file; None if it does not exist."""
        place = self.place / key
        try:
            return Stored(str(place), place.store.get(place.key, start, stop), "")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def stamp(self, key: str) -> Hashable:
        """A value that changes with the file. Elsewhere than on a disk, it changes when the volume is opened again: a
        look at the file would cost as much as reading it.
        """
        if self.place.path is None:
            return self.opened, key
        found = self.find(key)
        return None if found is None else (str(found), found.stamp())

    def find(self, key: str) -> Place | None:
        """The file of a key on a disk, including its suffix."""
        names = (name for name in self._names(key) if os.path.isfile(f"{self.place.path}/{name}"))
        return next((self.place / name for name in names), None)

    def _names(self, key: str) -> Iterator[str]:
        """The names that a file may have, the usual one first."""
        yield key
        yield from (key + suffix for suffix in _suffixes(self, os.path.dirname(key)))


@functools.lru_cache(maxsize=256)
def _suffixes(folder: Folder, key: str) -> tuple[str, ...]:
    """Suffixes of files in a folder. In a bucket, those of its first files: otherwise each chunk that is missing would
    be asked for under every suffix.
    """
    suffixes, place = tuple(filter(None, SUFFIXES)), folder.place / key
    if place.path is not None:
        return suffixes
    try:
        names = list(itertools.islice(place.store.list(place.key), LISTED))
    except io.UnsupportedOperation:  # a web server
        return suffixes
    return tuple(suffix for suffix in suffixes if any(name.endswith(suffix) for name in names))


def unpacked(stored: Stored) -> bytes:
    """Decompress a whole file.

    Raises:
        ValueError: the compression is unknown.
        Exception: any exception that the compression's library raises for a damaged file.
    """
    if stored.packing not in _UNPACK:
        raise ValueError(f"its compression is {stored.packing}, which is not one of {', '.join(filter(None, _UNPACK))}")
    return _UNPACK[stored.packing](stored.body)
