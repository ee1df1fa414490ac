"""Contingency over trees of boxes: every grid gives the scores of all pairs at once, and boxes forget closed pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import pytest
from scipy.spatial import cKDTree

from lchunk.operators.contingency import contingency
from lchunk.operators.evaluation import scores, worst
from lchunk.tasks import ContingencySums, Evaluation, Segmentation
from tests.conftest import build, same_partition, write_hdf5
from tests.tasks.peer_scores import by_others

SHAPE = (13, 17, 23)
START = (-7, 201, 303)
GRIDS = ("13,17,23", "3,17,5", "7,6,4", "4,5,3")
TRUTH = (slice(1, 11), slice(2, 17), slice(0, 20))
"""The part of the volume that has true labels."""

Scored = tuple[list[dict[str, Any]], np.ndarray]


def cells(seed: int, points: int) -> np.ndarray:
    """The number of the nearest of some random points, from 0."""
    places = np.random.default_rng(seed).random((points, 3)) * SHAPE
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    nearest: np.ndarray = cKDTree(places).query(voxels)[1]
    return nearest


def objects_and_truth() -> tuple[np.ndarray, np.ndarray]:
    """Objects, with background between some, and true labels: neither are connected.

    Two long objects leave boxes of every size, and come back, where nothing is labelled: only their ends are.
    """
    objects, truth = cells(1, 60) % 47, cells(2, 40) % 9 + 1
    truth[cells(3, 30) % 3 == 0] = 0
    objects[2, 3, :], objects[10, 3, :], objects[2:11, 3, -1] = 100, 100, 100
    objects[6, 8:16, 1], objects[6, 8, 1:12], objects[6, 15, 1:12] = 101, 101, 101
    truth[:, 3, 2:] = 0
    truth[6, 8:16, 1:11] = 0
    for voxel in ((2, 3, 0), (10, 3, 0), (6, 8, 11), (6, 15, 11)):
        truth[voxel] = 9
    return objects.astype(np.uint64), truth.astype(np.uint64)


def affinities_of(objects: np.ndarray) -> np.ndarray:
    """1 between voxels of one object, 0 elsewhere."""
    affinities = np.zeros((3, *objects.shape), np.float32)
    for channel, axis in enumerate((2, 1, 0)):
        along = np.moveaxis(objects, axis, 0)
        np.moveaxis(affinities[channel], axis, 0)[1:] = (along[1:] == along[:-1]) & (along[1:] > 0)
    return affinities


@pytest.fixture
def score(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Scored]:
    """Scores objects over several grids; gives the scores of each, and the segmentation."""

    def scored(objects: np.ndarray, truth: np.ndarray, *, external: bool) -> Scored:
        path = tmp_path / "a.h5"
        url = write_hdf5(path, "affinities", affinities_of(objects), (40, 4, 4), START)
        labels = write_hdf5(path, "objects", objects, (40, 4, 4), START)
        place = np.add(START, [part.start for part in TRUTH])
        known = write_hdf5(path, "truth", truth[TRUTH], (40, 4, 4), place)
        configure(
            "Dataset", root=tmp_path / "out", image=url, ground_truth=known, chunk_shape=GRIDS[0], inner_chunk=GRIDS[0]
        )
        configure("Inference", external=url)
        configure("Segmentation", external=labels if external else "")
        found: list[dict[str, Any]] = []
        for number, grid in enumerate(GRIDS):
            configure("Contingency", chunk_shape=grid, layer_name=f"pairs{number}")
            stage = Evaluation(worst=1000)
            assert build(stage)
            found += stage.files().records(stage.bounds)
        return found, objects if external else Segmentation().voxels.read(Segmentation().bounds)

    return scored


@pytest.mark.parametrize("external", [False, True])
def test_scores_of_every_grid_are_those_of_all_pairs_at_once(score: Callable[..., Scored], external: bool) -> None:
    objects, truth = objects_and_truth()
    (found, *others), segmentation = score(objects, truth, external=external)
    assert all(other == found for other in others)
    table = contingency(truth[TRUTH], segmentation[TRUTH])
    assert found == scores(table) | {"worst": worst(table, 1000)}
    expected = by_others(truth[TRUTH], segmentation[TRUTH])
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert len(found["worst"]["splits"]) == 9
    listed = {row["segment"] for row in found["worst"]["merges"]}
    assert 0 in listed
    assert len(listed) > 20


def test_a_perfect_segmentation_is_exactly_perfect_for_every_grid(score: Callable[..., Scored]) -> None:
    objects, _ = objects_and_truth()
    parts = cc3d.connected_components((objects + 1).astype(np.uint32), connectivity=6).astype(np.uint64)
    alone = (np.bincount(parts.ravel().astype(int)) == 1)[parts] | (objects == 0)
    parts[alone] = 0  # without affinities, a voxel is background
    found, segmentation = score(objects, parts, external=False)
    assert same_partition(parts, segmentation)
    perfect = {
        "rand_split": 1, "rand_merge": 1, "voi_split": 0, "voi_merge": 0, "adapted_rand_error": 0, "cremi_score": 0,
        "voxels": (parts[TRUTH] > 0).sum(), "worst": {"splits": [], "merges": []},
    }  # fmt: skip
    assert found == [perfect] * len(GRIDS)


def test_boxes_keep_the_pairs_of_segments_that_continue_beyond_them(score: Callable[..., Scored]) -> None:
    objects, truth = objects_and_truth()
    _, segmentation = score(objects, truth, external=False)
    assert [len(ContingencySums(level=level).grid) for level in (1, 2, 3)] == [16, 2, 1]  # of 128 chunks
    kept = closed = 0
    for level in (1, 2):
        stage = ContingencySums(level=level)
        for index in stage.grid:
            box = stage.grid.chunk(index)
            (table,) = stage.files().records(box)
            inside, inner = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
            inside[box.slices(START)] = True
            inner[tuple(slice(part.start + 1, part.stop - 1) for part in box.slices(START))] = True
            own = set(segmentation[inside].tolist())
            assert own & set(segmentation[~inside].tolist()) | {0} <= set(table["labels"].tolist())
            assert set(table["labels"].tolist()) <= set(segmentation[inside & ~inner].tolist()) | {0}
            assert set(table["segment"].tolist()) <= set(table["labels"].tolist())
            kept, closed = kept + len(table["truth"]), closed + table["body_parts"].sum()
    assert min(kept, closed) > 0
    (top,) = ContingencySums().files().records(ContingencySums().bounds)
    assert (len(top["truth"]), len(top["labels"]), len(top["body_labels"])) == (0, 0, 9)
    for level in (0, 4):
        with pytest.raises(ValueError, match=f"level must be from 1 to 3, or -1 for the last, got {level}"):
            ContingencySums(level=level).complete()
