"""`lchunk export skeletons` as a user types it, and back through the reader of true skeletons."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk import cli
from lchunk.exports.skeletons import read_skeletons, swc
from lchunk.tasks import SkeletonEvaluation, SkeletonMerge
from lchunk.volumes.skeleton_folders import decode_skeleton, encode_skeleton
from lchunk.volumes.skeletons import Skeletons, find_skeletons
from lchunk.volumes.store import FileStore
from tests.conftest import build
from tests.tasks.test_skeletons import BIG, SIZE, dataset
from tests.volumes.skeletons.test_reading import parts_of

Run = Callable[..., str]


@pytest.fixture
def export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], configure: Callable[..., None]
) -> Run:
    """Run the command on a dataset with skeletons, and return what it prints."""
    root = dataset(tmp_path, configure, "12,20,16")
    configure("SkeletonMerge", shard_bits=1)
    assert build(SkeletonMerge())
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["lchunk", "export", *words, "--root", str(root)])
        cli.main()
        return capsys.readouterr().out

    return run


def without_directions(skeletons: Skeletons) -> dict[str, object]:
    return {name: (nodes, sorted(map(sorted, edges))) for name, (nodes, edges) in parts_of(skeletons).items()}


def test_swc_files_and_shards_hold_the_same_skeletons_and_follow_the_labels_they_were_made_of(
    export: Run, tmp_path: Path, configure: Callable[..., None]
) -> None:
    said = "wrote swc: 2 skeletons of segmentation/skeletons; to read them in lchunk, use swc#unit=nm\n"
    assert export("skeletons", "swc") == said
    read = find_skeletons(f"{tmp_path}/swc#unit=nm").read(SIZE)
    assert set(read.names) == {"5", str(BIG)}
    for label, body in read_skeletons(FileStore(tmp_path / "12,20,16"), "segmentation/skeletons"):
        places, edges, _ = decode_skeleton(body)
        own = read.skeleton == read.names.index(str(label))
        assert {*map(tuple, read.nodes[own].tolist())} == {*map(tuple, places.astype(float).tolist())}
        ends = np.sort(read.nodes[read.edges[own[read.edges[:, 0]]]].view("f8,f8,f8")[..., 0], axis=1)
        true = np.sort(np.ascontiguousarray(places[edges].astype(float)).view("f8,f8,f8")[..., 0], axis=1)
        assert {*map(tuple, ends.tolist())} == {*map(tuple, true.tolist())}
    folder = tmp_path / "12,20,16/segmentation/skeletons"
    assert without_directions(find_skeletons(str(folder)).read(SIZE)) == without_directions(read)
    configure("Dataset", skeletons=folder)
    assert build(SkeletonEvaluation())
    stage = SkeletonEvaluation()
    (scores,) = stage.files().records(stage.bounds)
    assert scores["normalized_run_length"] == 1
    (folder / "0.shard").unlink()
    with pytest.raises(FileNotFoundError, match=r"skeletons must have all 2 shards, got 1; lchunk run SkeletonMerge"):
        find_skeletons(str(folder))


def test_each_tree_of_a_file_has_a_root_and_radii_are_written() -> None:
    places = np.array([[0, 0, 4], [0, 0, 8], [0, 0, 12], [40, 0, 0]], float)
    text = swc(encode_skeleton(places, np.array([[1, 2], [0, 1]]), np.array([4, 5.5, 6, 7])))
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["1", "0", "4", "0", "0", "4", "-1"],
        ["2", "0", "8", "0", "0", "5.5", "1"],
        ["3", "0", "12", "0", "0", "6", "2"],
        ["4", "0", "0", "0", "40", "7", "-1"],
    ]


def test_what_cannot_be_exported_is_refused(export: Run, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="skeletons must be exported without --mip, got it"):
        export("skeletons", "swc", "--mip", "1")
    export("segmentation/skeletons", "swc")
    with pytest.raises(SystemExit, match="the output must be new, got swc"):
        export("skeletons", "swc")
    shard = tmp_path / "12,20,16/segmentation/skeletons/1.shard"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(SystemExit, match=r"1\.shard must be a whole shard, but"):
        export("skeletons", "swc", "--overwrite")
    assert (tmp_path / "swc/5.swc").exists(), "the older export stays"
    shard.unlink()
    with pytest.raises(
        SystemExit, match="must have all 2 shards, but 1 are missing, the first segmentation/skeletons/"
    ):
        export("skeletons", "swc", "--overwrite")
    (shard.parent / "info").unlink()
    with pytest.raises(
        SystemExit, match="must have a layer segmentation/skeletons, got none; lchunk run SkeletonMerge"
    ):
        export("skeletons", "swc", "--overwrite")
