"""Scores of synaptic clefts by distances, as the CREMI challenge has them (cremi.org)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.operators.evaluation import UNLABELLED
from lchunk.operators.graph import Table

FAR = 200.0
"""Nanometres beyond which a voxel counts as false (CREMI)."""

POINTS = ("true_surface", "found_surface", "extra", "missed")


def cleft_points(truth: npt.NDArray[Any], found: npt.NDArray[Any], start: Triple) -> Table:
    """What the distances of a box follow from.

    Args:
        truth: (z, y, x) labels of true clefts; 0 and CREMI's last three numbers are none.
        found: (z, y, x) labels of clefts that were found, 0 is none.
        start: the box's first voxel.

    Returns:
        Columns of voxels (n, 3) zyx: true_surface and found_surface, of the clefts' outermost voxels; extra, found and
        not true; missed, true and not found; and counts, the voxels that are true and those that were found.

    Raises:
        ValueError: the shapes differ.
    """
    if truth.shape != found.shape:
        raise ValueError(f"truth and found must have one shape, got {truth.shape} and {found.shape}")
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

    Args:
        tables: of boxes that tile the volume.
        voxel_size: nanometres, zyx.

    Returns:
        `found_to_truth`: mean distance of a found voxel to the nearest true one, nm (CREMI's ADGT); `truth_to_found`:
        of a true voxel to the nearest that was found (ADF); `cremi_score`: the mean of both; None where nothing was
        found; `false_positives`, `false_negatives`: voxels farther than `FAR`; `true_voxels`, `found_voxels`.

    Raises:
        ValueError: there is no true cleft.
    """
    points = {name: np.concatenate([table[name] for table in tables]) * np.array(voxel_size) for name in POINTS}
    true, found = np.sum([table["counts"] for table in tables], axis=0).tolist()
    if not true:
        raise ValueError("ground truth must hold a cleft inside the bounds, got none; check its offset and voxel size")
    extra = _distances(points["extra"], points["true_surface"])
    missed = _distances(points["missed"], points["found_surface"])
    to_truth, to_found = (float(extra.sum() / found), float(missed.sum() / true)) if found else (None, None)
    return {
        "found_to_truth": to_truth,
        "truth_to_found": to_found,
        "cremi_score": None if to_truth is None or to_found is None else (to_truth + to_found) / 2,
        "false_positives": float((extra > FAR).sum()),
        "false_negatives": float((missed > FAR).sum()),
        "true_voxels": float(true),
        "found_voxels": float(found),
    }


def _surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Voxels with a neighbour that is none, or is outside the box."""
    around = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(around, step, axis)[1:-1, 1:-1, 1:-1]
    return mask & ~inner


def _distances(points: npt.NDArray[Any], to: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """From each point to the nearest of others; infinite where there is none."""
    if not len(to):
        return np.full(len(points), np.inf)
    from scipy.spatial import cKDTree  # noqa: PLC0415 - a fifth of a second, which every process would pay

    return np.asarray(cKDTree(to).query(points)[0], np.float64) if len(points) else np.empty(0)
