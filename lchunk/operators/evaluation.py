"""Scores of a segmentation against ground truth, from a sparse contingency table that adds up over chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit
from lchunk.operators.graph import Table
from lchunk.operators.pair_hash import longer, mixed

COLUMNS = ("truth", "segment", "voxels")
UNLABELLED = np.uint64(2**64 - 3)
"""CREMI's labels from here on say that nothing is known, or of clefts that there is none."""


def contingency(truth: npt.NDArray[Any], segmentation: npt.NDArray[Any]) -> Table:
    """Voxels that each pair of labels shares; those whose truth is not labelled do not count.

    Args:
        truth: (z, y, x) labels; 0, and the last three numbers of uint64 as CREMI has it, are not labelled.
        segmentation: (z, y, x) labels, 0 is a label as any other.

    Returns:
        Columns truth, segment and voxels, a row a pair, ordered by truth, then segment. Tables of boxes that tile a
        volume add up to the table of the volume.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != segmentation.shape:
        raise ValueError(f"truth and segmentation must have one shape, got {truth.shape} and {segmentation.shape}")
    pairs = (np.ascontiguousarray(labels, np.uint64).ravel() for labels in (truth, segmentation))
    rows, voxels = _count_pairs(*pairs)
    return added([{"truth": rows[:, 0], "segment": rows[:, 1], "voxels": voxels}])


def added(tables: Sequence[Mapping[str, npt.NDArray[Any]]]) -> Table:
    """Contingency tables added up: a row a pair.

    >>> one = {"truth": np.array([1]), "segment": np.array([2]), "voxels": np.array([5])}
    >>> {name: column.tolist() for name, column in added([one, one]).items()}
    {'truth': [1], 'segment': [2], 'voxels': [10]}
    """
    truth, segment, voxels = (np.concatenate([table[name] for table in tables]) for name in COLUMNS)
    order = np.lexsort((segment, truth))
    truth, segment = truth[order], segment[order]
    first = np.flatnonzero(np.append(True, (truth[1:] != truth[:-1]) | (segment[1:] != segment[:-1]))[: len(truth)])
    total = np.add.reduceat(voxels[order], first) if len(first) else voxels
    return {"truth": truth[first], "segment": segment[first], "voxels": total}


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
    """Where the number of a pair's row is, or belongs."""
    mask = np.uint64(len(places) - 1)
    place = mixed(mixed(u) + v) & mask
    while places[place] >= 0 and (rows[places[place], 0] != u or rows[places[place], 1] != v):
        place = (place + np.uint64(1)) & mask
    return place


def scores(table: Table) -> dict[str, float]:
    """Rand and variation of information of a contingency table.

    With p the voxels that a pair shares, s those of a segment and t those of a true body: Rand split
    sum p² / sum t², Rand merge sum p² / sum s² (Arganda-Carreras et al. 2015, pairs with themselves counted, as
    waterz prints them); VOI split H(s, t) - H(t), VOI merge H(s, t) - H(s), bits (Meila 2007); adapted Rand
    error 1 - 2 (P - n) / ((T - n) + (S - n)) as scikit-image's, with P, T, S those sums and n the voxels; CREMI
    score sqrt(VOI · adapted Rand error) (cremi.org).

    Returns:
        `rand_split`, `rand_merge`, `voi_split`, `voi_merge`, `adapted_rand_error`, `cremi_score`, `voxels`.

    Raises:
        ValueError: the table is empty.
    """
    shared = table["voxels"].astype(np.float64)
    if not len(shared):
        raise ValueError("ground truth must label a voxel inside the bounds, got none; check its offset and voxel size")
    total = shared.sum()
    true, segment = _totals(table["truth"], shared), _totals(table["segment"], shared)
    pairs, true_pairs, segment_pairs = (float((n * n).sum()) for n in (shared, true, segment))
    split = _entropy(shared, total) - _entropy(true, total)
    merge = _entropy(shared, total) - _entropy(segment, total)
    both = (true_pairs - total) + (segment_pairs - total)
    error = 1 - 2 * (pairs - total) / both if both else 0.0
    return {
        "rand_split": pairs / true_pairs,
        "rand_merge": pairs / segment_pairs,
        "voi_split": split,
        "voi_merge": merge,
        "adapted_rand_error": error,
        "cremi_score": float(np.sqrt((split + merge) * error)),
        "voxels": float(total),
    }


def worst(table: Table, most: int = 10) -> dict[str, list[dict[str, float]]]:
    """Where to look: the true bodies that are split worst, and the segments that merge worst.

    A body's share of VOI split is what the segments of its voxels leave open, weighed by its voxels; the shares of all
    bodies add up to VOI split, those of all segments to VOI merge.

    Args:
        table: a contingency table.
        most: entries of each list.

    Returns:
        `splits`: truth, voi (bits), parts (segments of it), largest (the segment that has most of it);
        `merges`: segment, voi, parts (bodies in it), largest (the body that has most of it). Largest share first.
    """
    shared = table["voxels"].astype(np.float64)
    return {
        "splits": _worst("truth", table["truth"], table["segment"], shared, most),
        "merges": _worst("segment", table["segment"], table["truth"], shared, most),
    }


def _worst(
    name: str, labels: npt.NDArray[Any], parts: npt.NDArray[Any], shared: npt.NDArray[np.float64], most: int
) -> list[dict[str, float]]:
    known, place = np.unique(labels, return_inverse=True)
    whole = np.bincount(place, shared)
    bits = np.bincount(place, -shared * np.log2(shared / whole[place])) / shared.sum()
    pieces = np.bincount(place)
    rows: list[dict[str, float]] = []
    for row in np.argsort(-bits, kind="stable")[:most]:
        if bits[row] <= 0:
            break
        own = place == row
        largest = parts[own][np.argmax(shared[own])]
        rows.append(
            {name: int(known[row]), "voi": float(bits[row]), "parts": int(pieces[row]), "largest": int(largest)}
        )
    return rows


def _totals(labels: npt.NDArray[Any], voxels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.bincount(np.unique(labels, return_inverse=True)[1], voxels).astype(np.float64)


def _entropy(voxels: npt.NDArray[np.float64], total: float) -> float:
    share = voxels / total
    return max(0.0, float(-(share * np.log2(share)).sum()))
