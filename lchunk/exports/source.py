"""The voxels that an export writes: a box of a layer or of a computed volume, read in pieces of bounded size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lchunk.exports.values import exactly, renumbered
from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.volume import Volume, VoxelSize

MOST_BYTES = 1 << 27
"""Most bytes of voxels that are read in one piece, unless one block of the output is larger."""


class Exported(Volume, Protocol):
    """What an export needs to know of a volume. A mip of a layer is one."""

    @property
    def name(self) -> str:
        """Its name in messages and files."""

    @property
    def labels(self) -> bool:
        """Whether voxels are labels of objects."""

    @property
    def voxel_size(self) -> VoxelSize:
        """Nanometres zyx."""

    @property
    def corner(self) -> VoxelSize:
        """Position of the low corner of the first voxel, nanometres zyx."""

    @property
    def first_voxel(self) -> Triple:
        """The first voxel, in voxels of mip 0."""

    @property
    def factor(self) -> Triple:
        """Voxels of mip 0 in one voxel, along each axis."""

    @property
    def chunk_shape(self) -> Triple:
        """Voxels that are read at once."""

    @property
    def inner_chunk(self) -> Triple:
        """Voxels of a block of a chunked output."""


def _no_report(voxels: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Source:
    """A box of a volume, and how its voxels are written.

    Args:
        layer: one mip of a layer, or another volume.
        box: in voxels of this mip, inside its bounds.
        dtype: type of the voxels that are written.
        channel: the channel to write, from 0; None for all channels.
        fill_missing: write missing chunks as 0.
        numbers: labels in ascending order, without 0; label `numbers[i]` is written as i + 1. None keeps the labels.
        report: is called after each piece is read, with its number of voxels.
    """

    layer: Exported
    box: Bbox
    dtype: np.dtype[Any]
    channel: int | None = None
    fill_missing: bool = False
    numbers: npt.NDArray[np.uint64] | None = None
    report: Callable[[int], None] = _no_report

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
        """Number of bytes of all voxels, in the type that is written."""
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
    def lattice(self) -> dict[str, list[int]]:
        """The first voxel of the box in voxels of mip 0, and how many of them a voxel covers along each axis.

        Formats that store the offset store this too, under the name `lchunk`: at a coarser mip, the offset alone does
        not tell how the first voxel is numbered (see `exported_start` in `lchunk.volumes.formats.placing`).
        """
        layer = self.layer
        sides = zip(layer.first_voxel, self.box.start, layer.bounds.start, layer.factor, strict=True)
        offset = [origin + (start - first) * factor for origin, start, first, factor in sides]
        return {"voxel_offset": offset, "factor": list(layer.factor)}

    @property
    def block(self) -> Triple:
        """Shape of a block of a chunked output: the layer's inner chunk, limited to the shape of the box."""
        return triple(map(min, self.layer.inner_chunk, self.box.shape))

    def read(self, box: Bbox) -> npt.NDArray[Any]:
        """Read a part of the box: (z, y, x) or (channel, z, y, x) voxels, converted for the output.

        Raises:
            ValueError: `dtype` cannot hold one of the values.
        """
        voxels = self.layer.read(box, fill_missing=self.fill_missing)
        if self.channel is not None:
            voxels = voxels[self.channel]
        if self.numbers is not None:
            voxels = renumbered(voxels, self.numbers)
        self.report(box.size)
        return exactly(voxels, self.dtype, f"voxels of {self.layer.name} in {box}")

    def pieces(self, within: Bbox | None = None) -> Iterator[tuple[tuple[slice, ...], npt.NDArray[Any]]]:
        """Read all voxels, one piece after the other, z-major. Each piece consists of whole blocks of the output.

        Args:
            within: a part of the box; None for the whole box.

        Yields:
            The slices of the piece in an array of the part, and its voxels.
        """
        part = self.box if within is None else within
        grid = Grid(part, self._piece_shape())
        for index in grid:
            box = grid.chunk(index)
            yield (..., *box.slices(part.start)), self.read(box)  # type: ignore[misc]

    def _piece_shape(self) -> Triple:
        """The largest piece inside one chunk file that fits into memory: whole blocks, extended along x first."""
        voxel_bytes = max(self.layer.channels, 1) * max(self.layer.dtype.itemsize, self.dtype.itemsize)
        shape = list(self.block)
        for axis in (2, 1, 0):
            block, chunk = self.block[axis], self.layer.chunk_shape[axis]
            room = MOST_BYTES // (math.prod(shape) * voxel_bytes)
            shape[axis] = block * max(1, min(chunk // block, room))
        return triple(shape)

    def sections(self, scratch: Path) -> Iterator[npt.NDArray[Any]]:
        """Read the sections of the box in ascending z, for formats that are written from start to end.

        A row of inner chunks is first read into a scratch file, and the sections are then taken from this file one by
        one. Each chunk is decoded once, and memory holds one section.

        Args:
            scratch: folder of the scratch file.

        Yields:
            (y, x) or (channel, y, x), each a new array.
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
    """Create a `.npy` file, mapped into memory. Its bytes are reserved, so that a full disk is an error here."""
    array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
