"""Chooses chunk shapes, patches and mips that suit a volume and the memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.geometry.regions import blocks, most_long_blocks
from lchunk.operators.blending import Selection
from lchunk.operators.footprint import Footprint
from lchunk.operators.lattice import Lattice
from lchunk.tasks.downsample import MOST_MIPS, PASS_MIPS
from lchunk.volumes.volume import VoxelSize

INNER = 64
"""Voxels along an axis that a viewer reads at once."""
CHUNK_BYTES = 64 * 2**20
"""Most bytes of a chunk file of uint8 voxels."""
LABEL_BYTES = 40
"""Bytes that stages of labels hold per voxel of a chunk."""
PATCH = 128
SCREEN = 1024
"""Voxels along an axis of a volume that a viewer loads at once."""


@dataclass(frozen=True)
class Budget:
    """What a process may use.

    Args:
        memory: bytes of a chunk of inference on the host.
        device: bytes on the device that the net runs on; None if it runs on the host.
        workers: processes that share the chunks.
        max_blocks: most tasks that a scheduler or a queue gets for a stage.
    """

    memory: int
    device: int | None = None
    workers: int = 1
    max_blocks: int = 250

    def fitting(self, footprint: Footprint, inner_chunk: Triple) -> Triple | None:
        """The chunk shape of the net with the least work for the busiest process; None if none fits.

        Args:
            footprint: the net and its patches.
            inner_chunk: the shape is a multiple of it.
        """

        def tasks(grid: Grid) -> int:
            return len(blocks(grid, most_long_blocks(len(grid), self.max_blocks)))

        return footprint.fitting(self.memory, self.device, inner_chunk, self.workers, tasks)


@dataclass(frozen=True)
class Plan:
    """A layout; shapes are voxels zyx.

    Args:
        inner_chunk: voxels that a viewer reads at once; divides both chunk shapes.
        chunk_shape: shape of a chunk file.
        input_patch: voxels that the net sees.
        output_patch: voxels of its output that are used.
        overlap: voxels that neighbouring output patches share.
        inference_chunk: chunk shape of the net's stage, a multiple of the inner chunk that fits the memory.
        factor: factor between two mips.
        mips: number of coarser levels.
    """

    inner_chunk: Triple
    chunk_shape: Triple
    input_patch: Triple
    output_patch: Triple
    overlap: Triple
    inference_chunk: Triple
    factor: Triple
    mips: int


def plan(
    bounds: Bbox, voxel_size: VoxelSize, budget: Budget, patch: Triple | None = None, footprint: Footprint | None = None
) -> Plan:
    """A layout for a volume.

    Args:
        bounds: the volume.
        voxel_size: nanometres zyx.
        budget: the memory, and the processes that share the work.
        patch: voxels that the net sees; None: a usual patch that fits the volume.
        footprint: the net and its patches if they are known; takes precedence over `patch`.

    >>> plan(Bbox.of((0, 0, 0), (100, 1000, 1000)), (40, 4, 4), Budget(8 << 30)).chunk_shape
    (128, 512, 512)
    """
    sides = bounds.shape
    factor = triple(f if side > 1 else 1 for f, side in zip(mip_factor(voxel_size), sides, strict=True))
    inner = triple(min(INNER, _power_of_2(side)) for side in sides)
    most = min(CHUNK_BYTES, budget.memory // LABEL_BYTES)
    chunk = _grown(inner, sides, lambda shape: math.prod(shape) <= most and max(shape) <= 8 * INNER)
    if footprint is None:
        seen = patch or triple(min(_usual(f), side) for f, side in zip(factor, sides, strict=True))
        lattice = Lattice(bounds, seen, seen, usual_overlap(seen, sides), "wu")
        footprint = Footprint(lattice, Selection(3, (), None), "uint8", 1, 0)
    patches = footprint.lattice
    inference_chunk = budget.fitting(footprint, inner) or inner
    return Plan(
        inner, chunk, patches.input_patch, patches.output_patch, patches.overlap, inference_chunk, factor,
        mips_of(sides, chunk, factor),
    )  # fmt: skip


def usual_overlap(patch: Triple, sides: Triple) -> Triple:
    """A quarter of a patch; none along axes where one patch covers the volume.

    >>> usual_overlap((20, 256, 256), (100, 1000, 200))
    (5, 64, 0)
    """
    return triple(side // 4 if side < whole else 0 for side, whole in zip(patch, sides, strict=True))


def mip_factor(voxel_size: VoxelSize) -> Triple:
    """Halve the axes whose voxels are finer than twice the finest: coarser mips become isotropic.

    >>> mip_factor((40, 4, 4)), mip_factor((8, 8, 8)), mip_factor((10, 8, 8))
    ((1, 2, 2), (2, 2, 2), (2, 2, 2))
    """
    finest = min(voxel_size)
    return triple(2 if size < 2 * finest else 1 for size in voxel_size)


def mips_of(sides: Triple, chunk: Triple, factor: Triple) -> int:
    """The number of coarser levels until a volume fits on a screen, if the chunk shape allows passes of `PASS_MIPS`.

    >>> mips_of((1000, 100_000, 100_000), (64, 512, 512), (1, 2, 2)), mips_of((1, 3, 4), (1, 3, 4), (2, 2, 2))
    (7, 1)
    """
    divisible = 0
    while divisible < PASS_MIPS and all(c % f ** (divisible + 1) == 0 for c, f in zip(chunk, factor, strict=True)):
        divisible += 1
    most = MOST_MIPS if divisible == PASS_MIPS else max(divisible, 1)
    mips = 1
    while mips < most and any(f > 1 and side > SCREEN * f**mips for side, f in zip(sides, factor, strict=True)):
        mips += 1
    return mips


def _usual(factor: int) -> int:
    """The side of a usual patch; it is roughly as long in nanometres along coarse axes as along fine ones."""
    return PATCH if factor == 2 else 20


def _power_of_2(side: int) -> int:
    """The smallest power of 2 that reaches a side."""
    return 1 << max(0, (side - 1).bit_length())


def _grown(shape: Triple, sides: Triple, fits: Callable[[Triple], bool]) -> Triple:
    """Double the sides of a shape, the shortest first, while it fits and does not cover the volume."""
    while True:
        candidates = [
            triple(side * 2 if axis == grown else side for axis, side in enumerate(shape))
            for grown in sorted(range(3), key=lambda axis: shape[axis])
            if shape[grown] < sides[grown]
        ]
        fitting = [candidate for candidate in candidates if fits(candidate)]
        if not fitting:
            return shape
        shape = fitting[0]
