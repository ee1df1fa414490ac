"""A layer whose chunk files hold no voxels: tables (npz) or documents (JSON), with the layer's own `layer.json`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Recipe, require
from lchunk.volumes.store import Store


@dataclass(frozen=True)
class Format:
    """How a chunk's content becomes a file."""

    suffix: str
    encode: Callable[[Any], bytes]
    decode: Callable[[BinaryIO], Any]


def _encode_table(columns: dict[str, Any]) -> bytes:
    """The columns as npz; packed lightly, as numpy's own writer takes five times as long for a tenth less."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, column in columns.items():
            # ZipInfo's own date, always the same: equal tables are equal bytes
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            packed = io.BytesIO()
            np.lib.format.write_array(packed, np.ascontiguousarray(column), allow_pickle=False)
            archive.writestr(member, packed.getbuffer(), compresslevel=1)
    return body.getvalue()


def _decode_table(file: BinaryIO) -> Any:
    return np.load(file, allow_pickle=False)


TABLE = Format(".npz", _encode_table, _decode_table)
"""A dict of arrays; on reading, a column leaves the store when it is asked for, the others stay there."""

DOCUMENT = Format(".json", lambda content: json.dumps(content, indent=1).encode(), json.load)
"""Plain JSON."""


@dataclass(frozen=True)
class Folder:
    """Chunk files of one format.

    Args:
        store: where the folder is.
        path: the folder.
        grid: which voxels belong to which file.
        format: what is in a file.
        single: name (without suffix) of the only file of a grid of one chunk; empty: `c/z/y/x`.
    """

    store: Store
    path: str
    grid: Grid
    format: Format
    single: str = ""

    def keys(self, index: Triple) -> list[str]:
        name = self.single or "/".join(("c", *map(str, index)))
        return [f"{self.path}/{name}{self.format.suffix}"]

    def recipe(self) -> Recipe | None:
        try:
            recipe: Recipe = json.loads(self.store.get(f"{self.path}/layer.json"))["recipe"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return recipe

    def create(self, recipe: Recipe) -> None:
        key = f"{self.path}/layer.json"
        if not self.store.exists(key):
            self.store.put(key, json.dumps({"recipe": recipe}, indent=2).encode())

    def write(self, bbox: Bbox, content: Any) -> None:
        self.store.put(self.keys(self.grid.index_of(bbox))[0], self.format.encode(content))

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Iterator[Any]:
        """The content of every chunk that a box touches, z-major, one at a time.

        Raises:
            FileNotFoundError: a chunk is not there, and `fill_missing` is off.
            ValueError: a file is torn or of another format.
        """
        inside = bbox.clipped(self.grid.bounds)
        if not fill_missing:
            require(self, inside)
        keys = [self.keys(index)[0] for index in self.grid.meeting(inside)]
        return (self._load(key) for key in keys if not fill_missing or self.store.exists(key))

    def _load(self, key: str) -> Any:
        try:
            return self.format.decode(io.BufferedReader(_Object(self.store, key)))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(
                f"{self.store.url}/{key} must be a whole {self.format.suffix} file, got {error}; "
                "remove it and run its stage again"
            ) from error


class _Object(io.RawIOBase):
    """An object of a store as a file to seek in: a reader takes only the parts that it wants."""

    def __init__(self, store: Store, key: str) -> None:
        self.store = store
        self.key = key
        self.size = store.size(key)
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def readinto(self, buffer: Any) -> int:
        stop = min(self.position + len(buffer), self.size)
        part = self.store.get(self.key, self.position, stop) if stop > self.position else b""
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)
