"""The whole job on real EM: three grids and an offset, seen by outside readers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import ome_zarr_models
import pytest
import zarr

from lchunk.tasks import Downsample, Evaluation, MeshManifest, Segmentation
from tests.conftest import build, files_of, same_partition, smooth_affinities, write_hdf5
from tests.operators.test_watershed import waterz_segmentation

SAMPLE = Path(__file__).parent.parent.parent / "sample"
OFFSET = (-10, 200, 300)
CROP = (slice(20, 52), slice(40, 92), slice(30, 86))
LAYERS = ("image", "affinities", "segmentation")
GRIDS = {
    "one chunk": ("32,56,56", "8,8,8"),
    "eight": ("16,32,32", "8,8,8"),
    "none divides": ("24,20,36", "8,4,4"),
}


def main_job() -> list:
    manifests = [MeshManifest(prefix=str(digit)) for digit in range(1, 10)]
    return [*manifests, Downsample(of="image"), Downsample(of="segmentation"), Evaluation()]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crop of the sample, moved."""
    path = tmp_path_factory.mktemp("sample") / "crop.h5"
    with h5py.File(SAMPLE / "fib25.h5") as file:
        write_hdf5(path, "raw", file["volumes/raw"][CROP], (10, 10, 10), OFFSET)
        write_hdf5(path, "truth", file["volumes/labels/neuron_ids"][CROP], (10, 10, 10), OFFSET)
    return path


@pytest.fixture
def run_grid(configure: Callable[..., None], sample: Path, tmp_path: Path) -> Callable[[str], Path]:
    def run(grid: str) -> Path:
        root = tmp_path / grid
        chunk_shape, inner_chunk = GRIDS[grid]
        configure(
            "Dataset", root=root, image=f"{sample}:/raw", ground_truth=f"{sample}:/truth", chunk_shape=chunk_shape,
            inner_chunk=inner_chunk,
        )  # fmt: skip
        configure(
            "Inference", model=SAMPLE / "affinity_net.py", weights=SAMPLE / "affinity_net.pt", input_patch="16,32,32",
            output_patch="12,24,24", overlap="4,8,8", device="cpu",
        )  # fmt: skip
        configure("Segmentation", threshold=0.5)
        configure("Downsample", factor="2,2,2")
        assert build(*main_job())
        return root

    return run


def voxels(root: Path, layer: str, mip: int = 0) -> np.ndarray:
    return zarr.open_array(root / layer / str(mip), mode="r")[:]


@pytest.fixture
def three_grids(run_grid: Callable[[str], Path]) -> list[Path]:
    return [run_grid(grid) for grid in GRIDS]


def test_every_layer_is_the_same_for_every_grid(three_grids: list[Path]) -> None:
    one, *others = three_grids
    for other in others:
        for layer, mip in [
            *((layer, 0) for layer in LAYERS),
            *((la, m) for la in ("image", "segmentation") for m in (1, 2)),
        ]:
            assert np.array_equal(voxels(one, layer, mip), voxels(other, layer, mip)), (layer, mip)
        assert (one / "evaluation/scores.json").read_bytes() == (other / "evaluation/scores.json").read_bytes()
    assert len(np.unique(voxels(one, "segmentation"))) > 10
    for root in three_grids:
        manifests_hold_exactly_the_segments(root)
        for layer in LAYERS:
            ome_zarr_models.open_ome_zarr(zarr.open_group(root / layer, mode="r"))


def manifests_hold_exactly_the_segments(root: Path) -> None:
    labels = set(np.unique(voxels(root, "segmentation")).tolist()) - {0}
    listed = [
        json.loads(path.read_text())["labels"] for path in (root / "segmentation/mesh/manifest").glob("[1-9].json")
    ]
    assert sorted(label for part in listed for label in part) == sorted(labels)


def test_deleted_chunks_come_back_alone_and_byte_equal(run_grid: Callable[[str], Path]) -> None:
    root = run_grid("eight")
    before = files_of(root)
    gone = [key for key in before if key.rsplit(".")[0].endswith("c/0/0/0") or "/c/0/0/0/0" in key]
    gone += [f"segmentation/mesh/manifest/{digit}.json" for digit in range(1, 10)]
    gone += ["evaluation/scores.json"]
    assert len(gone) > 20
    for key in gone:
        (root / key).unlink()
    times = {key: (root / key).stat().st_mtime_ns for key in before if key not in gone}
    assert build(*main_job())
    assert files_of(root) == before
    changed = {key for key, time in times.items() if (root / key).stat().st_mtime_ns != time}
    # a mesh chunk is its boxes and its fragments; a prefix its meshes and manifests: they are written together
    together = re.compile(r"segmentation/mesh/(\d+:0(:.+)?|[^/]+\.spatial)")
    assert {key for key in changed if not together.fullmatch(key)} == set()


def test_random_affinities_give_waterz_s_segmentation(configure: Callable[..., None], tmp_path: Path) -> None:
    affinities = smooth_affinities((24, 40, 44), 11)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        node = file.create_dataset("affinities", data=affinities)
        node.attrs["resolution"] = (40.0, 4.0, 4.0)
        node.attrs["offset"] = np.array(OFFSET) * (40.0, 4.0, 4.0)
    url = f"{tmp_path}/a.h5:/affinities"
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="8,16,24", inner_chunk="8,8,8")
    configure("Inference", external=url)
    configure("Segmentation", threshold=0.5)
    assert build(Segmentation())
    assert same_partition(voxels(tmp_path / "out", "segmentation"), waterz_segmentation(affinities, 0.5))


def test_dust_is_decided_by_the_size_in_the_volume_at_any_mip(configure: Callable[..., None], tmp_path: Path) -> None:
    affinities = smooth_affinities((16, 32, 32), 5, sigma=2.5)
    url = write_hdf5(tmp_path / "a.h5", "affinities", affinities, (40, 4, 4), OFFSET)
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="8,16,16", inner_chunk="8,8,8")
    configure("Inference", external=url)
    configure("Segmentation", threshold=0.4)
    configure("Downsample", factor="1,2,2", mips=1)
    configure("Mesh", mip=1, dust_threshold=60)
    assert build(MeshManifest())
    labels, sizes = np.unique(voxels(tmp_path / "out", "segmentation"), return_counts=True)
    coarse = np.unique(voxels(tmp_path / "out", "segmentation", 1))
    expected = [label for label, size in zip(labels, sizes, strict=True) if label and size >= 60 and label in coarse]
    listed = json.loads((tmp_path / "out/segmentation/mesh/manifest/all.json").read_text())["labels"]
    assert 0 < len(expected) < len(labels) - 1
    assert listed == expected
