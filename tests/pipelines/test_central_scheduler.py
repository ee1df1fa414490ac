"""Processes that share Luigi's scheduler, and what happens when that dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import files_of, write_identity_job
from tests.servers import free_port, listening, luigid, start_lchunk

REPOSITORY = Path(__file__).parent.parent.parent


def call(port: int, method: str, **arguments: str) -> Any:
    query = urllib.request.quote(json.dumps(arguments))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{method}?data={query}") as answer:
        return json.loads(answer.read())["response"]


def tasks(port: int) -> dict:
    return call(port, "task_list", status="", upstream_status="")


def prepare(folder: Path, port: int, more: str = "") -> None:
    write_identity_job(folder, (32, 48, 48), (-10, 200, 300), f"default_scheduler_port = {port}\n{more}")


def start(folder: Path, log: str, *words: str) -> subprocess.Popen[bytes]:
    return start_lchunk(folder, log, ["run", *words, "--log-level", "INFO"], os.environ)


def take_turns(processes: list[subprocess.Popen[str]]) -> None:
    """Let one of two processes run at a time, until one has ended, so that a busy machine favours neither."""
    while all(process.poll() is None for process in processes):
        for runs, waits in (processes, processes[::-1]):
            waits.send_signal(signal.SIGSTOP)
            runs.send_signal(signal.SIGCONT)
            time.sleep(0.4)
    for process in processes:
        process.send_signal(signal.SIGCONT)


def test_two_processes_share_the_chunks(tmp_path: Path) -> None:
    port = free_port()
    prepare(tmp_path, port)
    with luigid(port):
        names = ["one.log", "other.log"]
        # the first waits for the second: a slow start must not leave that one nothing to do
        one = start(tmp_path, names[0], "MeshManifest", "--central")
        wait_for(lambda: len(call(port, "worker_list")) == 1)
        one.send_signal(signal.SIGSTOP)
        other = start(tmp_path, names[1], "MeshManifest", "--central")
        wait_for(lambda: len(call(port, "worker_list")) == 2)
        one.send_signal(signal.SIGCONT)
        # Luigi says 25 where another process made a part; the files say that all stands
        assert [one.wait(timeout=300), other.wait(timeout=300)] == [0, 0]
        ran = [set(re.findall(r"\brunning   (.*) in ", (tmp_path / name).read_text())) for name in names]
        assert all(len(part) > 10 for part in ran), names
        assert not any("UnconsumedParameterWarning" in (tmp_path / name).read_text() for name in names)
        assert ran[0] & ran[1] == set()
        listed = tasks(port)
        assert {task["status"] for task in listed.values()} == {"DONE"}
        assert len(listed) == len(ran[0] | ran[1])
    assert (tmp_path / "out/segmentation/mesh/manifest/all.json").exists()


def test_a_scheduler_that_dies_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    port = free_port()
    prepare(tmp_path, port, "rpc_retry_attempts = 20\nrpc_retry_wait = 1\n")
    with luigid(port) as first:
        process = start(tmp_path, "one.log", "MeshManifest", "--central")
        wait_for(lambda: len(list((tmp_path / "out").rglob("*.table"))) > 5)
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(1)
    with luigid(port):
        process.wait(timeout=300)
        # the new scheduler does not know the run; running again makes the rest
        assert start(tmp_path, "again.log", "MeshManifest", "--central").wait(timeout=300) == 0
    made = files_of(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "disturbed")
    assert start(tmp_path, "undisturbed.log", "MeshManifest").wait(timeout=300) == 0
    assert files_of(tmp_path / "out") == made


def test_the_scheduler_listens_here_only_and_has_metrics_and_links(tmp_path: Path) -> None:
    port = free_port()
    prepare(tmp_path, port, "[worker]\nforce_multiprocessing = false\n")
    cfg = (tmp_path / "luigi.cfg").read_text().replace("[Dataset]", "[Dataset]\nviewer = http://127.0.0.1:8080/")
    (tmp_path / "luigi.cfg").write_text(cfg)
    command = [str(REPOSITORY / "scripts/scheduler"), "--port", str(port), "--state-path", f"{tmp_path}/state"]
    with listening(command, port, dict(os.environ)) as process:
        assert {connection.laddr.ip for connection in listeners(process.pid)} == {"127.0.0.1"}
        region = "-10-6_200-216_300-316"
        assert start(tmp_path, "one.log", "Ingest", "--central", f"--region={region}").wait(timeout=300) == 0
        (task,) = tasks(port).values()
        # half a chunk into a volume of 2 x 3 x 3 chunks
        assert task["tracking_url"] == "http://127.0.0.1:8080/?at=0.25,0.166667,0.166667"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert 'luigi_task_done_total{family="Ingest"} 1.0' in answer.read().decode()


def test_the_exit_code_says_what_is_complete(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (32, 48, 48), (-10, 200, 300), "[scheduler]\nretry_count = 1\n")
    assert start(tmp_path, "one.log", "Ingest").wait(timeout=300) == 0
    assert start(tmp_path, "again.log", "Ingest").wait(timeout=300) == 0
    assert start(tmp_path, "wrong.log", "LocalComponents", "--connectivity", "7").wait(timeout=300) == 35
    assert start(tmp_path, "unknown.log", "LocalComponents", "--connectivty", "6").wait(timeout=300) == 2
    (tmp_path / "out/image/0/c/0/0/0").write_bytes(b"torn")
    assert start(tmp_path, "torn.log", "Inference").wait(timeout=300) == 30


def test_a_scheduler_that_does_not_answer_is_an_error_at_once(tmp_path: Path) -> None:
    prepare(tmp_path, port := free_port())
    assert start(tmp_path, "one.log", "Ingest", "--central").wait(timeout=60) == 35
    last = (tmp_path / "one.log").read_text().splitlines()[-1]
    assert f"a scheduler must answer at http://127.0.0.1:{port}" in last


def test_the_same_command_leaves_a_running_one_alone(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (32, 48, 48), (-10, 200, 300))
    words = ["MeshManifest", f"--root={tmp_path}/out"]
    running = start(tmp_path, "one.log", *words)
    wait_for((tmp_path / "out/image/zarr.json").exists)
    running.send_signal(signal.SIGSTOP)
    assert start(tmp_path, "other.log", *words).wait(timeout=60) == 10
    last = (tmp_path / "other.log").read_text().splitlines()[-1]
    assert f"process {running.pid}" in last
    assert "run MeshManifest" in last
    running.send_signal(signal.SIGCONT)
    assert running.wait(timeout=300) == 0
    assert start(tmp_path, "again.log", *words).wait(timeout=60) == 0


def wait_for(there: Callable[[], bool]) -> None:
    for _ in range(600):
        if there():
            return
        time.sleep(0.1)
    pytest.fail("it did not come")


def listeners(pid: int) -> list[Any]:
    """Listening sockets of a process and its children."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    found = [each for process in family for each in process.net_connections("inet")]
    return [each for each in found if each.status == psutil.CONN_LISTEN]
