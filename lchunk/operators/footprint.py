"""The memory that inference needs for a chunk, and the chunk shape that fits into memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.blending import Selection, sum_type
from lchunk.operators.lattice import Lattice


@dataclass(frozen=True)
class Footprint:
    """The memory that inference needs for a chunk.

    Args:
        lattice: the patches.
        selection: the channels.
        dtype: type of the voxels that are written.
        batch: patches per batch.
        net: bytes that the net itself needs for a batch.
    """

    lattice: Lattice
    selection: Selection
    dtype: npt.DTypeLike
    batch: int
    net: int

    def host(self, chunk_shape: Triple, *, blends: bool = True) -> int:
        """Peak bytes on the host, at most: of chunks that do not compress, made one after the other.

        Args:
            chunk_shape: shape of a chunk.
            blends: the net runs on the host, and patches are blended there.
        """
        working = self.working if blends else 4 * self._batch
        return self.expected(chunk_shape, 1.0, working, alone=False, blends=blends)

    def device(self, chunk_shape: Triple) -> int:
        """Peak bytes on a device: slab, finished planes, four batches, and the net."""
        return 2 * self._slab(chunk_shape, in_place=False) + 4 * self._batch + self.net

    def expected(self, chunk_shape: Triple, packed: float, working: int, *, alone: bool, blends: bool = True) -> int:
        """Peak bytes on the host, as voxels compress.

        They are the input, and its copy where patches reach beyond the volume; the output, and its compressed copy; if
        patches are blended on the host, the slab, and a copy of the planes that move up in it when others are finished;
        and what the net works with. A process that makes several chunks holds two inputs (the next one is read ahead)
        and two outputs, each with a compressed copy (the last one is being written).

        Args:
            chunk_shape: shape of a chunk.
            packed: bytes of a compressed voxel divided by those of a voxel.
            working: bytes that the net and its batches take on the host.
            alone: a process makes one chunk at a time, as for blocks of one chunk.
            blends: patches are blended on the host.
        """
        inside = triple(map(min, zip(chunk_shape, self.lattice.bounds.shape, strict=True)))
        written = math.prod(inside) * len(self.selection.kept) * np.dtype(self.dtype).itemsize
        seen, slab = math.prod(self.input_shape(chunk_shape)), self._slab(inside) if blends else 0
        moved = slab * self.lattice.overlap[0] / self.lattice.output_patch[0] if slab else 0
        held = working + slab + moved + (seen if any(self.lattice.crop) else 0)
        if alone:
            return round(held + seen + (1 + packed) * written)
        return round(held + 2 * seen + 2 * (1 + packed) * written)

    def fitting(
        self, host: int, device: int | None, inner_chunk: Triple, workers: int = 1, tasks: Callable[[Grid], int] = len
    ) -> Triple | None:
        """The chunk shape that costs least among those that fit.

        Args:
            host: bytes free on the host.
            device: bytes free on a device; None where the net is on the host.
            inner_chunk: the shape must be a multiple of it.
            workers: processes that share the chunks.
            tasks: the number of blocks in which a grid of chunks is handed out; default: each chunk alone.

        Returns:
            zyx, a multiple of the stride and of the inner chunk where such a multiple is at most the volume's side;
            None where nothing fits.
        """
        size = self.lattice.bounds.shape
        steps = [math.lcm(s, i) for s, i in zip(self.lattice.stride, inner_chunk, strict=True)]
        steps = [step if step <= side else i for step, side, i in zip(steps, size, inner_chunk, strict=True)]
        counts = [range(1, -(-side // step) + 1) for side, step in zip(size, steps, strict=True)]
        shapes = [
            triple(n * step for n, step in zip(count, steps, strict=True)) for count in product(*map(_few, counts))
        ]
        fits = [
            shape
            for shape in shapes
            if self.host(shape, blends=device is None) <= host and (device is None or self.device(shape) <= device)
        ]

        def cost(shape: Triple) -> tuple[float, int]:
            return self.span(shape, workers, tasks(Grid(self.lattice.bounds, shape))), math.prod(shape)

        return min(fits, key=cost, default=None)

    def computed(self, chunk_shape: Triple) -> int:
        """Patches that are computed for all chunks: one that meets several chunks counts in each."""
        return math.prod(axis.patches for axis in self._axes(chunk_shape))

    def patches(self, chunk_shape: Triple) -> Triple:
        """Most patches of a chunk along each axis."""
        return triple(axis.most for axis in self._axes(chunk_shape))

    def span(self, chunk_shape: Triple, workers: int, tasks: int) -> float:
        """Patches that the busiest of several processes computes at most; see `busiest`.

        Args:
            chunk_shape: shape of a chunk.
            workers: processes that share the chunks.
            tasks: number of blocks in which they are handed out.
        """
        computed = self.computed(chunk_shape)
        largest = max(math.prod(self.patches(chunk_shape)), computed / tasks)
        return busiest(computed, largest, workers)

    def input_shape(self, chunk_shape: Triple) -> Triple:
        """The largest box that is read for a chunk, zyx voxels."""
        return triple(axis.reach for axis in self._axes(chunk_shape))

    def halo(self, chunk_shape: Triple) -> Triple:
        """Most voxels that are read beyond a chunk on one side, zyx."""
        return triple(axis.halo for axis in self._axes(chunk_shape))

    def redundancy(self, chunk_shape: Triple) -> float:
        """Patches computed with this chunk shape, divided by those of the volume in one piece."""
        return self.computed(chunk_shape) / self.lattice.count(self.lattice.bounds)

    def _axes(self, chunk_shape: Triple) -> list[_Axis]:
        return [_axis(self.lattice, axis, side) for axis, side in enumerate(chunk_shape)]

    @property
    def working(self) -> int:
        """Bytes that the net and four batches take."""
        return self.net + 4 * self._batch

    @property
    def _batch(self) -> int:
        return self.batch * 4 * (1 + self.selection.returned) * math.prod(self.lattice.input_patch)

    def _slab(self, chunk_shape: Triple, *, in_place: bool = True) -> int:
        if in_place and np.dtype(self.dtype) == sum_type(self.lattice) and self.selection.myelin_threshold is None:
            return 0
        depth = min(chunk_shape[0], self.lattice.output_patch[0])
        return (
            np.dtype(sum_type(self.lattice)).itemsize
            * len(self.selection.blended)
            * depth
            * chunk_shape[1]
            * chunk_shape[2]
        )


def busiest(work: float, largest: float, workers: int) -> float:
    """Work of the busiest of several processes at most, if each takes the next chunk when it is free.

    This is Graham's bound for list scheduling: an equal share of all, and a part of the largest chunk.

    Args:
        work: of all chunks.
        largest: of the largest chunk.
        workers: processes that share the chunks.

    >>> busiest(100, 10, 1), busiest(100, 10, 4)
    (100.0, 32.5)
    """
    return work / workers + largest * (1 - 1 / workers)


@dataclass(frozen=True)
class _Axis:
    """What chunks of one side need along one axis.

    Args:
        patches: patches that meet a chunk, of all chunks.
        most: of one chunk.
        reach: voxels that the patches of a chunk read, at most.
        halo: voxels that are read beyond a chunk on one side, at most.
    """

    patches: int
    most: int
    reach: int
    halo: int


@functools.lru_cache(maxsize=1024)
def _axis(lattice: Lattice, axis: int, side: int) -> _Axis:
    bounds = lattice.bounds
    grid = Grid(bounds, triple(side if a == axis else bounds.shape[a] for a in range(3)))
    patches, most, reached, halo = 0, 0, 0, 0
    for index in _indices(grid, axis):
        chunk = _along(bounds, axis, grid.chunk(index))
        count, reach = lattice.count(chunk), lattice.reach(chunk)
        patches, most, reached = patches + count, max(most, count), max(reached, reach.shape[axis])
        halo = max(halo, chunk.start[axis] - reach.start[axis], reach.stop[axis] - chunk.stop[axis])
    return _Axis(patches, most, reached, halo)


def _indices(grid: Grid, axis: int) -> list[Triple]:
    """The chunks along one axis, at the start of the others."""
    return [triple(i if a == axis else 0 for a in range(3)) for i in range(grid.counts[axis])]


def _along(bounds: Bbox, axis: int, bbox: Bbox) -> Bbox:
    """A box reduced to one voxel, at the volume's start, on the other axes."""
    start = triple(bbox.start[a] if a == axis else bounds.start[a] for a in range(3))
    return Bbox(start, triple(bbox.stop[a] if a == axis else bounds.start[a] + 1 for a in range(3)))


def _few(counts: range) -> list[int]:
    """All counts if they are few; else a selection of them: 1, 2, 3, 4, 6, 8, 12, … and the last."""
    wanted = {base * 2**power for base in (1, 3) for power in range(24)} | {counts[-1]}
    return [count for count in counts if count in wanted] if len(counts) > 8 else list(counts)
