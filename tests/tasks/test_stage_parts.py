"""The properties of a stage: its grid, its regions, its files, the memory that a chunk is expected to need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pytest

from lchunk.tasks import Ingest, wiring
from lchunk.tasks.reads import Reads
from lchunk.tasks.stage import Stage
from lchunk.volumes.tables import DOCUMENT
from tests.conftest import build, write_hdf5

IMAGE = np.random.default_rng(0).integers(1, 255, (8, 16, 16)).astype(np.uint8)
FIRST = "0-4_0-8_0-8"


class PartsForTest(Stage):
    """Two channels of four bytes, from one voxel more before and two more after along x."""

    reads = (Reads(Ingest, (0, 0, 1), (0, 0, 2)),)
    layer = "parts"
    dtype = np.float32
    channels = 2

    gain: int = luigi.IntParameter(default=3, description="factor")
    label: str = luigi.Parameter(default="", description="a name")
    needed: str = luigi.Parameter(default="x", description="as given")

    def compute(self, image: Any) -> Any:
        return np.stack([image, image]).astype(np.float32)


class SameGridForTest(Stage):
    """Has the chunks of what it reads."""

    reads = (Reads(PartsForTest),)
    layer = "same_grid"
    same_grid = True

    def compute(self, parts: Any) -> Any:
        return parts[0].astype(np.uint8)


class RecordsOfParts(Stage):
    """Records, whose size is not known before."""

    reads = (Reads(PartsForTest),)
    layer = "records_of_parts"
    format = DOCUMENT

    def compute(self, parts: Any) -> Any:
        return {"sum": float(parts.sum())}


class VoxelsOfRecords(Stage):
    """Voxels, from records."""

    reads = (Reads(RecordsOfParts),)
    layer = "voxels_of_records"

    def compute(self, records: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def root(tmp_path: Path, configure: Callable[..., None]) -> Path:
    image = write_hdf5(tmp_path / "image.h5", "raw", IMAGE, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="4,8,8", inner_chunk="4,4,4")
    return tmp_path / "out"


def test_defaults_are_in_the_description_of_each_knob() -> None:
    described = {name: knob.description for name, knob in PartsForTest.get_params()}
    assert described["gain"] == "factor; default: 3"
    assert described["label"] == "a name; default: none"
    assert described["needed"] == "as given; default: x"


def test_parameters_are_looked_for_once_by_class() -> None:
    assert PartsForTest.get_params() is PartsForTest.get_params()
    assert [name for name, _ in SameGridForTest.get_params()] == [name for name, _ in Stage.get_params()]


def test_the_grid_is_that_of_the_first_input_where_a_stage_says_so(root: Path, configure: Callable[..., None]) -> None:
    configure("PartsForTest", chunk_shape="4,4,16")
    assert PartsForTest().grid.chunk_shape == (4, 4, 16)
    assert SameGridForTest().grid is PartsForTest().grid
    assert SameGridForTest(region="0-4_0-4_0-16").grid is PartsForTest().grid
    assert RecordsOfParts().grid.chunk_shape == (4, 8, 8)


@pytest.mark.parametrize(("region", "is_chunk"), [(FIRST, True), ("0-8_0-8_0-8", False), (None, False)])
def test_a_region_is_a_chunk_or_not(root: Path, region: str | None, is_chunk: bool) -> None:
    assert PartsForTest(region=region).is_chunk == is_chunk


@pytest.mark.parametrize(("chunk_shape", "delegates"), [("8,16,16", False), ("8,16,8", True), ("4,8,8", True)])
def test_the_whole_makes_its_only_chunk_itself(
    root: Path, configure: Callable[..., None], chunk_shape: str, delegates: bool
) -> None:
    configure("Dataset", chunk_shape=chunk_shape)
    assert PartsForTest().delegates == delegates
    assert not PartsForTest(region="0-8_0-16_0-16").delegates


def test_the_output_of_a_region_is_the_files_of_its_chunks(root: Path) -> None:
    block = PartsForTest(region="0-4_0-8_0-16")
    assert [target.key for target in block.output()] == [f"parts/0/c/0/0/0/{x}" for x in (0, 1)]
    assert build(block)
    assert all(target.exists() for target in block.output())
    assert all((root / target.key).exists() for target in block.output())


def test_a_chunk_s_memory_is_that_of_the_middle_with_its_halo(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "projected_memory", lambda inputs, output: (inputs, output))
    assert PartsForTest().projected_memory == (4 * 8 * (8 + 3), 4 * 8 * 8 * 2 * 4)
    assert SameGridForTest().projected_memory == (4 * 8 * 8 * 2 * 4, 4 * 8 * 8)


def test_the_memory_of_records_and_of_what_comes_from_outside_is_not_known(
    root: Path, configure: Callable[..., None], tmp_path: Path
) -> None:
    assert RecordsOfParts().projected_memory is None
    assert VoxelsOfRecords().projected_memory is None
    configure("Ingest", external=f"{tmp_path}/image.h5:/raw")
    assert Ingest().projected_memory is None
    assert PartsForTest().projected_memory is not None
