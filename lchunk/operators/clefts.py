"""Scores of synaptic clefts by distances, as the CREMI challenge defines them (cremi.org)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.operators.contingency import UNLABELLED
from lchunk.operators.exact_sums import sum_of
from lchunk.operators.graph import Table

FAR = 200.0
"""Nanometres beyond which a voxel counts as false (CREMI)."""

GRAIN = 2.0**-30
"""Nanometres to which distances are rounded, because rounding errors of float64 depend on the order of points."""

POINTS = ("true_surface", "found_surface", "extra", "missed")


def cleft_points(truth: npt.NDArray[Any], found: npt.NDArray[Any], start: Triple) -> Table:
    """The voxels of a box that the distances are computed from.

    Args:
        truth: (z, y, x) labels of true clefts; 0 and CREMI's last three numbers are background.
        found: (z, y, x) labels of the clefts that were found, 0 is background.
        start: the box's first voxel.

    Returns:
        Columns of voxels (n, 3) zyx: true_surface and found_surface, the clefts' outermost voxels; extra, found but
        not true; missed, true but not found; and counts, how many voxels are true and how many were found.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != found.shape:
        raise ValueError(f"truth and found must have the same shape, got {truth.shape} and {found.shape}")
    true = (truth > 0) & (truth.astype(np.uint64) < UNLABELLED)
    there = found > 0
    masks = (_surface(true), _surface(there), there & ~true, true & ~there)
    table: Table = {
        name: (np.argwhere(mask) + start).astype(np.int32) for name, mask in zip(POINTS, masks, strict=True)
    }
    return table | {"counts": np.array([true.sum(), there.sum()], np.int64)}


def cleft_scores(
    tables: Sequence[Mapping[str, npt.NDArray[Any]]], voxel_size: tuple[float, ...]
) -> dict[str, float | None]:
    """Distances between the clefts of a volume and those that were found.

    The result depends neither on the order of the tables nor on the boxes: distances are rounded to `GRAIN` and added
    as whole numbers.

    Args:
        tables: of boxes that tile the volume.
        voxel_size: nanometres, zyx.

    Returns:
        `found_to_truth`: mean distance of a found voxel to the nearest true one, nm (CREMI's ADGT); `truth_to_found`:
        of a true voxel to the nearest found one (ADF); `cremi_score`: the mean of both; all three None where nothing
        was found; `false_positives`, `false_negatives`: voxels farther than `FAR`; `true_voxels`, `found_voxels`.

    Raises:
        ValueError: there is no true cleft.
    """
    voxels = {name: np.concatenate([table[name] for table in tables]).astype(np.int64) for name in POINTS}
    true, found = (sum(int(table["counts"][column]) for table in tables) for column in (0, 1))
    if not true:
        raise ValueError("ground truth must hold a cleft inside the bounds, got none; check its offset and voxel size")
    # relative to the clefts' own corner: far from the origin, nanometres in float64 have fewer digits
    corner = np.min([np.min(points, axis=0) for points in voxels.values() if len(points)], axis=0)
    points = {name: (places - corner) * np.array(voxel_size) for name, places in voxels.items()}
    counts: dict[str, float | None] = {"true_voxels": true, "found_voxels": found}
    if not found:
        nothing = dict.fromkeys(("found_to_truth", "truth_to_found", "cremi_score"))
        return nothing | {"false_positives": 0, "false_negatives": true} | counts
    extra = _distances(points["extra"], points["true_surface"])
    missed = _distances(points["missed"], points["found_surface"])
    to_truth, to_found = sum_of(extra) * GRAIN / found, sum_of(missed) * GRAIN / true
    return {
        "found_to_truth": to_truth,
        "truth_to_found": to_found,
        "cremi_score": (to_truth + to_found) / 2,
        "false_positives": int((extra > FAR / GRAIN).sum()),
        "false_negatives": int((missed > FAR / GRAIN).sum()),
    } | counts


def _surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Voxels of a mask with a neighbour that is not in it, or is outside the box."""
    around = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(around, step, axis)[1:-1, 1:-1, 1:-1]
    return mask & ~inner


def _distances(points: npt.NDArray[Any], to: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Distance of each point to the nearest point of `to`, which is not empty, in units of `GRAIN`."""
    if not len(points):
        return np.empty(0, np.int64)
    from scipy.spatial import cKDTree  # noqa: PLC0415 - it takes a fifth of a second, in every process

    return np.rint(np.asarray(cKDTree(to).query(points)[0], np.float64) / GRAIN).astype(np.int64)
