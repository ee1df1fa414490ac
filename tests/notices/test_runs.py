"""Of several processes of a run, one sends its messages; the next one continues when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lchunk.notices import runs
from lchunk.notices.runs import FOLDER, STALE, Claim, Run
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.store import FileStore, Store
from tests.volumes.test_bucket_store import MemoryBucket


def claim(folder: Path) -> Claim:
    return Claim(FileStore(folder), "Mesh_1")


def left_by(folder: Path, process: str, seen: float = 0.0) -> None:
    """A marker of another process."""
    own = claim(folder)
    assert own.begin(5.0)
    own.write(process=process, seen=time.time() - seen, sent=("start",))


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("kind", ["disk", "bucket"])
def test_one_of_many_that_begin_at_the_same_time_sends(tmp_path: Path, kind: str) -> None:
    store: Store = FileStore(tmp_path) if kind == "disk" else BucketStore(MemoryBucket(), "")
    claims = [Claim(store, "Mesh_1") for _ in range(16)]
    gate = threading.Barrier(len(claims))

    def begin(each: Claim) -> None:
        gate.wait()
        each.begin(1.0)

    threads = [threading.Thread(target=begin, args=(each,)) for each in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.held is not None for each in claims].count(True) == 1


@pytest.mark.parametrize(
    ("process", "seen"),
    [("elsewhere:1:a", STALE + 1), (f"{runs._HOST}:{os.getpid()}:a", 0), ("", 0)],
    ids=["silent for long", "number is now this process's", "left to others"],
)
def test_a_run_whose_process_is_gone_is_continued(tmp_path: Path, process: str, seen: float) -> None:
    left_by(tmp_path, process, seen)
    own = claim(tmp_path)
    assert own.take_over()
    assert own.held is not None
    assert (own.held.begun, own.held.sent, own.held.number) == (5.0, ("start",), 2)
    assert not claim(tmp_path).take_over()


def test_a_run_of_a_dead_process_of_this_machine_is_continued_at_once(tmp_path: Path) -> None:
    left_by(tmp_path, f"{runs._HOST}:{ended_process()}:a")
    assert claim(tmp_path).begin(9.0)


@pytest.mark.parametrize("process", ["elsewhere:1:a", f"{runs._HOST}:{os.getppid()}:a", f"{runs._HOST}:1:a"])
def test_a_run_whose_process_may_live_is_left_to_it(tmp_path: Path, process: str) -> None:
    left_by(tmp_path, process, STALE / 2)
    own = claim(tmp_path)
    assert not own.take_over()
    assert not own.begin(9.0)
    assert own.held is None


def test_after_the_end_a_new_run_begins_and_none_is_continued(tmp_path: Path) -> None:
    first = claim(tmp_path)
    first.begin(1.0)
    first.write(sent=("start", "end"), ended="complete")
    own = claim(tmp_path)
    assert not own.take_over()
    assert own.begin(9.0)
    assert own.held is not None
    assert (own.held.begun, own.held.sent) == (9.0, ())


def test_a_process_that_was_taken_for_dead_sends_no_more(tmp_path: Path) -> None:
    first, second = claim(tmp_path), claim(tmp_path)
    first.begin(1.0)
    first.write(process="")
    assert second.take_over()
    first.keep()
    second.keep()
    assert first.held is None
    assert second.held is not None


def test_markers_do_not_pile_up_and_a_damaged_one_stops_nothing(tmp_path: Path) -> None:
    for _ in range(5):
        own = claim(tmp_path)
        assert own.begin(1.0)
        own.write(ended="complete")
    folder = tmp_path / FOLDER / "Mesh_1"
    assert sorted(path.name for path in folder.iterdir()) == ["000004.json", "000005.json"]
    (folder / "000005.json").write_text("{")
    assert claim(tmp_path).begin(1.0)


def test_a_full_disk_ends_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = claim(tmp_path)
    own.begin(1.0)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(own.store, "put", full)
    own.write(sent=("start",))
    own.keep()
    assert own.held is not None
    assert own.held.sent == ("start",)


def test_a_process_is_alive_by_its_marker_alone() -> None:
    run = Run(1, 0.0, "elsewhere:1:a", time.time())
    assert run.is_held
    assert not replace(run, seen=time.time() - STALE - 1).is_held
