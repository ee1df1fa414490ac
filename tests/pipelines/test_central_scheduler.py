"""Two processes that run one command against one luigid share the work."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import smooth_affinities, write_hdf5

REPOSITORY = Path(__file__).parent.parent.parent
OFFSET = (-10, 200, 300)
CFG = """
[Dataset]
root = {folder}/out
image = {folder}/a.h5:/raw
chunk_shape = 16,16,16
inner_chunk = 8,8,8
[Inference]
framework = identity
input_patch = 10,12,14
output_patch = 8,8,10
overlap = 2,2,2
[core]
autoload_range = false
default_scheduler_port = {port}
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A luigid on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    code = "from luigi.cmdline import luigid; luigid()"
    command = [sys.executable, "-c", code, "--address", "127.0.0.1", "--port", str(number)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(200):
            try:
                tasks(number)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield number
        process.terminate()


def call(port: int, method: str, **arguments: str) -> Any:
    query = urllib.request.quote(json.dumps(arguments))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{method}?data={query}") as answer:
        return json.loads(answer.read())["response"]


def tasks(port: int) -> dict:
    return call(port, "task_list", status="", upstream_status="")


def together(port: int, workers: int) -> None:
    """Let paused work start once every worker asks for it: a slow start of one must not leave it nothing to do."""
    for _ in range(600):
        if len(call(port, "worker_list")) == workers:
            break
        time.sleep(0.1)
    call(port, "unpause")


def test_two_processes_share_the_chunks(port: int, tmp_path: Path) -> None:
    image = np.rint(smooth_affinities((32, 48, 48), 0)[0] * 255).astype(np.uint8)
    write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), OFFSET)
    (tmp_path / "luigi.cfg").write_text(CFG.format(folder=tmp_path, port=port))
    environment = os.environ | {"LUIGI_CONFIG_PATH": str(REPOSITORY / "central.cfg")}
    command = [sys.executable, "-m", "luigi", "--module", "lchunk.tasks", "MeshManifest", "--no-lock"]
    logs = [tmp_path / "one.log", tmp_path / "other.log"]
    processes = []
    call(port, "pause")
    for log in logs:
        with log.open("w") as file:
            processes.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=file))
    together(port, len(logs))
    for process in processes:
        process.wait(timeout=300)
    ran = [set(re.findall(r"\brunning   (.*) in ", log.read_text())) for log in logs]
    assert all(len(part) > 10 for part in ran), logs
    assert ran[0] & ran[1] == set()
    listed = tasks(port)
    assert {task["status"] for task in listed.values()} == {"DONE"}
    assert len(listed) == len(ran[0] | ran[1])
    assert (tmp_path / "out/segmentation/mesh/manifest/all.json").exists()
