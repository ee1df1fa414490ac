"""A layer whose chunk files hold records (tables or documents) instead of voxels. Its recipe is in `layer.json`."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Recipe, absent_chunk
from lchunk.volumes.documents import create_document, encode_json, read_json
from lchunk.volumes.parallel import parallel
from lchunk.volumes.step_parts import DECODE, ENCODE, Part
from lchunk.volumes.store import Store
from lchunk.volumes.tables import Format, torn

AT_ONCE = 1 << 20
"""Bytes from the start of an object in a bucket that are read first: most records are smaller."""
FIRST_BYTES = 1 << 14
"""The same for a file on a disk, whose other parts cost little to read."""


@dataclass(frozen=True)
class RecordLayer:
    """Chunk files of one format.

    Args:
        store: the store of the folder.
        path: the folder.
        grid: the voxels that belong to each file.
        format: the format of the files.
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
        document = read_json(self.store, f"{self.path}/layer.json")
        return None if document is None else document.get("recipe", {})

    def create(self, recipe: Recipe) -> Recipe:
        stored: Recipe = create_document(self.store, f"{self.path}/layer.json", {"recipe": recipe})["recipe"]
        return stored

    def replace_recipe(self, recipe: Recipe) -> None:
        """Let another recipe stand for the files that are there: only where they are what it would make."""
        self.store.put(f"{self.path}/layer.json", encode_json({"recipe": recipe}))

    def write(self, bbox: Bbox, content: Any) -> None:
        with Part(ENCODE):
            body = self.format.encode(content)
        self.store.put(self.keys(self.grid.index_of(bbox))[0], body)

    def records(self, bbox: Bbox) -> Iterator[Any]:
        """See `Records`. In a bucket, the next files are requested while one is used."""
        keys = (self.keys(index)[0] for index in self.grid.meeting(bbox))
        files = parallel(functools.partial(_Object, self.store), keys, self.store.connections, "records")
        for index in self.grid.meeting(bbox):
            key = self.keys(index)[0]
            try:
                file = io.BufferedReader(next(files))
                with Part(DECODE):
                    record = self.format.decode(file)
            except FileNotFoundError as error:
                raise absent_chunk(self, index, bbox) from error
            except Exception as error:
                raise ValueError(torn(f"{self.store.url}/{key}", self.format.suffix, error)) from error
            yield record


class _Object(io.RawIOBase):
    """An object of a store as a seekable file, of which a reader reads only the parts that it needs."""

    def __init__(self, store: Store, key: str) -> None:
        self.store = store
        self.key = key
        self.name = f"{store.url}/{key}"
        first = AT_ONCE if store.path(key) is None else FIRST_BYTES
        self.start = store.get(key, 0, first)
        self.size = len(self.start) if len(self.start) < first else store.size(key)
        if not self.size:
            raise FileNotFoundError(f"{self.name} is an empty file, as a crash leaves it")
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
        if stop <= max(len(self.start), self.position):
            part = self.start[self.position : stop]
        else:
            part = self.store.get(self.key, self.position, stop)
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)
