"""A mesh folder that Neuroglancer can open: single-resolution fragments and manifests.

mesh/info                                   type of the folder, and its recipe
mesh/<label>:0:<x0-x1_y0-y1_z0-z1>          one fragment per label and chunk
mesh/<x0-x1_y0-y1_z0-z1>.spatial            boxes of the chunk's labels in nanometres, for cloud-volume
mesh/index/c/<z>/<y>/<x>.json               labels and checksums of the chunk's fragments: its target, written last
mesh/<label>:0                              the manifest of a label
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.box_names import box_name
from lchunk.volumes.checksum import checksum, refuse_damaged
from lchunk.volumes.chunk_files import Recipe, absent_chunk
from lchunk.volumes.documents import decode_document, encode_document, encode_json
from lchunk.volumes.info_folder import create_info, index_key, stored_recipe
from lchunk.volumes.parallel import parallel
from lchunk.volumes.spatial_index import SpatialIndex
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
"""Vertices (n, 3), xyz nanometres, and triangles (m, 3), counter-clockwise from outside."""


@dataclass(frozen=True)
class MeshFolder:
    """The mesh folder of a segmentation at one mip."""

    store: Store
    path: str
    grid: Grid
    voxel_size: VoxelSize
    mip: int

    def keys(self, index: Triple) -> list[str]:
        return [index_key(self.path, index)]

    def recipe(self) -> Recipe | None:
        return stored_recipe(self.store, self.path)

    def create(self, recipe: Recipe) -> Recipe:
        info = {
            "@type": "neuroglancer_legacy_mesh",
            "mip": self.mip,
            "chunk_size": list(self.grid.chunk_shape[::-1]),
            "spatial_index": self._spatial_index.info(),
        }
        return create_info(self.store, self.path, info, recipe)

    def write(self, bbox: Bbox, content: dict[int, Surface]) -> None:
        """Write the fragments of a chunk, then their boxes, and last the index of the chunk's labels."""
        index = self.grid.index_of(bbox)

        def put(label: int) -> int:
            body = encode_fragment(*content[label])
            self.store.put(self.fragment_key(label, bbox), body)
            return checksum(body)

        checksums = list(parallel(put, content, self.store.connections, "fragments"))
        boxes = {
            str(label): [float(side) for side in (*vertices.min(0), *vertices.max(0))]
            for label, (vertices, _) in content.items()
        }
        for name in self._spatial_index.names(index):
            self.store.put(f"{self.path}/{name}", encode_json(boxes))
        self.store.put(self.keys(index)[0], encode_document({"labels": list(content), "checksums": checksums}))

    def records(self, bbox: Bbox) -> Iterator[dict[str, list[int]]]:
        """Labels of each chunk that a box touches, z-major, and the checksums of their fragments."""
        keys = (self.keys(index)[0] for index in self.grid.meeting(bbox))
        bodies = parallel(self.store.get, keys, self.store.connections, "records")
        for index in self.grid.meeting(bbox):
            key = self.keys(index)[0]
            try:
                labels: Any = decode_document(next(bodies))
                yield labels
            except FileNotFoundError as error:
                raise absent_chunk(self, index, bbox) from error
            except ValueError as error:
                raise ValueError(f"{self.store.url}/{key} must be a whole list of labels, but {error}") from error

    def boxes(self, index: Triple) -> dict[int, list[float]]:
        """The box of each fragment of a chunk, in nanometres: x0, y0, z0, x1, y1, z1.

        Raises:
            FileNotFoundError: the chunk is missing.
            ValueError: the file of the boxes is damaged.
        """
        name = self._spatial_index.names(index)[0]
        found = json.loads(self.store.get(f"{self.path}/{name}"))
        return {int(label): box for label, box in found.items()}

    def check_fragment(self, label: int, bbox: Bbox, written: int) -> None:
        """Raise an error if a fragment differs from the one that was written.

        Raises:
            FileNotFoundError: there is no such file.
            ChecksumError: it is damaged.
        """
        refuse_damaged(self.store.get(self.fragment_key(label, bbox)), written)

    def fragment_name(self, label: int, bbox: Bbox) -> str:
        return f"{label}:0:{box_name(bbox)}"

    def fragment_key(self, label: int, bbox: Bbox) -> str:
        return f"{self.path}/{self.fragment_name(label, bbox)}"

    def write_manifests(self, fragments: Mapping[int, list[str]]) -> Iterator[int]:
        """Write the manifest of each label, and yield the label."""

        def put(label: int) -> int:
            self.store.put(f"{self.path}/{label}:0", encode_json({"fragments": sorted(fragments[label])}))
            return label

        yield from parallel(put, sorted(fragments), self.store.connections, "manifests")

    @property
    def _spatial_index(self) -> SpatialIndex:
        return SpatialIndex(self.grid, self.voxel_size)


def encode_fragment(vertices: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32]) -> bytes:
    """Bytes of a fragment: vertex count, xyz vertices, triangles, little endian.

    >>> len(encode_fragment(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.uint32)))
    52
    """
    count = np.array(len(vertices), "<u4")
    return count.tobytes() + vertices.astype("<f4").tobytes() + triangles.astype("<u4").tobytes()


def decode_fragment(body: bytes) -> Surface:
    """Vertices and triangles of a fragment's bytes."""
    count = int(np.frombuffer(body, "<u4", 1)[0])
    vertices = np.frombuffer(body, "<f4", 3 * count, 4).reshape(-1, 3)
    return vertices, np.frombuffer(body, "<u4", offset=4 + 12 * count).reshape(-1, 3)
