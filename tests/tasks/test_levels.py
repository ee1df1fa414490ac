"""Sums over trees of boxes, those of grey levels: which boxes there are, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.operators.contrast import section_levels
from lchunk.tasks import ComponentNames, ComponentUnion, LevelSums, SectionLevels
from lchunk.tasks.levels import Leveled, inner_faces, shared_faces
from tests.conftest import build, write_hdf5

SHAPE = (11, 13, 19)
START = (5, -3, 7)


@pytest.mark.parametrize(
    ("grid", "boxes"),
    [
        ("11,13,19", [1]),
        ("11,13,10", [1]),
        ("6,7,10", [1]),
        ("3,13,19", [1]),
        ("4,5,7", [8, 1]),
        ("2,4,4", [20, 3, 1]),
        ("1,4,3", [48, 8, 1]),
    ],
)
def test_every_grid_gives_the_levels_of_whole_sections(
    tmp_path: Path, configure: Callable[..., None], grid: str, boxes: list[int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    url = write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), START)
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape=grid, inner_chunk=grid)
    configure("Ingest", external=url)
    assert build(SectionLevels())
    (table,) = SectionLevels().files().records(SectionLevels().bounds)
    assert np.array_equal(table["levels"], section_levels(image))
    found = []
    for level in range(1, LevelSums().height + 1):
        stage = LevelSums(level=level)
        found.append(len(list((tmp_path / f"out/level_sums/{level}").rglob("*.table"))))
        for index in stage.grid:
            box = stage.grid.chunk(index)
            (sums,) = stage.files().records(box)
            assert np.array_equal(sums["levels"], section_levels(image[box.slices(START)]))
    assert found == boxes


@pytest.mark.parametrize("tree", [ComponentUnion, ComponentNames])
def test_a_level_that_does_not_exist_is_refused(
    tmp_path: Path, configure: Callable[..., None], tree: type[Leveled]
) -> None:
    url = write_hdf5(tmp_path / "a.h5", "raw", np.zeros(SHAPE, np.uint8), (40, 4, 4), START)
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="6,7,10", inner_chunk="6,7,10")
    configure("Inference", external=url, predicts="probability")
    assert tree(level=3).height == 3
    with pytest.raises(ValueError, match="level must be from 0 to 3, or -1 for the last, got 4"):
        tree(level=4).complete()


def test_faces_are_those_of_both_boxes_or_of_one() -> None:
    volume = Bbox((5, 5, 5), (11, 11, 11))
    box = Bbox((5, 6, 7), (11, 8, 11))
    assert shared_faces(volume, box) == 1 | 8 | 32
    assert inner_faces(box, volume) == 2 | 4 | 16
    assert inner_faces(volume, volume) == 0
