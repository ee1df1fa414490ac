"""The merges in doubt, compared with cuts of the whole volume's tree just before each merge."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.cli.doubts import MARGIN
from lchunk.cli.line import main
from lchunk.operators.agglomeration import Merges, agglomerate_graph
from tests.conftest import smooth_affinities, write_hdf5
from tests.exports.datasets import make_dataset
from tests.operators.test_agglomeration import cut, whole_graph
from tests.tasks.test_agglomeration import SHAPE, START, segmented

__all__ = ["segmented"]
AFFINITIES = smooth_affinities(SHAPE, 7)
THRESHOLD = 0.45


@functools.cache
def expected() -> list[dict]:
    """The merges near the threshold, with sides whose voxels are counted; the largest smaller side first."""
    fragments, graph = whole_graph(AFFINITIES)
    tree: Merges = agglomerate_graph(graph)[0]
    rows = []
    for row in np.flatnonzero(np.abs(1 - tree.mean.astype(float) - THRESHOLD) <= MARGIN):
        score = 1 - float(tree.mean[row])
        before = cut(fragments, tree, score)
        sides = []
        for label in (tree.merged[row], tree.into[row]):
            places = np.argwhere(before == label)
            sides.append({"voxels": len(places), "first_voxel": (places[0] + START).tolist()})
        small, large = sorted(sides, key=lambda side: side["voxels"])
        rows.append({"score": score, "joined": score < THRESHOLD, "smaller": small, "larger": large})
    return sorted(rows, key=lambda row: -row["smaller"]["voxels"])


def ordered(rows: list[dict]) -> list[dict]:
    """Rows whose order does not depend on which of equal sides comes first."""
    return sorted(rows, key=lambda row: (-row["smaller"]["voxels"], row["score"]))


def doubts(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> list[dict]:
    main(["card", "--root", str(root), "--json", *words])
    found: list[dict] = json.loads(capsys.readouterr().out)["doubts"]
    return found


@pytest.mark.parametrize(("grid", "least"), [("20,36,40", 0), ("8,12,16", 40)])
def test_they_are_those_of_the_whole_tree_for_every_grid(
    segmented: Callable[..., Path], capsys: pytest.CaptureFixture[str], grid: str, least: int
) -> None:
    root = segmented(AFFINITIES, grid, THRESHOLD, min_voxels=least)
    wanted = expected()
    assert {row["joined"] for row in wanted} == {False, True}
    found = doubts(capsys, root, "--doubts", str(len(wanted) + 5))
    assert len(wanted) > 20
    assert ordered(found) == ordered(wanted)
    few = doubts(capsys, root, "--doubts", "3")
    assert [row["smaller"]["voxels"] for row in few] == [row["smaller"]["voxels"] for row in wanted[:3]]
    assert doubts(capsys, root) == []


def test_lines_and_refusals(segmented: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    root = segmented(AFFINITIES, "20,18,20", THRESHOLD)
    words = ["card", "--root", str(root), "--doubts", "2"]
    main(words)
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines[0].split() == [
        "merges", "in", "doubt", "score", "smaller", "side", "larger", "side", "first", "voxels", "(zyx)",
    ]  # fmt: skip
    for line, row in zip(lines[1:], expected(), strict=False):
        small, large = row["smaller"], row["larger"]
        begin = (
            f"{'joined' if row['joined'] else 'kept apart'} {row['score']:.4f} {small['voxels']:,} {large['voxels']:,}"
        )
        assert " ".join(line.split()).startswith(begin)

    url = write_hdf5(root.parent / "seg.h5", "labels", np.ones(SHAPE, np.uint64), (40, 4, 4), START)
    make_dataset(root.parent / "data")
    for others, said in (
        (["card", url, "--doubts", "2"], "--doubts must be asked of a layer of the dataset, got .*seg.h5:/labels"),
        (["card", "image", "--root", f"{root.parent}/data", "--doubts", "2"], "got image; leave --doubts out"),
        (["card", "--root", str(root), "--doubts", "-2"], "--doubts must be at least 0, got -2; 0 lists none"),
        ([*words[:1], "affinities", *words[1:]], "layer affinities in .* must exist"),
    ):
        with pytest.raises(SystemExit, match=said):
            main(others)
    next((root / "agglomeration/1/c").rglob("*.table")).unlink()
    with pytest.raises(SystemExit, match=r"agglomeration/1 in .* must have every chunk"):
        main(words)
    shutil.rmtree(root / "agglomeration")
    with pytest.raises(SystemExit, match=r"layer of Agglomeration in .* does not exist; `lchunk run Agglomeration`"):
        main(words)
