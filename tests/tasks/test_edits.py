"""Edits divide and join segments: over any grid, the segments of the rule on the whole volume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from luigi.task_register import Register

import lchunk
from lchunk.operators.cut import Names
from lchunk.recipe import RecipeMismatchError
from lchunk.tasks import Evaluation, Segmentation
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.reediting import Reediting
from lchunk.verify import verify
from lchunk.volumes.documents import read_document
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import FileStore
from tests.conftest import build, smooth_affinities, write_hdf5

GRIDS = ("4,8,8", "5,21,7", "40,40,40")
FEW = "5,21,13"
"""A grid of few chunks."""
START, SIZE = (-3, 5, 7), (40, 8, 8)
SHAPE = (9, 21, 26)
THRESHOLD = 0.5

Voxels = npt.NDArray[np.uint64]


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """Sets the cfg of a dataset of affinities with edits, in chunks of a shape; gives its folder."""
    affinities = smooth_affinities(SHAPE, 5)
    write_hdf5(tmp_path / "a.h5", "raw", np.zeros(SHAPE, np.uint8), SIZE, START)
    write_hdf5(tmp_path / "a.h5", "a", affinities, SIZE, START)

    def described(grid: str, edits: str | None = None, **knobs: Any) -> Path:
        inner = ",".join("1" if int(side) % 2 else "2" for side in grid.split(","))
        truth = {"ground_truth": f"{tmp_path}/truth.h5:/t"} if (tmp_path / "truth.h5").exists() else {}
        configure(
            "Dataset", root=tmp_path / grid, image=f"{tmp_path}/a.h5:/raw", chunk_shape=grid, inner_chunk=inner, **truth
        )
        configure("Inference", external=f"{tmp_path}/a.h5:/a")
        knobs["edits"] = tmp_path / "edits.csv" if edits else ""
        if edits:
            (tmp_path / "edits.csv").write_text(edits)
        configure("Segmentation", threshold=THRESHOLD, **knobs)
        return tmp_path / grid

    return described


def voxels_of(root: Path, layer: str = "segmentation") -> Voxels:
    opened = open_layer(FileStore(root), layer, 0)
    return opened.read(opened.bounds)


def built(root: Path) -> Voxels:
    assert build(Segmentation(), Segmentation().names)
    return voxels_of(root)


def cut() -> Voxels:
    return lchunk.segment(smooth_affinities(SHAPE, 5), THRESHOLD)


def largest(segments: Voxels, count: int) -> list[int]:
    labels, sizes = np.unique(segments[segments > 0], return_counts=True)
    return labels[np.argsort(-sizes, kind="stable")][:count].tolist()


def place(voxel: Any) -> str:
    return " ".join(str(int(n) + start) for n, start in zip(voxel, START, strict=True))


def first(mask: npt.NDArray[np.bool_]) -> str:
    return place(np.argwhere(mask)[0])


def regrown(label: int, sides: list[list[int]]) -> dict[int, int]:
    """The rule told plainly: fragments of a segment merge by the largest mean, but never two sides into one.

    Returns:
        For each fragment, the number of its side.
    """
    affinities = smooth_affinities(SHAPE, 5)
    fragments, segments = lchunk.segment(affinities, 0.0), cut()
    fixed = np.rint(affinities.astype(np.float64) * (1 << 24)).astype(np.int64)
    total: dict[tuple[int, int], list[int]] = {}
    for axis in range(3):
        for voxel in np.argwhere(segments == label):
            if voxel[axis] == 0:
                continue
            before = voxel - np.eye(3, dtype=int)[axis]
            one, other = fragments[tuple(voxel)], fragments[tuple(before)]
            if segments[tuple(before)] == label and one != other:
                key = (min(int(one), int(other)), max(int(one), int(other)))
                sums = total.setdefault(key, [0, 0, 1 << 60])
                sums[0] += int(fixed[(2 - axis, *voxel)])  # channels are x, y, z
                sums[1] += 1
                sums[2] = min(sums[2], 3 * int(np.ravel_multi_index(voxel, SHAPE)) + axis)
    cluster = {int(f): int(f) for f in np.unique(fragments[segments == label])}
    side = {f: n for n, members in enumerate(sides, 1) for f in members}
    while True:
        between: dict[tuple[int, int], list[int]] = {}
        for (one, other), (add, count, at) in total.items():
            a, b = sorted((cluster[one], cluster[other]))
            if a != b:
                sums = between.setdefault((a, b), [0, 0, 1 << 60])
                sums[0], sums[1], sums[2] = sums[0] + add, sums[1] + count, min(sums[2], at)
        allowed = {pair: sums for pair, sums in between.items() if len({side[p] for p in pair if p in side}) < 2}
        if not allowed:
            return {f: side[top] for f, top in cluster.items()}
        keep, lose = max(allowed, key=lambda pair: (allowed[pair][0] / allowed[pair][1], -allowed[pair][2]))
        for f, top in cluster.items():
            if top == lose:
                cluster[f] = keep
        if lose in side:
            side[keep] = side.pop(lose)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_segment_is_divided_as_the_rule_on_the_whole_volume_divides_it(
    dataset: Callable[..., Path], grid: str
) -> None:
    segments, fragments = cut(), lchunk.segment(smooth_affinities(SHAPE, 5), 0.0)
    label = largest(segments, 1)[0]
    inside = np.unique(fragments[segments == label]).tolist()
    assert len(inside) > 20
    sides = [[inside[0], inside[-1]], [inside[len(inside) // 2]]]
    spots = [";".join(first(fragments == f) for f in side) for side in sides]
    after = built(dataset(grid, f"# remark\nsplit,{spots[0]},{spots[1]}\n"))
    side_of = regrown(label, sides)
    assert {1, 2} == set(side_of.values())
    for number in (1, 2):
        members = [f for f, side in side_of.items() if side == number]
        pieces = np.unique(after[np.isin(fragments, members)])
        assert pieces.tolist() == [label if label in members else min(members)]
    assert np.array_equal(after[segments != label], segments[segments != label])


@pytest.mark.parametrize("grid", GRIDS)
def test_merges_join_segments_also_of_split_pieces_and_tell_their_sizes(
    dataset: Callable[..., Path], grid: str
) -> None:
    segments, fragments = cut(), lchunk.segment(smooth_affinities(SHAPE, 5), 0.0)
    a, b, c = largest(segments, 3)
    inside = np.unique(fragments[segments == a]).tolist()
    edits = (
        f"edit,one,other\nsplit,{inside[0]},{inside[-1]}\nmerge,{inside[-1]},{b}\nmerge,{first(segments == c)},{b}\n"
    )
    root = dataset(grid, edits)
    after = built(root)
    joined = after[tuple(np.argwhere(segments == b)[0])]
    pieces = np.unique(after[segments == a])
    assert len(pieces) == 2
    assert joined in pieces
    assert np.unique(after[(segments == b) | (segments == c)]).tolist() == [joined]
    assert joined == min(int(fragments[after == joined].min()), b, c)
    names = Segmentation().names
    sizes = {}
    for table in names.files().records(names.grid.bounds):
        found = Names.of_table(table)
        sizes |= dict(zip(found.roots.tolist(), found.sizes.tolist(), strict=True))
    assert sizes[int(joined)] == np.count_nonzero(after == joined)
    assert list(verify(FileStore(root))) == []


def test_no_edit_leaves_every_voxel(dataset: Callable[..., Path]) -> None:
    assert np.array_equal(built(dataset("4,8,8", "# nothing\n")), cut())


@pytest.mark.parametrize("min_voxels", [0, 40])
def test_edits_follow_the_absorption_of_small_segments(dataset: Callable[..., Path], min_voxels: int) -> None:
    root = dataset("4,8,8", min_voxels=min_voxels, layer_name="before")
    assert build(Segmentation())
    before = voxels_of(root, "before")
    a, b = largest(before, 2)
    dataset("4,8,8", f"merge,{a},{first(before == b)}\n", min_voxels=min_voxels, layer_name="")
    expected = np.where(before == max(a, b), np.uint64(min(a, b)), before)
    assert np.array_equal(built(root), expected)


def test_segments_that_edits_join_are_scored_though_they_do_not_touch(
    dataset: Callable[..., Path], tmp_path: Path
) -> None:
    segments = cut()
    labels = largest(segments, 30)
    depth = [np.flatnonzero((segments == label).any(axis=(1, 2))) for label in labels]
    one, other = next(
        (a, b) for a, p in zip(labels, depth, strict=True) for b, q in zip(labels, depth, strict=True)
        if p.max() + 1 < q.min()
    )  # fmt: skip
    truth = np.where(segments == max(one, other), np.uint64(min(one, other)), segments)
    write_hdf5(tmp_path / "truth.h5", "t", truth, SIZE, START)
    for grid in GRIDS:
        root = dataset(grid, f"merge,{one},{other}\n")
        assert build(Evaluation())
        scores = read_document(FileStore(root), "evaluation/scores.json")
        assert (scores["voi_split"], scores["voi_merge"]) == (0, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("merge,1 2 3", "must be merge,PLACE,PLACE"),
        ("divide,1,2", "must be merge,PLACE,PLACE"),
        ("merge,1;2,3", "must be merge,PLACE,PLACE"),
        ("split,1,0", "must be merge,PLACE,PLACE"),
        ("merge,0 0 0,1", "must be a voxel z y x inside the bounds"),
        ("merge,1,99999", "must be a label from 1 to 4914"),
    ],
)
def test_a_wrong_line_is_refused_before_any_work(dataset: Callable[..., Path], line: str, message: str) -> None:
    root = dataset("4,8,8", f"{line}\n")
    with pytest.raises(ValueError, match=f"line 1 of edits.csv.*{message}|{message}.*"):
        Segmentation().check()
    assert not (root / "local_fragments").exists()


def test_edits_that_cannot_be_made_name_their_line(dataset: Callable[..., Path]) -> None:
    segments, fragments = cut(), lchunk.segment(smooth_affinities(SHAPE, 5), 0.0)
    a, b = largest(segments, 2)
    inside = np.unique(fragments[segments == a]).tolist()
    big = largest(np.where(segments == a, fragments, 0), 1)[0]
    one, other = (place(voxel) for voxel in np.argwhere(fragments == big)[[0, -1]])
    wrong = next(n for n in range(1, segments.size) if n not in fragments and fragments.ravel()[n - 1])
    hole = np.argwhere(segments == 0)
    cases = [
        (f"split,{a},{b}", "the places of line 1 of edits.csv must be in one segment"),
        (f"split,{one},{other}", "the sides of line 1 of edits.csv must lie in different fragments"),
        (f"merge,{a},{wrong}", "must be that of a segment or fragment"),
        (f"split,{inside[0]},{inside[-1]}\nmerge,{inside[0]},{inside[-1]}", "line 1 of edits.csv must not divide"),
        *([(f"merge,{a},{place(hole[0])}", "which is background")] if len(hole) else []),
    ]
    for edits, message in cases:
        dataset("40,40,40", edits)
        names: Any = Segmentation().names
        stage: Any = names.upstream(names.reading()[1])
        assert build(*map(stage.upstream, stage.reading()))
        with pytest.raises(ValueError, match=message):
            stage.edited(Chunk(stage.bounds, stage.bounds))


def test_a_damaged_graph_is_not_taken_for_a_wrong_edit(dataset: Callable[..., Path]) -> None:
    label = largest(cut(), 1)[0]
    fragments = lchunk.segment(smooth_affinities(SHAPE, 5), 0.0)[cut() == label]
    root = dataset("40,40,40", f"split,{fragments.min()},{fragments.max()}")
    names: Any = Segmentation().names
    stage: Any = names.upstream(names.reading()[1])
    assert build(*map(stage.upstream, stage.reading()))
    (file,) = (root / "region_graph/c").rglob("*.table")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"region_graph/c/0/0/0\.table"):
        stage.edited(Chunk(stage.bounds, stage.bounds))


def bytes_of(root: Path) -> dict[str, bytes]:
    """The files of the segmentation and of its names."""
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "segmentation").rglob("*.*")} | {
        str(path): path.read_bytes() for path in (root / "segmentation").rglob("c/*/*/*")
    }


def numbers_of(root: Path) -> dict[str, int]:
    """A number for each chunk file of voxels, which is another one if the file is written again."""
    return {str(path.relative_to(root)): path.stat().st_ino for path in (root / "segmentation/0").rglob("c/*/*/*")}


def different_edits() -> list[str]:
    """No edit, a merge, a split and a merge of one piece, another merge, no edit."""
    segments, fragments = cut(), lchunk.segment(smooth_affinities(SHAPE, 5), 0.0)
    a, b, c = largest(segments, 3)
    inside = np.unique(fragments[segments == a]).tolist()
    split = f"split,{inside[0]},{inside[-1]}"
    return ["", f"merge,{b},{c}", f"{split}\nmerge,{inside[-1]},{c}", "# none", f"{split}\nmerge,{b},{c}", ""]


def changed() -> Reediting:
    Register.clear_instance_cache()
    editing = Reediting(Segmentation())
    editing.apply()
    return editing


def test_other_edits_remake_the_chunk_files_that_differ_and_no_others(dataset: Callable[..., Path]) -> None:
    root = dataset("4,8,8")
    before = built(root)
    for edits in different_edits()[1:]:
        dataset("4,8,8", edits)
        with pytest.raises(RecipeMismatchError, match="lchunk edit"):
            Segmentation().check()
        files = numbers_of(root)
        chunks = changed().changes.voxels
        assert set(files) - set(numbers_of(root)) == {f"segmentation/0/c/{z}/{y}/{x}" for z, y, x in chunks}
        after = built(root)
        different = {tuple(voxel // (4, 8, 8)) for voxel in np.argwhere(before != after)}
        assert different == set(chunks)
        assert 0 < len(chunks) < len(files)
        shutil.rmtree(root / "segmentation", ignore_errors=True)
        assert np.array_equal(built(root), after)
        before = after
    assert not (root / "segmentation/edits").exists()


class Killed(BaseException):
    """A kill before some change of a file."""


def killed_before(change: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process die before a change of a file, counted from 0."""
    left = iter(range(change, -1, -1))
    for name in ("put", "create", "remove"):
        method = getattr(FileStore, name)

        def dying(*args: Any, method: Any = method, **kwargs: Any) -> Any:
            if next(left, 0) == 0:
                raise Killed
            return method(*args, **kwargs)

        monkeypatch.setattr(FileStore, name, dying)


@pytest.mark.parametrize(("one", "other", "back"), [(1, 2, False), (1, 2, True), (0, 1, True), (2, 0, False)])
def test_a_kill_leaves_a_segmentation_that_either_edits_continue_from(
    dataset: Callable[..., Path], tmp_path: Path, one: int, other: int, back: bool
) -> None:
    choices = different_edits()
    root = dataset(FEW, choices[other])
    built(root)
    wanted = bytes_of(root)
    shutil.rmtree(root / "segmentation")
    dataset(FEW, choices[one])
    built(root)
    wanted, last = (bytes_of(root), choices[one]) if back else (wanted, choices[other])
    shutil.copytree(root, tmp_path / "kept")
    for change in range(1000):
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "kept", root)
        dataset(FEW, choices[other])
        with pytest.MonkeyPatch.context() as patched:
            killed_before(change, patched)
            try:
                changed()
            except Killed:
                pass
            else:
                assert change > 5
                return
        dataset(FEW, last)
        Register.clear_instance_cache()
        try:
            Segmentation().check()
        except RecipeMismatchError:
            changed()
        built(root)
        there = bytes_of(root)
        if not last:  # what is left of edits that are not used is in nobody's way
            there = {name: body for name, body in there.items() if "/edit" not in name}
        assert there == wanted, change
