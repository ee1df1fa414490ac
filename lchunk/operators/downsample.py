"""Coarser levels of a pyramid: the mean of images, the mode of labels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.operators.compiled import njit


def mean_levels(
    voxels: npt.NDArray[Any], factor: Triple, levels: int, *, sparse: bool = False
) -> Iterator[npt.NDArray[Any]]:
    """Coarser levels of an image, each from exact sums of the finest one, not from rounded means.

    Args:
        voxels: (..., z, y, x). A side that the factor does not divide is padded with its last plane.
        factor: zyx voxels of one level in one voxel of the next.
        levels: number of coarser levels.
        sparse: whether the mean is that of the voxels that are not 0; 0 where there are none.

    Yields:
        Levels 1 to `levels`, of the type of `voxels`; integers are truncated.

    >>> [level.tolist() for level in mean_levels(np.array([[[1, 2, 4, 8]]], np.uint8), (1, 1, 2), 2)]
    [[[[1, 6]]], [[[3]]]]
    >>> [level.tolist() for level in mean_levels(np.array([[[1, 0, 4, 8]]], np.uint8), (1, 1, 2), 2, sparse=True)]
    [[[[1, 6]]], [[[4]]]]
    """
    whole = voxels.dtype.kind in "ui"
    wide = np.uint64 if whole else np.float64
    sums: npt.NDArray[Any] = voxels.astype(wide)
    counts: Any = (voxels != 0).astype(wide) if sparse else wide(1)
    for _ in range(levels):
        sums = _added(_padded(sums, factor), factor)
        counts = _added(_padded(counts, factor), factor) if sparse else counts * wide(np.prod(factor))
        number = np.maximum(counts, wide(1)) if sparse else counts
        yield (sums // number if whole else sums / number).astype(voxels.dtype)


def _added(voxels: npt.NDArray[Any], factor: Triple) -> npt.NDArray[Any]:
    """The sums of boxes of `factor` voxels."""
    z, y, x = factor
    parts = [voxels[..., k::z, j::y, i::x] for k, j, i in product(range(z), range(y), range(x))]
    sums = parts[0].copy()
    for part in parts[1:]:
        sums += part
    return sums


def mode_levels(
    labels: npt.NDArray[Any], factor: Triple, levels: int, *, sparse: bool = False
) -> Iterator[npt.NDArray[Any]]:
    """Coarser levels of a segmentation: the label that most voxels have; 0 counts like any other label.

    In a tie, the label that reaches its count first (z-major) wins; where all voxels differ, the last one.
    For a factor of 1 2 2 this is tinybrain's rule.

    Args:
        labels: (z, y, x). A side that the factor does not divide is padded with its last plane.
        factor: zyx voxels of one level in one voxel of the next.
        levels: number of coarser levels.
        sparse: whether 0 does not count, unless all voxels are 0.

    >>> next(mode_levels(np.array([[[1, 2], [2, 1]]], np.uint64), (1, 2, 2), 1)).tolist()
    [[[2]]]
    >>> next(mode_levels(np.array([[[0, 0], [0, 1]]], np.uint64), (1, 2, 2), 1, sparse=True)).tolist()
    [[[1]]]
    """
    for _ in range(levels):
        labels = _modes(np.ascontiguousarray(_padded(labels, factor)), factor, sparse)
        yield labels


def _padded(voxels: npt.NDArray[Any], factor: Triple) -> npt.NDArray[Any]:
    more = [-side % f for side, f in zip(voxels.shape[-3:], factor, strict=True)]
    if not any(more):
        return voxels
    return np.pad(voxels, [(0, 0)] * (voxels.ndim - 3) + [(0, side) for side in more], mode="edge")


@njit
def _modes(labels: Any, factor: Any, sparse: Any) -> Any:
    depth, height, width = labels.shape
    fz, fy, fx = factor
    modes = np.empty((depth // fz, height // fy, width // fx), labels.dtype)
    box = np.empty(fz * fy * fx, labels.dtype)
    for z in range(modes.shape[0]):
        for y in range(modes.shape[1]):
            for x in range(modes.shape[2]):
                size = 0
                for k in range(fz):
                    for j in range(fy):
                        for i in range(fx):
                            label = labels[z * fz + k, y * fy + j, x * fx + i]
                            if label != 0 or not sparse:
                                box[size] = label
                                size += 1
                modes[z, y, x] = _mode(box[:size]) if size else 0
    return modes


@njit
def _mode(box: Any) -> Any:
    most = 1
    winner = box[-1]
    for place in range(1, box.size):
        count = 1
        for earlier in range(place):
            if box[earlier] == box[place]:
                count += 1
        if count > most:
            most = count
            winner = box[place]
    return winner
