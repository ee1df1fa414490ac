"""One scale of a precomputed volume: its chunks, how they are encoded, and where they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.volume import VoxelSize


@dataclass(frozen=True)
class Sharding:
    """How chunks are laid into shards: some bits of a chunk's number choose the minishard, and more of them the shard.

    Args:
        preshift_bits: lowest bits, which choose neither.
        minishard_bits: bits that number a shard's minishards.
        shard_bits: bits that number the shards.
        hashed: whether a hash of the number is taken in its place.
        index_packing: how a minishard's index is packed; empty where it is not.
        data_packing: how each chunk is packed.
    """

    preshift_bits: int
    minishard_bits: int
    shard_bits: int
    hashed: bool
    index_packing: str
    data_packing: str


@dataclass(frozen=True)
class Scale:
    """What `info` says of a scale.

    Args:
        key: its folder.
        grid: its chunks, those at the end clipped.
        voxel_size: nanometres zyx.
        dtype: of a voxel.
        channels: at least 1.
        encoding: of a chunk.
        block: sides of the blocks of `compressed_segmentation`, zyx.
        sharding: how its shards are made; None where each chunk is a file.
    """

    key: str
    grid: Grid
    voxel_size: VoxelSize
    dtype: np.dtype[Any]
    channels: int
    encoding: str
    block: Triple
    sharding: Sharding | None


def morton_code(index: Triple, counts: Triple) -> int:
    """The number of a chunk in its shards: the bits of x, y and z in turn, lowest first, of the axes that have more.

    Args:
        index: of the chunk, zyx.
        counts: chunks along each axis, zyx.

    >>> morton_code((0, 1, 3), (1, 2, 4)), morton_code((2, 1, 0), (3, 2, 1))
    (7, 5)
    """
    code = place = 0
    for bit in range(max(counts).bit_length()):
        for number, count in zip(index[::-1], counts[::-1], strict=True):
            if count > 1 << bit:
                code |= (number >> bit & 1) << place
                place += 1
    return code
