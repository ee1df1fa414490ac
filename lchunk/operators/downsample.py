"""Coarser levels of a pyramid: the mean of images, the mode of labels."""

from __future__ import annotations

from collections.abc import Iterator
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
    number: Any = int(np.prod(factor))
    sums = voxels
    counts: Any = (voxels != 0).astype(np.uint8) if sparse else 1
    for level in range(1, levels + 1):
        wide: Any = _type_of_sums(voxels.dtype, number**level)
        sums = _added(_padded(sums, factor), factor, wide)
        counts = _added(_padded(counts, factor), factor, wide) if sparse else counts * number
        divisor = np.maximum(counts, wide.type(1)) if sparse else wide.type(counts)
        yield (sums // divisor if whole else sums / divisor).astype(voxels.dtype)


def _type_of_sums(dtype: np.dtype[Any], number: int) -> np.dtype[Any]:
    """The smallest type that holds a sum of voxels, and their number."""
    if dtype.kind == "u":
        return np.min_scalar_type(min(np.iinfo(dtype).max * number, 2**64 - 1))
    return np.dtype(np.int64 if dtype.kind == "i" else np.float64)


def _added(voxels: npt.NDArray[Any], factor: Triple, wide: np.dtype[Any]) -> npt.NDArray[Any]:
    """The sums of boxes of `factor` voxels, which divides each side."""
    flat = np.ascontiguousarray(voxels).reshape(-1, *voxels.shape[-3:])
    sides = [side // f for side, f in zip(voxels.shape[-3:], factor, strict=True)]
    sums = np.zeros((len(flat), *sides), wide)
    for channel, own in zip(flat, sums, strict=True):
        _add_boxes(channel, own, factor)
    return sums.reshape(*voxels.shape[:-3], *sides)


@njit
def _add_boxes(voxels: Any, sums: Any, factor: Any) -> None:
    fz, fy, fx = factor
    for z in range(voxels.shape[0]):
        for y in range(voxels.shape[1]):
            line = voxels[z, y]
            row = sums[z // fz, y // fy]
            if fx == 1:
                for x in range(row.size):
                    row[x] += line[x]
            elif fx == 2:  # which the compiler turns into vectors
                for x in range(row.size):
                    row[x] += line[2 * x] + line[2 * x + 1]
            else:
                for x in range(row.size):
                    for i in range(fx):
                        row[x] += line[x * fx + i]


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
        padded = np.ascontiguousarray(_padded(labels, factor))
        labels = _modes_of_four(padded) if factor == (1, 2, 2) and not sparse else _modes(padded, factor, sparse)
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
                if _is_uniform(labels, z * fz, y * fy, x * fx, factor):
                    modes[z, y, x] = labels[z * fz, y * fy, x * fx]
                    continue
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
def _modes_of_four(labels: Any) -> Any:
    """What `_modes` gives for a factor of 1 2 2, in a loop that the compiler turns into vectors."""
    depth, height, width = labels.shape
    modes = np.empty((depth, height // 2, width // 2), labels.dtype)
    for z in range(depth):
        for y in range(height // 2):
            upper, lower, row = labels[z, 2 * y], labels[z, 2 * y + 1], modes[z, y]
            for x in range(row.size):
                a, b, c, d = upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]
                row[x] = a if (a == b) | (a == c) else (b if b == c else d)
    return modes


@njit
def _is_uniform(labels: Any, z: Any, y: Any, x: Any, factor: Any) -> Any:
    """Whether a box has one label, as most boxes have."""
    first = labels[z, y, x]
    differs = False
    for k in range(factor[0]):
        for j in range(factor[1]):
            for i in range(factor[2]):
                differs |= labels[z + k, y + j, x + i] != first
    return not differs


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
