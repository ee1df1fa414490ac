"""Labels of a box as steps: a voxel has the label of the voxel before it along x, y or z, or another one.

    labels    7 7 9        1 1 2      numbered in the order in which they first occur
              7 9 9   →    1 2 2      steps: another (new), x, another (new); y, another (2), x: two bits each

Fragments are many small objects, whose faces cost more than their numbers: steps take less than half of the bytes of
compressed labels, and less time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit
from lchunk.operators.graph import Table

OTHER, ALONG_X, ALONG_Y, ALONG_Z = range(4)
NEW, BACKGROUND, NEWEST = range(3)
"""Codes of the voxels whose step is `OTHER`: a number that is new, 0, or the newest number; larger: older numbers."""


class Steps(NamedTuple):
    """Labels as steps.

    Args:
        table: columns shape, steps (four voxels a byte) and others, the codes of other labels.
        numbers: by label, its number: from 1, in the order in which labels first occur; 0 for background.
        firsts: by number, the linear index of its first voxel; entry 0 is 0.
    """

    table: Table
    numbers: npt.NDArray[np.uint32]
    firsts: npt.NDArray[np.int64]


def to_steps(labels: npt.NDArray[np.uint32]) -> Steps:
    """The steps of labels.

    Args:
        labels: (z, y, x), 0 for background.

    >>> found = to_steps(np.array([[[7, 7, 9], [7, 9, 9]]], np.uint32))
    >>> found.table["steps"].tolist(), found.table["others"].tolist(), found.firsts.tolist()
    ([132, 4], [0, 0, 2], [0, 0, 2])
    >>> from_steps(found.table).tolist()
    [[[1, 1, 2], [1, 2, 2]]]
    """
    numbers = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
    steps = np.zeros(-(-labels.size // 4), np.uint8)
    others, firsts = _to_steps(labels, steps, numbers)
    return Steps({"shape": np.array(labels.shape), "steps": steps, "others": others}, numbers, firsts)


def from_steps(table: Table) -> npt.NDArray[np.uint32]:
    """The numbers of a box, (z, y, x), from its steps.

    Raises:
        ValueError: the columns do not belong together.
    """
    z, y, x = table["shape"].tolist()
    steps, others = table["steps"], table["others"]
    numbers = np.empty((z, y, x), np.uint32)
    if len(steps) != -(-numbers.size // 4) or not _from_steps(steps, others, numbers):
        raise ValueError("the steps of labels must fit their shape, but do not; remove the layer and run again")
    return numbers


@njit
def _to_steps(labels: Any, steps: Any, numbers: Any) -> Any:
    depth, height, width = labels.shape
    others, firsts = np.empty(labels.size, np.uint32), np.zeros(len(numbers), np.int64)
    voxel = used = 0
    newest = np.uint32(0)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label = labels[z, y, x]
                if x > 0 and labels[z, y, x - 1] == label:
                    step = ALONG_X
                elif y > 0 and labels[z, y - 1, x] == label:
                    step = ALONG_Y
                elif z > 0 and labels[z - 1, y, x] == label:
                    step = ALONG_Z
                else:
                    step = OTHER
                    if label == 0:
                        others[used] = BACKGROUND
                    elif numbers[label] == 0:
                        newest += np.uint32(1)
                        numbers[label], firsts[newest] = newest, voxel
                        others[used] = NEW
                    else:
                        others[used] = NEWEST + (newest - numbers[label])
                    used += 1
                steps[voxel >> 2] |= step << 2 * (voxel & 3)
                voxel += 1
    return others[:used].copy(), firsts[: newest + 1].copy()


@njit
def _from_steps(steps: Any, others: Any, numbers: Any) -> bool:
    """Fill in the numbers. Returns whether these are such steps."""
    flat = numbers.ravel()
    width = numbers.shape[2]
    away = np.array([0, 1, width, width * numbers.shape[1]])
    used = 0
    newest = np.int64(0)
    for voxel in range(flat.size):
        step = steps[voxel >> 2] >> 2 * (voxel & 3) & 3
        if step != OTHER:
            if voxel < away[step]:
                return False
            flat[voxel] = flat[voxel - away[step]]
            continue
        if used == len(others):
            return False
        code = np.int64(others[used])
        used += 1
        newest += code == NEW
        number = newest if code == NEW else np.int64(0) if code == BACKGROUND else newest - code + NEWEST
        if number < (code != BACKGROUND):
            return False
        flat[voxel] = number
    return used == len(others)
