"""The machinery of stages, on small stages: regions, blocks, resuming, recipes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import luigi
import numpy as np
import pytest
import tifffile

from lchunk.geometry.bbox import Bbox
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Ingest
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.making import make
from lchunk.tasks.reads import Reads
from lchunk.tasks.running import job_of
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import TABLE
from tests.conftest import build, files_of, write_hdf5

START = (-10, 200, 300)
IMAGE = np.random.default_rng(0).integers(1, 255, (20, 24, 33)).astype(np.uint8)
made: list[tuple[str, str]] = []
broken: set[str] = set()


class BlurForTest(Stage):
    """Sum of a voxel and its six neighbours, modulo 256: needs a halo of 1."""

    reads = (Reads.halo(Ingest, 1),)
    layer = "blur"

    gain: int = luigi.IntParameter(default=1, description="factor")

    def compute_chunk(self, chunk: Chunk, image: np.ndarray) -> np.ndarray:
        made.append((type(self).__name__, str(chunk.bbox)))
        if str(chunk.bbox) in broken:
            raise RuntimeError("broken on purpose")
        return blurred(image) * np.uint8(self.gain)


class SumForTest(Stage):
    """One number for the volume."""

    reads = (Reads(BlurForTest),)
    layer = "sum"
    format = TABLE
    single_chunk = True
    file = "sum"

    def compute_chunk(self, chunk: Chunk, blur: np.ndarray) -> dict[str, np.ndarray]:
        made.append((type(self).__name__, str(chunk.bbox)))
        return {"sum": np.array([blur.sum(dtype=np.uint64)])}


def blurred(image: np.ndarray) -> np.ndarray:
    around = np.pad(image, 1)
    inner = slice(1, -1)
    total = around[inner, inner, inner].copy()
    for low in (slice(0, -2), slice(2, None)):
        total += around[low, inner, inner] + around[inner, low, inner] + around[inner, inner, low]
    return total


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    made.clear()
    broken.clear()
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), START)
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="8,16,16", inner_chunk="4,8,8")
    return tmp_path / "out"


@pytest.mark.parametrize("max_blocks", [1000, 5, 1])
def test_a_stage_gives_what_the_operator_gives_on_the_whole(
    root: Path, configure: Callable[..., None], max_blocks: int
) -> None:
    configure("Dataset", max_blocks=max_blocks)
    assert build(BlurForTest())
    layer = BlurForTest().voxels
    assert np.array_equal(layer.read(layer.bounds), blurred(IMAGE))
    assert len(made) == 18
    assert layer.bounds.start == START


def test_blocks_keep_the_graph_small(root: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", max_blocks=4)
    whole = BlurForTest()
    required = whole.requires()
    assert len(required) == len(whole.blocks) <= 4
    assert all(len(block.requires()) <= 4 for block in required)


def test_a_second_run_makes_nothing(root: Path) -> None:
    assert build(SumForTest())
    before = files_of(root)
    made.clear()
    assert build(SumForTest())
    assert made == []
    assert files_of(root) == before


@pytest.mark.parametrize("max_blocks", [1000, 5])
def test_a_deleted_chunk_comes_back_alone(root: Path, configure: Callable[..., None], max_blocks: int) -> None:
    configure("Dataset", max_blocks=max_blocks)
    assert build(BlurForTest())
    before = files_of(root)
    made.clear()
    (root / "blur/0/c/1/0/2").unlink()
    assert build(BlurForTest())
    assert made == [("BlurForTest", "-2-6_200-216_332-333")]
    assert files_of(root) == before


def test_a_chunk_can_be_made_by_its_region(root: Path) -> None:
    assert build(BlurForTest(region="-2-6_200-216_316-332"))
    assert made == [("BlurForTest", "-2-6_200-216_316-332")]
    assert (root / "blur/0/c/1/0/1").exists()
    # only the upstream chunks that its halo touches
    assert len(list((root / "image/0/c").rglob("*/*/*"))) == 3 * 3 * 2


@pytest.mark.parametrize("region", ["-2-6_200-216_316-330", "0-8_200-216_316-332", "100-108_200-216_316-332"])
def test_a_region_of_half_chunks_is_refused_with_the_nearest(root: Path, region: str) -> None:
    with pytest.raises(ValueError, match=r"region must be whole chunks of \(8, 16, 16\).*the nearest is"):
        BlurForTest(region=region).complete()


def test_when_one_chunk_of_a_block_fails_the_others_are_made(root: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", max_blocks=1)
    broken.add("-2-6_200-216_316-332")
    assert not build(BlurForTest())
    assert len(list((root / "blur/0/c").rglob("*/*/*"))) == 17
    broken.clear()
    made.clear()
    assert build(BlurForTest())
    assert made == [("BlurForTest", "-2-6_200-216_316-332")]


def test_other_knobs_are_refused_before_any_work(root: Path) -> None:
    assert build(SumForTest())
    before = files_of(root)
    made.clear()
    with pytest.raises(RecipeMismatchError, match=r"blur .*BlurForTest-gain is '1' there, '3' in this run") as error:
        BlurForTest(gain=3).complete()
    assert f"rm -r {root}/blur" in str(error.value)
    assert "--BlurForTest-layer-name NAME" in str(error.value)
    assert not build(BlurForTest(gain=3))
    assert not build(BlurForTest(gain=3, region="-2-6_200-216_316-332")) or made == []
    assert files_of(root) == before


def test_a_knob_of_a_stage_upstream_is_named_too(root: Path, configure: Callable[..., None]) -> None:
    assert build(SumForTest())
    configure("BlurForTest", gain=2)
    with pytest.raises(RecipeMismatchError) as error:
        SumForTest().complete()
    assert "BlurForTest-gain is '1' there, '2' in this run" in str(error.value)
    assert "sum (SumForTest): it was made from layers that differ" in str(error.value)
    assert f"rm -r {root}/blur {root}/sum" in str(error.value)


@pytest.mark.parametrize("removed", [True, False])
def test_a_chunk_is_never_made_from_a_layer_of_other_knobs(
    root: Path, configure: Callable[..., None], removed: bool
) -> None:
    assert build(BlurForTest())
    made.clear()
    if removed:
        shutil.rmtree(root / "blur")
    else:
        (root / "blur/0/c/1/0/1").unlink()
    configure("Ingest", fill_missing=True)
    chunk = BlurForTest(region="-2-6_200-216_316-332")
    assert not build(chunk)
    with pytest.raises(RecipeMismatchError, match="Ingest-fill-missing is 'False' there, 'True' in this run"):
        make(job_of(chunk, chunk.bbox))
    assert made == []
    assert (root / "blur").exists() != removed


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("chunk_shape", "16,16,16", r"Ingest-chunk-shape is \[8, 16, 16\] there, \[16, 16, 16\]"),
        ("inner_chunk", "8,8,8", r"inner-chunk is \[4, 8, 8\] there"),
        ("bounds", "-10-6_200-216_300-316", "Dataset-bounds is '-10-10_200-224_300-333' there"),
        ("voxel_size", "40,8,8", "Dataset-voxel-size is '40,4,4' there"),
    ],
)
def test_a_dataset_that_changes_under_its_layers_is_refused(
    root: Path, configure: Callable[..., None], option: str, value: str, message: str
) -> None:
    assert build(BlurForTest())
    configure("Dataset", **{option: value})
    with pytest.raises(RecipeMismatchError, match=message):
        BlurForTest().complete()


def test_another_layer_name_is_a_way_out(root: Path) -> None:
    assert build(BlurForTest())
    assert build(BlurForTest(gain=3, layer_name="blur3"))
    layer = BlurForTest(gain=3, layer_name="blur3").voxels
    assert np.array_equal(layer.read(layer.bounds), blurred(IMAGE) * np.uint8(3))


def test_an_external_volume_is_read_in_place(root: Path, configure: Callable[..., None], tmp_path: Path) -> None:
    configure("Ingest", external=f"{tmp_path}/image.h5:/raw")
    before = (tmp_path / "image.h5").read_bytes()
    assert build(BlurForTest())
    layer = BlurForTest().voxels
    assert np.array_equal(layer.read(layer.bounds), blurred(IMAGE))
    assert not (root / "image").exists()
    assert (tmp_path / "image.h5").read_bytes() == before


def test_two_datasets_are_two_tasks(root: Path) -> None:
    assert BlurForTest(root="a").task_id != BlurForTest(root="b").task_id
    assert SumForTest(root="a").requires()[0].root == "a"


def test_bounds_cut_the_image(root: Path, configure: Callable[..., None]) -> None:
    configure("Dataset", bounds="-4-8_204-220_310-330")
    assert build(Ingest())
    layer = Ingest().voxels
    cut = Bbox((-4, 204, 310), (8, 220, 330))
    assert np.array_equal(layer.read(cut), IMAGE[cut.slices(START)])
    assert layer.bounds == cut


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "{tmp}/nothing.h5:/raw"}, "image must exist, got .*nothing.h5"),
        ({"image": "{tmp}/image.h5:/rwa"}, "must be one of /raw"),
        ({"image": ""}, "image must be the URL of the input"),
        (
            {"chunk_shape": "10,16,16"},
            "chunk_shape must be a multiple of inner_chunk.*10 along z is not a multiple of 4",
        ),
        ({"bounds": "-11-6_200-216_300-316"}, "bounds must lie inside the image, -10-10_200-224_300-333"),
        ({"bounds": "0-0_200-216_300-316"}, "bounds must hold at least one voxel"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    root: Path, configure: Callable[..., None], tmp_path: Path, options: dict[str, str], message: str
) -> None:
    configure("Dataset", **{name: value.format(tmp=tmp_path) for name, value in options.items()})
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        SumForTest().complete()
    assert not build(SumForTest())
    assert not root.exists()


def test_a_log_that_cannot_be_written_stops_nothing(root: Path) -> None:
    root.mkdir()
    (root / "logs").write_text("a file where the folder should be")
    assert build(BlurForTest())
    assert len(made) == 18


def test_a_chunk_leaves_a_log(root: Path) -> None:
    assert build(BlurForTest())
    (log_file,) = (root / "logs/blur").iterdir()
    logs = [json.loads(line) for line in log_file.read_text().splitlines()]
    assert {log["bbox"] for log in logs} == {bbox for _, bbox in made}
    assert sum(log["voxels"] for log in logs) == IMAGE.size
    assert all(log["seconds"].keys() == {"read", "compute", "write"} for log in logs)


def test_an_image_without_a_voxel_size_needs_one_from_the_cfg(
    root: Path, configure: Callable[..., None], tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", IMAGE, photometric="minisblack")
    configure("Dataset", image=tmp_path / "stack.tif")
    with pytest.raises(ValueError, match=r"voxel_size must be given if the image has none, got none for .*stack\.tif"):
        Ingest().complete()
    configure("Dataset", voxel_size="40,4,4")
    assert build(Ingest())
    layer = Ingest().voxels
    assert np.array_equal(layer.read(layer.bounds), IMAGE)
    assert (layer.bounds.start, layer.voxel_size) == ((0, 0, 0), (40, 4, 4))


def test_an_image_of_another_type_is_refused(root: Path, configure: Callable[..., None], tmp_path: Path) -> None:
    url = write_hdf5(tmp_path / "image.h5", "deep", IMAGE.astype(np.uint16), (40, 4, 4), START)
    configure("Dataset", image=url)
    with pytest.raises(ValueError, match=r"image must be uint8, or have an intensity range, got uint16"):
        Ingest().complete()
