"""The voxels that an export writes: a box of a layer, read in pieces of bounded size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.exports.values import exactly, renumbered
from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.layer import Layer
from lchunk.volumes.volume import VoxelSize

MOST_BYTES = 1 << 27
"""Bytes of voxels that are read at once, unless one block of the output is larger."""


def _untold(voxels: int) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True)
class Source:
    """A box of a layer as it will be written.

    Args:
        layer: a mip of a layer.
        box: in voxels of this mip, inside its bounds.
        dtype: of the voxels that are written.
        channel: the one that is written, from 0; None: all.
        fill_missing: absent chunks are written as 0.
        numbers: labels, ascending and without 0; label `numbers[i]` is written as i + 1. None: labels stay.
        told: is called with the number of voxels of each piece that was read.
    """

    layer: Layer
    box: Bbox
    dtype: np.dtype[Any]
    channel: int | None = None
    fill_missing: bool = False
    numbers: npt.NDArray[np.uint64] | None = None
    told: Callable[[int], None] = _untold

    @property
    def channels(self) -> int:
        """0 for (z, y, x), else the length of the first axis."""
        return 0 if self.channel is not None else self.layer.channels

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x) or (channel, z, y, x)."""
        return (self.channels, *self.box.shape) if self.channels else self.box.shape

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels as they are written."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def voxel_size(self) -> VoxelSize:
        """Nanometres zyx."""
        return self.layer.voxel_size

    @property
    def offset(self) -> VoxelSize:
        """Position of the low corner of the box, nanometres zyx."""
        layer = self.layer
        sides = zip(layer.corner, self.box.start, layer.bounds.start, layer.voxel_size, strict=True)
        z, y, x = (corner + (start - first) * size for corner, start, first, size in sides)
        return z, y, x

    @property
    def block(self) -> Triple:
        """Voxels of a block of a chunked output: the inner chunk of the layer, or the box where that is smaller."""
        return triple(map(min, self.layer.inner_chunk, self.box.shape))

    def read(self, box: Bbox) -> npt.NDArray[Any]:
        """Voxels of a part of the box, (z, y, x) or (channel, z, y, x), as they are written.

        Raises:
            ValueError: a value does not fit `dtype`.
        """
        voxels = self.layer.read(box, fill_missing=self.fill_missing)
        if self.channel is not None:
            voxels = voxels[self.channel]
        if self.numbers is not None:
            voxels = renumbered(voxels, self.numbers)
        self.told(box.size)
        return exactly(voxels, self.dtype, f"voxels of {self.layer.name} in {box}")

    def pieces(self, within: Bbox | None = None) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """All voxels, a piece after the other, z-major. Each piece is made of whole blocks of the output.

        Args:
            within: a part of the box; None: the whole box.

        Yields:
            Where the piece lies in an array of the part, and its voxels.
        """
        part = self.box if within is None else within
        grid = Grid(part, self._piece_shape())
        for index in grid:
            box = grid.chunk(index)
            yield (..., *box.slices(part.start)), self.read(box)  # type: ignore[misc]

    def _piece_shape(self) -> Triple:
        """As many blocks as fit into memory, of those of one chunk file, the longest along x."""
        voxel_bytes = max(self.layer.channels, 1) * max(self.layer.dtype.itemsize, self.dtype.itemsize)
        shape = list(self.block)
        for axis in (2, 1, 0):
            block, chunk = self.block[axis], self.layer.chunk_shape[axis]
            room = MOST_BYTES // (math.prod(shape) * voxel_bytes)
            shape[axis] = block * max(1, min(chunk // block, room))
        return triple(shape)

    def sections(self, scratch: Path) -> Iterator[npt.NDArray[Any]]:
        """The sections of the box, z ascending, for formats that are written from their start to their end.

        A row of inner chunks is read at once into a file, from which sections are taken one by one: each chunk is
        unpacked once, and one section is in memory however large it is.

        Args:
            scratch: folder for that file.

        Yields:
            (y, x) or (channel, y, x): an array of its own.
        """
        depth, first = self.layer.inner_chunk[0], self.layer.bounds.start[0]
        (z, y0, x0), (end, y1, x1) = self.box.start, self.box.stop
        rows = (min(depth, end - z), y1 - y0, x1 - x0)
        slab = new_array(scratch / "sections.npy", self.dtype, (self.channels, *rows) if self.channels else rows)
        while z < end:
            stop = min(end, z + depth - (z - first) % depth)
            for place, voxels in self.pieces(Bbox((z, y0, x0), (stop, y1, x1))):
                slab[..., : stop - z, :, :][place] = voxels
            for row in range(stop - z):
                yield np.array(slab[..., row, :, :])
            z = stop


def new_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A new `.npy` file, mapped into memory. Its bytes are reserved: a full disk is an error now, not a crash later."""
    array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
