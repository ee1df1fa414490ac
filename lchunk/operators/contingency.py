"""Sparse contingency tables: the voxels that each true body and each segment share. They add up over chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit
from lchunk.operators.graph import Table
from lchunk.operators.pair_hash import longer, mixed

COLUMNS = ("truth", "segment", "voxels")
UNLABELLED = np.uint64(2**64 - 3)
"""In CREMI's data, labels from this one on mean that the label is not known, or for clefts that there is none."""

BATCH_ROWS = 1 << 20
"""Rows that are gathered before they are added to others."""


def contingency(truth: npt.NDArray[Any], segmentation: npt.NDArray[Any]) -> Table:
    """Count the voxels that each pair of labels shares; voxels without a true label are not counted.

    Args:
        truth: (z, y, x) labels; 0, and the last three numbers of uint64 as in CREMI's data, mean "not labelled".
        segmentation: (z, y, x) labels; 0 is a label like any other.

    Returns:
        Columns truth, segment and voxels, one row per pair, ordered by truth, then segment. Tables of boxes that tile
        a volume add up to the table of the volume.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != segmentation.shape:
        raise ValueError(f"truth and segmentation must have the same shape, got {truth.shape} and {segmentation.shape}")
    pairs = (np.ascontiguousarray(labels, np.uint64).ravel() for labels in (truth, segmentation))
    rows, voxels = _count_pairs(*pairs)
    return added([{"truth": rows[:, 0], "segment": rows[:, 1], "voxels": voxels}])


def added(tables: Sequence[Mapping[str, npt.NDArray[Any]]]) -> Table:
    """Add up contingency tables: one row per pair, ordered by truth, then segment.

    Raises:
        ValueError: voxels are not whole numbers, or negative.

    >>> one = {"truth": np.array([1]), "segment": np.array([2]), "voxels": np.array([5])}
    >>> {name: column.tolist() for name, column in added([one, one]).items()}
    {'truth': [1], 'segment': [2], 'voxels': [10]}
    """
    for table in tables:
        _check_counts(table["voxels"])
    # converted before they are joined: numpy joins signed and unsigned numbers as floats, which round large labels
    truth, segment, voxels = (
        np.concatenate([np.asarray(table[name]).astype(np.uint64, copy=False) for table in tables]) for name in COLUMNS
    )
    if not voxels.all():
        truth, segment, voxels = (column[voxels > 0] for column in (truth, segment, voxels))
    if (truth[1:] < truth[:-1]).any() or ((truth[1:] == truth[:-1]) & (segment[1:] <= segment[:-1])).any():
        order = np.lexsort((segment, truth))
        truth, segment, voxels = truth[order], segment[order], voxels[order]
    first = _firsts((truth[1:] != truth[:-1]) | (segment[1:] != segment[:-1]), len(truth))
    if len(first) < len(truth):
        truth, segment, voxels = truth[first], segment[first], np.add.reduceat(voxels, first)
    return {"truth": truth, "segment": segment, "voxels": voxels.astype(np.int64, copy=False)}


def added_in_turn(tables: Iterable[Mapping[str, npt.NDArray[Any]]]) -> Table:
    """What `added` gives for a list, of tables that come one at a time and are never all in memory.

    At any time, memory holds the sum so far, and at most as many rows again, or `BATCH_ROWS` and one table.
    """
    total: Table | None = None
    waiting: list[Mapping[str, npt.NDArray[Any]]] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += len(table["voxels"])
        if rows >= max(BATCH_ROWS, 0 if total is None else len(total["voxels"])):
            total = added([*([] if total is None else [total]), *waiting])
            waiting, rows = [], 0
    return added([*([] if total is None else [total]), *waiting])


def _check_counts(voxels: npt.NDArray[Any]) -> None:
    voxels = np.asarray(voxels)
    if voxels.dtype.kind not in "ui":
        raise ValueError(f"voxels must be whole numbers, got {voxels.dtype}; convert the counts to int64")
    if voxels.size and voxels.min() < 0:
        raise ValueError(f"voxels must be at least 0 in every row, got {voxels.min()}; a count cannot be negative")


def _firsts(differs: npt.NDArray[np.bool_], rows: int) -> npt.NDArray[np.int64]:
    """The first row of a sorted column, and each row that differs from the row before it."""
    return np.flatnonzero(np.append(True, differs)[:rows])


@njit
def _count_pairs(truth: Any, segmentation: Any) -> Any:
    """Rows of truth and segment, in the order of their first voxels, and the voxels of each."""
    rows, voxels = np.empty((1 << 10, 2), np.uint64), np.zeros(1 << 10, np.int64)
    places = np.full(1 << 12, -1, np.int64)
    used = row = 0
    for voxel in range(truth.size):
        u, v = truth[voxel], segmentation[voxel]
        if u == 0 or u >= UNLABELLED:
            continue
        if used == 0 or rows[row, 0] != u or rows[row, 1] != v:
            place = _place(places, rows, u, v)
            if places[place] < 0:
                if used == len(rows):
                    rows, voxels = longer(rows), np.append(voxels, np.zeros_like(voxels))
                    places = np.full(4 * len(rows), -1, np.int64)
                    for old in range(used):
                        places[_place(places, rows, rows[old, 0], rows[old, 1])] = old
                    place = _place(places, rows, u, v)
                places[place] = used
                rows[used] = (u, v)
                used += 1
            row = places[place]
        voxels[row] += 1
    return rows[:used], voxels[:used]


@njit(inline=True)
def _place(places: Any, rows: Any, u: Any, v: Any) -> Any:
    """The place that holds the number of a pair's row, or the free place for it."""
    mask = np.uint64(len(places) - 1)
    place = mixed(mixed(u) + v) & mask
    while places[place] >= 0 and (rows[places[place], 0] != u or rows[places[place], 1] != v):
        place = (place + np.uint64(1)) & mask
    return place
