"""`lchunk new`: a cfg that runs as it is, from a look at the image."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from luigi.configuration import LuigiConfigParser

from lchunk.cli.planning.shapes import Budget, mip_factor, plan
from lchunk.geometry.bbox import Bbox
from lchunk.operators.blending import Selection
from lchunk.operators.footprint import Footprint
from lchunk.operators.lattice import Lattice
from lchunk.tasks.downsample import PASS_MIPS
from tests.cli.commands import lchunk
from tests.conftest import write_hdf5

VOXELS = np.random.default_rng(0).integers(1, 255, (6, 40, 50), dtype=np.uint8)


def without_voxel_size(folder: Path) -> str:
    with h5py.File(folder / "raw.h5", "w") as file:
        file["raw"] = VOXELS
    return f"{folder}/raw.h5:/raw"


def test_the_cfg_runs_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    data.mkdir()
    write_hdf5(data / "raw 5%.h5", "raw", VOXELS, (40, 4, 4), (3, 0, -7))
    said = lchunk(tmp_path, "new", "my data/raw 5%.h5:/raw")
    assert said.code == 0, said.err
    assert "6x40x50 voxels zyx, uint8, 40,4,4 nm" in said.out
    assert said.out.endswith("wrote luigi.cfg\nnext: lchunk run MeshManifest\n")
    run = lchunk(tmp_path, "run", "MeshManifest")
    assert run.code == 0, run.err
    assert np.array_equal(zarr.open_array(tmp_path / "out/image/0", mode="r")[:], VOXELS)
    for layer in ("image", "segmentation"):
        assert lchunk(tmp_path, "run", "Downsample", "--of", layer).code == 0
        assert (tmp_path / "out" / layer / "1/zarr.json").exists()


def test_a_second_dataset_gets_a_cfg_of_its_own_and_nothing_is_overwritten(tmp_path: Path) -> None:
    image = without_voxel_size(tmp_path)
    (tmp_path / "luigi.cfg").write_text("[Dataset]\nroot = mine\n")
    said = lchunk(tmp_path, "new", image, "--voxel-size", "8,8,8", "--root", "fly")
    assert said.code == 0, said.err
    assert said.out.endswith("wrote raw.cfg\nnext: LUIGI_CONFIG_PATH=raw.cfg lchunk run MeshManifest\n")
    assert (tmp_path / "luigi.cfg").read_text() == "[Dataset]\nroot = mine\n"
    before = (tmp_path / "raw.cfg").read_text()
    refused = lchunk(tmp_path, "new", image, "--voxel-size", "8,8,8")
    assert refused.code == 1
    assert "got luigi.cfg and raw.cfg, which exist; give one with --cfg NAME" in refused.last
    assert (tmp_path / "raw.cfg").read_text() == before
    assert lchunk(tmp_path, "new", image, "--voxel-size", "8,8,8", "--cfg", "luigi.cfg").code == 1
    run = lchunk(tmp_path, "run", "Ingest", LUIGI_CONFIG_PATH="raw.cfg")
    assert run.code == 0, run.err
    layer = json.loads((tmp_path / "fly/image/zarr.json").read_text())["attributes"]["lchunk"]
    assert layer["voxel_size"] == [8, 8, 8]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ([], "add --voxel-size Z,Y,X in nanometres"),
        (["--voxel-size", "8,8"], "voxel-size must be three positive numbers z,y,x in nanometres, got '8,8'"),
        (["--voxel-size", "8,8,0"], "voxel-size must be three positive numbers z,y,x in nanometres, got '8,8,0'"),
        (["--voxel-size", ""], "add --voxel-size Z,Y,X"),
        (["--voxel-size", "8,8,8", "--patch", "8,8"], "--patch must be three whole numbers z,y,x above 0, got '8,8'"),
    ],
)
def test_what_is_not_known_is_asked_for(tmp_path: Path, words: list[str], rule: str) -> None:
    said = lchunk(tmp_path, "new", without_voxel_size(tmp_path), *words)
    assert said.code == 1
    assert rule in said.last
    assert not list(tmp_path.glob("*.cfg"))


def test_an_image_that_is_not_there_leaves_no_cfg(tmp_path: Path) -> None:
    said = lchunk(tmp_path, "new", "nothing.h5:/raw", "--voxel-size", "8,8,8")
    assert said.code == 1
    assert "nothing.h5" in said.last
    assert not list(tmp_path.glob("*.cfg"))


def sixteen_bits(folder: Path) -> str:
    with h5py.File(folder / "raw.h5", "w") as file:
        file["raw"] = 1000 + np.arange(VOXELS.size, dtype=np.uint16).reshape(VOXELS.shape)
    return f"{folder}/raw.h5:/raw"


@pytest.mark.parametrize(
    ("given", "low", "high"), [("2000,4000", 2000, 4000), ("4000,2000", 4000, 2000), ("10%,100%", 2199, 12999)]
)
def test_a_cfg_of_another_type_holds_the_intensity_range(tmp_path: Path, given: str, low: int, high: int) -> None:
    said = lchunk(tmp_path, "new", sixteen_bits(tmp_path), "--voxel-size", "8,8,8", "--intensity-range", given)
    assert said.code == 0, said.err
    assert f"uint16 becomes uint8 by intensity_range = {low},{high}\n" in said.out
    run = lchunk(tmp_path, "run", "Ingest")
    assert run.code == 0, run.err
    with h5py.File(tmp_path / "raw.h5") as file:
        expected = np.clip((file["raw"][:].astype(float) - low) / (high - low), 0, 1) * 255
    assert np.abs(zarr.open_array(tmp_path / "out/image/0", mode="r")[:] - expected).max() <= 0.5


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ([], "must be uint8, or have an intensity range, got uint16"),
        (["--intensity-range", "1,2,3"], "must be two different numbers low,high, or percentages"),
        (["--intensity-range", "5,5"], "got '5,5'"),
        (["--intensity-range", "1%,200"], "got '1%,200'"),
        (["--intensity-range", "1%,101%"], "got '1%,101%'"),
        (["--intensity-range", "nan,2"], "got 'nan,2'"),
        (["--intensity-range", "1%,0.995%"], "must be two different intensities, got 1119 for both"),
    ],
)
def test_an_intensity_range_is_asked_for_and_checked(tmp_path: Path, words: list[str], rule: str) -> None:
    said = lchunk(tmp_path, "new", sixteen_bits(tmp_path), "--voxel-size", "8,8,8", *words)
    assert said.code == 1
    assert rule in said.last
    assert not list(tmp_path.glob("*.cfg"))


@pytest.mark.parametrize(
    ("words", "printed"), [(["0", "100"], "100,12999"), ([], "112,12987"), (["100", "50"], "12999,6549")]
)
def test_percentiles_of_an_image_are_printed_for_its_cfg(tmp_path: Path, words: list[str], printed: str) -> None:
    values = np.arange(100, 13000, dtype=np.uint16)
    np.save(tmp_path / "a.npy", np.random.default_rng(1).permutation(values).reshape(4, 25, 129))
    said = lchunk(tmp_path, "intensity", "a.npy", *words)
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == "[Ingest]"
    assert said.out.splitlines()[-1] == f"intensity_range = {printed}"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["a.npy", "1", "101"], "percentages from 0% to 100%, got '1.0%,101.0%'"),
        (["b.npy"], "b.npy"),
        (["a.npy", "low"], "invalid float value: 'low'"),
    ],
)
def test_what_has_no_percentiles_is_refused(tmp_path: Path, words: list[str], rule: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(125, dtype=np.uint16).reshape(5, 5, 5))
    said = lchunk(tmp_path, "intensity", *words)
    assert said.code
    assert rule in said.last


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--patch", "1.5,12"], "--patch must be three whole numbers z,y,x above 0, got '1.5,12'"),
        (["--patch=-8,8,8"], "--patch must be three whole numbers z,y,x above 0, got '-8,8,8'"),
        (["--patch", "8x8x8"], "--patch must be three whole numbers z,y,x above 0, got '8x8x8'"),
        (["--model", "net.py"], "--model must be a file, got net.py, which does not exist"),
        (["--model", __file__, "--weights", "net.pt"], "--weights must be a file, got net.pt, which does not exist"),
        (["--weights", __file__], f"--weights must come with a net, got {__file__} alone"),
        (["--root", ""], "root must be the dataset's folder, got nothing"),
        (["--root", "ftp://mouse"], "a store must be a path, file://…, s3://…, gs://… or https://…, got 'ftp://mouse'"),
        (["--root", '"out"'], "no quote at its start, got '\"out\"'"),
    ],
)
def test_what_cannot_run_is_written_into_no_cfg(tmp_path: Path, words: list[str], rule: str) -> None:
    said = lchunk(tmp_path, "new", without_voxel_size(tmp_path), "--voxel-size", "8,8,8", *words)
    assert said.code == 1
    assert rule in said.last
    assert not list(tmp_path.glob("*.cfg"))


def test_a_net_in_a_bucket_is_written_as_it_is(tmp_path: Path) -> None:
    words = ("--voxel-size", "8,8,8", "--model", "s3://nets/100%/net.py", "--weights", "gs://nets/last.pt")
    said = lchunk(tmp_path, "new", without_voxel_size(tmp_path), *words)
    assert said.code == 0, said.err
    cfg = LuigiConfigParser()
    cfg.read(tmp_path / "luigi.cfg")
    assert cfg.get("Inference", "model") == "s3://nets/100%/net.py"
    assert cfg.get("Inference", "weights") == "gs://nets/last.pt"
    assert not cfg.has_option("Inference", "framework")


SIDES = st.tuples(*[st.integers(1, 100_000)] * 3)
SIZES = st.tuples(*[st.sampled_from([1.0, 4.0, 8.0, 10.0, 40.0])] * 3)


@given(SIDES, SIZES, st.integers(28, 36))
def test_a_plan_fits_the_volume_the_memory_and_the_rules(
    sides: tuple[int, int, int], voxel_size: tuple[float, float, float], memory_bits: int
) -> None:
    bounds = Bbox.of((0, 0, 0), sides)
    planned = plan(bounds, voxel_size, Budget(1 << memory_bits))
    for chunk, inner, side, factor in zip(planned.chunk_shape, planned.inner_chunk, sides, planned.factor, strict=True):
        assert chunk % inner == 0
        assert chunk < 2 * max(side, 1) or chunk == inner  # no axis is doubled beyond the volume
        assert chunk % factor ** min(planned.mips, PASS_MIPS) == 0
    assert all(a % b == 0 for a, b in zip(planned.inference_chunk, planned.inner_chunk, strict=True))
    lattice = Lattice(bounds, planned.input_patch, planned.output_patch, planned.overlap, "wu")
    footprint = Footprint(lattice, Selection(3), "uint8", 1, 0)
    smallest = footprint.host(planned.inner_chunk)
    assert footprint.host(planned.inference_chunk) <= max(1 << memory_bits, smallest)
    assert math.prod(planned.chunk_shape) * 40 <= max(1 << memory_bits, 40 * math.prod(planned.inner_chunk))


def test_coarse_axes_are_not_made_coarser() -> None:
    assert mip_factor((40, 4, 4)) == (1, 2, 2)
    assert mip_factor((4, 4, 40)) == (2, 2, 1)
