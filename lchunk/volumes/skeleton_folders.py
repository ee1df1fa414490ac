"""The pieces of skeletons of each chunk, and the folder of whole skeletons that Neuroglancer can open.

skeleton_fragments/info                       the recipe
skeleton_fragments/c/<z>/<y>/<x>.fragments    the pieces of all labels in a chunk: its target (`mesh_containers`)
skeletons/info                                the format, and the recipe
skeletons/<number>.shard                      the skeletons of a part of the labels (`packed_shards`)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.info_folder import create_info, stored_recipe
from lchunk.volumes.label_shards import LabelSharding, shard_grid
from lchunk.volumes.mesh_containers import SUFFIX, Container, Entries, encode_container
from lchunk.volumes.packed_shards import decode_shard, encode_shard, packed_sharding
from lchunk.volumes.store import Store

Piece = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Voxels (n, 3), zyx in the volume; radii (n,), nanometres; edges (m, 2), rows of the voxels."""

FRAGMENTS = "lchunk_skeleton_fragments"
SKELETONS = "neuroglancer_skeletons"
ORDER = packed_sharding(0).keys
"""How the pieces of a chunk are sorted, for any number of shards."""
_COUNTS = struct.Struct("<II")


@dataclass(frozen=True)
class FragmentFolder:
    """The pieces of skeletons of each chunk.

    Args:
        store: the store of the folder.
        path: the folder.
        grid: the chunks, in voxels of the mip.
    """

    store: Store
    path: str
    grid: Grid

    def keys(self, index: Triple) -> list[str]:
        return [f"{self.path}/c/{'/'.join(map(str, index))}{SUFFIX}"]

    def recipe(self) -> Recipe | None:
        return stored_recipe(self.store, self.path)

    def create(self, recipe: Recipe) -> Recipe:
        return create_info(self.store, self.path, {"@type": FRAGMENTS}, recipe)

    def write(self, bbox: Bbox, content: Mapping[int, Piece]) -> None:
        bodies = {label: encode_piece(piece, self.grid.bounds.start) for label, piece in content.items()}
        self.store.put(self.keys(self.grid.index_of(bbox))[0], encode_container(bodies, ORDER))

    def container(self, index: Triple) -> Container:
        """The pieces of a chunk."""
        return Container(self.store, self.keys(index)[0], ORDER)

    def records(self, bbox: Bbox) -> Iterator[Container]:
        """The container of each chunk that a box touches, z-major; nothing is read of it yet."""
        return map(self.container, self.grid.meeting(bbox))

    def pieces(self, container: Container, entries: Entries) -> Iterator[tuple[int, Piece]]:
        """The label and the piece of some entries of a container."""
        for label, body in container.bodies(entries):
            yield label, decode_piece(body, self.grid.bounds.start)


def encode_piece(piece: Piece, origin: Triple) -> bytes:
    """The bytes of a piece: two counts; voxels from an origin, int32; edges, uint32; radii, float32."""
    voxels, radius, edges = piece
    places = (voxels - np.array(origin)).astype("<i4")
    head = _COUNTS.pack(len(voxels), len(edges))
    return b"".join([head, places.tobytes(), edges.astype("<u4").tobytes(), radius.astype("<f4").tobytes()])


def decode_piece(body: bytes | memoryview, origin: Triple) -> Piece:
    """The piece of some bytes.

    >>> piece = np.array([[7, 8, 9]]), np.array([4.0], np.float32), np.empty((0, 2), np.int64)
    >>> decode_piece(encode_piece(piece, (1, 1, 1)), (1, 1, 1))[0].tolist()
    [[7, 8, 9]]
    """
    vertices, edges = _COUNTS.unpack_from(body)
    start = _COUNTS.size
    voxels = np.frombuffer(body, "<i4", 3 * vertices, start).reshape(-1, 3).astype(np.int64) + np.array(origin)
    ends = np.frombuffer(body, "<u4", 2 * edges, start + 12 * vertices).reshape(-1, 2).astype(np.int64)
    return voxels, np.frombuffer(body, "<f4", vertices, start + 12 * vertices + 8 * edges), ends


@dataclass(frozen=True)
class SkeletonFolder:
    """Whole skeletons in shards. The "chunks" of its grid are the shards.

    Args:
        store: the store of the folder.
        path: the folder.
        sharding: how labels are distributed to shards, see `packed_sharding`.
    """

    store: Store
    path: str
    sharding: LabelSharding

    @property
    def grid(self) -> Grid:
        return shard_grid(self.sharding.shard_bits)

    def keys(self, index: Triple) -> list[str]:
        return [f"{self.path}/{self.sharding.name(index[2])}"]

    def recipe(self) -> Recipe | None:
        return stored_recipe(self.store, self.path)

    def create(self, recipe: Recipe) -> Recipe:
        info = {
            "@type": SKELETONS,
            "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
            "vertex_attributes": [{"id": "radius", "data_type": "float32", "num_components": 1}],
            "sharding": self.sharding.info(),
        }
        return create_info(self.store, self.path, info, recipe)

    def write(self, bbox: Bbox, content: Mapping[int, bytes]) -> None:
        self.store.put(self.keys(self.grid.index_of(bbox))[0], encode_shard(content, self.sharding))

    def records(self, bbox: Bbox) -> Iterator[Iterator[tuple[int, bytes]]]:
        """The labels and skeletons of each shard that a box touches; a shard is read when it is asked for."""
        return map(self.skeletons, self.grid.meeting(bbox))

    def skeletons(self, index: Triple) -> Iterator[tuple[int, bytes]]:
        """The labels and skeletons of a shard, which is read at once.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged.
        """
        key = self.keys(index)[0]
        return _decoded(key, self.store.get(key))


def skeleton_folder(store: Store, layer: str) -> str:
    """The folder of the skeletons of a layer's segments; empty where there is none."""
    return f"{layer}/skeletons" if store.exists(f"{layer}/skeletons/info") else ""


def _decoded(key: str, body: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        yield from decode_shard(body)
    except ValueError as error:
        raise ValueError(f"{key} must be a whole shard, but {error}; remove it and run SkeletonMerge again") from error


def encode_skeleton(
    places: npt.NDArray[np.floating], edges: npt.NDArray[np.integer], radius: npt.NDArray[np.floating]
) -> bytes:
    """A skeleton as Neuroglancer reads it.

    Args:
        places: (n, 3) of the vertices, nanometres zyx.
        edges: (m, 2) rows of the places.
        radius: (n,) nanometres.

    >>> len(encode_skeleton(np.zeros((2, 3)), np.array([[0, 1]]), np.ones(2)))
    48
    """
    head = _COUNTS.pack(len(places), len(edges))
    vertices = places[:, ::-1].astype("<f4").tobytes()
    return b"".join([head, vertices, edges.astype("<u4").tobytes(), radius.astype("<f4").tobytes()])


def decode_skeleton(
    body: bytes,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Places (zyx), edges and radii of the bytes of `encode_skeleton`."""
    vertices, edges = _COUNTS.unpack_from(body)
    start = _COUNTS.size
    xyz = np.frombuffer(body, "<f4", 3 * vertices, start).reshape(-1, 3)
    pairs = np.frombuffer(body, "<u4", 2 * edges, start + 12 * vertices).reshape(-1, 2)
    return xyz[:, ::-1], pairs, np.frombuffer(body, "<f4", vertices, start + 12 * vertices + 8 * edges)
