"""Making chunks from plain jobs: the next is read and the last is written while one is computed."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.tasks import making
from lchunk.tasks.jobs import Chunk
from lchunk.tasks.making import (
    WORTH_A_THREAD,
    BackgroundStep,
    ChunkInProgress,
    make,
    make_all,
)
from lchunk.volumes.file_store import FileStore
from tests.tasks.chunk_jobs import (
    IMAGE,
    job_of,
    number_of,
    watched_jobs,
)


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


def test_the_next_chunk_is_read_and_the_last_is_written_while_one_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "WORTH_A_THREAD", 0.0)
    computing = {number: threading.Event() for number in range(4)}
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


def waits_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for path in folder.rglob("*.jsonl") for text in path.read_text().splitlines()]


def test_one_chunk_waits_for_its_own_reading_and_writing(tmp_path: Path) -> None:
    start = time.perf_counter()
    make(job_of(tmp_path, lambda chunk, image: time.sleep(0.2) or image))
    took = time.perf_counter() - start
    (entry,) = waits_of(tmp_path)
    assert entry["seconds"]["read"] + entry["seconds"]["write"] - 0.001 < entry["wait"] < took - 0.19
    assert entry["bytes"]["written"] > 0
    assert set(entry["parts"]["write"]) <= {"disk", "encode"}


def test_chunks_wait_for_what_is_not_done_while_others_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "WORTH_A_THREAD", 0.0)

    def slowly(chunk: Chunk, image: Any) -> Any:
        time.sleep(0.3)
        return image

    written = FileStore.put

    def write_slowly(store: FileStore, key: str, body: Any, **more: Any) -> None:
        time.sleep(0.15)
        written(store, key, body, **more)

    monkeypatch.setattr(FileStore, "put", write_slowly)
    assert make_all([job_of(tmp_path, slowly, index=number) for number in range(3)], lambda number: None) == []
    waits = [entry["wait"] for entry in sorted(waits_of(tmp_path), key=lambda entry: str(entry["bbox"]))]
    assert len(waits) == 3
    assert sum(wait < 0.1 for wait in waits) == 2  # their writing was over before the next one was computed
    assert max(waits) > 0.15  # nothing is left to compute while the last is written
