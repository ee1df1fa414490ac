"""`lchunk try`: one chunk beside the dataset, with the voxels that a run makes; the dataset stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.cli.named import open_named
from lchunk.geometry.bbox import Bbox
from lchunk.tasks import Inference, beside
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import open_store
from tests.cli.commands import Said, lchunk
from tests.conftest import smooth_affinities, write_hdf5, write_identity_job


def everything(folder: Path) -> dict[str, bytes]:
    """Every file, logs too."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_chunk_is_that_of_a_run_and_the_dataset_stays_as_it_is(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 20, 20), (-2, 10, 5))
    first = lchunk(tmp_path, "try", "Inference", "--at", "14,27,22", "--into", "before")
    assert first.code == 0, first.err
    assert not (tmp_path / "out").exists()
    assert first.out.splitlines()[0] == "chunk     14-18_26-30_21-25 of Inference, after 8 chunks of other stages"
    assert f"look      lchunk view {tmp_path}/a.h5:/raw try=before/affinities" in first.out
    assert lchunk(tmp_path, "run", "Inference").code == 0
    before = everything(tmp_path / "out")
    second = lchunk(tmp_path, "try", "Inference", "--at", "14,27,22", "--into", "after")
    assert second.code == 0, second.err
    assert everything(tmp_path / "out") == before
    assert second.out.splitlines()[0] == "chunk     14-18_26-30_21-25 of Inference"
    assert f"look      lchunk view {tmp_path}/out try=after/affinities --place=640,112,92\n" in second.out
    assert re.search(r"^seconds   [\d.]+: read [\d.e-]+, decode .* write [\d.e-]+; on cpu$", second.out, re.MULTILINE)
    assert re.search(r"^memory    .* in all; .* projected$", second.out, re.MULTILINE)
    assert "all       8 chunks, of which 0 are missing" in second.out
    box = Bbox((14, 26, 21), (18, 30, 25))
    made = open_layer(open_store(str(tmp_path / "out")), "affinities").read(box)
    for folder in ("before", "after"):
        (shown,) = open_named([f"try={tmp_path / folder}/affinities"], [], [])
        assert shown.volume.bounds == box
        assert np.array_equal(shown.volume.read(box), made)


def test_other_knobs_than_those_of_the_layer_can_be_tried(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 20, 20), (0, 0, 0))
    assert lchunk(tmp_path, "run", "Inference").code == 0
    assert lchunk(tmp_path, "run", "Inference", "--overlap", "0,0,0").code == 35
    said = lchunk(tmp_path, "try", "Inference", "--overlap", "0,0,0", "--into", "other")
    assert said.code == 0, said.err
    assert said.out.startswith("chunk     0-16_0-16_0-16 of Inference\n")
    refused = lchunk(tmp_path, "try", "LocalFragments", "--Inference-overlap", "0,0,0")
    assert "Inference-overlap is '2,2,2' there, '0,0,0' in this run" in refused.err


def test_a_stage_of_tables_can_be_tried_too(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 20, 20), (0, 0, 0))
    assert lchunk(tmp_path, "run", "Segmentation").code == 0
    before = everything(tmp_path / "out")
    said = lchunk(tmp_path, "try", "Mesh", "--into", "mesh")
    assert said.code == 0, said.err
    assert everything(tmp_path / "out") == before
    assert "look" not in said.out
    assert list((tmp_path / "mesh/segmentation/mesh").rglob("*.fragments"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Inference", "--at", "20,0,0"), "--at must be a voxel z,y,x of the volume, 0-20_0-20_0-20, got 20,0,0"),
        (("Inference", "--at", "1,2"), "--at must be three whole numbers z,y,x, got '1,2'"),
        (("Inference", "--region", "0-16_0-16_0-16"), "--region must be left out, got 0-16_0-16_0-16"),
        (("Inference", "--into", "."), "--into must be an empty or a new folder, got ., which holds files"),
        (("Ingest", "--external", "a.h5:/raw"), "the stage must be one that makes chunks, got Ingest"),
        (("Infrence",), "no stage 'Infrence'; did you mean Inference?"),
    ],
)
def test_what_cannot_be_tried_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    write_identity_job(tmp_path, (20, 20, 20), (0, 0, 0))
    said: Said = lchunk(tmp_path, "try", *words)
    assert said.code in (1, 2)
    assert message in said.err
    assert not (tmp_path / "out").exists()


def test_a_chunk_that_reads_too_much_that_is_missing_is_refused(
    tmp_path: Path, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = (smooth_affinities((20, 20, 20), 0)[0] * 255).astype("uint8")
    url = write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="16,16,16", inner_chunk="8,8,8")
    configure("Inference", framework="identity", input_patch="10,12,14", output_patch="8,8,10", overlap="2,2,2")
    monkeypatch.setattr(beside, "MOST_INPUTS", 7)
    chunk = Inference().grid.chunk((0, 0, 0))
    with pytest.raises(FileNotFoundError, match="got more missing ones of Ingest; run it: lchunk run Ingest"):
        beside.make_beside(Inference(), chunk, tmp_path / "few")
    monkeypatch.setattr(beside, "MOST_INPUTS", 8)
    monkeypatch.setattr(beside, "QUICK", 0.0)
    trial = beside.make_beside(Inference(), chunk, tmp_path / "enough")
    assert trial.inputs == 8
    log = next((tmp_path / "enough/logs/affinities").iterdir()).read_text()
    assert log.count("\n") == 1  # a chunk that is not quick is made once
    assert not (tmp_path / "out").exists()
