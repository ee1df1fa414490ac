"""Size, box and centre of mass of each segment, from parts of a volume whose sums add up exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BITS = 32
"""A sum of coordinates is stored as two numbers; the lower one has this many bits."""


@dataclass(frozen=True)
class SegmentSums:
    """Sums over the voxels of each segment, in a part of a volume.

    Args:
        labels: (n,) in ascending order, without 0.
        voxels: (n,) number of voxels.
        low: (n, 3) smallest z, y and x of its voxels.
        high: (n, 3) largest z, y and x of its voxels, plus 1.
        upper: (n, 3) sums of z, y and x over its voxels, divided by 2³² and rounded down.
        lower: (n, 3) remainders of these divisions. With two numbers per sum, no volume is large enough to overflow.
    """

    labels: npt.NDArray[np.uint64]
    voxels: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    lower: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def centre(self, place: int) -> tuple[float, float, float]:
        """The mean z, y and x of the voxels of the segment in row `place`, rounded once.

        >>> segment_sums(np.array([[[7, 7, 0, 7]]]), start=(-4, 0, 10)).centre(0)
        (-4.0, 0.0, 11.333333333333334)
        """
        voxels = int(self.voxels[place])
        sums = zip(self.upper[place].tolist(), self.lower[place].tolist(), strict=True)
        z, y, x = (((upper << _BITS) + lower) / voxels for upper, lower in sums)
        return z, y, x


def segment_sums(labels: npt.NDArray[Any], *, start: tuple[int, int, int]) -> SegmentSums:
    """Sum over the voxels of each label. The sums are computed from runs of equal labels along x.

    Args:
        labels: (z, y, x), 0 is background.
        start: position of the first voxel, zyx.

    >>> sums = segment_sums(np.array([[[5, 5, 0], [9, 5, 9]]]), start=(0, 10, 20))
    >>> sums.labels.tolist(), sums.voxels.tolist(), sums.low.tolist(), sums.high.tolist()
    ([5, 9], [3, 2], [[0, 10, 20], [0, 11, 20]], [[1, 12, 22], [1, 12, 23]])
    """
    begins = np.ones(labels.shape, bool)
    np.not_equal(labels[..., 1:], labels[..., :-1], out=begins[..., 1:])
    places = np.flatnonzero(begins)
    lengths = np.diff(places, append=labels.size)
    names = labels.ravel()[places]
    runs = names != 0
    voxels = lengths[runs]
    low = np.stack(np.unravel_index(places[runs], labels.shape), 1) + np.array(start, np.int64)
    high = low + 1
    high[:, 2] += voxels - 1
    sums = low * voxels[:, None]
    sums[:, 2] += voxels * (voxels - 1) // 2
    return _grouped(SegmentSums(names[runs].astype(np.uint64), voxels, low, high, np.zeros_like(sums), sums))


def merged(parts: Sequence[SegmentSums]) -> SegmentSums:
    """Add the sums of several parts of a volume.

    >>> part = segment_sums(np.array([[[5, 5, 0]]]), start=(0, 0, 0))
    >>> merged([part, segment_sums(np.array([[[3, 5]]]), start=(0, 0, 3))]).voxels.tolist()
    [1, 3]
    """
    columns = ([getattr(part, name) for part in parts] for name in SegmentSums.__dataclass_fields__)
    return _grouped(SegmentSums(*map(np.concatenate, columns)))


def _grouped(rows: SegmentSums) -> SegmentSums:
    """Combine all rows with the same label into one row."""
    order = np.argsort(rows.labels, kind="stable")
    labels = rows.labels[order]
    firsts = np.flatnonzero(np.diff(labels, prepend=labels[:1] + np.uint64(1)))
    if not firsts.size:
        return rows

    def reduced(how: np.ufunc, column: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = how.reduceat(column[order], firsts, axis=0)
        return found

    lower = reduced(np.add, rows.lower)
    upper = reduced(np.add, rows.upper) + (lower >> _BITS)
    return SegmentSums(
        labels[firsts], reduced(np.add, rows.voxels), reduced(np.minimum, rows.low), reduced(np.maximum, rows.high),
        upper, lower & (2**_BITS - 1),
    )  # fmt: skip
