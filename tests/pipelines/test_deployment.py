"""What docker/ starts: its commands are commands, and the cluster of compose.yaml works as plain processes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lchunk.cli import parser
from tests.conftest import files_of, write_identity_job
from tests.servers import free_port, luigid, sqs_server, start_lchunk

REPOSITORY = Path(__file__).parent.parent.parent
DOCKER = REPOSITORY / "docker"
TOLD = re.compile(r"(?:^|bin/|srun |-N0 |\"|`)lchunk ((?:run|enqueue|work|queue) [^`|&\"\n]*)", re.MULTILINE)


def compose() -> dict[str, Any]:
    """The services of compose.yaml."""
    services: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    return services


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of ours that a file of docker/ or a document tells, without the word lchunk."""
    for name, service in compose().items():
        if service["image"] == "lchunk:base":
            yield f"compose {name}", service["command"]
    for path in (DOCKER / "kubernetes").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for container in containers(document):
                if container["image"] != "lchunk:scheduler" and "command" not in container:
                    yield path.name, container["args"]
    for path in [*DOCKER.rglob("*"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md"]:
        if path.suffix in (".md", ".sbatch", ".yaml", ".cfg"):
            for line in TOLD.findall(path.read_text()):
                yield path.name, shlex.split(line.replace("$@", "").split(" #")[0].split(">>")[0])


def containers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    spec = document.get("spec", {})
    for inner in (spec, spec.get("jobTemplate", {}).get("spec", {})):
        yield from inner.get("template", {}).get("spec", {}).get("containers", [])


ALL = list(commands())
NAMES = [f"{name}: {' '.join(words)}" for name, words in ALL]


@pytest.mark.parametrize("words", [words for _, words in ALL], ids=NAMES)
def test_a_command_that_is_told_is_a_command(words: list[str]) -> None:
    arguments, rest = parser().parse_known_args([word.replace("…", "") for word in words])
    assert not rest or hasattr(arguments, "stage"), rest


def test_all_kinds_of_places_tell_commands() -> None:
    places = {name for name, _ in ALL}
    assert {"compose worker", "worker.yaml", "workers.sbatch", "enqueue.yaml", "scale-out.md"} <= places


def test_the_array_job_hands_its_arguments_to_workers(tmp_path: Path) -> None:
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@" threads=$OMP_NUM_THREADS\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LCHUNK_QUEUE": "/q/", "SLURM_CPUS_PER_TASK": "3"}
    script = [str(DOCKER / "slurm/workers.sbatch"), "--max-tasks", "7"]
    said = subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout
    assert said == "lchunk work --exit-when-empty --grace 100 --max-tasks 7 threads=3\n"
    del environment["LCHUNK_QUEUE"]
    refused = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "LCHUNK_QUEUE: the queue" in refused.stderr


def test_the_compose_cluster_as_plain_processes(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (16, 32, 32), (0, 0, 0))
    services, port = compose(), free_port()
    with sqs_server("clock") as queue, luigid(port):
        environment = os.environ | services["worker"]["environment"] | queue

        def start(service: str) -> subprocess.Popen[bytes]:
            words = [word.replace("scheduler:8082", f"127.0.0.1:{port}") for word in services[service]["command"]]
            words = [word.replace("${LCHUNK_STAGE:-MeshManifest}", "MeshManifest") for word in words]
            return start_lchunk(tmp_path, f"{service}.log", words, environment)

        assert start("make-queue").wait(timeout=60) == 0
        workers = [start("worker") for _ in range(services["worker"]["deploy"]["replicas"])]
        words = services["supervisor"]["command"]
        words[words.index("--every") + 1] = "1"
        supervisor = start("supervisor")
        time.sleep(6)
        supervisor.kill()  # it keeps nothing: another goes on
        supervisor.wait()
        assert start("supervisor").wait(timeout=300) == 0
        for worker in workers:
            worker.terminate()
        assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
    made = files_of(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "queued")
    alone = start_lchunk(tmp_path, "alone.log", ["run", "MeshManifest", "--local-scheduler"], dict(os.environ))
    assert alone.wait(timeout=300) == 0
    assert files_of(tmp_path / "out") == made
