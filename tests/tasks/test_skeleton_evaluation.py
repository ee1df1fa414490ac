"""Run lengths over grids: those of labels looked up in the whole volume."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.operators.run_length import skeleton_scores
from lchunk.recipe import RecipeMismatchError
from lchunk.scored import score_lines
from lchunk.tasks import Evaluation, GatheredNodeLabels, NodeLabels, SkeletonEvaluation
from lchunk.tasks.externals import CheckedVolume
from lchunk.volumes.store import open_store
from tests.conftest import build, write_hdf5

SHAPE, START = (23, 37, 41), (-10, 200, 301)
BOUNDS = Bbox.of(START, SHAPE)
VOXEL_SIZE = (40.0, 8.6, 4.3)
FIRST, LAST = "-10-2_200-220_301-331", "2-13_220-237_331-342"
GRIDS = ("23,37,41", "9,15,20", "23,9,40", "5,36,23")


def labels_of_volume() -> np.ndarray:
    """Blocks of random labels, some of them background."""
    rng = np.random.default_rng(2)
    blocks = rng.integers(0, 150, (6, 5, 6)) // 2 * rng.integers(2**40, 2**50)
    blocks[rng.random(blocks.shape) < 0.15] = 0
    return np.kron(blocks, np.ones((4, 8, 7), np.int64)).astype(np.uint64)[:23, :37, :41]


def walks(seed: int, count: int = 5, steps: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels, edges and skeletons of random walks, which branch, and may leave the volume."""
    rng = np.random.default_rng(seed)
    voxels, edges, skeleton = [], [], []
    for number in range(count):
        voxels.append(rng.integers(np.array(START) + 5, np.array(BOUNDS.stop) - 5))
        skeleton.append(number)
        for _ in range(steps):
            parent = len(voxels) - 1 - int(rng.integers(0, 3)) * (rng.random() < 0.2)
            parent = max(parent, number * (steps + 1))
            edges.append((len(voxels), parent))
            voxels.append(voxels[parent] + rng.integers(-2, 3, 3))
            skeleton.append(number)
    return np.array(voxels), np.array(edges), np.array(skeleton)


def table_of(voxels: np.ndarray, edges: np.ndarray, skeleton: np.ndarray) -> str:
    """A CSV table with the places somewhere in their voxels, as nanometres of three digits."""
    parents = {int(a): int(b) for a, b in edges}
    places = (voxels + np.random.default_rng(0).choice([0, 0.5, 0.9], voxels.shape)) * VOXEL_SIZE
    rows = (
        f"s{skeleton[n]},{n},{parents.get(n, '')},{z:.3f},{y:.3f},{x:.3f}"
        for n, (z, y, x) in enumerate(places.tolist())
    )
    return "\n".join(["skeleton,node,parent,z_nm,y_nm,x_nm", *rows])


def places_in(table: str) -> np.ndarray:
    return np.array([[float(word) for word in row.split(",")[3:]] for row in table.splitlines()[1:]])


@pytest.fixture
def dataset(tmp_path: Path, configure: Callable[..., None]) -> Callable[..., Path]:
    """Configures a dataset with labels in place of its segmentation; gives its root."""
    labels = labels_of_volume()
    url = write_hdf5(tmp_path / "a.h5", "labels", labels, VOXEL_SIZE, START)
    image = write_hdf5(tmp_path / "a.h5", "image", (labels % 251).astype(np.uint8), VOXEL_SIZE, START)

    def make(skeletons: object, grid: str) -> Path:
        root = tmp_path / f"out{grid}"
        configure("Dataset", root=root, image=image, skeletons=skeletons, chunk_shape=grid, inner_chunk=grid)
        configure("Segmentation", external=url)
        return root

    return make


def scores_in(root: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((root / "skeleton_evaluation/scores.json").read_bytes())
    del scores["crc32c"]
    return scores


def test_every_grid_gives_the_scores_of_the_whole_volume(tmp_path: Path, dataset: Callable[..., Path]) -> None:
    voxels, edges, skeleton = walks(1)
    (tmp_path / "walks.csv").write_text(table_of(voxels, edges, skeleton))
    found = []
    for grid in GRIDS:
        root = dataset(tmp_path / "walks.csv", grid)
        assert build(SkeletonEvaluation())
        found.append((root / "skeleton_evaluation/scores.json").read_bytes())
    assert len(set(found)) == 1
    scores = scores_in(root)

    inside = ((voxels >= START) & (voxels < BOUNDS.stop)).all(axis=1)
    assert 0 < scores["outside_nodes"] == (~inside).sum() < len(inside) / 2
    labels = np.zeros(len(voxels), np.uint64)
    labels[inside] = labels_of_volume()[tuple((voxels[inside] - START).T)]
    nodes = places_in((tmp_path / "walks.csv").read_text())
    expected = skeleton_scores(nodes, edges, skeleton, labels, inside=inside)
    assert min(expected[name] for name in ("splits", "merges", "omitted_nodes", "correct_length")) > 0
    assert {name: scores[name] for name in expected if name != "skeletons"} == {
        name: value for name, value in expected.items() if name != "skeletons"
    }
    for row, known in zip(scores["skeletons"], expected["skeletons"], strict=True):
        assert row["skeleton"] == f"s{known['skeleton']}"
        assert [error["voxel"] for error in row["at"]["splits"]] == [
            voxels[error["node"]].tolist() for error in known["at"]["splits"]
        ]
        assert [(error["voxel"], error["segment"], error["skeletons"]) for error in row["at"]["merges"]] == [
            (voxels[error["node"]].tolist(), error["segment"], [f"s{other}" for other in error["skeletons"]])
            for error in known["at"]["merges"]
        ]


def test_labels_are_read_only_where_nodes_are(
    tmp_path: Path, dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.swc").write_text("1 0 302 201 -10 1 -1\n2 0 306 203 -10 1 1\n3 0 340 236 12 1 2\n")
    dataset(f"{tmp_path}/a.swc#unit=voxels", "7,10,12")
    stage = NodeLabels()
    stage.check()
    read: list[str] = []

    def noted(volume: CheckedVolume, bbox: Bbox, *, fill_missing: bool = False) -> Any:
        read.append(str(bbox))
        return volume.volume.read(bbox)

    monkeypatch.setattr(CheckedVolume, "read", noted)
    monkeypatch.setattr(CheckedVolume, "sample", lambda volume: None)
    assert build(stage)
    assert sorted(read) == ["-10--9_201-204_302-307", "12-13_236-237_340-341"]
    tables = list(stage.files().records(BOUNDS))
    assert len(tables) == 4 * 4 * 4
    (table,) = GatheredNodeLabels().files().records(BOUNDS) if build(GatheredNodeLabels()) else ()
    assert table["node"].tolist() == [0, 1, 2]
    volume = labels_of_volume()
    assert table["label"].tolist() == [volume[0, 1, 1], volume[0, 3, 5], volume[22, 36, 39]]


def test_components_are_scored_with_their_knob_and_a_tolerance(
    tmp_path: Path, dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a.swc").write_text("1 0 302 201 -10 1 -1\n2 0 303 201 -10 1 1\n3 0 304 201 -10 1 2\n")
    (tmp_path / "tree/b.swc").write_text("1 0 306 204 -9 1 -1\n2 0 306 205 -9 1 1\n")
    one = np.ones(SHAPE, np.uint8) * 255
    url = write_hdf5(tmp_path / "b.h5", "probability", one, VOXEL_SIZE, START)
    root = dataset(f"{tmp_path}/tree#unit=voxels", "12,20,30")
    configure("Inference", external=url, predicts="probability")
    configure("NodeLabels", of="components")
    needed = {name: NodeLabels().at(Bbox.parse(name)).requires() for name in (FIRST, LAST)}
    assert [str(task.region) for task in needed[FIRST]] == [FIRST]
    assert needed[LAST] == []  # no nodes
    assert build(SkeletonEvaluation())
    assert scores_in(root)["merged_length"] == pytest.approx(2 * 4.3 + 8.6)
    configure("SkeletonEvaluation", merge_nodes=3, layer_name="tolerant")
    assert build(SkeletonEvaluation())
    scores = json.loads((root / "tolerant/scores.json").read_bytes())
    assert (scores["merges"], scores["normalized_run_length"]) == (0, 1)
    subjects = [line for line in score_lines(open_store(str(root))) if " against " in line]
    assert subjects == [f"components against {tmp_path}/tree#unit=voxels"] * 2


def test_voi_and_run_length_are_printed_together(
    tmp_path: Path, dataset: Callable[..., Path], configure: Callable[..., None]
) -> None:
    (tmp_path / "a.csv").write_text(table_of(*walks(3)))
    root = dataset(tmp_path / "a.csv", "23,37,41")
    configure("Dataset", ground_truth=f"{tmp_path}/a.h5:/labels")
    assert build(SkeletonEvaluation(), Evaluation())
    lines, scores = list(score_lines(open_store(str(root)))), scores_in(root)
    labels = f"{tmp_path}/a.h5:/labels"
    assert lines[0] == f"{labels} against {labels}"
    assert "VOI split:           0.000000" in lines
    own = lines[lines.index(f"{labels} against {tmp_path}/a.csv") :]
    assert own[1] == f"expected run length: {scores['expected_run_length']:.1f} nm"
    assert own[2].split()[1] == f"{scores['normalized_run_length']:.6f}"
    worst = scores["skeletons"][0]
    row = own[own.index("") + 2].split()
    assert row[0] == worst["skeleton"]
    assert row[3:6] == [str(worst[name]) for name in ("splits", "merges", "omitted_nodes")]
    assert row[-1] == ",".join(map(str, worst["at"]["merges"][0]["voxel"]))
    assert list(score_lines(open_store(str(root)), "skeleton_evaluation")) == own


def test_skeletons_that_changed_are_refused(tmp_path: Path, dataset: Callable[..., Path]) -> None:
    file = tmp_path / "a.swc"
    file.write_text("1 0 302 201 -10 1 -1\n2 0 306 203 -10 1 1\n")
    dataset(f"{file}#unit=voxels", "23,37,41")
    assert build(SkeletonEvaluation())
    file.write_text("1 0 302 201 -10 1 -1\n2 0 306 203 -9 1 1\n")
    with pytest.raises(RecipeMismatchError, match="skeletons_fingerprint"):
        SkeletonEvaluation().complete()


@pytest.mark.parametrize(
    ("skeletons", "message"),
    [
        ("", "skeletons must be the URL of true skeletons, got nothing"),
        ("a.swc", r"skeletons must tell the unit of their places, got none in .*a\.swc"),
        ("a.swc#unit=nm", r"an edge inside the bounds, -10-13_200-237_301-342, got none of 1 in .*, whose nodes begin"),
        ("a.swc#unit=voxels#offset=0,-1,0", "must have an edge inside the bounds"),
        ("gone.swc#unit=nm", r"must exist, got .*gone\.swc"),
        ("loop.swc#unit=nm", "must have no cycle"),
    ],
)
def test_wrong_skeletons_are_refused_before_work(
    tmp_path: Path, dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, skeletons: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.swc").write_text("1 0 302 201 -10 1 -1\n2 0 302 200 -10 1 1\n")
    Path("loop.swc").write_text("1 0 302 201 -10 1 2\n2 0 302 200 -10 1 1\n")
    root = dataset(skeletons, "7,10,12")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        SkeletonEvaluation().complete()
    assert not root.exists()
