"""Making chunks from plain jobs: no Luigi, no cfg, no files where none are needed."""

from __future__ import annotations

import gc
import json
import logging
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.tasks import making
from lchunk.tasks.jobs import Chunk, ChunkJob, Input, Work, trimmed
from lchunk.tasks.making import (
    ENOUGH_FAILURES,
    WORTH_A_THREAD,
    BackgroundStep,
    ChunkInProgress,
    Failure,
    first_places,
    make,
    make_all,
    reasons,
)
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
    layer = layer_in(folder)
    usual: dict[str, Any] = {
        "stage": "Test", "output": layer, "device": lambda: "cpu", "log_folder": "a", "trivial": lambda bbox: None,
        "prepare": lambda: None, "confirm": lambda: None,
    }  # fmt: skip
    work = Work(bounds=BOUNDS, compute=compute, logs=layer.store, **(usual | more))
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
    assert ENOUGH_FAILURES == 5
    assert len(failures) == ENOUGH_FAILURES + 1  # one was read ahead
    assert reasons(failures) == f"ValueError: broken for reason 0 ({len(failures)} chunks)"


def test_failures_of_many_reasons_do_not_stop_a_block(tmp_path: Path) -> None:
    failures = make_all(failing(tmp_path, 20, 7, []), lambda number: None)
    assert len(failures) == 20
    assert "and 4 other reasons" in reasons(failures)


class Watched:
    """An output that notes what is written, and by which thread."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.hooks: list[Callable[[Bbox, Any], None]] = []
        self.threads: list[str] = []

    def write(self, bbox: Bbox, content: Any) -> None:
        self.threads.append(threading.current_thread().name)
        for hook in self.hooks:
            hook(bbox, content)
        self.layer.write(bbox, content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)


class WatchedInput(InMemory):
    """An input that notes what is read, and by which thread."""

    def __init__(self) -> None:
        self.read_yet: dict[int, threading.Event] = defaultdict(threading.Event)
        self.threads: list[str] = []
        self.refuse: Exception | None = None

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Any:
        self.threads.append(threading.current_thread().name)
        if self.refuse is not None:
            raise self.refuse
        voxels = super().read(bbox)
        self.read_yet[number_of(bbox)].set()
        return voxels


def number_of(bbox: Bbox) -> int:
    return bbox.start[2] // 4


def watched_jobs(folder: Path, count: int, compute: Any, **more: Any) -> tuple[list[ChunkJob], WatchedInput, Watched]:
    """Jobs of the first chunks, without a halo, of one input and one output."""
    source, output = WatchedInput(), Watched(layer_in(folder))
    jobs = [job_of(folder, compute, index, output=output, **more) for index in range(count)]
    return [replace(job, inputs=(Input(source, job.chunk.bbox),)) for job in jobs], source, output


def test_the_next_chunk_is_read_and_the_last_is_written_while_one_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "WORTH_A_THREAD", 0.0)
    computing: dict[int, threading.Event] = defaultdict(threading.Event)
    beside: list[str] = []

    def compute(chunk: Chunk, image: Any) -> Any:
        number = number_of(chunk.bbox)
        computing[number].set()
        if number < 3 and source.read_yet[number + 1].wait(10):
            beside.append(f"{number + 1} read beside {number}")
        return image

    def written(bbox: Bbox, _: Any) -> None:
        number = number_of(bbox)
        if number < 3 and computing[number + 1].wait(10):
            beside.append(f"{number} written beside {number + 1}")

    jobs, source, output = watched_jobs(tmp_path, 4, compute)
    output.hooks.append(written)
    assert make_all(jobs, lambda number: None) == []
    assert sorted(beside) == sorted(
        f"{number}{what}{number + 1 if what.startswith(' w') else number - 1}"
        for what, numbers in ((" read beside ", (1, 2, 3)), (" written beside ", (0, 1, 2)))
        for number in numbers
    )
    assert np.array_equal(output.read(Bbox((0, 0, 0), (4, 4, 16))), IMAGE[:, :, :16])


@pytest.mark.parametrize(("worth", "threads"), [(0.0, ("read_0", "write_0")), (1e9, ("MainThread", "MainThread"))])
def test_only_steps_that_take_long_get_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth: float, threads: tuple[str, str]
) -> None:
    monkeypatch.setattr(making, "WORTH_A_THREAD", worth)
    jobs, source, output = watched_jobs(tmp_path, 3, lambda chunk, image: image)
    make_all(jobs, lambda number: None)
    assert (source.threads, output.threads) == ([threads[0]] * 3, [threads[1]] * 3)


def test_the_last_step_decides_whether_the_next_gets_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(making.time, "perf_counter", lambda: clock[0])
    names: list[str] = []

    def step(seconds: float) -> None:
        names.append(threading.current_thread().name)
        clock[0] += seconds

    with ThreadPoolExecutor(1, "beside") as pool:
        background = BackgroundStep(pool)
        for seconds in (WORTH_A_THREAD, 0.0, 0.0):
            background.start(partial(step, seconds))()
    assert names == ["MainThread", "beside_0", "MainThread"]


@pytest.mark.parametrize("worth", [0.0, 1e9])
def test_a_step_raises_when_its_end_is_waited_for(monkeypatch: pytest.MonkeyPatch, worth: float) -> None:
    monkeypatch.setattr(making, "WORTH_A_THREAD", worth)

    def fail() -> None:
        raise ValueError("broken")

    with ThreadPoolExecutor(1) as pool:
        wait = BackgroundStep(pool).start(fail)
        with pytest.raises(ValueError, match="broken"):
            wait()


@pytest.mark.parametrize("worth", [0.0, 1e9])
@pytest.mark.parametrize("step", ["prepare", "compute", "confirm", "write"])
def test_a_step_that_fails_for_one_chunk_leaves_out_that_chunk_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, worth: float
) -> None:
    monkeypatch.setattr(making, "WORTH_A_THREAD", worth)
    calls: Counter[str] = Counter()

    def maybe(name: str) -> None:
        calls[name] += 1
        if name == step and calls[name] == 2:
            raise OSError(f"no {name}")

    def compute(chunk: Chunk, image: Any) -> Any:
        maybe("compute")
        return image

    jobs, _, output = watched_jobs(
        tmp_path, 4, compute, prepare=lambda: maybe("prepare"), confirm=lambda: maybe("confirm")
    )
    output.hooks.append(lambda bbox, content: maybe("write"))
    numbers: list[int] = []
    failures = make_all(jobs, numbers.append)
    assert [(number_of(failure.bbox), failure.reason) for failure in failures] == [(1, f"OSError: no {step}")]
    assert numbers == [0, 1, 2, 3]
    files = sorted(path.name for path in (tmp_path / "a/0/c/0/0").iterdir())
    assert files == ["0", "2", "3"]


def test_the_last_chunk_s_failed_write_is_reported(tmp_path: Path) -> None:
    jobs, _, output = watched_jobs(tmp_path, 1, lambda chunk, image: image)

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    output.hooks.append(full)
    assert reasons(make_all(jobs, lambda number: None)) == "OSError: No space left on device"


def test_no_jobs_are_no_work() -> None:
    assert make_all([], lambda number: None) == []


def test_inputs_are_let_go_before_the_output_is_written(tmp_path: Path) -> None:
    inputs: list[Any] = []

    def compute(chunk: Chunk, image: Any) -> Any:
        inputs.append(weakref.ref(image))
        return 255 - image

    held: list[bool] = []
    outputs: list[Any] = []

    def look(bbox: Bbox, content: Any) -> None:
        gc.collect()
        held.extend(one() is not None for one in [*inputs, *outputs])
        outputs.append(weakref.ref(content))

    jobs, _, output = watched_jobs(tmp_path, 1, compute)
    output.hooks.append(look)
    chunk = ChunkInProgress(jobs[0])
    chunk.read()
    chunk.compute()
    chunk.write()
    gc.collect()
    assert held == [False]
    assert outputs[0]() is None


def test_what_refuses_the_layer_comes_before_reading(tmp_path: Path) -> None:
    def refuse() -> None:
        raise ValueError("the layer was made otherwise")

    jobs, source, _ = watched_jobs(tmp_path, 1, lambda chunk, image: image, prepare=refuse)
    with pytest.raises(ValueError, match="made otherwise"):
        make(jobs[0])
    assert source.threads == []


@pytest.mark.parametrize("trivial", [False, True])
def test_the_log_says_the_device_and_what_was_skipped(tmp_path: Path, trivial: bool) -> None:
    content = np.zeros((4, 4, 4), np.uint8) if trivial else None
    jobs, _, _ = watched_jobs(
        tmp_path, 1, lambda chunk, image: image, device=lambda: "cuda:3", trivial=lambda bbox: content,
        stage="Shown", log_folder="elsewhere",
    )  # fmt: skip
    make(jobs[0])
    (file,) = (tmp_path / "logs/elsewhere").iterdir()
    log = json.loads(file.read_text())
    assert (log["stage"], log["bbox"], log["voxels"]) == ("Shown", "0-4_0-4_0-4", 64)
    assert log["device"] == ("cpu" if trivial else "cuda:3")
    assert ("skipped" in log) == trivial
    assert list(log["seconds"]) == ["read", "compute", "write"]


def test_a_reason_is_logged_with_its_traceback_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("luigi-interface")
    log.addHandler(caplog.handler)
    try:
        make_all(failing(tmp_path, 3, 2, []), lambda number: None)
    finally:
        log.removeHandler(caplog.handler)
    shown = [(record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert list(dict.fromkeys(shown)) == [
        ("Test failed at 0-4_0-4_0-4", True),
        ("Test failed at 0-4_0-4_4-8", True),
        ("Test failed at 0-4_0-4_8-12, as before: broken for reason 0", False),
    ]


def test_nothing_of_a_chain_of_errors_keeps_frames(tmp_path: Path) -> None:
    def compute(chunk: Chunk, image: Any) -> Any:
        try:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise OSError("second") from error
        except OSError:
            raise ValueError("third")  # noqa: B904 - a context, not a cause

    jobs, _, _ = watched_jobs(tmp_path, 1, compute)
    (failure,) = make_all(jobs, lambda number: None)
    second = failure.error.__context__
    assert second is not None
    assert second.__cause__ is not None
    assert [failure.error.__traceback__, second.__traceback__, second.__cause__.__traceback__] == [None] * 3


def test_a_chain_of_errors_that_closes_on_itself_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert making._without_frames(one) is one


def failure(number: int, text: str) -> Failure:
    return Failure(GRID.chunk((0, 0, number)), ValueError(text))


def test_reasons_are_shown_once_the_most_frequent_first() -> None:
    texts = ["a", "b", "b", "c", "c", "c", "d", "e"]
    failures = [failure(number, text) for number, text in enumerate(texts)]
    shown = "ValueError: c (3 chunks); ValueError: b (2 chunks); ValueError: a"
    assert reasons(failures) == f"{shown}; and 2 other reasons"
    assert reasons(failures[:7]) == f"{shown}; and 1 other reasons"
    assert reasons(failures[:6]) == shown
    assert reasons(failures[:1]) == "ValueError: a"
    assert first_places(failures) == "0-4_0-4_0-4, 0-4_0-4_4-8, 0-4_0-4_8-12"


class Recorded:
    """Records of chunks."""

    def records(self, bbox: Bbox) -> list[str]:
        return [f"record of {bbox}"]


def test_inputs_are_voxels_or_records(tmp_path: Path) -> None:
    bbox = Bbox((0, 0, 0), (4, 4, 4))
    assert Input(Recorded(), bbox).read() == [f"record of {bbox}"]  # type: ignore[arg-type]

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
