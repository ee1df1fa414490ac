"""Overlapping patches over a volume, anchored at its first voxel, and the weights that blend them.

    input patch   ├────────────────────┤
    output patch     ├──────────────┤          crop = (input - output) / 2
    the next one              ├──────────────┤ stride = output - overlap

The last patch of an axis ends where the volume ends. A box is computed from all patches that meet it, so every
box gets the same voxels as the whole volume.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple

Weights = npt.NDArray[np.float32]
Logs = npt.NDArray[np.float64]


def _wu(length: int) -> Logs:
    """-1 / (1 - u²), u from -1 to 1: the bump function (chunkflow's rule, without its rescaling to 1 … 1e6)."""
    u = 2 * (np.arange(length) + 1) / (length + 1) - 1
    return np.asarray(-1 / (1 - u * u))


def _zung(length: int) -> Logs:
    """-(c (1 - c))^-1.5, c from 0 to 1: DeepEM's form; as low as -4131 at 256 voxels."""
    c = (np.arange(length) + 1) / (length + 1)
    return np.asarray(-((c * (1 - c)) ** -1.5))


BUMPS: dict[str, Callable[[int], Logs]] = {"wu": _wu, "zung": _zung, "constant": np.zeros}
"""Weights of a patch's voxels along one axis, as logarithms; those of the three axes are multiplied."""


@dataclass(frozen=True)
class Lattice:
    """Where the patches of a volume lie.

    Args:
        bounds: the volume.
        input_patch: voxels that the net sees, zyx.
        output_patch: voxels of its output that are used, zyx; in the middle of the input patch.
        overlap: voxels that neighbouring output patches share, zyx.
        bump: how a patch's voxels are weighted: "wu", "zung" or "constant".

    Raises:
        ValueError: the output patch does not fit in the middle of the input patch, or the overlap in the output
            patch; or the bump is unknown.
    """

    bounds: Bbox
    input_patch: Triple
    output_patch: Triple
    overlap: Triple
    bump: str = "wu"

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
        if self.bump not in BUMPS:
            raise ValueError(f"bump must be one of {', '.join(BUMPS)}, got {self.bump!r}")

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
            _normalised(starts, BUMPS[self.bump](patch), size)
            for starts, patch, size in zip(self.starts, self.output_patch, self.bounds.shape, strict=True)
        )

    @property
    def stride(self) -> Triple:
        """Voxels from one patch to the next."""
        return triple(patch - shared for patch, shared in zip(self.output_patch, self.overlap, strict=True))

    @cached_property
    def deepest(self) -> int:
        """Most patches that share a voxel."""
        most = 1
        for starts, patch in zip(self.starts, self.output_patch, strict=True):
            most *= max(i + 1 - bisect.bisect_right(starts, start - patch) for i, start in enumerate(starts))
        return most

    def meeting(self, bbox: Bbox) -> Iterator[tuple[Triple, Bbox]]:
        """Number (zyx) and output box of each patch that shares a voxel with a box, z-major."""
        for number in product(*self._ranges(bbox)):
            yield triple(number), self.patch(triple(number))

    def patch(self, number: Triple) -> Bbox:
        """Output box of a patch."""
        starts = zip(self.bounds.start, self.starts, number, strict=True)
        return Bbox.of(triple(origin + along[i] for origin, along, i in starts), self.output_patch)

    def count(self, bbox: Bbox) -> int:
        """How many patches meet a box."""
        z, y, x = map(len, self._ranges(bbox))
        return z * y * x

    def reach(self, bbox: Bbox) -> Bbox:
        """The box of all voxels that the patches meeting a box read."""
        z, y, x = self._ranges(bbox)
        first, last = self.patch((z[0], y[0], x[0])), self.patch((z[-1], y[-1], x[-1]))
        return Bbox(first.start, last.stop).grown(self.crop)

    def _ranges(self, bbox: Bbox) -> list[range]:
        """For each axis, the numbers of the patches that meet a box."""
        ranges = []
        for starts, patch, low, high, origin in zip(
            self.starts, self.output_patch, bbox.start, bbox.stop, self.bounds.start, strict=True
        ):
            first = bisect.bisect_right(starts, low - origin - patch)
            ranges.append(range(first, bisect.bisect_left(starts, high - origin)))
        return ranges


def _normalised(starts: tuple[int, ...], logs: Logs, size: int) -> Weights:
    """exp(bump) over the sum of all patches, computed from logarithms in float64, so that no sum underflows."""
    patch = len(logs)
    total = np.full(max(size, starts[-1] + patch), -np.inf)
    for start in starts:
        total[start : start + patch] = np.logaddexp(total[start : start + patch], logs)
    return np.stack([np.exp(logs - total[start : start + patch]) for start in starts]).astype(np.float32)
