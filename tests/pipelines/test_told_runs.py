"""Who is told about real runs: each event once, whichever processes work; and the secret is written nowhere."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import REPOSITORY, Said, lchunk
from tests.conftest import write_hdf5
from tests.notices.receiver import SECRET, Receiver, receiving
from tests.servers import free_port, luigid, start_lchunk

STAGE = ("NotedTwice", "--module", "tests.workers.stages")
POISON = "0-4_4-8_0-4"
SLOW = "0-4_0-4_0-4"
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = 4,4,4
inner_chunk = 4,4,4
viewer = http://127.0.0.1:9999
[Noted]
runs = {folder}/runs
poison = {poison}
slow = {slow}
[Hooks]
webhook = ${{WEBHOOK}}
timeout_seconds = 0.5
[core]
autoload_range = false
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def write_job(folder: Path, *, poison: str = "", slow: str = "") -> None:
    if not (folder / "a.h5").exists():
        write_hdf5(folder / "a.h5", "raw", np.zeros((8, 8, 8), np.uint8), (4, 4, 4), (0, 0, 0))
    (folder / "luigi.cfg").write_text(CFG.format(folder=folder, poison=poison, slow=slow))


def run(folder: Path, receiver: Receiver, *words: str) -> Said:
    return lchunk(folder, "run", *STAGE, *words, WEBHOOK=receiver.url)


def start(folder: Path, log: str, receiver: Receiver, *words: str) -> subprocess.Popen[bytes]:
    return start_lchunk(folder, log, words, environment(folder, receiver))


def environment(folder: Path, receiver: Receiver) -> Mapping[str, str]:
    usual = {name: value for name, value in os.environ.items() if name != "LUIGI_CONFIG_PATH"}
    own = {"PYTHONPATH": str(REPOSITORY), "XDG_STATE_HOME": str(folder / "state"), "WEBHOOK": receiver.url}
    return usual | own


def refuse_secret(folder: Path, *said: Said) -> None:
    """Fail if the secret is in any file below a folder, or on a screen."""
    holding = [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == []
    assert not any(SECRET in each.out + each.err for each in said)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_run_with_a_chunk_that_fails(tmp_path: Path, receiver: Receiver, processes: str) -> None:
    write_job(tmp_path, poison=POISON)
    failed = run(tmp_path, receiver, "--workers", processes)
    assert failed.code == 30, failed.err
    assert receiver.events == ["start", "failure", "end"]
    failure = receiver.of("failure")
    assert (failure["failed_stage"], failure["chunk"]) == ("Noted", POISON)
    assert "poison" in failure["reason"]
    assert failure["command"] == f"lchunk run Noted --module tests.workers.stages --region={POISON}"
    end = receiver.of("end")
    assert (end["code"], end["chunks_made"], end["regions_failed"]) == (30, 7, 1)
    assert (end["viewer"], end["result"]) == ("http://127.0.0.1:9999", f"{tmp_path}/out/noted_twice")

    receiver.messages.clear()
    write_job(tmp_path)
    whole = run(tmp_path, receiver, "--workers", processes)
    assert whole.code == 0, whole.err
    assert receiver.events == ["start", "end"]
    end = receiver.of("end")
    assert (end["outcome"], end["chunks_made"], end["regions_failed"]) == ("complete", 9, 0)
    again = run(tmp_path, receiver)
    assert (again.code, receiver.events) == (0, ["start", "end"])  # there was nothing to do
    refuse_secret(tmp_path, failed, whole, again)


def test_a_run_through_a_queue_with_two_workers(tmp_path: Path, receiver: Receiver) -> None:
    write_job(tmp_path, poison=POISON)
    queue = f"{tmp_path}/queue"
    assert lchunk(tmp_path, "queue", "create", queue, WEBHOOK=receiver.url).code == 0
    work = ("work", "--queue", queue, "--module", "tests.workers.stages", "--back-off", "0.1")
    workers = [start(tmp_path, f"{name}.log", receiver, *work) for name in ("one", "other")]
    keeper = start(
        tmp_path, "keeper.log", receiver, "enqueue", *STAGE, "--queue", queue, "--until-done", "--every", "0.2"
    )
    assert keeper.wait(timeout=120) == 30
    for worker in workers:
        worker.terminate()
        assert worker.wait(timeout=60) in (0, 30)
    assert receiver.events == ["start", "failure", "dead_letters", "end"]
    assert receiver.of("failure")["chunk"] == POISON
    assert (receiver.of("dead_letters")["count"], receiver.of("dead_letters")["queues"]) == (1, [queue])
    assert (receiver.of("end")["code"], receiver.of("end")["chunks_made"]) == (30, 7)
    status = lchunk(tmp_path, "status", WEBHOOK=receiver.url)
    assert f"failed: Noted {POISON}" in status.out  # workers keep records of failures, too
    refuse_secret(tmp_path, status)


def test_a_keeper_that_finds_all_complete_again_and_again_tells_nothing(tmp_path: Path, receiver: Receiver) -> None:
    write_job(tmp_path)
    queue = f"{tmp_path}/queue"
    assert lchunk(tmp_path, "queue", "create", queue, WEBHOOK=receiver.url).code == 0
    assert run(tmp_path, receiver).code == 0
    receiver.messages.clear()
    for _ in range(2):
        said = lchunk(tmp_path, "enqueue", *STAGE, "--queue", queue, "--until-done", WEBHOOK=receiver.url)
        assert said.code == 0, said.err
    assert receiver.events == []


@pytest.mark.parametrize(("answer", "hangs"), [(500, False), (200, True)], ids=["answers 500", "hangs"])
def test_a_webhook_that_fails_changes_nothing_but_one_warning(tmp_path: Path, answer: int, hangs: bool) -> None:
    write_job(tmp_path)
    with receiving(answer, hangs=hangs) as receiver:
        said = run(tmp_path, receiver)
    assert said.code == 0
    assert receiver.events == ["start", "end"]
    assert said.err.count("lchunk: WARNING:") == said.err.count("the webhook at 127.0.0.1 took no message") == 1
    refuse_secret(tmp_path, said)


def wait_until(reached: Any, what: str) -> None:
    until = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def test_a_run_that_is_killed_and_started_again_is_one_run(tmp_path: Path, receiver: Receiver) -> None:
    write_job(tmp_path, slow=f"{SLOW}:60")
    killed = start(tmp_path, "killed.log", receiver, "run", *STAGE)
    wait_until(lambda: receiver.events and (tmp_path / "runs").exists(), "the run did not begin")
    killed.kill()
    killed.wait()
    write_job(tmp_path)
    assert run(tmp_path, receiver).code == 0
    assert receiver.events == ["start", "end"]
    assert receiver.of("end")["outcome"] == "complete"


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code", "outcome"),
    [(signal.SIGINT, 130, "interrupted by Ctrl-C"), (signal.SIGTERM, -signal.SIGTERM, "ended by SIGTERM")],
)
def test_a_run_that_is_interrupted_says_so(
    tmp_path: Path, receiver: Receiver, *, number: signal.Signals, code: int, outcome: str, processes: str
) -> None:
    write_job(tmp_path, slow=f"{SLOW}:60")
    stopped = start(tmp_path, "stopped.log", receiver, "run", *STAGE, "--workers", processes)
    wait_until(lambda: receiver.events and (tmp_path / "runs").exists(), "the run did not begin")
    stopped.send_signal(number)
    assert stopped.wait(timeout=60) == code
    assert receiver.events == ["start", "end"]
    assert receiver.of("end")["outcome"] == outcome


def test_processes_that_share_a_scheduler_send_each_event_once(tmp_path: Path, receiver: Receiver) -> None:
    write_job(tmp_path, slow=f"{SLOW}:3")
    port = free_port()
    with luigid(port):
        words = ("run", *STAGE, "--scheduler", f"127.0.0.1:{port}")
        both = [start(tmp_path, f"{name}.log", receiver, *words) for name in ("one", "other")]
        assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert receiver.events == ["start", "end"]
    assert receiver.of("end")["chunks_made"] == 16


def test_the_secret_is_refused_on_a_command_line(tmp_path: Path, receiver: Receiver) -> None:
    write_job(tmp_path)
    queue = f"{tmp_path}/queue"
    lchunk(tmp_path, "queue", "create", queue, WEBHOOK="")
    option = f"--Hooks-webhook={receiver.url}"
    refused = [
        lchunk(tmp_path, "run", *STAGE, option, WEBHOOK=""),
        lchunk(tmp_path, "enqueue", *STAGE, option, "--queue", queue, WEBHOOK=""),
    ]
    assert [said.code for said in refused] == [35, 1]
    assert all("webhook of [Hooks] must be set in the cfg" in said.last for said in refused)
    assert receiver.events == []
    refuse_secret(tmp_path, *refused)
