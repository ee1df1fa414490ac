"""Scores of a segmentation against ground truth, from a contingency table or from sums over boxes.

The sums are whole numbers, and each score is rounded once. No score therefore depends on the order of rows or on the
boxes, and rounding never takes a score out of its range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.contingency_sums import MOST_LISTED, PairSums, Wholes
from lchunk.operators.exact_sums import FRACTION, bits_of, sum_of, sum_of_digits, sum_of_squares
from lchunk.operators.graph import Table

NO_FACES: Table = {"labels": np.empty(0, np.uint64), "faces": np.empty(0, np.uint8)}


def scores(table: Mapping[str, npt.NDArray[Any]]) -> dict[str, float]:
    """Rand and variation of information of a contingency table.

    With p the voxels that a pair shares, s those of a segment, t those of a true body and n all voxels: Rand split
    sum p² / sum t², Rand merge sum p² / sum s² (Arganda-Carreras et al. 2015, pairs with themselves counted, as
    waterz prints them); VOI split sum p/n log2(t/p) = (sum t log2 t - sum p log2 p) / n, VOI merge the same of s, bits
    (Meila 2007); adapted Rand error 1 - 2 (P - n) / ((T - n) + (S - n)) = (T + S - 2 P) / (T + S - 2 n) as
    scikit-image's, with P, T, S the sums of squares; CREMI score sqrt(VOI · adapted Rand error) (cremi.org).

    Args:
        table: columns truth, segment and voxels; rows in any order, of at most 2^63 - 1 voxels in all per label; or
            the columns of `PairSums`.

    Returns:
        `rand_split`, `rand_merge` and `adapted_rand_error` in [0, 1]; `voi_split`, `voi_merge` and `cremi_score` at
        least 0; `voxels`, a whole number. A perfect segmentation has exactly 1 for Rand and exactly 0 for the others.

    Raises:
        ValueError: the table is empty, or its voxels are not counts.
    """
    sums = _closed(table)
    bodies = sums.bodies
    if not len(bodies.labels):
        raise ValueError("ground truth must label a voxel inside the bounds, got none; check its offset and voxel size")
    total = sum_of(bodies.voxels)
    pairs, true_pairs, segment_pairs = sums.pair_squares, sum_of_squares(bodies.voxels), sums.segment_squares
    pair_bits = sum_of_digits(bodies.bits)
    split = (sum_of_digits(bits_of(bodies.voxels)) - pair_bits) / (total << FRACTION)
    merge = (sums.segment_bits - pair_bits) / (total << FRACTION)
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
        table: as for `scores`.
        most: largest number of entries of each list, at most `MOST_LISTED`.

    Returns:
        `splits`: truth, voi (bits), parts (segments of it), largest (the segment that has most of it);
        `merges`: segment, voi, parts (bodies in it), largest (the body that has most of it). Largest share first,
        equal shares by label; of equal parts the smallest label is the largest part.

    Raises:
        ValueError: `most` is negative or too large.
    """
    if not 0 <= most <= MOST_LISTED:
        raise ValueError(f"most must be from 0 to {MOST_LISTED}, got {most}; sums do not remember more segments")
    sums = _closed(table)
    total = sum_of(sums.bodies.voxels)
    return {
        "splits": _listed("truth", sums.bodies, most, total),
        "merges": _listed("segment", sums.merges, most, total),
    }


def _closed(table: Mapping[str, npt.NDArray[Any]]) -> PairSums:
    """The sums over all pairs, also those of segments at faces."""
    return PairSums.of_table({**table, **NO_FACES}).closed()


def _listed(name: str, wholes: Wholes, most: int, total: int) -> list[dict[str, float]]:
    found = wholes.worst(most)
    bits = found.open_bits()
    return [
        {
            name: int(found.labels[row]),
            "voi": sum_of_digits(bits[row : row + 1]) / (total << FRACTION),
            "parts": int(found.parts[row]),
            "largest": int(found.largest[row]),
        }
        for row in range(len(found.labels))
    ]
