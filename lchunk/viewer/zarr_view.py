"""A volume of any format as a zarr v3 image (OME-Zarr 0.5) whose chunks are read when a browser requests them.

Neuroglancer cannot read HDF5 or TIFF, nor every type of voxel. A view has raw chunks of a bounded size, and writes
nothing to disk. Coarser mips that were made from the volume belong to the image; the view does not have their files.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.layer import Layer
from lchunk.volumes.layer_metadata import dataset_of
from lchunk.volumes.volume import Volume, VoxelSize

SIDES = (16, 128, 128)
"""Most voxels of a chunk, zyx: few sections, because many formats are read section by section."""
MOST_BYTES = 4 << 20
"""Most bytes of a chunk, all channels together."""


@dataclass(frozen=True)
class ZarrView:
    """The files of the image, by their keys.

    Args:
        volume: the volume that is read.
        voxel_size: nanometres zyx, even if the volume itself has none.
        labels: whether voxels are labels of objects.
        coarser: the coarser mips of the volume, the finest first.
        corner: where the first voxel begins, in nanometres; empty: where the bounds and the voxel size say.
    """

    volume: Volume
    voxel_size: VoxelSize
    labels: bool
    coarser: tuple[Layer, ...] = ()
    corner: tuple[float, ...] = ()

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The type in which Neuroglancer gets the voxels.

        Raises:
            ValueError: no type of Neuroglancer can hold them.
        """
        own = self.volume.dtype
        if self.coarser:
            return self.coarser[0].dtype.newbyteorder("<")  # all mips of an image have one type
        if own.kind not in "biuf":
            raise ValueError(f"voxels must be numbers to be shown, got {own} in {self.volume.url}")
        if self.labels and (own.kind == "f" or own.itemsize == 8):
            return np.dtype("<u8")
        if own.kind == "f" or own.itemsize == 8:
            return np.dtype("<f4")
        return np.dtype("u1") if own.kind == "b" else own.newbyteorder("<")

    @cached_property
    def grid(self) -> Grid:
        """Its chunks, of `SIDES` voxels, or fewer if there are many channels."""
        sides = [min(side, size) for side, size in zip(SIDES, self.volume.bounds.shape, strict=True)]
        while math.prod(sides) * max(1, self.volume.channels) * self.dtype.itemsize > MOST_BYTES and max(sides) > 1:
            longest = sides.index(max(sides))
            sides[longest] = -(-sides[longest] // 2)
        return Grid(self.volume.bounds, triple(sides))

    def get(self, key: str) -> bytes:
        """The content of one file.

        Raises:
            FileNotFoundError: there is no such file, or the chunk is missing from the volume.
            ValueError, OSError: the chunk cannot be read.
        """
        if key == "zarr.json":
            return json.dumps(self._group()).encode()
        if key == "0/zarr.json":
            return json.dumps(self._array()).encode()
        return self.voxels(self._index(key)).tobytes()

    def voxels(self, index: Triple) -> npt.NDArray[Any]:
        """A whole chunk; voxels outside the volume are 0."""
        start = self.grid.chunk(index).start
        bbox = type(self.volume.bounds).of(start, self.grid.chunk_shape)
        read = self.volume.read(bbox)
        with np.errstate(invalid="ignore"):  # NaN may become any label
            return np.ascontiguousarray(read.astype(self.dtype, copy=False))

    def range(self) -> tuple[float, float] | None:
        """The intensities of black and white, from the chunk in the middle; None for the whole range of the type.

        Those of a mask are 0 and 1.

        Raises:
            ValueError, OSError: the volume cannot be read.
        """
        read = self.voxels(triple(count // 2 for count in self.grid.counts))
        if self.labels:
            return None
        if self.dtype == np.uint8:
            return (0, 1) if self.volume.dtype == bool or read.max() == 1 else None
        found = read[np.isfinite(read)]
        if not found.size:
            return None
        low, high = (float(value) for value in np.percentile(found, (0.5, 99.5)))
        return (low, high) if low < high else None

    def _index(self, key: str) -> Triple:
        head = ["0", "c", *(["0"] if self.volume.channels else [])]
        parts = key.split("/")
        numbers = parts[len(head) :]
        if parts[: len(head)] != head or len(numbers) != 3 or not all(n.isascii() and n.isdigit() for n in numbers):
            raise FileNotFoundError(f"a view of {self.volume.url} has no file {key}")
        index = triple(map(int, numbers))
        if not all(place < count for place, count in zip(index, self.grid.counts, strict=True)):
            raise FileNotFoundError(f"{self.volume.url} has no chunk {index}")
        return index

    def _axes(self) -> list[dict[str, str]]:
        channel = [{"name": "c", "type": "channel"}] if self.volume.channels else []
        return channel + [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]

    def _group(self) -> dict[str, Any]:
        """The image. OME-Zarr's translation is that of the first voxel's centre."""
        scale = list(self.voxel_size)
        corner = self.corner or [n * size for n, size in zip(self.volume.bounds.start, self.voxel_size, strict=True)]
        centre = [begin + size / 2 for begin, size in zip(corner, self.voxel_size, strict=True)]
        if self.volume.channels:
            scale, centre = [1.0, *scale], [0.5, *centre]
        transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": centre}]
        datasets = [{"path": "0", "coordinateTransformations": transformations}, *map(dataset_of, self.coarser)]
        ome = {"version": "0.5", "multiscales": [{"name": "view", "axes": self._axes(), "datasets": datasets}]}
        return {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}

    def _array(self) -> dict[str, Any]:
        channels = [self.volume.channels] if self.volume.channels else []
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [*channels, *self.volume.bounds.shape],
            "data_type": self.dtype.name,
            "chunk_grid": {
                "name": "regular", "configuration": {"chunk_shape": [*channels, *self.grid.chunk_shape]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "dimension_names": [axis["name"] for axis in self._axes()],
            "attributes": {},
        }  # fmt: skip
