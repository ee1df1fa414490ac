"""The memory that inference needs for a chunk, and the chunk shape that fits into memory."""

from __future__ import annotations

import math
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
        """Peak bytes on the host.

        They are two inputs (the next one is read ahead), two outputs (the last one is being written), the last output
        packed, twice, and four batches; and, if patches are blended on the host, the slab and the net.
        """
        written = math.prod(chunk_shape) * len(self.selection.kept) * np.dtype(self.dtype).itemsize
        held = 2 * self._reach(chunk_shape) + 4 * written + 4 * self._batch
        return held + (self.net + self._slab(chunk_shape) if blends else 0)

    def device(self, chunk_shape: Triple) -> int:
        """Peak bytes on a device: slab, finished planes, four batches, and the net."""
        return 2 * self._slab(chunk_shape, in_place=False) + 4 * self._batch + self.net

    def fitting(self, host: int, device: int | None, inner_chunk: Triple) -> Triple | None:
        """The chunk shape that costs least among those that fit.

        Args:
            host: bytes free on the host.
            device: bytes free on a device; None where the net is on the host.
            inner_chunk: the shape must be a multiple of it.

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
        return min(fits, key=lambda shape: (self.redundancy(shape), math.prod(shape)), default=None)

    def redundancy(self, chunk_shape: Triple) -> float:
        """Patches computed with this chunk shape, divided by those of the volume in one piece."""
        grid, bounds = Grid(self.lattice.bounds, chunk_shape), self.lattice.bounds
        per_axis = [
            sum(self.lattice.count(_along(bounds, axis, chunk)) for chunk in map(grid.chunk, _indices(grid, axis)))
            / self.lattice.count(_along(bounds, axis, bounds))
            for axis in range(3)
        ]
        return math.prod(per_axis)

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

    def _reach(self, chunk_shape: Triple) -> int:
        grid = Grid(self.lattice.bounds, chunk_shape)
        return math.prod(
            max(self.lattice.reach(grid.chunk(index)).shape[axis] for index in _indices(grid, axis))
            for axis in range(3)
        )


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
