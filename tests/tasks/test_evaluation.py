"""Scores over grids: those of the whole volume by other libraries, at one threshold and at many."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import waterz
import zarr
from scipy.ndimage import distance_transform_edt

import lchunk
from lchunk.operators.single_chunk import silence
from lchunk.scored import score_lines
from lchunk.tasks import (
    Agglomeration,
    CleftEvaluation,
    Downsample,
    Evaluation,
    Inference,
    Mesh,
    MeshManifest,
    Segmentation,
    SegmentNames,
    ThresholdCurve,
)
from lchunk.volumes.store import open_store
from tests.conftest import DATA, build, files_of, smooth_affinities, write_hdf5
from tests.tasks.peer_scores import by_others

SHAPE = (20, 36, 40)
START = (-10, 200, 300)
GRIDS = ("20,36,40", "20,18,20", "8,12,16", "5,36,9")


def bodies() -> np.ndarray:
    """True labels with a hole, an unlabelled margin, and CREMI's number for nothing known."""
    rng = np.random.default_rng(4)
    truth = np.kron(rng.integers(1, 2**40, (4, 6, 5)), np.ones((5, 6, 8), np.int64)).astype(np.uint64)
    truth[:, :2] = 0
    truth[:3, 10:20, 10:20] = 2**64 - 1
    return truth


@pytest.fixture
def volume(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """Configures a dataset of affinities and truth; gives its root."""

    def make(affinities: np.ndarray, truth: np.ndarray, grid: str, **knobs: object) -> Path:
        name = f"{len(list(tmp_path.iterdir()))}"
        url = write_hdf5(tmp_path / f"{name}.h5", "a", affinities, (40, 4, 4), START)
        labels = write_hdf5(tmp_path / f"{name}.h5", "truth", truth, (40, 4, 4), START)
        root = tmp_path / f"out{name}"
        configure("Dataset", root=root, image=url, ground_truth=labels, chunk_shape=grid, inner_chunk=grid)
        configure("Inference", external=url)
        configure("Segmentation", **knobs)
        return root

    return make


def points(**knobs: Any) -> list[dict[str, float]]:
    """The curve that was made."""
    stage = ThresholdCurve(**knobs)
    (curve,) = stage.files().records(stage.bounds)
    return curve


def test_scores_of_every_grid_are_those_of_others_on_the_whole_volume(volume: Callable[..., Path]) -> None:
    affinities, truth = smooth_affinities(SHAPE, 7), bodies()
    found = []
    for grid in GRIDS:
        root = volume(affinities, truth, grid, threshold=0.55)
        assert build(Evaluation())
        found.append((root / "evaluation/scores.json").read_bytes())
    assert len(set(found)) == 1
    scores = json.loads(found[0])
    expected = by_others(truth, zarr.open_array(root / "segmentation/0", mode="r")[:])
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_the_curve_is_what_each_threshold_s_segmentation_scores(
    volume: Callable[..., Path], configure: Callable[..., None]
) -> None:
    affinities, truth = (smooth_affinities(SHAPE, 8) * 40).astype(np.uint8) * 6, bodies()
    thresholds = (0.3, 0.5, 0.55, 0.7)
    curves = []
    for grid in GRIDS:
        root = volume(affinities, truth, grid)
        configure("ThresholdCurve", thresholds=",".join(map(str, thresholds)), min_voxels=0)
        assert build(ThresholdCurve())
        curves.append((root / "threshold_curve/curve.json").read_bytes())
    assert len(set(curves)) == 1
    curve = json.loads(curves[0])
    assert [point["threshold"] for point in curve] == list(thresholds)
    for point in curve:
        configure("Segmentation", threshold=point["threshold"], layer_name=f"at{point['threshold']}")
        assert build(Segmentation())
        expected = by_others(truth, zarr.open_array(root / f"at{point['threshold']}/0", mode="r")[:])
        assert {name: point[name] for name in expected} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tied", [True, False])
def test_the_curve_with_min_voxels_is_what_each_pair_s_segmentation_scores(
    volume: Callable[..., Path], configure: Callable[..., None], tied: bool
) -> None:
    affinities, truth = smooth_affinities(SHAPE, 8), bodies()
    if tied:
        affinities = np.rint(affinities * 10).astype(np.uint8) * 25
    expected = [
        {"threshold": threshold, "min_voxels": least}
        | lchunk.scores(lchunk.contingency(truth, lchunk.segment(affinities, threshold, min_voxels=least)))
        for threshold in (0.3, 0.5, 0.55)
        for least in (0, 20, 90, 400)
    ]
    assert len({point["voi_split"] for point in expected}) == 12
    for grid in GRIDS[1:]:
        volume(affinities, truth, grid)
        configure("ThresholdCurve", thresholds="0.5,0.3,0.55", min_voxels="400,90,0,20")
        assert build(ThresholdCurve())
        assert points() == expected, grid


def test_only_min_voxels_above_0_need_the_region_graph(
    volume: Callable[..., Path], configure: Callable[..., None]
) -> None:
    root = volume(smooth_affinities(SHAPE, 8), bodies(), GRIDS[1])
    configure("Agglomeration", highest_threshold=0.5)
    assert build(ThresholdCurve(thresholds=(0.4,)))
    curve = points(thresholds=(0.4,))
    assert [point["min_voxels"] for point in curve] == [0, 300, 1000, 3000]
    shutil.rmtree(root / "region_graph")
    without = {"thresholds": (0.4,), "min_voxels": (0,), "layer_name": "without"}
    assert build(ThresholdCurve(**without))
    assert points(**without) == curve[:1]
    assert not (root / "region_graph").exists()


def test_a_curve_past_the_end_of_the_tree_is_refused(
    volume: Callable[..., Path], configure: Callable[..., None]
) -> None:
    volume(smooth_affinities(SHAPE, 8), bodies(), GRIDS[0], threshold=0.5)
    configure("Agglomeration", highest_threshold=0.61)
    configure("ThresholdCurve", thresholds="0.3,0.65")
    with pytest.raises(ValueError, match=r"at most Agglomeration-highest-threshold, 0\.61, got 0\.65"):
        ThresholdCurve().complete()
    configure("ThresholdCurve", thresholds="", min_voxels="0")
    assert build(ThresholdCurve())
    assert [point["threshold"] for point in points()] == pytest.approx([0.05 * n for n in range(1, 13)])


def test_layers_made_from_a_renamed_layer_are_named_after_it(
    volume: Callable[..., Path], configure: Callable[..., None]
) -> None:
    affinities, truth = smooth_affinities(SHAPE, 7), bodies()
    root = volume(affinities, truth, GRIDS[1], threshold=0.5)
    assert build(Evaluation())
    before = files_of(root)
    configure("Segmentation", threshold=0.6, layer_name="trial/0.6")
    assert build(Evaluation())
    after = files_of(root)
    assert {key: after[key] for key in before} == before
    assert {key.split("/")[0] for key in after.keys() - before.keys()} == {
        "trial", "contingency-trial-0.6", "contingency_sums-trial-0.6", "evaluation-trial-0.6",
    }  # fmt: skip
    (scores,) = Evaluation().files().records(Evaluation().bounds)
    expected = by_others(truth, zarr.open_array(root / "trial/0.6/0", mode="r")[:])
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)

    store, url = open_store(str(root)), f"{root.parent}/0.h5:/truth"
    lines = list(score_lines(store))
    subjects = [f"segmentation (threshold 0.5) against {url}", f"trial/0.6 (threshold 0.6) against {url}"]
    assert [line for line in lines if " against " in line] == subjects
    alone = list(score_lines(store, "evaluation-trial-0.6"))
    assert alone == lines[lines.index(subjects[1]) :]
    assert f"{'VOI split:':20} {expected['voi_split']:.6f}" in alone
    with pytest.raises(FileNotFoundError, match=r"one of evaluation, evaluation-trial-0\.6, got other"):
        list(score_lines(store, "other"))


def test_names_follow_the_nearest_stage_that_has_one(
    volume: Callable[..., Path], configure: Callable[..., None]
) -> None:
    volume(smooth_affinities(SHAPE, 7), bodies(), GRIDS[1])
    configure("Inference", external="", layer_name="b")
    made = {
        "affinities of b": (Inference(), "b"),
        "a level": (Agglomeration(level=0), "agglomeration-b/0"),
        "names": (SegmentNames(level=0), "segmentation-b/names/0"),
        "segmentation": (Segmentation(), "segmentation-b"),
        "mips": (Downsample(), "segmentation-b"),
        "meshes": (Mesh(), "segmentation-b/mesh"),
        "manifests": (MeshManifest(), "segmentation-b/mesh/manifest"),
        "curve": (ThresholdCurve(), "threshold_curve-b"),
        "scores": (Evaluation(), "evaluation-b"),
    }
    assert {what: stage.path for what, (stage, _) in made.items()} == {what: path for what, (_, path) in made.items()}
    configure("Agglomeration", layer_name="c")
    assert Segmentation().path == "segmentation-c"
    assert Segmentation().names.path == "segmentation-c/names/0"
    assert Segmentation(min_voxels=9).names.path == "segmentation-c/absorbed/0"
    assert ThresholdCurve().path == "threshold_curve-b-c"
    configure("Segmentation", layer_name="d")
    assert (Evaluation().path, Mesh().path) == ("evaluation-d", "d/mesh")


# affinities made of boundary maps, the smaller of two voxels: nearly every one is tied with a neighbour
FILES = {"fib25_trn2_small": "boundary", "gala_fib_train": "affinities", "snemi_mini": "affinities"}


def real_volume(file: str) -> tuple[np.ndarray, np.ndarray]:
    """Affinities, full of ties, and true labels from a file of real EM; skips if it does not exist."""
    path = DATA / f"{file}.h5"
    if not path.exists():
        pytest.skip(f"needs {file}.h5: set LCHUNK_DATA to its folder")
    with h5py.File(path) as volume:
        truth = volume["volumes/labels/neuron_ids"][:].astype(np.uint64)
        found: list[np.ndarray] = []
        volume.visititems(lambda name, node: found.append(node[:]) if name.endswith(FILES[file]) else None)
    (values,) = found
    if FILES[file] == "boundary":
        inside = 255 - values
        values = np.stack([np.minimum(inside, np.roll(inside, 1, axis)) for axis in (2, 1, 0)])
    for channel, axis in enumerate((2, 1, 0)):
        values[(channel, *(slice(None),) * axis, 0)] = 0
    return values, truth


@pytest.mark.parametrize("file", FILES)
def test_real_em_is_segmented_the_same_by_every_grid_and_as_well_as_by_waterz(
    volume: Callable[..., Path], configure: Callable[..., None], file: str
) -> None:
    affinities, truth = real_volume(file)
    z, y, x = affinities.shape[1:]
    segmentations, curves = [], []
    thresholds = (0.3, 0.5, 0.7)
    for grid in (f"{z},{y},{x}", f"{z // 2},{y // 2},{x // 2}", f"{z},{y // 3},{x}", f"13,{y - 7},{x // 2 + 5}"):
        root = volume(affinities, truth, grid, threshold=0.5)
        configure("ThresholdCurve", thresholds=",".join(map(str, thresholds)), min_voxels=0)
        assert build(Segmentation(), ThresholdCurve())
        segmentations.append(zarr.open_array(root / "segmentation/0", mode="r")[:])
        curves.append(json.loads((root / "threshold_curve/curve.json").read_bytes()))
    assert all(np.array_equal(segmentations[0], other) for other in segmentations[1:])
    assert all(curves[0] == other for other in curves[1:])
    zyx = np.ascontiguousarray(affinities[::-1].astype(np.float32) / (255 if affinities.dtype == np.uint8 else 1))
    with silence():
        theirs = waterz.agglomerate(zyx, list(thresholds), aff_threshold_low=0.001, aff_threshold_high=0.9999)
        peers = [by_others(truth, labels.copy()) for labels in theirs]
    for ours, peer in zip(curves[0], peers, strict=True):
        assert ours["voi_split"] + ours["voi_merge"] <= peer["voi_split"] + peer["voi_merge"] + 0.03


def test_cleft_scores_of_every_grid_are_those_of_the_whole_volume(
    tmp_path: Path, configure: Callable[..., None]
) -> None:
    """Clefts of a fly's nerve cord, and what a poor detector finds: dilated, thinned out, one in three forgotten."""
    path = DATA / "vnc1_z00-08_crop.h5"
    if not path.exists():
        pytest.skip("needs vnc1_z00-08_crop.h5: set LCHUNK_DATA to its folder")
    with h5py.File(path) as file:
        truth = file["volumes/labels/clefts"][:].astype(np.uint64)
    assert len(np.unique(truth)) == 17
    moved = np.roll(truth, 7, axis=2)
    probability = np.where((moved > 0) & (moved % 3 != 0), 0.9, 0.1).astype(np.float32)
    voxel_size = (50, 4.6, 4.6)
    url = write_hdf5(tmp_path / "p.h5", "p", probability, voxel_size, START)
    labels = write_hdf5(tmp_path / "p.h5", "truth", truth, voxel_size, START)
    found = []
    for number, grid in enumerate(("8,512,512", "8,256,256", "3,200,512")):
        root = tmp_path / f"out{number}"
        configure("Dataset", root=root, image=url, ground_truth=labels, chunk_shape=grid, inner_chunk=grid)
        configure("Inference", external=url, predicts="probability")
        assert build(CleftEvaluation())
        found.append(json.loads((root / "cleft_evaluation/scores.json").read_text()))
    there = probability > 0.5
    to_truth = distance_transform_edt(truth == 0, sampling=voxel_size)[there]
    to_found = distance_transform_edt(~there, sampling=voxel_size)[truth > 0]
    for scores in found:
        assert scores["cremi_score"] == pytest.approx((to_truth.mean() + to_found.mean()) / 2, abs=1e-9)
        assert scores["false_negatives"] == (to_found > 200).sum() > 0
