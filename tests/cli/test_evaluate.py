"""`lchunk evaluate`: the scores of other programs, whatever the formats, places and sizes of the volumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lchunk.cli.line import main
from lchunk.tasks import compared
from tests.conftest import write_hdf5
from tests.tasks.peer_scores import by_others

SHAPE = (9, 21, 26)
SIZE = (40, 4, 4)


def labels(seed: int, cells: int) -> np.ndarray:
    """Blocks of labels, some of them 0."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, cells, (3, 7, 9), dtype=np.uint64)
    return blocks.repeat(3, 0).repeat(3, 1).repeat(3, 2)[tuple(map(slice, SHAPE))]


def scored(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    main(["evaluate", *words, "--json"])
    found: dict = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("box", [(64, 512, 512), (2, 8, 5)])
def test_volumes_of_different_formats_and_places_are_scored_where_they_overlap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, box: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(compared, "BOX", box)
    segmentation, truth = labels(0, 9), labels(1, 6)
    seg = write_hdf5(tmp_path / "seg.h5", "labels", segmentation, SIZE, (-2, 100, 7))
    true = write_hdf5(tmp_path / "truth.h5", "truth", truth[1:7, 3:, :20].astype(np.uint16), SIZE, (-1, 103, 7))
    found = scored(capsys, seg, true)
    expected = by_others(truth[1:7, 3:, :20], segmentation[1:7, 3:, :20])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    assert len(found["worst"]["splits"]) == 5

    tifffile.imwrite(tmp_path / "seg.tif", segmentation.astype(np.uint16))
    np.save(tmp_path / "truth.npy", truth)
    found = scored(capsys, str(tmp_path / "seg.tif"), str(tmp_path / "truth.npy"))
    assert found["voi_split"] == pytest.approx(by_others(truth, segmentation)["voi_split"], rel=1e-9)


def test_what_is_printed_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seg = write_hdf5(tmp_path / "seg.h5", "labels", labels(0, 9), SIZE, (0, 0, 0))
    main(["evaluate", seg, seg, "--worst", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{seg} against {seg}: {np.count_nonzero(labels(0, 9)):,} voxels of 0-9_0-21_0-26"
    assert lines[1:5] == [
        "Rand split:          1.000000", "Rand merge:          1.000000", "VOI split:           0.000000",
        "VOI merge:           0.000000",
    ]  # fmt: skip
    other = write_hdf5(tmp_path / "other.h5", "labels", labels(5, 4), SIZE, (0, 0, 0))
    main(["evaluate", seg, other, "--worst", "3"])
    text = capsys.readouterr().out
    assert text.count("worst splits:") == text.count("worst merges:") == 1
    assert len(text.splitlines()) == 1 + 6 + 2 * (2 + 3)


def test_volumes_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    seg = write_hdf5(tmp_path / "seg.h5", "labels", labels(0, 9), SIZE, (0, 0, 0))
    far = write_hdf5(tmp_path / "far.h5", "labels", labels(0, 9), SIZE, (50, 0, 0))
    coarse = write_hdf5(tmp_path / "coarse.h5", "labels", labels(0, 9), (40, 8, 8), (0, 0, 0))
    grey = write_hdf5(tmp_path / "grey.h5", "raw", np.full(SHAPE, 0.5, np.float32), SIZE, (0, 0, 0))
    for words, said in (
        ([seg, far], "TRUTH must overlap SEG's bounds"),
        ([seg, coarse], "TRUTH must have the voxel size of SEG"),
        ([seg, grey], "must be whole numbers .*, got 0.5 in TRUTH"),
        ([grey, seg], "must be whole numbers .*, got 0.5 in SEG"),
        ([seg, str(tmp_path / "absent.h5")], "absent.h5"),
        ([seg, seg, "--worst", "-1"], "--worst must be from 0 to 1000, got -1; list fewer"),
        (["absent.h5", seg, "--worst", "1001"], "--worst must be from 0 to 1000, got 1001"),
    ):
        with pytest.raises(SystemExit, match=said):
            main(["evaluate", *words])
