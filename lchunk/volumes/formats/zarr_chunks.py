"""Read the chunk files of a zarr array, each with one request, and find out which of them are missing."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import StorePath

from lchunk.volumes.formats.blosc import HEADER, blosc_length
from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.place import Place
from lchunk.volumes.zarr_store import ZarrStore

AbsentChunk = tuple[str, tuple[slice, ...]]
"""Key and box of a chunk file."""


def read_chunks(array: Any, folder: Place, part: tuple[slice, ...]) -> tuple[npt.NDArray[Any], list[AbsentChunk]]:
    """Read a box of voxels, and return also its missing chunk files, for which zarr itself reads the fill value.

    Args:
        array: the opened zarr array.
        folder: folder of the array.
        part: a slice for each axis.

    Raises:
        RefusedVolumeError: a chunk file is empty, or its length differs from the length in its header.
    """
    store = _NotingStore(folder, blosc=_is_blosc(array))
    noting = copy.copy(array.async_array)  # reuses its codecs: creating them takes longer than a small read
    object.__setattr__(noting, "store_path", StorePath(store))
    voxels = np.array(zarr.Array(noting)[part])
    return voxels, list(_boxes(array, part, store.absent)) if store.absent else []


class _NotingStore(ZarrStore):
    """The folder of an array, for a single read.

    Attributes:
        absent: keys that zarr asked for and that do not exist.
    """

    def __init__(self, folder: Place, *, blosc: bool) -> None:
        super().__init__(folder.store, folder.key)
        self.folder = folder
        self.blosc = blosc
        self.absent: set[str] = set()

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        body = await super().get(key, prototype, byte_range)
        if body is None:
            self.absent.add(key)
            return None
        size = len(body)
        wanted = blosc_length(body[:HEADER].to_bytes()) if self.blosc and size else size or 1
        if size != wanted:
            raise RefusedVolumeError(
                f"{self.folder / key} must be a whole chunk of {wanted} bytes, got {size}; copy it again"
            )
        return body


def _is_blosc(array: Any) -> bool:
    """Whether whole chunk files are compressed with Blosc, which decodes a part of a file without an error."""
    codecs = array.compressors
    return array.shards is None and bool(codecs) and "blosc" in type(codecs[-1]).__name__.lower()


def _boxes(array: Any, part: tuple[slice, ...], keys: set[str]) -> Iterator[AbsentChunk]:
    """The chunk files in a part whose key is one of `keys`, in the order of the chunks."""
    sides = array.shards or array.chunks
    places = [range(s.start // side, -(-s.stop // side)) for s, side in zip(part, sides, strict=True)]
    for place in itertools.product(*places):
        key = array.metadata.encode_chunk_key(place)
        if key in keys:
            yield key, tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, sides, strict=True))
