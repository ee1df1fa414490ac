"""Stages that write no layer of voxels cannot be replaced by a volume: `external` is refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from luigi.task_register import Register

import lchunk.tasks
from lchunk.tasks.stage import Stage
from lchunk.volumes.layer import Layer
from tests.cli.commands import lchunk as command
from tests.conftest import write_hdf5

STAGES = [
    stage
    for stage in vars(lchunk.tasks).values()
    if isinstance(stage, Register) and issubclass(stage, Stage) and stage.__module__.startswith("lchunk.")
]


def cfg(folder: Path) -> None:
    image = write_hdf5(folder / "a.h5", "raw", np.ones((8, 8, 8), np.uint8), (8, 8, 8), (0, 0, 0))
    (folder / "luigi.cfg").write_text(
        f"[Dataset]\nroot = out\nimage = {image}\nchunk_shape = 4,4,4\ninner_chunk = 4,4,4\n"
        "[Inference]\nframework = identity\ninput_patch = 4,4,4\noutput_patch = 4,4,4\noverlap = 0,0,0\n"
        "[core]\nautoload_range = false\n"
    )


@pytest.mark.parametrize("stage", ["Mesh", "Skeleton", "SkeletonMerge", "MultiResMesh", "MeshManifest"])
def test_the_command_says_so_instead_of_nothing_to_do(tmp_path: Path, stage: str) -> None:
    cfg(tmp_path)
    said = command(tmp_path, "run", stage, "--external", f"{tmp_path}/a.h5:/raw")
    assert said.code == 35  # a wrong cfg
    assert said.last.startswith(
        f"lchunk: Error: {stage}-external must be empty, because the output of {stage} cannot be replaced, got "
    )
    assert not (tmp_path / "out/segmentation").exists()


def test_every_stage_that_may_be_replaced_writes_a_layer_of_voxels(tmp_path: Path, configure: Any) -> None:
    image = write_hdf5(tmp_path / "a.h5", "raw", np.ones((8, 8, 8), np.uint8), (8, 8, 8), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=image, chunk_shape="4,4,4", inner_chunk="4,4,4")
    replaceable = set()
    for stage in STAGES:
        try:
            one = stage()
            kind, files = one.external_kind, one.files()
        except (ValueError, AttributeError, FileNotFoundError):  # it needs knobs, or layers that exist
            continue
        if kind is not None:
            replaceable.add(stage.__name__)
            assert isinstance(files, Layer), stage.__name__
    assert {"Ingest", "Segmentation"} <= replaceable
