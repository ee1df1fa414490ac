"""The parts of a step: nested ones count once, and threads pass theirs on to the step that waits for them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.parallel import parallel
from lchunk.volumes.step_parts import BUCKET, DECODE, DISK, Part, StepParts, current_step, noting
from lchunk.volumes.store import FileStore
from tests.volumes.test_bucket_store import MemoryBucket


class Clock:
    """A clock that tests move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    own = Clock()
    monkeypatch.setattr("lchunk.volumes.step_parts.time.perf_counter", own)
    return own


def test_a_part_does_not_count_the_parts_inside_it(clock: Clock) -> None:
    with noting(StepParts()) as _:
        pass
    step = StepParts()
    with noting(step):
        clock.now += 1
        with Part(DECODE):
            clock.now += 2
            with Part(DISK) as part:
                clock.now += 4
                part.moved(read=7)
            clock.now += 8
    assert step.seconds == {DECODE: 10, DISK: 4}
    assert (step.whole, step.read, step.written) == (15, 7, 0)


def test_outside_of_a_step_nothing_is_noted() -> None:
    with Part(DISK) as part:
        part.moved(read=7)
    assert current_step() is None


def test_the_time_of_threads_is_noted_as_long_as_the_step_waits_for_it() -> None:
    def work(item: int) -> int:
        with Part(BUCKET) as part:
            time.sleep(0.06)
            part.moved(read=item)
        time.sleep(0.02)
        return item

    step = StepParts()
    with noting(step):
        start = time.perf_counter()
        assert list(parallel(work, range(8), threads=4, name="test")) == list(range(8))
        took = time.perf_counter() - start
    assert step.read == sum(range(8))
    assert 0.5 * took < step.seconds[BUCKET] < 0.9 * took  # three quarters: 8 x 0.06 s took 2 x 0.08 s in 4 threads


def test_what_is_read_ahead_and_not_waited_for_takes_no_time() -> None:
    def work(item: int) -> int:
        with Part(BUCKET):
            time.sleep(0.05)
        return item

    step = StepParts()
    with noting(step):
        for _ in parallel(work, range(6), threads=3, name="test"):
            time.sleep(0.15)
    assert step.seconds[BUCKET] < 0.15  # of 0.3 s that the threads took


def test_a_call_that_fails_in_a_thread_raises_its_error() -> None:
    def work(item: int) -> int:
        raise ValueError("no such item")

    with noting(StepParts()), pytest.raises(ValueError, match="no such item"):
        list(parallel(work, range(3), threads=2, name="test"))


@pytest.fixture(params=[DISK, BUCKET])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore | BucketStore:
    return FileStore(tmp_path) if request.param == DISK else BucketStore(MemoryBucket(), "")


def test_stores_note_their_bytes(store: FileStore | BucketStore) -> None:
    step = StepParts()
    with noting(step):
        store.put("a", b"12345")
        store.put("b", memoryview(b"123"))
        assert store.get("a", 1, 3) == b"23"
        assert [bytes(part) for part in store.get_ranges("a", [(0, 2)])] == [b"12"]
    assert (step.written, step.read) == (8, 4)
    assert set(step.seconds) == {DISK if isinstance(store, FileStore) else BUCKET}
