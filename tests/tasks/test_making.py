"""Making chunks from plain jobs: no Luigi, no cfg, no files where none are needed."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.tasks import making
from lchunk.tasks.jobs import Chunk, ChunkJob, Input, Work, trimmed
from lchunk.tasks.making import ENOUGH_FAILURES, make, make_all, reasons
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import FileStore

BOUNDS = Bbox((0, 0, 0), (4, 4, 80))
IMAGE = np.random.default_rng(0).integers(1, 255, BOUNDS.shape).astype(np.uint8)
GRID = Grid(BOUNDS, (4, 4, 4))


class InMemory:
    """A volume that is an array."""

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Any:
        padded = np.zeros(bbox.shape, np.uint8)
        inside = bbox.clipped(BOUNDS)
        padded[inside.slices(bbox.start)] = IMAGE[inside.slices()]
        return padded


def layer_in(folder: Path) -> Layer:
    layer = Layer(FileStore(folder), "a", BOUNDS, (1.0, 1.0, 1.0), np.dtype(np.uint8), (4, 4, 4), (2, 2, 2))
    layer.create({"stage": "Test"})
    return layer


def job_of(folder: Path, compute: Any, index: int = 0, **more: Any) -> ChunkJob:
    nothing: dict[str, Any] = {"trivial": lambda bbox: None, "prepare": lambda: None, "confirm": lambda: None}
    layer = layer_in(folder)
    work = Work(
        stage="Test", bounds=BOUNDS, output=layer, compute=compute, device=lambda: "cpu", logs=layer.store,
        log_folder="a", **(nothing | more),
    )  # fmt: skip
    bbox = GRID.chunk((0, 0, index))
    return ChunkJob(work, Chunk(bbox, BOUNDS), (Input(InMemory(), bbox.grown((1, 1, 1))),))


def test_a_chunk_is_made_from_its_job_alone(tmp_path: Path) -> None:
    job = job_of(tmp_path, lambda chunk, image: 255 - image, index=2)
    make(job)
    assert np.array_equal(job.work.output.read(job.chunk.bbox), 255 - IMAGE[:, :, 8:12])  # type: ignore[attr-defined]


def test_a_chunk_whose_source_changed_meanwhile_is_not_written(tmp_path: Path) -> None:
    def changed() -> None:
        raise ValueError("the image changed")

    job = job_of(tmp_path, lambda chunk, image: image, confirm=changed)
    with pytest.raises(ValueError, match="the image changed"):
        make(job)
    assert not list((tmp_path / "a/0").glob("c/**/0"))


def test_a_chunk_that_is_trivial_is_neither_read_nor_computed(tmp_path: Path) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("computed")

    job = job_of(tmp_path, never, trivial=lambda bbox: np.full(bbox.shape, 7, np.uint8))
    make(job)
    assert (job.work.output.read(job.chunk.bbox) == 7).all()  # type: ignore[attr-defined]


def test_only_voxels_of_the_box_that_was_read_are_cut() -> None:
    reached, bbox = Bbox((0, 0, 0), (4, 4, 4)), Bbox((1, 1, 1), (3, 3, 3))
    voxels = np.arange(64).reshape(4, 4, 4)
    assert np.array_equal(trimmed(voxels, reached, bbox), voxels[1:3, 1:3, 1:3])
    assert trimmed(voxels[:2, :2, :2], reached, bbox).shape == (2, 2, 2)
    odd = np.zeros((3, 4, 4))
    assert trimmed(odd, reached, bbox) is odd  # writing it is refused, with its shape
    assert trimmed({"a": 1}, reached, bbox) == {"a": 1}


def failing(folder: Path, count: int, kinds: int, arrays: list[Any]) -> Iterator[ChunkJob]:
    """Jobs that all fail, for one of some reasons, each with a large array in the frame."""

    def compute(chunk: Chunk, image: Any) -> Any:
        large = np.zeros(1 << 16)
        arrays.append(weakref.ref(large))
        raise ValueError(f"broken for reason {chunk.bbox.start[2] // 4 % kinds}")

    for index in range(count):
        yield job_of(folder, compute, index)


@pytest.mark.parametrize("threads", [False, True])
def test_failures_keep_no_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    if threads:
        monkeypatch.setattr(making, "WORTH_A_THREAD", 0.0)
    monkeypatch.setattr(logging.getLogger("luigi-interface"), "disabled", True)
    arrays: list[Any] = []
    failures = make_all(failing(tmp_path, 20, 20, arrays), lambda number: None)
    assert len(failures) == len(arrays) == 20
    gc.collect()
    assert sum(array() is not None for array in arrays) == 0


def test_a_block_gives_up_when_one_reason_comes_again_and_again(tmp_path: Path) -> None:
    arrays: list[Any] = []
    failures = make_all(failing(tmp_path, 20, 1, arrays), lambda number: None)
    # one more may have been read ahead
    assert ENOUGH_FAILURES <= len(failures) <= ENOUGH_FAILURES + 1
    assert reasons(failures) == f"ValueError: broken for reason 0 ({len(failures)} chunks)"


def test_failures_of_many_reasons_do_not_stop_a_block(tmp_path: Path) -> None:
    failures = make_all(failing(tmp_path, 20, 7, []), lambda number: None)
    assert len(failures) == 20
    assert "and 4 other reasons" in reasons(failures)
