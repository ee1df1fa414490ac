"""Overlapping patches over a volume, anchored at its first voxel, and the weights that blend them.

    input patch   ├────────────────────┤
    output patch     ├──────────────┤          crop = (input - output) / 2
    the next one              ├──────────────┤ stride = output - overlap

The last patch of an axis ends where the volume ends. A box needs the patches that meet it, wherever it lies:
so every box of the volume gets the voxels that the whole would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Lattice:
    """Where the patches of a volume lie.

    Args:
        bounds: the volume.
        input_patch: voxels that the net sees, zyx.
        output_patch: voxels that it is trusted for, zyx; in the middle of the input patch.
        overlap: voxels that neighbouring output patches share, zyx.

    Raises:
        ValueError: the output patch does not fit in the middle of the input patch, or the overlap in the output patch.
    """

    bounds: Bbox
    input_patch: Triple
    output_patch: Triple
    overlap: Triple

    def __post_init__(self) -> None:
        for axis, outer, inner, shared in zip("zyx", self.input_patch, self.output_patch, self.overlap, strict=True):
            if not 0 < inner <= outer or (outer - inner) % 2:
                raise ValueError(
                    f"output_patch must be positive, at most input_patch, and an even number of voxels smaller, "
                    f"got {inner} of {outer} along {axis}"
                )
            if not 0 <= shared < inner:
                raise ValueError(
                    f"overlap must be at least 0 and less than output_patch, got {shared} of {inner} along {axis}"
                )

    @property
    def crop(self) -> Triple:
        """Voxels that an input patch loses on each side, zyx."""
        return triple((outer - inner) // 2 for outer, inner in zip(self.input_patch, self.output_patch, strict=True))

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """First voxels of the output patches along z, y and x, from the volume's first voxel."""
        return tuple(
            tuple(dict.fromkeys([*range(0, max(size - patch, 0), patch - shared), max(size - patch, 0)]))
            for size, patch, shared in zip(self.bounds.shape, self.output_patch, self.overlap, strict=True)
        )

    @cached_property
    def weights(self) -> tuple[Weights, ...]:
        """Weights along z, y and x, (patches, voxels of a patch); at each voxel they add up to 1."""
        return tuple(
            _normalised(starts, patch, size)
            for starts, patch, size in zip(self.starts, self.output_patch, self.bounds.shape, strict=True)
        )

    def meeting(self, bbox: Bbox) -> Iterator[tuple[Triple, Bbox]]:
        """Number (zyx) and output box of each patch that shares a voxel with a box, z-major."""
        axes = []
        for starts, patch, low, high, origin in zip(
            self.starts, self.output_patch, bbox.start, bbox.stop, self.bounds.start, strict=True
        ):
            axes.append([i for i, start in enumerate(starts) if start < high - origin and start + patch > low - origin])
        for number in product(*axes):
            start = (o + along[i] for o, along, i in zip(self.bounds.start, self.starts, number, strict=True))
            yield triple(number), Bbox.of(triple(start), self.output_patch)

    def reach(self, bbox: Bbox) -> Bbox:
        """The voxels that the patches meeting a box see."""
        boxes = [patch for _, patch in self.meeting(bbox)]
        return Bbox(boxes[0].start, boxes[-1].stop).grown(self.crop)


def bump(length: int) -> npt.NDArray[np.float64]:
    """Wu's bump along one axis, as a logarithm: -1 / (1 - u²), u from -1 to 1 over `length` voxels."""
    u = 2 * (np.arange(length) + 1) / (length + 1) - 1
    return np.asarray(-1 / (1 - u * u))


def _normalised(starts: tuple[int, ...], patch: int, size: int) -> Weights:
    """exp(bump) over the sum of all patches' there, by their logarithms in float64: no sum underflows."""
    logs = np.full((len(starts), max(size, starts[-1] + patch)), -np.inf)
    for number, start in enumerate(starts):
        logs[number, start : start + patch] = bump(patch)
    total = np.logaddexp.reduce(logs, axis=0)
    weights = [np.exp(logs[n, s : s + patch] - total[s : s + patch]) for n, s in enumerate(starts)]
    return np.stack(weights).astype(np.float32)
