"""Precomputed volumes that lchunk writes, for Neuroglancer, cloud-volume, igneous and tensorstore.

<folder>/info                                       the scales and the recipe
<folder>/<x_y_z>/<x0-x1_y0-y1_z0-z1>                a chunk of a scale; the folder is named after the voxel size
<folder>/index/c/<z>/<y>/<x>.json                   checksums of the files that are made together; written last

The format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md. Files are written
without compression, because on a disk only cloud-volume finds files whose names end in `.gz`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.box_names import box_name
from lchunk.volumes.checksum import checksum
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.documents import decode_document, encode_document, encode_json, read_json
from lchunk.volumes.info_folder import create_info, index_key, stored_recipe, with_recipe
from lchunk.volumes.multires_meshes import mesh_folder
from lchunk.volumes.optional_packages import precomputed_extra
from lchunk.volumes.skeleton_folders import skeleton_folder
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize

VOLUME = "neuroglancer_multiscale_volume"
LABELS = "compressed_segmentation"
BLOCK = (8, 8, 8)
"""Shape of the blocks in which labels are compressed."""
MOST_VOXELS = 6_000_000
"""Most voxels in a chunk of labels: its tables must begin within 2^24 words, and a voxel takes at most 2.5 words."""


@dataclass(frozen=True)
class ExportedScale:
    """One scale of a volume.

    Args:
        grid: boxes of voxels whose files are written together.
        voxel_size: nanometres zyx.
        chunk_shape: voxels per file, zyx; divides the chunk shape of the grid.
        every: chunks of the finest scale that cover the space of one box, along each axis. The box belongs to the
            first of them.
    """

    grid: Grid
    voxel_size: VoxelSize
    chunk_shape: Triple
    every: Triple = (1, 1, 1)

    def box(self, index: Triple) -> Bbox:
        """The box that belongs to a chunk of the finest scale; empty if none does."""
        if any(n % every for n, every in zip(index, self.every, strict=True)):
            return Bbox(self.grid.bounds.start, self.grid.bounds.start)
        return self.grid.chunk(triple(n // every for n, every in zip(index, self.every, strict=True)))

    @property
    def key(self) -> str:
        """The name of its folder."""
        return "_".join(map(str, self.resolution))

    @property
    def resolution(self) -> list[float]:
        """The voxel size xyz, with whole numbers as integers."""
        return [int(size) if size == int(size) else size for size in self.voxel_size[::-1]]

    def info(self, labels: bool) -> dict[str, Any]:
        """Its entry in `info`."""
        bounds = self.grid.bounds
        packing = {"compressed_segmentation_block_size": list(BLOCK)} if labels else {}
        return {
            "key": self.key,
            "size": list(bounds.shape[::-1]),
            "resolution": self.resolution,
            "voxel_offset": list(bounds.start[::-1]),
            "chunk_sizes": [list(self.chunk_shape[::-1])],
            "encoding": LABELS if labels else "raw",
        } | packing


@dataclass(frozen=True)
class ExportedVolume:
    """A volume and its scales.

    Args:
        store: the store of the folder.
        path: the folder.
        scales: one or more scales, finest first.
        dtype: type of a voxel; uint64 for labels.
        channels: 0 for (z, y, x), otherwise the length of the first axis.
        labels: whether voxels are labels.
        source: folder of the layer from which it is made; the volume links the meshes and skeletons in it.
    """

    store: Store
    path: str
    scales: tuple[ExportedScale, ...]
    dtype: np.dtype[Any]
    channels: int
    labels: bool
    source: str

    @property
    def grid(self) -> Grid:
        return self.scales[0].grid

    def keys(self, index: Triple) -> list[str]:
        return [index_key(self.path, index)]

    def recipe(self) -> Recipe | None:
        return stored_recipe(self.store, self.path)

    def create(self, recipe: Recipe) -> Recipe:
        return create_info(self.store, self.path, self._info(), recipe)

    def _info(self) -> dict[str, Any]:
        info = {
            "@type": VOLUME,
            "type": "segmentation" if self.labels else "image",
            "data_type": self.dtype.name,
            "num_channels": max(self.channels, 1),
            "scales": [scale.info(self.labels) for scale in self.scales],
        }
        return info | self._objects

    @property
    def _objects(self) -> dict[str, str]:
        """The folders of the meshes and of the skeletons, relative to this volume; without those that do not exist."""
        # Neuroglancer does not show a volume if its info names meshes that do not exist
        if not self.labels:
            return {}
        folders = {"mesh": mesh_folder, "skeletons": skeleton_folder}
        found = {kind: folder_of(self.store, self.source) for kind, folder_of in folders.items()}
        return {kind: posixpath.relpath(folder, self.path) for kind, folder in found.items() if folder}

    @property
    def lacks_objects(self) -> bool:
        """Whether meshes or skeletons exist that the info does not name, because they were made later."""
        objects = self._objects
        info = read_json(self.store, f"{self.path}/info") if objects else None
        return info is not None and not objects.items() <= info.items()

    def link_objects(self) -> None:
        """Add meshes and skeletons that were made later to the info."""
        if self.lacks_objects:
            self.store.put(f"{self.path}/info", encode_json(with_recipe(self._info(), self.recipe() or {})))

    def write(self, bbox: Bbox, content: list[npt.NDArray[Any]]) -> None:
        """Write the files of a box at each scale, and finally their checksums.

        Args:
            bbox: a box of the finest scale's grid.
            content: for each scale, the (z, y, x) or (channel, z, y, x) voxels of the box.
        """
        index = self.grid.index_of(bbox)
        written = {}
        for scale, voxels in zip(self.scales, content, strict=True):
            for name, body in self._files(scale, scale.box(index), voxels):
                self.store.put(f"{self.path}/{name}", body)
                written[name] = checksum(body)
        self.store.put(self.keys(index)[0], encode_document({"checksums": written}))

    def _files(self, scale: ExportedScale, box: Bbox, voxels: npt.NDArray[Any]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each chunk of a box."""
        encode = encode_labels if self.labels else encode_raw
        chunks = Grid(box, scale.chunk_shape)
        for place in chunks:
            chunk = chunks.chunk(place)
            part = voxels.astype(self.dtype, copy=False)[(..., *chunk.slices(box.start))]
            yield f"{scale.key}/{box_name(chunk)}", encode(part)


def encode_raw(voxels: npt.NDArray[Any]) -> bytes:
    """Encode a chunk as raw bytes, x fastest, little endian.

    >>> encode_raw(np.arange(4, dtype=np.uint8).reshape(1, 2, 2))
    b'\\x00\\x01\\x02\\x03'
    """
    return voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()


def encode_labels(voxels: npt.NDArray[np.uint64]) -> bytes:
    """Encode a chunk of labels as `compressed_segmentation`.

    Raises:
        ImportError: the package `compressed_segmentation` is not installed.
    """
    packed: bytes = require_packing().compress(np.ascontiguousarray(voxels).T, block_size=BLOCK, order="F")
    return packed


def require_packing() -> Any:
    """The package that encodes labels.

    Raises:
        ImportError: the package is not installed.
    """
    with precomputed_extra("write labels"):
        import compressed_segmentation  # noqa: PLC0415 - optional

        return compressed_segmentation


def read_checksums(store: Store, key: str) -> dict[str, int]:
    """Read the checksums of the files of a box, by their names in the volume's folder.

    Raises:
        FileNotFoundError: the file of checksums does not exist.
        ValueError: the file of checksums is damaged.
    """
    document: Any = decode_document(store.get(key))
    found: dict[str, int] = document["checksums"]
    return found
