"""A folder of meshes with levels of detail, in shards, as Neuroglancer and cloud-volume read it.

mesh_multires/info                       type of the folder, how labels are distributed to shards, and the recipe
mesh_multires/<hexadecimal number>.shard the meshes of a shard's labels
mesh_multires/index/c/0/0/<number>.json  the checksum of the shard, and the number of its labels; both are the target

The format, `neuroglancer_multilod_draco`:
https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/meshes.md. In a shard, the fragments of a
label come right before its manifest, which lists their positions and sizes, level by level.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.checksum import checksum
from lchunk.volumes.chunk_files import Recipe, missing
from lchunk.volumes.documents import encode_document, read_document, read_json
from lchunk.volumes.info_folder import create_info, index_key, stored_recipe
from lchunk.volumes.label_shards import LabelSharding, ShardFile, shard_grid
from lchunk.volumes.store import Store

MULTIRES = "neuroglancer_multilod_draco"
SUFFIX = "_multires"
"""Follows the name of the folder with the fragments that the meshes are made from."""


@dataclass(frozen=True)
class MultiResFolder:
    """A folder of meshes with levels of detail.

    Args:
        store: the dataset's folder.
        path: the folder in it.
        sharding: how labels are distributed to shards. Shard n is the box (0, 0, n) of the folder's grid.
        bits: of a vertex's number along an axis.
    """

    store: Store
    path: str
    sharding: LabelSharding
    bits: int

    @property
    def grid(self) -> Grid:
        return shard_grid(self.sharding.shard_bits)

    def keys(self, index: Triple) -> list[str]:
        return [f"{self.path}/{self.sharding.name(index[2])}", index_key(self.path, index)]

    def recipe(self) -> Recipe | None:
        return stored_recipe(self.store, self.path)

    def create(self, recipe: Recipe) -> Recipe:
        info = {
            "@type": MULTIRES,
            "vertex_quantization_bits": self.bits,
            "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
            "lod_scale_multiplier": 1,
            "sharding": self.sharding.info(),
        }
        return create_info(self.store, self.path, info, recipe)

    def write(self, bbox: Bbox, content: ShardFile) -> None:
        """Write a shard, and finally its checksum. A reader finds no label of a shard that does not exist."""
        shard, index = self.keys(self.grid.index_of(bbox))
        body = content.finished()
        self.store.put(shard, body)
        written = {shard.rpartition("/")[2]: checksum(body)}
        self.store.put(index, encode_document({"labels": content.labels, "checksums": written}))

    def complete(self) -> bool:
        """Whether all shards have been written."""
        return next(missing(self, self.grid.bounds), None) is None

    def labels(self) -> int:
        """The number of labels in the shards that have been written."""
        there = self.store.list(f"{self.path}/index")
        return sum(read_document(self.store, key)["labels"] for key in there if key.endswith(".json"))


def open_multires(store: Store, path: str) -> MultiResFolder | None:
    """The folder that lchunk has written at a path; None if there is none."""
    info = read_json(store, f"{path}/info") or {}
    if info.get("@type") != MULTIRES:
        return None
    sharding = LabelSharding(info["sharding"]["minishard_bits"], info["sharding"]["shard_bits"])
    return MultiResFolder(store, path, sharding, info["vertex_quantization_bits"])


def mesh_folder(store: Store, layer: str) -> str:
    """The folder of a layer's meshes for a viewer; empty where there is none.

    Meshes with levels of detail come first, once all their shards have been written.
    """
    fragments = f"{layer}/mesh"
    levels = open_multires(store, fragments + SUFFIX)
    if levels is not None and levels.complete():
        return levels.path
    return fragments if store.exists(f"{fragments}/info") else ""


@dataclass(frozen=True)
class Level:
    """The fragments of a label at one level of detail.

    Args:
        positions: (n, 3) of their boxes, xyz, along a Z-curve.
        sizes: bytes of each; 0 for an empty one.
        scale: nanometres; Neuroglancer shows the coarsest level whose scale is at most half a pixel. Above 0.
    """

    positions: npt.NDArray[np.int64]
    sizes: Sequence[int]
    scale: float


def encode_manifest(
    box: tuple[float, float, float], origin: tuple[float, float, float], levels: Sequence[Level]
) -> bytes:
    """The manifest of a label.

    Args:
        box: sides of a box of level 0, nanometres xyz.
        origin: low corner of the box (0, 0, 0), nanometres xyz.
        levels: the finest first; a box of each is twice as large as one of the level before.
    """
    head = struct.pack("<6fI", *box, *origin, len(levels))
    scales = np.array([level.scale for level in levels], "<f4")
    offsets = np.zeros((len(levels), 3), "<f4")
    counts = np.array([len(level.sizes) for level in levels], "<u4")
    bodies = [level.positions.T.astype("<u4").tobytes() + np.array(level.sizes, "<u4").tobytes() for level in levels]
    return b"".join([head, scales.tobytes(), offsets.tobytes(), counts.tobytes(), *bodies])
