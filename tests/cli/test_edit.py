"""`lchunk edit` counts what changes, changes it, and says how to go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.cli.commands import Said, lchunk
from tests.conftest import smooth_affinities, write_hdf5

SHAPE = (9, 21, 26)
CFG = """
[Dataset]
root = out
image = a.h5:/raw
chunk_shape = 4,8,8
inner_chunk = 2,2,2
[Inference]
external = a.h5:/a
[Segmentation]
threshold = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros(SHAPE, np.uint8), (40, 8, 8), (0, 0, 0))
    write_hdf5(tmp_path / "a.h5", "a", smooth_affinities(SHAPE, 5), (40, 8, 8), (0, 0, 0))
    (tmp_path / "luigi.cfg").write_text(CFG)
    return tmp_path


def edit(folder: Path, *words: str) -> Said:
    return lchunk(folder, "edit", *words)


def run(folder: Path, *words: str) -> Said:
    return lchunk(folder, "run", "Segmentation", *words)


def test_a_merge_is_counted_made_and_taken_back(folder: Path) -> None:
    assert "must hold the layer segmentation" in edit(folder).last
    assert run(folder).code == 0
    layer = open_layer(FileStore(folder / "out"), "segmentation", 0)
    before = layer.read(layer.bounds)
    labels, sizes = np.unique(before[before > 0], return_counts=True)
    one, other = sorted(labels[np.argsort(sizes)][-2:].tolist())
    (folder / "edits.csv").write_text(f"merge,{one},{other}\n")
    with_edits = ("--Segmentation-edits", "edits.csv")
    refused = run(folder, *with_edits)
    assert refused.code != 0
    assert "lchunk edit" in refused.err
    changing = {tuple(voxel // (4, 8, 8)) for voxel in np.argwhere(before == other)}
    counted = edit(folder, *with_edits)
    assert counted.out.splitlines() == [
        f"segmentation: 2 segments edited, 0 before; {len(changing)} of 36 chunks change",
        f"dry run: nothing changed; to remove {len(changing)} chunk files of segmentation, add --yes",
    ]
    assert np.array_equal(layer.read(layer.bounds), before)
    done = edit(folder, *with_edits, "--yes")
    assert done.last == (
        f"removed {len(changing)} chunk files of segmentation; `lchunk run Segmentation` makes them again"
    )
    assert run(folder, *with_edits).code == 0
    assert np.array_equal(layer.read(layer.bounds), np.where(before == other, np.uint64(one), before))
    assert edit(folder, "--yes").code == 0
    assert run(folder).code == 0
    assert np.array_equal(layer.read(layer.bounds), before)


def test_other_knobs_are_no_edits(folder: Path) -> None:
    assert run(folder).code == 0
    said = edit(folder, "--Segmentation-threshold", "0.4", "--yes")
    assert said.code != 0
    assert "Segmentation-threshold is '0.5' there, '0.4' in this run" in said.err


def test_an_option_that_does_not_exist_is_refused(folder: Path) -> None:
    assert "did you mean --Segmentation-edits?" in edit(folder, "--Segmentation-edit", "a.csv").last
