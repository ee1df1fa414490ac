"""The index of a minishard in Neuroglancer's shards: where its chunks, or the objects of its labels, are.

https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/sharded.md: three rows of little-endian
uint64. Numbers are differences from the ones before; a start counts from the end of what is before it, and the first
one from the end of the shard index.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.precomputed_folder import Stored, unpacked
from lchunk.volumes.formats.precomputed_scale import Sharding

ENTRY = 16
"""Bytes of the shard index for a minishard: the first byte of its index, and the byte after it."""


def minishard_entries(body: bytes) -> npt.NDArray[np.uint64]:
    """Number, first byte from the end of the shard index, and bytes of each chunk or object: (n, 3).

    >>> minishard_entries(np.array([[7, 2], [100, 3], [10, 20]], "<u8").tobytes()).tolist()
    [[7, 100, 10], [9, 113, 20]]
    """
    numbers, after, sizes = np.frombuffer(body, "<u8").reshape(3, -1).astype(np.uint64)
    starts = np.cumsum(after) + np.cumsum(sizes) - sizes
    return np.stack([np.cumsum(numbers), starts, sizes], axis=1)


def objects_in(body: bytes, sharding: Sharding) -> Iterator[tuple[int, bytes]]:
    """The labels and objects in a shard, minishard by minishard.

    Args:
        body: the whole file.
        sharding: how it is divided and compressed.

    Raises:
        Exception: it is torn or damaged: any exception of what decodes it.
    """
    base = ENTRY << sharding.minishard_bits
    for first, last in np.frombuffer(body[:base], "<u8").reshape(-1, 2).tolist():
        if first == last:
            continue
        index = unpacked(Stored("", body[base + first : base + last], sharding.index_packing))
        for label, start, size in minishard_entries(index).tolist():
            packed = body[base + start : base + start + size]
            if len(packed) != size:
                raise ValueError(f"it ends inside the object of {label}")
            yield label, unpacked(Stored("", packed, sharding.data_packing))
