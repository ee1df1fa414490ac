"""Connected components over grids: those of cc3d on the whole volume, with the same labels for every grid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cc3d
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.components import local_components
from lchunk.tasks import ConnectedComponents, Evaluation
from tests.conftest import build, same_partition, write_hdf5
from tests.tasks.peer_scores import by_others

START = (-3, 20, 30)
GRIDS = ("40,60,60", "8,12,10", "5,7,30", "13,60,4")
SAMPLE = Path(__file__).parent.parent.parent / "sample"


def smallest_ids(volume: np.ndarray, connectivity: int) -> np.ndarray:
    """Whole-volume components by cc3d, each named by 1 + its first voxel's linear index."""
    labels = cc3d.connected_components(np.ascontiguousarray(volume), connectivity=connectivity)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.where(labels == 0, 0, (first + 1)[inverse].reshape(labels.shape)).astype(np.uint64)


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def snakes(shape: tuple[int, int, int]) -> np.ndarray:
    """Thin lines that wind through the volume and touch at corners only, so that every chunk cuts them often."""
    rng = np.random.default_rng(3)
    volume = np.zeros(shape, np.float32)
    for _ in range(12):
        place = rng.integers(0, shape)
        for _ in range(400):
            volume[tuple(place)] = 1
            place = np.clip(place + rng.integers(-1, 2, 3), 0, np.array(shape) - 1)
    return volume


@pytest.fixture
def components(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., np.ndarray]:
    def run(volume: np.ndarray, grid: str, **knobs: object) -> np.ndarray:
        url = write_hdf5(tmp_path / f"{len(list(tmp_path.iterdir()))}.h5", "p", volume, (40, 4, 4), START)
        root = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        configure("Dataset", root=root, image=url, chunk_shape=grid, inner_chunk=grid)
        dust = knobs.pop("dust_threshold", 0)
        configure("ConnectedComponents", dust_threshold=dust)
        if volume.dtype.kind == "f":
            configure("Inference", external=url, predicts="probability")
            configure("LocalComponents", of="probability", **knobs)
        else:
            configure("Segmentation", external=url)
            configure("LocalComponents", of="segmentation", **knobs)
        assert build(ConnectedComponents())
        return zarr.open_array(root / "components/0", mode="r")[:]

    return run


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize(("kind", "threshold"), [("noise", 0.8), ("noise", 0.95), ("snakes", 0.5)])
def test_every_grid_gives_the_components_of_the_whole(
    components: Callable[..., np.ndarray], connectivity: int, kind: str, threshold: float
) -> None:
    volume = noise((14, 22, 25)) if kind == "noise" else snakes((14, 22, 25))
    expected = smallest_ids(volume > threshold, connectivity)
    assert expected.max() > 0
    for grid in GRIDS:
        found = components(volume, grid, threshold=threshold, connectivity=connectivity)
        assert np.array_equal(found, expected), grid


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_voxels_of_equal_label_are_connected(components: Callable[..., np.ndarray], connectivity: int) -> None:
    volume = np.random.default_rng(5).integers(0, 3, (12, 15, 18)).astype(np.uint64)
    expected = smallest_ids(volume, connectivity)
    for grid in GRIDS[1:]:
        assert np.array_equal(components(volume, grid, connectivity=connectivity), expected)


def test_real_bodies_are_the_components_of_cc3d(components: Callable[..., np.ndarray]) -> None:
    with h5py.File(SAMPLE / "fib25.h5") as file:
        bodies = file["volumes/labels/neuron_ids"][20:60, 30:90, 40:100].astype(np.uint64)
    found = components(bodies, "16,24,20", connectivity=6)
    assert same_partition(found, cc3d.connected_components(bodies, connectivity=6))
    assert len(np.unique(found)) > 10


def test_dust_is_decided_by_the_size_in_the_whole_volume(components: Callable[..., np.ndarray]) -> None:
    volume = snakes((14, 22, 25)) * (noise((14, 22, 25), 1) > 0.6)
    whole = smallest_ids(volume > 0.5, 26)
    labels, sizes = np.unique(whole, return_counts=True)
    dust = labels[(sizes < 20) & (labels > 0)]
    assert 0 < len(dust) < len(labels) - 1
    found = components(volume.astype(np.float32), "5,7,8", dust_threshold=20)
    assert np.array_equal(found, np.where(np.isin(whole, dust), 0, whole))


@pytest.mark.parametrize("connectivity", [6, 26])
def test_components_are_scored_over_boxes_like_the_whole(
    components: Callable[..., np.ndarray], configure: Callable[..., None], tmp_path: Path, connectivity: int
) -> None:
    """Components that touch at corners only are still in no other box once they touch no face of theirs."""
    volume = snakes((14, 22, 25))
    truth = smallest_ids(noise((14, 22, 25), 7) > 0.3, 6) % np.uint64(50)
    known = write_hdf5(tmp_path / "truth.h5", "truth", truth, (40, 4, 4), START)
    configure("Dataset", ground_truth=known)
    configure("Contingency", of="components")
    for grid in GRIDS[1:]:
        found = components(volume, grid, connectivity=connectivity)
        assert build(Evaluation())
        scores = Evaluation().store.get("evaluation/scores.json")
        for name, value in by_others(truth, found).items():
            assert json.loads(scores)[name] == pytest.approx(value, rel=1e-9), (grid, name)


@given(st.integers(0, 10**6), st.sampled_from([6, 18, 26]), st.tuples(*[st.integers(1, 5)] * 3))
def test_local_ids_name_voxels_of_the_box_and_count_them(seed: int, connectivity: int, side: tuple) -> None:
    bounds = Bbox.of(START, (6, 7, 8))
    volume = (noise(bounds.shape, seed) > 0.6) * np.uint8(7)
    for chunk in map(Grid(bounds, triple(side)).chunk, Grid(bounds, triple(side))):
        inside = volume[chunk.slices(bounds.start)]
        start = triple(np.subtract(chunk.start, bounds.start))
        found = local_components(inside, start, bounds.shape, connectivity=connectivity)
        own = found.ids[found.numbers]
        for label in np.unique(own[own > 0]):
            first = np.argwhere(own == label)[0] + np.array(chunk.start) - bounds.start
            assert np.ravel_multi_index(tuple(first), bounds.shape) + 1 == label
        assert found.sizes[1:].sum() == (own > 0).sum()
        assert np.array_equal(own > 0, inside > 0)
        assert np.array_equal(found.values[found.numbers], inside)


def test_affinities_are_refused(tmp_path: Path, configure: Callable[..., None]) -> None:
    url = write_hdf5(tmp_path / "a.h5", "a", np.zeros((3, 4, 5, 6), np.float32), (40, 4, 4), START)
    configure("Dataset", root=tmp_path / "out", image=url)
    configure("Inference", external=url)
    with pytest.raises(ValueError, match=r"probability must be \(z, y, x\), got 3 channels"):
        ConnectedComponents().complete()
