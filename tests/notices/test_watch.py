"""Each event of a run is seen from the files in the dataset's folder, and sent once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lchunk.chunk_logs import log_key
from lchunk.failures import Failure, keep_failure
from lchunk.notices import watch as watch_module
from lchunk.notices.hooks import Hooks
from lchunk.notices.runs import Claim
from lchunk.notices.watch import COMPLETE, Job, Letters, Watch
from lchunk.volumes.file_store import FileStore
from tests.notices.receiver import Receiver, receiving

JOB = Job("Mesh_1", "Mesh", frozenset({"Mesh", "Image"}), "http://viewer", "out/mesh")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def watching(folder: Path, receiver: Receiver, **options: Any) -> Watch:
    return Watch(FileStore(folder), JOB, Hooks(receiver.url), **{"stall": 0.0} | options)


def wait_for(reached: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


def chunk(folder: Path, stage: str = "Mesh", ago: float = 0.0) -> None:
    line = {"stage": stage, "bbox": "0-4_0-4_0-4", "voxels": 64, "seconds": {"read": 0.1}, "ended": time.time() - ago}
    FileStore(folder).append(log_key("mesh", "host-1"), f"{json.dumps(line)}\n".encode())


def fail(folder: Path, region: str = "0-4_0-4_0-4", stage: str = "Mesh", **values: Any) -> None:
    failure = Failure(stage, "mesh", region, "no <mesh>", ("mesh/a",), (region,), f"lchunk run {stage}", **values)
    keep_failure(FileStore(folder), failure)


def test_a_run_is_told_from_its_start_to_its_end(tmp_path: Path, receiver: Receiver) -> None:
    chunk(tmp_path, ago=60)  # of an earlier run
    run = watching(tmp_path, receiver)
    run.begin()
    run.begin()
    wait_for(lambda: receiver.events)
    chunk(tmp_path)
    chunk(tmp_path, "Image")
    chunk(tmp_path, "Other")
    run.end(COMPLETE, 0)
    assert receiver.events == ["start", "end"]
    end = receiver.of("end")
    assert (end["outcome"], end["code"], end["chunks_made"], end["regions_failed"]) == (COMPLETE, 0, 2, 0)
    assert (end["viewer"], end["result"], end["stage"], end["root"]) == (
        "http://viewer",
        "out/mesh",
        "Mesh",
        str(tmp_path),
    )
    assert 0 <= end["seconds"] < 30
    assert "is complete: 2 chunks made" in receiver.messages[-1]["text"]


def test_the_first_failure_of_the_run_and_of_its_stages_is_told_once(tmp_path: Path, receiver: Receiver) -> None:
    fail(tmp_path, "8-9_0-4_0-4", when="2020-01-01 00:00:00")
    fail(tmp_path, "9-10_0-4_0-4", "Other")
    run = watching(tmp_path, receiver)
    run.begin()
    wait_for(lambda: receiver.events)
    run.look()
    assert receiver.events == ["start"]
    fail(tmp_path)
    fail(tmp_path, "4-8_0-4_0-4")
    run.look()
    run.look()
    run.end("a task failed", 30)
    assert receiver.events == ["start", "failure", "end"]
    told = receiver.of("failure")
    assert (told["failed_stage"], told["reason"], told["command"]) == ("Mesh", "no <mesh>", "lchunk run Mesh")
    assert told["chunk"] == "0-4_0-4_0-4"
    assert receiver.of("end")["regions_failed"] == 2


def test_records_that_take_long_to_read_are_read_seldom(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[float] = []

    def slow(store: FileStore) -> Iterator[Failure]:
        readings.append(time.monotonic())
        time.sleep(0.05)
        return iter(())

    monkeypatch.setattr(watch_module, "kept_failures", slow)
    run = begun(tmp_path, receiver, stall=0, ago=0)
    run.look()
    run.look()
    assert len(readings) == 1
    run.next_failures = time.monotonic()
    run.look()
    assert len(readings) == 2
    run.over.set()
    run.look()  # the last one is not left out
    assert len(readings) == 3


def begun(folder: Path, receiver: Receiver, *, stall: float, ago: float) -> Watch:
    """A run that began some time ago, and whose looks are those of the test."""
    run = watching(folder, receiver, stall=stall)
    run.begun = run.last_chunk = time.time() - ago
    run.claim.begin(run.begun)
    return run


def test_a_run_without_chunks_for_long_stalls_once(tmp_path: Path, receiver: Receiver) -> None:
    run = begun(tmp_path, receiver, stall=1000, ago=1500)
    chunk(tmp_path, ago=500)
    run.look()
    assert receiver.events == ["start"]
    assert time.time() - run.last_chunk < 600
    run.last_chunk = time.time() - 1500
    (tmp_path / log_key("mesh", "host-1")).unlink()
    chunk(tmp_path, ago=1200)
    run.look()
    run.look()
    assert receiver.events == ["start", "stall"]
    assert 1490 < receiver.of("stall")["seconds"] < 1600
    assert "has made no chunk for 25 min" in receiver.messages[-1]["text"]


def test_chunks_of_other_stages_do_not_hide_a_stall(tmp_path: Path, receiver: Receiver) -> None:
    run = begun(tmp_path, receiver, stall=1000, ago=1500)
    chunk(tmp_path, "Other", ago=5)
    run.look()
    assert receiver.events == ["start", "stall"]


@pytest.mark.parametrize(("stall", "ago"), [(0.0, 1e6), (1000.0, 900.0)])
def test_a_run_does_not_stall_before_its_time(tmp_path: Path, receiver: Receiver, stall: float, ago: float) -> None:
    begun(tmp_path, receiver, stall=stall, ago=ago).look()
    assert receiver.events == ["start"]


def test_a_stall_is_seen_without_a_call(tmp_path: Path, receiver: Receiver) -> None:
    run = watching(tmp_path, receiver, stall=0.2)
    run.begin()
    wait_for(lambda: "stall" in receiver.events)
    run.end(COMPLETE, 0)
    assert receiver.events == ["start", "stall", "end"]


def test_dead_letters_are_told_beyond_those_that_were_there(tmp_path: Path, receiver: Receiver) -> None:
    counts = iter([3, 3, 1, 2, 4, 4])
    run = watching(tmp_path, receiver, letters=lambda: Letters(next(counts), ("mouse",)))
    run.claim.begin(time.time())
    run.look()
    run.look()
    run.look()  # some were sent again
    assert receiver.events == ["start"]
    run.look()
    run.look()
    assert receiver.events == ["start", "dead_letters"]
    assert (receiver.of("dead_letters")["count"], receiver.of("dead_letters")["queues"]) == (1, ["mouse"])
    assert "lchunk queue dead mouse" in receiver.messages[-1]["text"]


def test_of_two_processes_of_a_run_one_sends(tmp_path: Path, receiver: Receiver) -> None:
    first, second = watching(tmp_path, receiver), watching(tmp_path, receiver)
    for run in (first, second):
        run.begin()
    wait_for(lambda: receiver.events)
    fail(tmp_path)
    for run in (first, second, first):
        run.end(COMPLETE, 0)
    assert receiver.events == ["start", "failure", "end"]


def test_the_process_that_remains_sends_the_end(tmp_path: Path, receiver: Receiver) -> None:
    first, second = watching(tmp_path, receiver), watching(tmp_path, receiver)
    first.begin()
    wait_for(lambda: receiver.events)
    second.begin()
    first.end("something is still missing", 25, goes_on=True)
    assert receiver.events == ["start"]
    second.end(COMPLETE, 0)
    assert receiver.events == ["start", "end"]
    assert receiver.of("end")["outcome"] == COMPLETE


def test_a_success_after_an_end_that_was_none_is_told(tmp_path: Path, receiver: Receiver) -> None:
    first, second, third = (watching(tmp_path, receiver) for _ in range(3))
    first.begin()
    wait_for(lambda: receiver.events)
    second.begin()
    third.begin()
    for run in (second, third):
        run.over.set()
        assert run.thread is not None
        run.thread.join()
    first.end("a task failed", 30)
    second.end(COMPLETE, 0)
    third.end("a task failed", 30)
    assert [message["lchunk"].get("outcome") for message in receiver.messages] == [None, "a task failed", COMPLETE]


def test_a_command_that_finds_all_complete_only_ends_an_open_run(tmp_path: Path, receiver: Receiver) -> None:
    watching(tmp_path, receiver).end(COMPLETE, 0)
    assert receiver.events == []
    killed = Claim(FileStore(tmp_path), JOB.name)
    killed.begin(1.0)
    killed.write(sent=("start",), process="")
    watching(tmp_path, receiver, stall=1.0).end(COMPLETE, 0)
    assert receiver.events == ["end"]
    assert receiver.of("end")["begun"] == "1970-01-01T00:00:01Z"


def test_nothing_is_written_if_nobody_is_told(tmp_path: Path) -> None:
    run = Watch(FileStore(tmp_path), JOB, Hooks(), stall=1.0)
    run.begin()
    run.end(COMPLETE, 0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_read_is_one_warning(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def broken(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(watch_module.logger, "warning", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(watch_module, "kept_failures", broken)
    run = watching(tmp_path, receiver)
    run.begin()
    run.end(COMPLETE, 0)
    (message,) = said
    assert message.startswith("a message about the run was not sent")
