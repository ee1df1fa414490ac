"""What a job reads, and what it cuts off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.tasks.jobs import Chunk, Input, trimmed
from lchunk.tasks.making import (
    make,
)
from tests.tasks.chunk_jobs import (
    GRID,
    IMAGE,
    InMemory,
    job_of,
)


def test_only_voxels_of_the_box_that_was_read_are_cut() -> None:
    reached, bbox = Bbox((0, 0, 0), (4, 4, 4)), Bbox((1, 1, 1), (3, 3, 3))
    voxels = np.arange(64).reshape(4, 4, 4)
    assert np.array_equal(trimmed(voxels, reached, bbox), voxels[1:3, 1:3, 1:3])
    assert trimmed(voxels[:2, :2, :2], reached, bbox).shape == (2, 2, 2)
    odd = np.zeros((3, 4, 4))
    assert trimmed(odd, reached, bbox) is odd  # writing it is refused, with its shape
    assert trimmed({"a": 1}, reached, bbox) == {"a": 1}


class Recorded:
    """Records of chunks, some of which have been read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.read: list[int] = []

    def records(self, bbox: Bbox) -> Iterator[str]:
        for number in range(self.count):
            self.read.append(number)
            yield f"record {number} of {bbox}"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_first_record_is_read_with_the_inputs_and_the_others_when_they_are_needed(count: int) -> None:
    bbox = Bbox((0, 0, 0), (4, 4, 4))
    source = Recorded(count)
    records = Input(source, bbox).read()
    assert source.read == [0][:count]
    assert list(records) == [f"record {number} of {bbox}" for number in range(count)]


def test_inputs_are_voxels_that_may_be_absent() -> None:
    bbox = Bbox((0, 0, 0), (4, 4, 4))

    class Filling(InMemory):
        def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Any:
            return fill_missing

    assert [Input(Filling(), bbox).read(), Input(Filling(), bbox, True).read()] == [False, True]  # type: ignore[arg-type]


def test_voxels_are_cut_by_the_halo_of_the_first_input(tmp_path: Path) -> None:
    bbox = GRID.chunk((0, 0, 1))
    inputs = (Input(InMemory(), bbox.grown((1, 1, 1))), Input(InMemory(), bbox.grown((0, 0, 2))))  # type: ignore[arg-type]
    job = replace(job_of(tmp_path, lambda chunk, first, second: first, 1), inputs=inputs)
    make(job)
    assert np.array_equal(job.work.output.read(bbox), IMAGE[bbox.slices()])  # type: ignore[attr-defined]
    alone = replace(job_of(tmp_path, lambda chunk: IMAGE[chunk.bbox.slices()], 2), inputs=())
    make(alone)
    assert np.array_equal(job.work.output.read(GRID.chunk((0, 0, 2))), IMAGE[:, :, 8:12])  # type: ignore[attr-defined]


def test_channels_and_equal_boxes_are_cut_right() -> None:
    reached, bbox = Bbox((0, 0, 0), (4, 4, 4)), Bbox((1, 1, 1), (3, 3, 3))
    voxels = np.arange(3 * 64).reshape(3, 4, 4, 4)
    assert np.array_equal(trimmed(voxels, reached, bbox), voxels[:, 1:3, 1:3, 1:3])
    assert trimmed(voxels[0], reached, reached) is not None
    # a box that is only as large along some axes
    flat = Bbox((0, 1, 1), (4, 3, 3))
    assert trimmed(voxels[0], reached, flat).shape == (4, 2, 2)
    deep = Bbox((1, 0, 0), (3, 4, 4))
    assert np.array_equal(trimmed(voxels[0], reached, deep), voxels[0, 1:3])


def test_a_chunk_knows_where_it_lies_in_its_volume() -> None:
    assert Chunk(Bbox((3, 5, 7), (4, 9, 9)), Bbox((1, 2, 3), (9, 9, 9))).start == (2, 3, 4)
