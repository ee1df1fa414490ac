"""The sample with its own luigi.cfg, from the command line, as a newcomer runs it; seen by outside readers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cc3d
import h5py
import numpy as np
import ome_zarr_models
import pytest
import zarr
from cloudvolume import CloudVolume

from lchunk.operators.contingency import contingency
from lchunk.operators.evaluation import scores
from tests.conftest import DATA, same_partition
from tests.operators.test_watershed import waterz_segmentation

REPOSITORY = Path(__file__).parent.parent.parent


def luigi_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run luigi in the repository, where the sample's luigi.cfg is."""
    command = [sys.executable, "-m", "luigi", *arguments, "--no-lock"]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=600
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole job on the sample."""
    folder = tmp_path_factory.mktemp("sample") / "quickstart"
    run = luigi_command("--module", "tasks.quickstart", "Quickstart", "--Dataset-root", str(folder))
    assert run.returncode == 0, run.stderr[-3000:]
    return folder


def voxels(root: Path, layer: str) -> np.ndarray:
    return zarr.open_array(root / layer / "0", mode="r")[:]


def test_cloud_volume_finds_every_segment_by_its_prefix_and_loads_its_mesh(root: Path, tmp_path: Path) -> None:
    segmentation = voxels(root, "segmentation")
    labels = sorted(set(np.unique(segmentation).tolist()) - {0})
    by_prefix = {
        digit: json.loads((root / f"segmentation/mesh/manifest/{digit}.json").read_text())["labels"]
        for digit in range(1, 10)
    }
    assert by_prefix[7] == [label for label in labels if str(label).startswith("7")]
    assert sorted(label for part in by_prefix.values() for label in part) == labels

    info = CloudVolume.create_new_info(
        num_channels=1, layer_type="segmentation", data_type="uint64", encoding="raw", resolution=[10, 10, 10],
        voxel_offset=[0, 0, 0], volume_size=segmentation.shape[::-1], chunk_size=[64, 64, 64], mesh="mesh",
    )  # fmt: skip
    (tmp_path / "info").write_text(json.dumps(info))
    (tmp_path / "mesh").symlink_to(root / "segmentation/mesh")
    volume = CloudVolume(f"file://{tmp_path}", progress=False)
    found = volume.mesh.exists(by_prefix[7])
    assert len(found) == len(by_prefix[7])
    assert all(found.values())
    sizes = dict(zip(*np.unique(segmentation, return_counts=True), strict=True))
    largest = sorted(by_prefix[7], key=lambda label: -sizes[label])[:5]
    for label in largest:
        mesh = volume.mesh.get(label)
        z, y, x = np.nonzero(segmentation == label)
        box = np.array([[side.min() * 10, side.max() * 10 + 10] for side in (x, y, z)])
        assert np.abs(mesh.vertices.min(0) - box[:, 0]).max() <= 40  # the simplification's largest error
        assert np.abs(mesh.vertices.max(0) - box[:, 1]).max() <= 40
    listed = volume.mesh.spatial_index.query(volume.bounds * volume.resolution)
    assert listed == set(labels)


def test_every_layer_validates_as_ome_zarr(root: Path) -> None:
    for layer in ("image", "affinities", "segmentation"):
        ome_zarr_models.open_ome_zarr(zarr.open_group(root / layer, mode="r"))


def test_scores_are_as_good_as_waterz_s_and_better_without_small_segments(root: Path) -> None:
    run = luigi_command(
        "--module", "lchunk.tasks", "Evaluation", "--Dataset-root", str(root), "--Segmentation-min-voxels", "0",
        "--Segmentation-layer-name", "cut",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    absorbed, ours = (
        json.loads((root / layer / "scores.json").read_text()) for layer in ("evaluation", "evaluation-cut")
    )
    assert absorbed["voi_split"] + absorbed["voi_merge"] < 1.05 < ours["voi_split"] + ours["voi_merge"]
    assert absorbed["adapted_rand_error"] < 0.09
    assert len(np.unique(voxels(root, "segmentation"))) < 400
    affinities = voxels(root, "affinities")
    with h5py.File(REPOSITORY / "sample/fib25.h5") as file:
        truth = file["volumes/labels/neuron_ids"][:]
    theirs = scores(contingency(truth, waterz_segmentation(affinities, 0.65)))
    for name in ("voi_split", "voi_merge", "rand_split", "rand_merge"):
        assert ours[name] == pytest.approx(theirs[name], abs=0.03), (name, ours, theirs)


def test_two_workers_make_the_same_affinities(root: Path, tmp_path: Path) -> None:
    # they are forks of a process that ran the net already, and must not wait for its threads. They use one thread each,
    # for which some CPUs have other kernels, with other rounding
    run = luigi_command(
        "--module", "lchunk.tasks", "Inference", "--Dataset-root", str(tmp_path / "two"), "--workers", "2"
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert np.abs(voxels(tmp_path / "two", "affinities") - voxels(root, "affinities")).max() < 1e-5


@pytest.mark.skipif(
    not (DATA / "mouse_mip1_sample1.h5").exists(), reason="needs mouse_mip1_sample1.h5: set LCHUNK_DATA to its folder"
)
def test_synaptic_clefts_are_the_published_ones(tmp_path: Path) -> None:
    run = luigi_command(
        "--module", "tasks.synaptic_cleft", "SynapticCleft", "--Dataset-root", str(tmp_path / "cleft"),
        "--Dataset-image", f"{DATA}/mouse_mip1_sample1.h5:/volumes/raw", LUIGI_CONFIG_PATH="tasks/synaptic_cleft.cfg",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    probability = voxels(tmp_path / "cleft", "probability")
    assert probability.max() == pytest.approx(0.9526, abs=5e-5)
    assert probability.sum(dtype=np.float64) == pytest.approx(764.47, abs=5e-3)
    assert (probability > 0.25).sum() == 1007
    with h5py.File(DATA / "mouse_mip1_sample1.h5") as file:
        published = file["volumes/predictions/cleft"][:].astype(np.float32)
    assert np.abs(probability - published).max() < 2**-11  # it is float16
    expected = cc3d.dust(cc3d.connected_components(published > 0.25, connectivity=26), threshold=50, connectivity=26)
    assert same_partition(voxels(tmp_path / "cleft", "components"), expected)


def test_the_plain_command_finds_everything_made(root: Path) -> None:
    run = luigi_command("--module", "lchunk.tasks", "MeshManifest", "--prefix", "7", "--Dataset-root", str(root))
    assert run.returncode == 0
    assert "Did not run any tasks" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--Inference-overlap", "4,8,8"], "Inference-overlap is '16,24,24' there, '4,8,8' in this run"),
        (["--Dataset-image", "sample/fib25.h5:/volumes/raw#t=0"], "t must be left out"),
        (["--Dataset-image", "nothing.h5:/raw"], "image must exist, got nothing.h5:/raw, which does not"),
        (["--Segmentation-threshold", "1.5"], "threshold must be in [0, 1], got 1.5"),
        (["--Dataset-chunk-shape", "50,80,80"], "50 along z is not a multiple of 24"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(root: Path, arguments: list[str], message: str) -> None:
    run = luigi_command("--module", "lchunk.tasks", "MeshManifest", "--Dataset-root", str(root), *arguments)
    assert run.returncode in (35, 40)
    assert message in run.stderr + run.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--Dataset-image", "nothing.h5:/raw"], "image must exist, got nothing.h5"),
        (["--Dataset-image", "sample/fib25.h5:/raw"], "must be one of /volumes/labels/neuron_ids, /volumes/raw"),
        (["--Dataset-bounds", "0-97_0-160_0-160"], "bounds must lie inside the image, 0-96_0-160_0-160"),
        (["--LocalFragments-low", "0.9", "--LocalFragments-high", "0.5"], "low must be less than high"),
        (["--Inference-weights", "sample/README.md"], "weights must be plain tensors"),
        (["--Inference-weights", "nothing.pt"], "weights must be a file, got nothing.pt, which does not exist"),
        (["--Inference-overlap", "48,16,16"], "overlap must be at least 0 and less than output_patch, got 48 of 48"),
        (
            ["--Downsample-mips", "9", "--Mesh-mip", "9"],
            "mips must be at most 8, of which the last has one voxel, got 9",
        ),
        (["--Inference-model", "tests/pipelines/two_channels.py"], "got (1, 2, 48, 80, 80)"),
    ],
)
def test_bad_input_is_refused_before_any_work(tmp_path: Path, arguments: list[str], message: str) -> None:
    made = tmp_path / "out"
    run = luigi_command("--module", "lchunk.tasks", "MeshManifest", "--Dataset-root", str(made), *arguments)
    assert run.returncode in (35, 40)
    assert message in run.stderr
    assert not made.exists()


@pytest.mark.parametrize(
    "stage", ["Ingest", "Inference", "LocalFragments", "Segmentation", "Downsample", "Mesh", "Evaluation"]
)
def test_help_explains_every_knob(stage: str) -> None:
    run = luigi_command("--module", "lchunk.tasks", stage, "--help")
    assert run.returncode == 0
    assert f"--{stage}-region" in run.stdout
    assert "default: the whole" in run.stdout
