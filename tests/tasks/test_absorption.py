"""Small segments are absorbed: over any grid, the segments of the rule on the whole volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

import lchunk
from lchunk.operators.graph import COUNT, FIRST, PAIR, SUM, ends_of
from lchunk.operators.region_graph import region_graph
from lchunk.tasks import Mesh, Segmentation
from lchunk.verify import verify
from lchunk.volumes.label_ranges import labels_with_prefix
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.conftest import build, smooth_affinities, write_hdf5
from tests.operators.test_absorb import in_rounds

GRIDS = ("4,8,8", "5,21,7", "40,40,40")
START, SIZE = (-3, 5, 7), (40, 8, 8)
SAMPLE = Path(__file__).parent.parent.parent / "sample"

Voxels = npt.NDArray[Any]


def tied() -> Voxels:
    """Affinities with few values, so that most means are equal."""
    return np.rint(smooth_affinities((9, 21, 26), 5) * 4).astype(np.uint8) * 60


def real() -> Voxels:
    with h5py.File(SAMPLE / "fib25.h5") as file:
        image = file["volumes/raw"][20:30, 30:54, 30:58]
    return lchunk.predict(
        image, str(SAMPLE / "affinity_net.py"), str(SAMPLE / "affinity_net.pt"), input_patch=(16, 24, 32),
        overlap=(8, 0, 8), device="cpu", dtype=np.uint8,
    )  # fmt: skip


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """Sets the cfg of a dataset of affinities, in chunks of a shape; gives its folder."""

    def described(affinities: Voxels, grid: str) -> Path:
        file = tmp_path / "a.h5"
        if not file.exists():
            write_hdf5(file, "raw", np.zeros(affinities.shape[1:], np.uint8), SIZE, START)
            write_hdf5(file, "a", affinities, SIZE, START)
        inner = ",".join("1" if int(side) % 2 else "2" for side in grid.split(","))
        configure("Dataset", root=tmp_path / grid, image=f"{file}:/raw", chunk_shape=grid, inner_chunk=inner)
        configure("Inference", external=f"{file}:/a")
        return tmp_path / grid

    return described


def voxels_of(root: Path, layer: str = "segmentation") -> npt.NDArray[np.uint64]:
    opened = open_layer(FileStore(root), layer, 0)
    return opened.read(opened.bounds)


def absorbed(affinities: Voxels, threshold: float, min_voxels: int) -> tuple[npt.NDArray[np.uint64], int]:
    """The rule on the whole volume, and the number of labels that it changes."""
    cut = lchunk.segment(affinities, threshold)
    ids, numbers = np.unique(cut, return_inverse=True)
    if ids[0] != 0:
        ids, numbers = np.insert(ids, 0, 0), numbers + 1
    numbers = numbers.reshape(cut.shape)
    graph = region_graph(numbers.astype(np.uint32), ids, affinities)
    u, v = ends_of(graph.edges[:, PAIR])
    sizes = dict(zip(graph.nodes.tolist(), graph.sizes.tolist(), strict=True))
    rows = np.stack([
        graph.nodes[u].astype(np.int64), graph.nodes[v].astype(np.int64),
        graph.edges[:, SUM], graph.edges[:, COUNT], graph.edges[:, FIRST],
    ], axis=1)  # fmt: skip
    name = in_rounds(sizes, rows, min_voxels)
    final = np.array([0, *(name[label] for label in ids[1:].tolist())], np.uint64)
    return final[numbers], sum(label != root for label, root in name.items())


@pytest.mark.parametrize(
    ("kind", "threshold"), [(lambda: smooth_affinities((9, 21, 26), 3), 0.45), (tied, 0.3), (real, 0.4)]
)
@pytest.mark.parametrize("min_voxels", [20, 400])
def test_every_grid_absorbs_what_the_rule_absorbs(
    kind: Callable[[], Voxels], threshold: float, min_voxels: int, dataset: Callable[..., Path]
) -> None:
    affinities = kind()
    expected, changed = absorbed(affinities, threshold, min_voxels)
    assert changed > 5
    for grid in GRIDS:
        root = dataset(affinities, grid)
        assert build(Segmentation(threshold=threshold, min_voxels=min_voxels))
        assert np.array_equal(lchunk.segment(affinities, threshold, min_voxels=min_voxels), expected)
        assert np.array_equal(voxels_of(root), expected), grid


def test_sizes_are_those_after_absorption(dataset: Callable[..., Path], configure: Callable[..., None]) -> None:
    affinities = smooth_affinities((9, 21, 26), 3)
    expected, _ = absorbed(affinities, 0.45, 50)
    labels, sizes = np.unique(expected[expected > 0], return_counts=True)
    dust = int(np.median(sizes)) + 1
    configure("Agglomeration", highest_threshold=0.45)
    configure("Segmentation", threshold=0.45, min_voxels=50)
    for grid in GRIDS:
        root = dataset(affinities, grid)
        assert build(Segmentation(dust_threshold=dust, layer_name="large"), Segmentation(), Mesh(dust_threshold=dust))
        assert np.array_equal(voxels_of(root, "large"), expected * np.isin(expected, labels[sizes >= dust])), grid
        containers = Mesh(dust_threshold=dust).files().records(Mesh().bounds)
        meshed = {label for own in containers for label in own.entries(labels_with_prefix(""))["label"].tolist()}
        assert meshed == set(labels[sizes >= dust].tolist()), grid


def test_chunk_files_that_were_removed_come_back_the_same(dataset: Callable[..., Path]) -> None:
    affinities = smooth_affinities((9, 21, 26), 3)
    root = dataset(affinities, GRIDS[0])
    task = {"threshold": 0.45, "min_voxels": 50}
    assert build(Segmentation(**task))
    files = sorted((root / "segmentation").rglob("*.tab*")) + sorted((root / "segmentation").rglob("c/*/*/*"))
    before = {path: path.read_bytes() for path in files if path.is_file()}
    assert len(before) > 30
    for path in before:
        path.unlink()
    assert build(Segmentation(**task))
    assert {path: path.read_bytes() for path in before} == before
    assert not list(verify(FileStore(root)))
