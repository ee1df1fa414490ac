"""The places of errors: over grids those of plain loops over the whole volume, in the segments of `Segmentation`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import lchunk
from lchunk.tasks import ErrorPlaces, Evaluation, Segmentation
from tests.conftest import build, smooth_affinities
from tests.operators.plain_errors import plain_places
from tests.tasks.test_evaluation import GRIDS, SHAPE, START, bodies, real_volume, volume

__all__ = ["volume"]
SMALL = (8, 18, 20)
SMALL_GRIDS = ("8,18,20", "4,9,20", "3,7,11")
SCORES = ("rand_split", "rand_merge", "voi_split", "voi_merge", "adapted_rand_error", "cremi_score", "voxels")


def made(root: Path, layer: str = "error_places") -> dict[str, Any]:
    """What the stage has written."""
    found: dict[str, Any] = json.loads((root / layer / "places.json").read_text())
    return found


def ordered(places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Places in an order that rounding does not change."""
    return sorted(places, key=lambda place: (place["kind"], -round(place["voi"], 9), place["at"]))


def merged_by_cost(places: list[dict[str, Any]]) -> list[float]:
    """Costs in the order in which the larger one of the next merge and the next split comes first."""
    waiting = [[place["voi"] for place in places if place["kind"] == kind] for kind in ("merge", "split")]
    costs = []
    while any(waiting):
        largest = max((own for own in waiting if own), key=lambda own: own[0])
        costs.append(largest.pop(0))
    return costs


def small_bodies() -> np.ndarray:
    """True labels: blocks, some of which are the same body far away; one plane is not labelled."""
    blocks = np.random.default_rng(0).integers(1, 30, (2, 4, 3))
    truth = np.kron(blocks, np.ones((4, 5, 7), np.int64))[: SMALL[0], : SMALL[1], : SMALL[2]].astype(np.uint64)
    truth[:, :1] = 0
    truth[0, 5:9, 5:9] = 2**64 - 1
    return truth


@pytest.mark.parametrize("min_voxels", [0, 12])
@pytest.mark.parametrize("tied", [True, False])
def test_places_of_every_grid_are_those_of_plain_loops_over_the_whole_volume(
    volume: Callable[..., Path], configure: Callable[..., None], tied: bool, min_voxels: int
) -> None:
    affinities, truth = smooth_affinities(SMALL, 2), small_bodies()
    if tied:
        affinities = np.rint(affinities * 10).astype(np.uint8) * 25
    expected = plain_places(affinities, truth, START, threshold=0.5, min_voxels=min_voxels, most=1000)
    kinds = {(place["kind"], len(place["at"])) for place in expected}
    assert kinds == {("merge", 1), ("split", 1), ("split", 2)}
    configure("ErrorPlaces", most=1000)
    found = []
    for grid in SMALL_GRIDS:
        root = volume(affinities, truth, grid, threshold=0.5, min_voxels=min_voxels)
        assert build(ErrorPlaces())
        found.append(made(root)["places"])
    assert found[0] == found[1] == found[2]
    for one, other in zip(ordered(found[0]), ordered(expected), strict=True):
        assert one["voi"] == pytest.approx(other["voi"], abs=1e-9)
        assert one | {"voi": 0} == other | {"voi": 0}
    assert [place["voi"] for place in found[0]] == pytest.approx(merged_by_cost(found[0]))
    merges, splits = ([p for p in found[0] if p["kind"] == kind] for kind in ("merge", "split"))
    configure("ErrorPlaces", most=2, layer_name="few")
    assert build(ErrorPlaces())
    few = made(root, "few")["places"]
    assert [place for place in few if place["kind"] == "merge"] == merges[:2]
    assert [place for place in few if place["kind"] == "split"] == splits[:2]


@pytest.mark.parametrize(("min_voxels", "dust"), [(0, False), (90, False), (90, True)])
def test_the_segments_are_those_of_segmentation(
    volume: Callable[..., Path], configure: Callable[..., None], min_voxels: int, dust: bool
) -> None:
    affinities, truth = smooth_affinities(SHAPE, 7), bodies()
    knobs = {"min_voxels": min_voxels}
    if dust:  # as many as a segment has, which is kept
        whole = lchunk.segment(affinities, 0.55, min_voxels=min_voxels)
        voxels = np.sort(np.unique(whole[whole > 0], return_counts=True)[1])
        knobs["dust_threshold"] = int(voxels[len(voxels) // 2])
    configure("ErrorPlaces", most=1000)
    root = volume(affinities, truth, GRIDS[1], threshold=0.55, layer_name="trial/a", **knobs)
    assert build(ErrorPlaces(), Evaluation())
    found, scores = (
        made(root, "error_places-trial-a"),
        json.loads((root / "evaluation-trial-a/scores.json").read_text()),
    )
    assert {name: found[name] for name in SCORES} == {name: scores[name] for name in SCORES}
    assert 0 < found["fragments_voi_merge"] < found["voi_merge"]
    assert (found["segmentation"], found["threshold"]) == ("trial/a", 0.55)
    assert found["min_voxels"] == min_voxels
    labels = zarr.open_array(root / "trial/a/0", mode="r")[:]
    sizes = dict(zip(*(column.tolist() for column in np.unique(labels, return_counts=True)), strict=True))
    for place in found["places"]:
        here = [int(labels[tuple(np.subtract(at, START))]) for at in place["at"]]
        segments = [side["segment"] for side in place["sides"]]
        assert 0 not in segments
        if len(here) == 2:
            assert here == segments
        else:
            assert here[0] in segments
        voxels = [side["voxels"] for side in place["sides"]]
        if place["kind"] == "split":
            assert voxels == [sizes[segment] for segment in segments]
        else:
            assert segments[0] == segments[1]
            assert sum(voxels) <= sizes[segments[0]]
        for side, segment in zip(place["sides"], segments, strict=True):
            shared = int(((labels == segment) & (truth == side["body"])).sum())
            assert side["body_voxels"] == shared if place["kind"] == "split" else 0 < side["body_voxels"] <= shared


def test_other_dust_is_another_layer(volume: Callable[..., Path], configure: Callable[..., None]) -> None:
    volume(smooth_affinities(SMALL, 2), small_bodies(), SMALL_GRIDS[1], threshold=0.5)
    assert build(ErrorPlaces())
    configure("Segmentation", dust_threshold=9)
    with pytest.raises(ValueError, match="Segmentation-dust-threshold was absent, and is now 9"):
        ErrorPlaces().complete()


def test_a_perfect_segmentation_has_no_place(volume: Callable[..., Path]) -> None:
    affinities = smooth_affinities(SMALL, 2)
    root = volume(affinities, small_bodies(), SMALL_GRIDS[0], threshold=0.5)
    assert build(Segmentation())
    truth = zarr.open_array(root / "segmentation/0", mode="r")[:]
    root = volume(affinities, truth, SMALL_GRIDS[1], threshold=0.5)
    assert build(ErrorPlaces())
    found = made(root)
    assert (found["voi_split"], found["voi_merge"], found["places"]) == (0, 0, [])


def test_without_truth_or_tree_nothing_is_compared(
    volume: Callable[..., Path], configure: Callable[..., None], tmp_path: Path
) -> None:
    volume(smooth_affinities(SMALL, 2), small_bodies(), SMALL_GRIDS[1], threshold=0.5)
    configure("Segmentation", external=f"{tmp_path}/seg.h5:/labels")
    with pytest.raises(ValueError, match=r"tree of merges of Segmentation, but Segmentation-external is .*seg\.h5"):
        ErrorPlaces().complete()
    configure("Segmentation", external="", edits="edits.csv")
    with pytest.raises(ValueError, match=r"Segmentation-edits must be empty for ErrorPlaces.* got edits\.csv"):
        ErrorPlaces().validate()
    configure("Segmentation", edits="", threshold=0.8)
    with pytest.raises(ValueError, match=r"at most Agglomeration-highest-threshold, 0\.7, got 0\.8"):
        ErrorPlaces().complete()
    configure("Segmentation", threshold=0.5)
    configure("Dataset", ground_truth="")
    with pytest.raises(ValueError, match="ground_truth must be the URL of true labels, got nothing"):
        ErrorPlaces().complete()


def test_places_in_real_em_are_the_same_for_every_grid(volume: Callable[..., Path]) -> None:
    affinities, truth = real_volume("snemi_mini")
    z, y, x = affinities.shape[1:]
    found = []
    for grid in (f"{z},{y},{x}", f"{z // 2},{y // 2},{x // 2}", f"13,{y - 7},{x // 2 + 5}"):
        root = volume(affinities, truth, grid, threshold=0.5, min_voxels=100)
        assert build(ErrorPlaces())
        found.append(made(root)["places"])
    assert found[0] == found[1] == found[2]
    assert {place["kind"] for place in found[0]} == {"merge", "split"}
