"""A layer whose chunk files hold no voxels: tables or documents (JSON), with the layer's own `layer.json`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numcodecs import Shuffle, Zstd

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


COLUMNS = "columns.json"


def _encode_table(columns: Mapping[str, Any]) -> bytes:
    """A zip: the dtype and shape of each column, then each column's bytes, shuffled and packed as a zarr chunk is."""
    arrays = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    kinds = {name: {"dtype": array.dtype.str, "shape": array.shape} for name, array in arrays.items()}
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        # ZipInfo's own date, always the same: equal tables are equal bytes
        archive.writestr(zipfile.ZipInfo(COLUMNS), json.dumps(kinds))
        for name, array in arrays.items():
            if array.size:
                archive.writestr(zipfile.ZipInfo(name), _packed(array))
    return body.getvalue()


class _Columns(Mapping[str, npt.NDArray[Any]]):
    """The columns of a file, each read when it is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._archive = zipfile.ZipFile(file)
        self._kinds = json.loads(self._archive.read(COLUMNS))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        dtype, shape = np.dtype(self._kinds[name]["dtype"]), self._kinds[name]["shape"]
        column = np.empty(shape, dtype)
        if column.size:
            try:
                _unpack(self._archive.read(name), column)
            except (zipfile.BadZipFile, RuntimeError) as error:
                raise ValueError(_torn(getattr(self._file, "name", "a table"), TABLE.suffix, error)) from error
        return column


_ZSTD = Zstd(level=1)


def _packed(column: npt.NDArray[Any]) -> bytes:
    # single bytes are in order as they are
    packed: bytes = _ZSTD.encode(column if column.itemsize == 1 else Shuffle(column.itemsize).encode(column))
    return packed


def _unpack(packed: bytes, into: npt.NDArray[Any]) -> None:
    if into.itemsize == 1:
        _ZSTD.decode(packed, into)
    else:
        Shuffle(into.itemsize).decode(_ZSTD.decode(packed), out=into)


TABLE = Format(".table", _encode_table, _Columns)
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
            raise ValueError(_torn(f"{self.store.url}/{key}", self.format.suffix, error)) from error


def _torn(name: str, suffix: str, error: Exception) -> str:
    return f"{name} must be a whole {suffix} file, got {error}; remove it and run its stage again"


class _Object(io.RawIOBase):
    """An object of a store as a file to seek in: a reader takes only the parts that it wants."""

    def __init__(self, store: Store, key: str) -> None:
        self.store = store
        self.key = key
        self.name = f"{store.url}/{key}"
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
