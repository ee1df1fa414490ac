"""A Neuroglancer precomputed volume that lchunk writes: for Neuroglancer, cloud-volume, igneous and tensorstore.

<folder>/info                                       its scales, and its recipe
<folder>/<x_y_z>/<x0-x1_y0-y1_z0-z1>                a chunk of a scale; the folder is named after the voxel size
<folder>/index/c/<z>/<y>/<x>.json                   checksums of the files that are made together; written last

The format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md. Files are written
as they are: on a disk, names that end in `.gz` are known to cloud-volume alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.box_names import box_name
from lchunk.volumes.checksum import checksum
from lchunk.volumes.chunk_files import Recipe
from lchunk.volumes.documents import create_document, decode_document, encode_document, encode_json, read_json
from lchunk.volumes.optional_packages import precomputed_extra
from lchunk.volumes.store import Store
from lchunk.volumes.volume import VoxelSize

VOLUME = "neuroglancer_multiscale_volume"
LABELS = "compressed_segmentation"
BLOCK = (8, 8, 8)
"""Sides of the blocks in which labels are packed."""
MOST_VOXELS = 6_000_000
"""Voxels of a chunk of labels: its tables must begin within 2^24 words, and a voxel takes 2.5 words at most."""


@dataclass(frozen=True)
class ExportedScale:
    """One scale.

    Args:
        grid: boxes of voxels whose files are written together; those of all scales have the same extent.
        voxel_size: nanometres zyx.
        chunk_shape: voxels of a file, zyx; divides that of the grid.
    """

    grid: Grid
    voxel_size: VoxelSize
    chunk_shape: Triple

    @property
    def key(self) -> str:
        """Its folder."""
        return "_".join(map(str, self.resolution))

    @property
    def resolution(self) -> list[float]:
        """The voxel size xyz; whole numbers as such."""
        return [int(size) if size == int(size) else size for size in self.voxel_size[::-1]]

    def info(self, labels: bool) -> dict[str, Any]:
        """What `info` says of it."""
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
    """A volume and its scales, the finest first.

    Args:
        store: where the folder is.
        path: the folder.
        scales: one or more.
        dtype: of a voxel; uint64 for labels.
        channels: 0 for (z, y, x), else the length of the first axis.
        labels: whether voxels are names of objects.
        source: the folder of the layer that it is made of, whose meshes it links.
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
        return [f"{self.path}/index/c/{'/'.join(map(str, index))}.json"]

    def recipe(self) -> Recipe | None:
        info = read_json(self.store, f"{self.path}/info")
        return None if info is None else info.get("lchunk", {}).get("recipe", {})

    def create(self, recipe: Recipe) -> Recipe:
        stored: Recipe = create_document(self.store, f"{self.path}/info", self._info(recipe))["lchunk"]["recipe"]
        return stored

    def _info(self, recipe: Recipe) -> dict[str, Any]:
        info = {
            "@type": VOLUME,
            "type": "segmentation" if self.labels else "image",
            "data_type": self.dtype.name,
            "num_channels": max(self.channels, 1),
            "scales": [scale.info(self.labels) for scale in self.scales],
            "lchunk": {"recipe": recipe},
        }
        return info | ({"mesh": self._mesh} if self._has_mesh else {})

    @property
    def _mesh(self) -> str:
        """The folder of the meshes, from this one."""
        return posixpath.relpath(f"{self.source}/mesh", self.path)

    @property
    def _has_mesh(self) -> bool:
        # Neuroglancer shows no volume whose info names meshes that are not there
        return self.labels and self.store.exists(f"{self.source}/mesh/info")

    @property
    def lacks_mesh(self) -> bool:
        """Whether there are meshes that the info does not name, as they were made after it."""
        info = read_json(self.store, f"{self.path}/info") if self._has_mesh else None
        return info is not None and "mesh" not in info

    def link_mesh(self) -> None:
        """Name meshes that were made after the info."""
        if self.lacks_mesh:
            info = read_json(self.store, f"{self.path}/info") or {}
            self.store.put(f"{self.path}/info", encode_json(info | {"mesh": self._mesh}))

    def write(self, bbox: Bbox, content: list[npt.NDArray[Any]]) -> None:
        """Write the files of a box at each scale, and last their checksums.

        Args:
            bbox: a box of the finest scale's grid.
            content: (z, y, x) or (channel, z, y, x) voxels of the box, of each scale.
        """
        index = self.grid.index_of(bbox)
        written = {}
        for scale, voxels in zip(self.scales, content, strict=True):
            for name, body in self._files(scale, scale.grid.chunk(index), voxels):
                self.store.put(f"{self.path}/{name}", body)
                written[name] = checksum(body)
        self.store.put(self.keys(index)[0], encode_document({"checksums": written}))

    def _files(self, scale: ExportedScale, box: Bbox, voxels: npt.NDArray[Any]) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of the chunks of a box, one after the other."""
        encode = encode_labels if self.labels else encode_raw
        chunks = Grid(box, scale.chunk_shape)
        for place in chunks:
            chunk = chunks.chunk(place)
            part = voxels.astype(self.dtype, copy=False)[(..., *chunk.slices(box.start))]
            yield f"{scale.key}/{box_name(chunk)}", encode(part)


def encode_raw(voxels: npt.NDArray[Any]) -> bytes:
    """Bytes of a chunk, x fastest, little endian.

    >>> encode_raw(np.arange(4, dtype=np.uint8).reshape(1, 2, 2))
    b'\\x00\\x01\\x02\\x03'
    """
    return voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()


def encode_labels(voxels: npt.NDArray[np.uint64]) -> bytes:
    """Bytes of a chunk of labels as `compressed_segmentation`.

    Raises:
        ImportError: the package that packs them is not installed.
    """
    packed: bytes = require_packing().compress(np.ascontiguousarray(voxels).T, block_size=BLOCK, order="F")
    return packed


def require_packing() -> Any:
    """The package that packs labels.

    Raises:
        ImportError: it is not installed.
    """
    with precomputed_extra("write labels"):
        import compressed_segmentation  # noqa: PLC0415 - optional

        return compressed_segmentation


def read_checksums(store: Store, key: str) -> dict[str, int]:
    """The checksum of each file that was written together, by its name in the volume's folder.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: it is damaged.
    """
    document: Any = decode_document(store.get(key))
    found: dict[str, int] = document["checksums"]
    return found
