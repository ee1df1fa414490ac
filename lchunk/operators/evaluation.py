"""Scores of a segmentation against ground truth, from a sparse contingency table that adds up over chunks.

Counts are added as whole numbers of any size, and fractions are added in the order of the labels. No score therefore
depends on the order of rows or chunks, and rounding never takes a score out of its range.
"""

from __future__ import annotations

import math
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
HALF = np.uint64(32)
LOW = np.uint64(2**32 - 1)
"""Half the number of bits of a uint64, and the mask of the lower half."""


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
        np.concatenate([np.asarray(table[name]).astype(np.uint64) for table in tables]) for name in COLUMNS
    )
    if not voxels.all():
        truth, segment, voxels = (column[voxels > 0] for column in (truth, segment, voxels))
    if (truth[1:] < truth[:-1]).any() or ((truth[1:] == truth[:-1]) & (segment[1:] <= segment[:-1])).any():
        order = np.lexsort((segment, truth))
        truth, segment, voxels = truth[order], segment[order], voxels[order]
    first = _firsts((truth[1:] != truth[:-1]) | (segment[1:] != segment[:-1]), len(truth))
    total = np.add.reduceat(voxels, first) if len(first) else voxels
    return {"truth": truth[first], "segment": segment[first], "voxels": total.astype(np.int64)}


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


def scores(table: Mapping[str, npt.NDArray[Any]]) -> dict[str, float]:
    """Rand and variation of information of a contingency table.

    With p the voxels that a pair shares, s those of a segment, t those of a true body and n all voxels: Rand split
    sum p² / sum t², Rand merge sum p² / sum s² (Arganda-Carreras et al. 2015, pairs with themselves counted, as
    waterz prints them); VOI split sum p/n log2(t/p), VOI merge sum p/n log2(s/p), bits (Meila 2007); adapted Rand
    error 1 - 2 (P - n) / ((T - n) + (S - n)) = (T + S - 2 P) / (T + S - 2 n) as scikit-image's, with P, T, S the sums
    of squares; CREMI score sqrt(VOI · adapted Rand error) (cremi.org).

    Args:
        table: columns truth, segment and voxels; rows in any order, of at most 2^63 - 1 voxels in all per label.

    Returns:
        `rand_split`, `rand_merge` and `adapted_rand_error` in [0, 1]; `voi_split`, `voi_merge` and `cremi_score` at
        least 0; `voxels`, a whole number. A perfect segmentation has exactly 1 for Rand and exactly 0 for the others.

    Raises:
        ValueError: the table is empty, or its voxels are not counts.
    """
    table = added([table])
    shared = table["voxels"]
    if not len(shared):
        raise ValueError("ground truth must label a voxel inside the bounds, got none; check its offset and voxel size")
    total = sum_of(shared)
    (true, of_true), (segment, of_segment) = (_by_label(table[name], shared) for name in ("truth", "segment"))
    pairs, true_pairs, segment_pairs = map(sum_of_squares, (shared, true, segment))
    split, merge = (float(_open_bits(shared, whole).sum()) / total for whole in (true[of_true], segment[of_segment]))
    both = true_pairs + segment_pairs - 2 * total
    error = (true_pairs + segment_pairs - 2 * pairs) / both if both else 0.0
    return {
        "rand_split": pairs / true_pairs,
        "rand_merge": pairs / segment_pairs,
        "voi_split": split,
        "voi_merge": merge,
        "adapted_rand_error": error,
        "cremi_score": math.sqrt((split + merge) * error),
        "voxels": total,
    }


def worst(table: Mapping[str, npt.NDArray[Any]], most: int = 10) -> dict[str, list[dict[str, float]]]:
    """The largest errors: the true bodies that are split worst, and the segments that merge worst.

    A body's share of VOI split is the entropy of the segments of its voxels, weighted by its voxels. The shares of all
    bodies add up to VOI split, and those of all segments to VOI merge.

    Args:
        table: a contingency table.
        most: largest number of entries of each list.

    Returns:
        `splits`: truth, voi (bits), parts (segments of it), largest (the segment that has most of it);
        `merges`: segment, voi, parts (bodies in it), largest (the body that has most of it). Largest share first,
        equal shares by label; of equal parts the smallest label is the largest part.
    """
    table = added([table])
    return {
        "splits": _worst("truth", table["truth"], table["segment"], table["voxels"], most),
        "merges": _worst("segment", table["segment"], table["truth"], table["voxels"], most),
    }


def _worst(
    name: str, labels: npt.NDArray[Any], parts: npt.NDArray[Any], shared: npt.NDArray[Any], most: int
) -> list[dict[str, float]]:
    if (labels[1:] < labels[:-1]).any():
        order = np.argsort(labels, kind="stable")  # keeps the order of the parts
        labels, parts, shared = labels[order], parts[order], shared[order]
    whole, place = _by_label(labels, shared)
    bits = np.bincount(place, _open_bits(shared, whole[place]))
    pieces = np.bincount(place)
    total = sum_of(shared)
    rows: list[dict[str, float]] = []
    for row in np.argsort(-bits, kind="stable")[:most]:
        if bits[row] <= 0:
            break
        own = slice(*np.searchsorted(place, (row, row + 1)))
        rows.append(
            {
                name: int(labels[own][0]),
                "voi": float(bits[row]) / total,
                "parts": int(pieces[row]),
                "largest": int(parts[own][np.argmax(shared[own])]),
            }
        )
    return rows


def _by_label(
    labels: npt.NDArray[Any], voxels: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The voxels of each label, in the order of the labels; and for each row, the place of its label in that order."""
    if (labels[1:] < labels[:-1]).any():
        order = np.argsort(labels)
        whole, ordered = _by_label(labels[order], voxels[order])
        place = np.empty_like(ordered)
        place[order] = ordered
        return whole, place
    differs = labels[1:] != labels[:-1]
    whole = np.add.reduceat(voxels, _firsts(differs, len(labels)))
    return whole, np.cumsum(np.append(False, differs))


def _open_bits(shared: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Bits that the whole leaves open about the part of a voxel, times the voxels of the part; never below 0."""
    bits: npt.NDArray[np.float64] = shared * np.log1p((whole - shared) / shared) / math.log(2)
    return bits


def sum_of(counts: npt.NDArray[Any]) -> int:
    """The exact sum of counts that are each below 2^64; the sum itself may be larger.

    >>> sum_of(np.array([2**63, 2**63, 5], np.uint64)) == 2**64 + 5
    True
    """
    numbers = counts.astype(np.uint64, copy=False)
    return (int((numbers >> HALF).sum()) << 32) + int((numbers & LOW).sum())


def sum_of_squares(counts: npt.NDArray[Any]) -> int:
    """The exact sum of the squares of counts that are each below 2^64.

    >>> sum_of_squares(np.array([10**15, 3])) == 10**30 + 9
    True
    """
    numbers = counts.astype(np.uint64, copy=False)
    high, low = numbers >> HALF, numbers & LOW
    return (sum_of(high * high) << 64) + (sum_of(high * low) << 33) + sum_of(low * low)
