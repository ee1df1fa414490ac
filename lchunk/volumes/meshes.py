"""A mesh folder that Neuroglancer can open, and the fragments that its meshes are made from.

mesh/info                                type of the folder, and its recipe
mesh/c/<z>/<y>/<x>.fragments             all fragments of a chunk: its target (`mesh_containers`)
mesh/<x0-x1_y0-y1_z0-z1>.spatial         boxes of the chunk's labels in nanometres, for cloud-volume
mesh/<label>:0:<x0-x1_y0-y1_z0-z1>       the whole mesh of a label; the box is that of the volume
mesh/<label>:0                           the manifest of a label
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.box_names import box_name
from lchunk.volumes.checksum import checksum
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.documents import encode_json
from lchunk.volumes.info_folder import create_info, stored_recipe
from lchunk.volumes.label_shards import MINISHARD_BITS, LabelSharding
from lchunk.volumes.mesh_containers import (
    SUFFIX,
    Container,
    Surface,
    decode_fragment,  # noqa: F401 - readers of whole meshes look for it here
    encode_container,
    encode_fragment,
)
from lchunk.volumes.spatial_index import SpatialIndex
from lchunk.volumes.step_parts import ENCODE, Part
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize

ORDER = LabelSharding(MINISHARD_BITS, 0).keys
"""How the fragments of a chunk are sorted, for any number of shards."""
MANIFESTS = "manifest"
"""The folder in it with the documents of `MeshManifest`."""
CHOSEN = "ids-"
"""How the names of those begin that are about labels that were asked for one by one."""


@dataclass(frozen=True)
class MeshFolder:
    """The mesh folder of a segmentation at one mip."""

    store: Store
    path: str
    grid: Grid
    voxel_size: VoxelSize
    mip: int

    def keys(self, index: Triple) -> list[str]:
        return [f"{self.path}/c/{'/'.join(map(str, index))}{SUFFIX}"]

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

    def write(self, bbox: Bbox, content: Mapping[int, Surface]) -> None:
        """Write the boxes of a chunk's fragments, and then the fragments."""
        index = self.grid.index_of(bbox)
        boxes = json.dumps(_boxes(content), separators=(",", ":")).encode()  # indented, they take twice the time
        for name in self._spatial_index.names(index):
            self.store.put(f"{self.path}/{name}", boxes)
        with Part(ENCODE):
            body = encode_container({label: encode_fragment(*surface) for label, surface in content.items()}, ORDER)
        self.store.put(self.keys(index)[0], body)

    def container(self, index: Triple) -> Container:
        """The fragments of a chunk."""
        return Container(self.store, self.keys(index)[0], ORDER)

    def records(self, bbox: Bbox) -> Iterator[Container]:
        """The container of each chunk that a box touches, z-major; nothing is read of it yet."""
        return map(self.container, self.grid.meeting(bbox))

    def boxes(self, index: Triple) -> dict[int, list[float]]:
        """The box of each fragment of a chunk, in nanometres: x0, y0, z0, x1, y1, z1.

        Raises:
            FileNotFoundError: the chunk is missing.
            ValueError: the file of the boxes is damaged.
        """
        name = self._spatial_index.names(index)[0]
        found = json.loads(self.store.get(f"{self.path}/{name}"))
        return {int(label): box for label, box in found.items()}

    def mesh_keys(self, label: int) -> tuple[str, str]:
        """The files of a label's whole mesh: the mesh, and the manifest that names it."""
        manifest = f"{self.path}/{label}:0"
        return f"{manifest}:{box_name(self.grid.bounds)}", manifest

    def write_mesh(self, label: int, surface: Surface) -> int:
        """Write the whole mesh of a label and its manifest, which survive a power cut after `settle` of the store.

        Returns:
            The checksum of the mesh's file.
        """
        mesh, manifest = self.mesh_keys(label)
        body = encode_fragment(*surface)
        self.store.put(mesh, body, durable=False)
        named = encode_json({"fragments": [mesh.rpartition("/")[2]]})
        self.store.put(manifest, named, durable=False)
        return checksum(body)

    @property
    def _spatial_index(self) -> SpatialIndex:
        return SpatialIndex(self.grid, self.voxel_size)


def _boxes(content: Mapping[int, Surface]) -> dict[str, list[float]]:
    """The box of each surface: x0, y0, z0, x1, y1, z1."""
    if not content:
        return {}
    vertices = np.concatenate([vertices for vertices, _ in content.values()])
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in content.values())][:-1])
    sides = [limit.reduceat(vertices, starts).astype(np.float64) for limit in (np.minimum, np.maximum)]
    return dict(zip(map(str, content), np.concatenate(sides, axis=1).tolist(), strict=True))
