"""The command that runs a region again has the knobs of the run, and no other."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
import pytest
from luigi.cmdline_parser import CmdlineParser

from lchunk.geometry.bbox import Bbox
from lchunk.tasks import Downsample, Inference, MeshManifest, Segmentation
from lchunk.tasks.again import command_of
from lchunk.tasks.stage import Stage

REGION = Bbox((-2, 0, 0), (2, 4, 4))


class OutsideForAgain(Stage):
    """A stage of a user's module."""

    layer = "outside_for_again"
    wanted: str = luigi.Parameter(default="", description="a text")


@pytest.fixture(autouse=True)
def _dataset(configure: Callable[..., None], tmp_path: Path) -> None:
    configure("Dataset", root=tmp_path / "out", chunk_shape="4,4,4")


@pytest.fixture
def line() -> Iterator[Callable[..., None]]:
    """Sets the command line of Luigi."""
    before = CmdlineParser._instance

    def set_line(*words: str) -> None:
        CmdlineParser._instance = CmdlineParser(list(words))

    yield set_line
    CmdlineParser._instance = before


def test_the_whole_volume_by_the_cfg_alone(configure: Callable[..., None]) -> None:
    configure("Inference", batch="3")
    assert command_of(Inference()) == "lchunk run Inference"
    assert command_of(Inference(region=REGION)) == "lchunk run Inference --region=-2-2_0-4_0-4"


def test_knobs_that_another_stage_or_a_program_set() -> None:
    assert command_of(Downsample(of="affinities", mips=4)) == (
        "lchunk run Downsample --Downsample-of=affinities --Downsample-mips=4"
    )
    task = Inference(root="/data/my mouse", trust_weights=True)
    command = command_of(task)
    assert command == "lchunk run Inference '--Inference-root=/data/my mouse' --Inference-trust-weights"
    assert shlex.split(command)[3] == "--Inference-root=/data/my mouse"


def test_knobs_on_the_command_line_of_the_stage_and_of_others(line: Callable[..., None]) -> None:
    line(
        "MeshManifest", "--prefix", "7", "--Segmentation-threshold", "0.5", "--Store-connections", "9",
        "--Inference-trust-weights", "--region=0-4_0-4_0-4",
    )  # fmt: skip
    assert command_of(MeshManifest(prefix="7")) == (
        "lchunk run MeshManifest --MeshManifest-prefix=7 --Inference-trust-weights --Segmentation-threshold=0.5"
    )
    assert command_of(Segmentation(region=REGION)) == (
        "lchunk run Segmentation --region=-2-2_0-4_0-4 --Segmentation-threshold=0.5 --Inference-trust-weights "
        "--MeshManifest-prefix=7"
    )


def test_a_stage_of_another_module_is_found_again() -> None:
    command = command_of(OutsideForAgain(wanted="a; rm -r b"))
    assert command == f"lchunk run OutsideForAgain --module {__name__} '--OutsideForAgain-wanted=a; rm -r b'"
