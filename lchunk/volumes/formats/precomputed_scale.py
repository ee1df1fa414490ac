"""One scale of a precomputed volume: its chunks, their encoding, and where they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.formats.refusals import RefusedVolumeError
from lchunk.volumes.volume import VoxelSize

SHARDED = "neuroglancer_uint64_sharded_v1"
HASHES = ("identity", "murmurhash3_x86_128")
_PACKINGS = {"raw": "", "gzip": "gzip"}


@dataclass(frozen=True)
class Sharding:
    """How chunks, or objects, are distributed to shards: bits of a number, or a label, select minishard and shard.

    Args:
        preshift_bits: how many of the lowest bits are ignored.
        minishard_bits: how many of the next bits select the minishard in a shard.
        shard_bits: how many of the next bits select the shard.
        hashed: whether the bits are those of a hash of the number.
        index_packing: compression of a minishard's index; empty if it is not compressed.
        data_packing: compression of each chunk or object; empty if it is not compressed.
    """

    preshift_bits: int
    minishard_bits: int
    shard_bits: int
    hashed: bool
    index_packing: str
    data_packing: str


@dataclass(frozen=True)
class Scale:
    """A scale as `info` describes it.

    Args:
        key: name of its folder.
        grid: its chunks; those at the end are clipped.
        voxel_size: nanometres zyx.
        dtype: type of a voxel.
        channels: at least 1.
        encoding: encoding of a chunk.
        block: shape of the blocks of `compressed_segmentation`, zyx.
        sharding: how chunks are distributed to shards; None if each chunk is a file.
    """

    key: str
    grid: Grid
    voxel_size: VoxelSize
    dtype: np.dtype[Any]
    channels: int
    encoding: str
    block: Triple
    sharding: Sharding | None


def sharding_of(sharding: Mapping[str, Any], url: str) -> Sharding:
    """The entry `sharding` of an info.

    Raises:
        RefusedVolumeError: it is of another kind.
        KeyError: it has not all numbers.
    """
    kind, hashing = sharding.get("@type"), sharding["hash"]
    packings = [sharding.get(name, "raw") for name in ("minishard_index_encoding", "data_encoding")]
    if kind != SHARDED or hashing not in HASHES or not set(packings) <= set(_PACKINGS):
        raise RefusedVolumeError(
            f"the shards of {url} must be {SHARDED}, chosen by {' or '.join(HASHES)} and packed as "
            f"{' or '.join(_PACKINGS)}, got {', '.join(map(str, [kind, hashing, *packings]))}; write it again"
        )
    index, data = (_PACKINGS[packing] for packing in packings)
    return Sharding(
        preshift_bits=int(sharding["preshift_bits"]),
        minishard_bits=int(sharding["minishard_bits"]),
        shard_bits=int(sharding["shard_bits"]),
        hashed=hashing != HASHES[0],
        index_packing=index,
        data_packing=data,
    )
