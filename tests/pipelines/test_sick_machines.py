"""Real workers on machines that fail: they end, others make the rest, and `lchunk status` names the fault."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import write_hdf5
from tests.servers import start_lchunk

STAGE = ("Scratch", "--module", "tests.workers.stages")
FULL = "/dev/full"
"""A device that answers each write as a full disk does."""
FIRST = "0-4_0-4_0-4"
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = 4,4,4
inner_chunk = 4,4,4
[Scratch]
seconds = {seconds}
deadly = {deadly}
[core]
autoload_range = false
"""


def write_job(folder: Path, *, chunks: int, seconds: float = 0.0, deadly: str = "") -> str:
    """A dataset, and a queue with its messages. Returns the queue's address."""
    write_hdf5(folder / "a.h5", "raw", np.zeros((4 * chunks, 4, 4), np.uint8), (4, 4, 4), (0, 0, 0))
    (folder / "luigi.cfg").write_text(CFG.format(folder=folder, seconds=seconds, deadly=deadly))
    queue = f"{folder}/queue"
    assert lchunk(folder, "queue", "create", queue).code == 0
    assert lchunk(folder, "enqueue", *STAGE, "--queue", queue).code == 0
    return queue


def start_worker(folder: Path, name: str, scratch: str, *words: str) -> subprocess.Popen[bytes]:
    usual = {key: value for key, value in os.environ.items() if key != "LUIGI_CONFIG_PATH"}
    environment = usual | {"PYTHONPATH": str(REPOSITORY), "SCRATCH": scratch}
    line = ("work", "--queue", f"{folder}/queue", "--module", "tests.workers.stages", "--back-off", "0.1", *words)
    return start_lchunk(folder, f"{name}.log", line, environment)


def wait_for(reached: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_worker_with_a_full_disk_ends_and_the_others_finish(tmp_path: Path) -> None:
    write_job(tmp_path, chunks=40, seconds=0.2)
    sick = start_worker(tmp_path, "sick", FULL)
    wait_for(lambda: "No space left on device" in (tmp_path / "sick.log").read_text())  # it waits while nobody succeeds
    well = start_worker(tmp_path, "well", f"{tmp_path}/file", "--exit-when-empty")
    assert sick.wait(timeout=120) == 35
    last = (tmp_path / "sick.log").read_text().strip().splitlines()[-1]
    assert re.match(
        r"lchunk: Error: \d+ tasks failed in a row for a fault of this machine \(disk full\), and oth", last
    )
    assert all(part in last for part in ("; host ", " of memory free", f" free in {tmp_path}/out"))
    assert well.wait(timeout=120) == 0
    status = lchunk(tmp_path, "status").out
    assert "ended itself" in status
    assert "fault of this machine (disk full), and others succeeded; host " in status
    assert "failed:" not in status  # the well worker has made all of it
    assert json.loads(lchunk(tmp_path, "status", "--json").out)["missing"] == 0


def test_a_disk_that_is_full_for_all_ends_no_worker(tmp_path: Path) -> None:
    write_job(tmp_path, chunks=6)
    both = [start_worker(tmp_path, name, FULL, "--max-tasks", "6") for name in ("one", "other")]
    assert [worker.wait(timeout=120) for worker in both] == [0, 0]
    status = lchunk(tmp_path, "status").out
    assert "ended itself" not in status
    assert "(disk full): Scratch: No space left on device" in status
    failures = json.loads(lchunk(tmp_path, "status", "--json").out)["failures"]
    assert {failure["fault"] for failure in failures} == {"disk full"}


def test_a_worker_that_is_told_to_end_says_by_what(tmp_path: Path) -> None:
    write_job(tmp_path, chunks=40, seconds=0.2)
    worker = start_worker(tmp_path, "told", f"{tmp_path}/file")
    wait_for((tmp_path / "file").exists)
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    assert "; ended by SIGTERM\n" in (tmp_path / "told.log").read_text()
    assert "workers that were ended in the last day: 1 by SIGTERM" in lchunk(tmp_path, "status").out


@pytest.mark.parametrize(("number", "fault"), [(signal.SIGKILL, "process killed"), (signal.SIGILL, "process crashed")])
def test_a_process_of_a_run_that_dies_is_named(tmp_path: Path, number: signal.Signals, fault: str) -> None:
    write_job(tmp_path, chunks=4, deadly=f"{FIRST}:{int(number)}")
    said = lchunk(tmp_path, "run", *STAGE, "--workers", "2", SCRATCH=f"{tmp_path}/file")
    assert said.code == 30
    (failure,) = json.loads(lchunk(tmp_path, "status", "--json").out)["failures"]
    assert (failure["chunks"], failure["fault"]) == ([FIRST], fault)
    assert "Scratch: the process that made it" in failure["reason"]


def test_a_worker_that_crashes_says_where(tmp_path: Path) -> None:
    write_job(tmp_path, chunks=1, deadly=f"{FIRST}:{int(signal.SIGILL)}")
    assert start_worker(tmp_path, "crashed", f"{tmp_path}/file").wait(timeout=60) == -signal.SIGILL
    said = (tmp_path / "crashed.log").read_text()
    assert "Fatal Python error: Illegal instruction" in said
    assert "in compute_chunk" in said
