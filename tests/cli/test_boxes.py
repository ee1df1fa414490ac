"""How large the boxes of trees get is foreseen from the lowest levels, within a factor of two."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.cli import boxes
from lchunk.cli.boxes import BoxLevel, box_levels, box_lines, foreseen_bytes, surface
from lchunk.tasks import Agglomeration, Segmentation
from lchunk.tasks.memory import memory_taken
from lchunk.tasks.running import job_of
from tests.cli.commands import lchunk
from tests.conftest import smooth_affinities, write_hdf5

SHAPE = (32, 128, 128)
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/image
chunk_shape = 8,32,32
inner_chunk = 8,32,32
[Inference]
external = {folder}/a.h5:/affinities
[Agglomeration]
highest_threshold = 0.6
[Segmentation]
threshold = 0.5
[SegmentNames]
threshold = 0.5
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with 64 chunks and the whole tree of merges, of levels 0 to 6."""
    folder = tmp_path_factory.mktemp("boxes")
    affinities = np.rint(smooth_affinities(SHAPE, 0, 1.0) * 255).astype(np.uint8)
    write_hdf5(folder / "a.h5", "image", affinities[0], (40, 4, 4), (0, 0, 0))
    write_hdf5(folder / "a.h5", "affinities", affinities, (40, 4, 4), (0, 0, 0))
    (folder / "luigi.cfg").write_text(CFG.format(folder=folder))
    assert lchunk(folder, "run", "Agglomeration").code == 0
    return folder


@pytest.fixture
def dataset(job: Path, tmp_path: Path, configure: Callable[..., None]) -> Path:
    """A copy of the dataset, and its cfg; its folder."""
    shutil.copytree(job / "out", tmp_path / "out")
    shape = "8,32,32"
    configure("Dataset", root=tmp_path / "out", image=f"{job}/a.h5:/image", chunk_shape=shape, inner_chunk=shape)
    configure("Inference", external=f"{job}/a.h5:/affinities")
    configure("Agglomeration", highest_threshold=0.6)
    configure("Segmentation", threshold=0.5)
    return tmp_path / "out"


def largest(dataset: Path, level: int) -> int:
    """Bytes of the largest file of a level."""
    return max(path.stat().st_size for path in (dataset / f"agglomeration/{level}").rglob("*.table"))


@pytest.mark.parametrize("left", [1, 2, 3, 4, 5])
def test_the_largest_box_is_foreseen_within_a_factor_of_two(dataset: Path, left: int) -> None:
    real = [largest(dataset, level) for level in range(7)]
    for level in range(left, 7):
        shutil.rmtree(dataset / f"agglomeration/{level}")
    levels = box_levels(Agglomeration())
    assert [(each.level, each.boxes, each.exists) for each in levels] == [
        (level, 64 >> level, level < left) for level in range(7)
    ]
    for each, size in zip(levels, real, strict=True):
        assert size / 2 < each.bytes < size * 2, (each, size)
    assert levels[0].bytes <= real[0]  # that of a sample


def test_the_memory_is_that_of_merging_within_a_factor_of_two(dataset: Path) -> None:
    tree = Agglomeration()
    job = job_of(tree, tree.bounds)

    def merge() -> None:
        job.content([source.read() for source in job.inputs])

    merge()  # compiles
    taken = min(memory_taken(merge) for _ in range(3))
    assert taken / 2 < box_levels(tree)[-1].memory < taken * 2


def test_a_sample_of_each_level_is_looked_at(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    store = Agglomeration().store
    size = store.size
    monkeypatch.setattr(type(store), "size", lambda self, key: asked.append(key) or size(key))
    monkeypatch.setattr(boxes, "SAMPLED", 5)
    assert box_levels(Agglomeration())[2].exists
    tables = [key for key in asked if key.endswith(".table")]
    assert len(tables) == len(set(tables)) == 5 + 4 * 5 + 4 + 2 + 1  # chunks, levels 0 to 3, then 4, 2 and 1 boxes
    monkeypatch.setattr(boxes, "SAMPLED", 10**6)
    assert box_levels(Agglomeration())[0].bytes == largest(dataset, 0)


def test_growth_is_that_of_the_levels_that_exist_and_has_bounds() -> None:
    surfaces = [surface((side, side, side)) for side in (4, 5, 6, 8, 10, 12, 16, 20, 24, 32)]
    flat = [10.0 * voxels for voxels in surfaces]
    assert foreseen_bytes(flat[:7], surfaces)[7:9] == pytest.approx(flat[7:9])
    growing = [size * np.exp(0.05 * level) for level, size in enumerate(flat)]
    assert foreseen_bytes(growing[:7], surfaces)[7:9] == pytest.approx(growing[7:9])
    assert foreseen_bytes(growing[:6], surfaces)[8] == pytest.approx(flat[8] * np.exp(0.05 * 5))  # too few to fit
    steep = [size * np.exp(0.5 * level) for level, size in enumerate(flat)]
    assert foreseen_bytes(steep[:7], surfaces)[8] == pytest.approx(flat[8] * np.exp(0.5 * 6 + 2 * boxes.MOST_GROWTH))
    shrinking = [size * np.exp(-0.5 * level) for level, size in enumerate(flat)]
    assert foreseen_bytes(shrinking[:7], surfaces)[8] == pytest.approx(flat[8] * np.exp(-0.5 * 6))


def test_large_boxes_get_a_hint_with_their_routes(dataset: Path) -> None:
    shutil.rmtree(dataset / "agglomeration/5")
    shutil.rmtree(dataset / "agglomeration/6")
    levels = box_levels(Agglomeration())
    head, *rows, note = box_lines(Segmentation(), levels[4].memory - 1)
    assert head.split() == ["Agglomeration:", "level", "boxes", "largest", "file", "memory"]
    assert [row.split()[:2] for row in rows] == [[str(level), str(64 >> level)] for level in range(7)]
    assert ["about" in row for row in rows] == [False] * 5 + [True] * 2
    assert "boxes of Agglomeration from level 4 on take up to" in note
    assert "--route Agglomeration:4+=QUEUE" in note
    assert ("SegmentNames" in note) == (boxes.NAMING * levels[6].joined > levels[4].memory - 1)
    assert len(list(box_lines(Segmentation(), levels[6].memory))) == 8


def test_names_are_routed_too_where_they_are_large() -> None:
    levels = [BoxLevel(level, 4 >> level, 100.0, True, 100.0 * 10**level) for level in range(3)]
    (note,) = boxes._hint(levels, "Agglomeration", "SegmentNames", 10_000.0)
    assert note.endswith("lchunk enqueue --route Agglomeration:1+=QUEUE --route SegmentNames:2+=QUEUE")


def test_without_boxes_nothing_is_foreseen_and_with_all_nothing_is_said(dataset: Path) -> None:
    assert list(box_lines(Segmentation(), 0.0)) == []
    shutil.rmtree(dataset / "agglomeration")
    assert list(box_lines(Segmentation(), 0.0)) == [
        "Agglomeration: how large its boxes get is foreseen once some of level 0 exist"
    ]


def test_dry_runs_print_the_table(job: Path, tmp_path: Path) -> None:
    shutil.copytree(job, tmp_path / "job")
    cfg = (tmp_path / "job/luigi.cfg").read_text().replace(f"{job}/out", f"{tmp_path}/job/out")
    (tmp_path / "job/luigi.cfg").write_text(cfg)
    shutil.rmtree(tmp_path / "job/out/agglomeration/6")
    words = ("Segmentation", "--queue", "queue/", "--dry-run")
    said = lchunk(tmp_path / "job", "enqueue", *words, "--worker-memory", "0.001")
    assert re.search(r"^Agglomeration: +level", said.out, re.MULTILINE)
    route = re.findall(r"--route (Agglomeration:\d\+)=QUEUE", said.out)
    assert lchunk(tmp_path / "job", "enqueue", *words, "--route", f"{route[0]}=big/").code == 0
    assert "--route" not in lchunk(tmp_path / "job", "enqueue", *words).out
    refused = lchunk(tmp_path / "job", "enqueue", *words, "--route", "Agglomeration:7+=big/")
    assert refused.code == 1
    assert "route must name a level of Agglomeration from 0 to 6" in refused.last
    assert re.search(
        r"^Agglomeration: +level", lchunk(tmp_path / "job", "run", "Segmentation", "--dry-run").out, re.MULTILINE
    )
