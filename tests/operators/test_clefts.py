"""Cleft distances: against the distance transform of the whole volume."""

import json

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.clefts import cleft_points, cleft_scores

SHAPE = (12, 40, 50)
VOXEL_SIZE = (40.0, 4.0, 4.0)
BEYOND = 2**64 - 1


def two_volumes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True clefts over CREMI's number for "no cleft", and the clefts found: some of them, moved, and one too many."""
    rng = np.random.default_rng(seed)
    truth, found = np.full(SHAPE, BEYOND, np.uint64), np.zeros(SHAPE, np.uint64)
    for label in range(1, 7):
        z, y, x = (int(rng.integers(0, side - extent)) for side, extent in zip(SHAPE, (3, 9, 12), strict=True))
        truth[z : z + 2, y : y + 6, x : x + 9] = label
        if label > 1:
            found[z : z + 3, y + 2 : y + 9, x + 1 : x + 12] = label
    found[0, :3, :3] = 99
    return truth, found


@pytest.mark.parametrize("grid", [SHAPE, (5, 17, 50), (4, 4, 7)])
@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_the_distance_transform(seed: int, grid: tuple[int, int, int]) -> None:
    truth, found = two_volumes(seed)
    chunks = Grid(Bbox((0, 0, 0), SHAPE), grid)
    parts = [cleft_points(truth[c.slices()], found[c.slices()], c.start) for c in map(chunks.chunk, chunks)]
    scores = cleft_scores(parts, VOXEL_SIZE)
    true, there = truth != BEYOND, found > 0
    to_truth = distance_transform_edt(~true, sampling=VOXEL_SIZE)[there]
    to_found = distance_transform_edt(~there, sampling=VOXEL_SIZE)[true]
    assert scores["found_to_truth"] == pytest.approx(to_truth.mean(), abs=1e-9)
    assert scores["truth_to_found"] == pytest.approx(to_found.mean(), abs=1e-9)
    assert scores["cremi_score"] == pytest.approx((to_truth.mean() + to_found.mean()) / 2, abs=1e-9)
    assert scores["false_positives"] == (to_truth > 200).sum()
    assert scores["false_negatives"] == (to_found > 200).sum()
    assert (scores["true_voxels"], scores["found_voxels"]) == (true.sum(), there.sum())


def test_nothing_found_has_no_distance_and_misses_everything() -> None:
    truth, found = two_volumes(0)
    scores = cleft_scores([cleft_points(truth, found * 0, (0, 0, 0))], VOXEL_SIZE)
    assert scores["cremi_score"] is None
    assert scores["false_negatives"] == scores["true_voxels"] > 0
    assert scores["false_positives"] == scores["found_voxels"] == 0


def test_no_number_depends_on_the_grid_or_on_the_order_of_chunks() -> None:
    """Voxel sizes whose distances float64 cannot hold, far from the origin."""
    truth, found = two_volumes(1)
    start, size = (7, 10**6, -(10**6)), (10 / 3, 4.1, 4.1)
    results = []
    for grid in (SHAPE, (5, 17, 50), (4, 4, 7), (1, 40, 3)):
        chunks = Grid(Bbox.of(start, SHAPE), grid)
        parts = [
            cleft_points(truth[c.slices(start)], found[c.slices(start)], c.start) for c in map(chunks.chunk, chunks)
        ]
        results += [cleft_scores(parts, size), cleft_scores(parts[::-1], size)]
        results.append(cleft_scores(parts[1::2] + parts[::2], size))
    assert all(result == results[0] for result in results)
    near = cleft_scores([cleft_points(truth, found, (0, 0, 0))], size)
    assert results[0] == near


def test_a_distance_of_exactly_the_limit_is_not_beyond_it() -> None:
    truth, found = (np.zeros((1, 1, 70), np.uint64) for _ in range(2))
    truth[0, 0, 0] = found[0, 0, 60] = 1  # 60 voxels of 10/3 nm are 200 nm, and more in float64
    limit = cleft_scores([cleft_points(truth, found, (0, 0, 0))], (10 / 3, 10 / 3, 200 / 60 * (1 + 1e-15)))
    assert limit["found_to_truth"] == 200
    assert limit["false_positives"] == limit["false_negatives"] == 0


@pytest.mark.parametrize("kind", ["nothing found", "all found", "all wrong"])
def test_every_result_is_strict_json(kind: str) -> None:
    truth, found = two_volumes(0)
    found = {"nothing found": found * 0, "all found": (truth != BEYOND), "all wrong": (truth == BEYOND)}[kind]
    scores = cleft_scores([cleft_points(truth, found, (0, 0, 0))], VOXEL_SIZE)
    assert "-" not in json.dumps(scores, allow_nan=False)
    assert (scores["cremi_score"] == 0) == (kind == "all found")
    assert (scores["cremi_score"] is None) == (kind == "nothing found")


def test_no_true_cleft_is_an_error() -> None:
    truth, found = two_volumes(0)
    with pytest.raises(ValueError, match="must hold a cleft"):
        cleft_scores([cleft_points(truth * 0, found, (0, 0, 0))], VOXEL_SIZE)
    with pytest.raises(ValueError, match="the same shape"):
        cleft_points(truth[1:], found, (0, 0, 0))
