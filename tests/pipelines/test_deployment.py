"""The files in docker/: their commands are valid, and the cluster of compose.yaml works as plain processes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lchunk.cli import parser
from lchunk.workers.address import open_queue
from tests.conftest import files_of, write_identity_job
from tests.servers import free_port, luigid, sqs_server, start_lchunk

REPOSITORY = Path(__file__).parent.parent.parent
DOCKER = REPOSITORY / "docker"
TOLD = re.compile(
    r"(?:^|bin/|srun |-N0 |\"|`)lchunk ((?:run|enqueue|work|queue) (?:'[^'\n]*'|[^`|&\"\n])*)", re.MULTILINE
)


def compose(path: str = "compose.yaml") -> dict[str, Any]:
    """The services of a file for compose."""
    services: dict[str, Any] = yaml.safe_load((DOCKER / path).read_text())["services"]
    return services


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of lchunk in a file of docker/ or in a document, without the word lchunk."""
    for name, service in [*compose().items(), *compose("prometheus/compose.yaml").items()]:
        if service["image"] in ("lchunk:base", "lchunk:pytorch"):
            yield f"compose {name}", service["command"]
    for path in (DOCKER / "kubernetes").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            for container in containers(document):
                if container["image"] != "lchunk:scheduler" and "command" not in container:
                    yield path.name, container["args"]
    for path in [*DOCKER.rglob("*"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "README.md"]:
        if path.suffix in (".md", ".sbatch", ".yaml", ".cfg"):
            for line in TOLD.findall(path.read_text()):
                given = ["MeshManifest"] if path.name == "keeper.sbatch" else []  # by whoever submits it
                yield path.name, [*shlex.split(line.split(" #")[0].split(">>")[0]), *given]


def containers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


ALL = list(commands())
NAMES = [f"{name}: {' '.join(words)}" for name, words in ALL]


@pytest.mark.parametrize("words", [words for _, words in ALL], ids=NAMES)
def test_every_documented_command_is_valid(words: list[str]) -> None:
    arguments, rest = parser().parse_known_args([word.replace("…", "") for word in words])
    assert not rest or hasattr(arguments, "stage"), rest


def test_all_kinds_of_places_tell_commands() -> None:
    places = {name for name, _ in ALL}
    assert {
        "compose worker",
        "worker.yaml",
        "workers.sbatch",
        "keeper.sbatch",
        "enqueue.yaml",
        "scale-out.md",
    } <= places


def test_the_image_has_the_packages_of_the_commands_that_run_in_it() -> None:
    services = [*compose().values(), *compose("prometheus/compose.yaml").values()]
    asked = {service["command"][0] for service in services if service["image"] == "lchunk:base"}
    (extras,) = re.findall(r"constraints\.txt \"\.\[([\w,]+)\]\"", (DOCKER / "base/Dockerfile").read_text())
    assert "metrics" in asked
    assert "metrics" in extras.split(",")


def test_the_array_job_hands_its_arguments_to_workers(tmp_path: Path) -> None:
    (tmp_path / "srun").write_text('#!/bin/sh\necho "$@" threads=$OMP_NUM_THREADS\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LCHUNK_QUEUE": "/q/", "SLURM_CPUS_PER_TASK": "3"}
    script = [str(DOCKER / "slurm/workers.sbatch"), "--max-tasks", "7"]
    said = subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout
    assert said == "lchunk work --idle-minutes 30 --grace 100 --max-tasks 7 threads=3\n"
    again = environment | {"SLURM_RESTART_COUNT": "21"}
    refused = subprocess.run(script, env=again, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "restarted 21 times" in refused.stderr
    del environment["LCHUNK_QUEUE"]
    refused = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "LCHUNK_QUEUE: the queue" in refused.stderr


NET = """
import torch


class Threefold(torch.nn.Module):
    def forward(self, patch):
        return torch.sigmoid(8 * torch.cat([patch, patch * patch, 1 - patch], 1) - 4)


InstantiatedModel = Threefold()
"""


def write_job_of_a_net(folder: Path, shape: tuple[int, int, int] = (16, 32, 32)) -> None:
    """A whole job whose affinities come from a PyTorch net."""
    write_identity_job(folder, shape, (0, 0, 0))
    (folder / "net.py").write_text(NET)
    text = (folder / "luigi.cfg").read_text().replace("framework = identity", f"model = {folder}/net.py\ndevice = cpu")
    (folder / "luigi.cfg").write_text(text.replace("input_patch = 10,12,14", "input_patch = 8,8,10"))


@dataclass
class Cluster:
    """Processes as a deployment starts them; those without PyTorch cannot import it, even if it is installed."""

    folder: Path
    environment: dict[str, str]

    def __post_init__(self) -> None:
        (self.folder / "no_torch/torch").mkdir(parents=True)
        error = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        (self.folder / "no_torch/torch/__init__.py").write_text(error)

    def variables(self, own: dict[str, str], *, torch: bool) -> dict[str, str]:
        paths = [str(REPOSITORY)] if torch else [f"{self.folder}/no_torch", str(REPOSITORY)]
        variables = os.environ | self.environment | own | {"PYTHONPATH": os.pathsep.join(paths)}
        variables.pop("LUIGI_CONFIG_PATH", None)
        return variables

    def start(
        self, log: str, words: list[str], own: dict[str, str] | None = None, *, torch: bool = False
    ) -> subprocess.Popen[bytes]:
        return start_lchunk(self.folder, f"{log}.log", words, self.variables(own or {}, torch=torch))

    def ends_with_the_job(
        self, keeper: subprocess.Popen[bytes], workers: list[subprocess.Popen[bytes]], log: str
    ) -> None:
        """Wait for the keeper, then stop the workers, and compare their output with that of a single process."""
        assert keeper.wait(timeout=300) == 0, (self.folder / f"{log}.log").read_text()[-3000:]
        for worker in workers:
            worker.terminate()
        assert [worker.wait(timeout=60) for worker in workers] == [0] * len(workers)
        made = files_of(self.folder / "out")
        (self.folder / "out").rename(self.folder / "queued")
        alone = self.start("alone", ["run", "MeshManifest", "--local-scheduler"], torch=True)
        assert alone.wait(timeout=300) == 0
        assert files_of(self.folder / "out") == made


def test_pytorch_is_absent_where_the_tests_say_so(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, {})
    for torch, code in ((False, 1), (True, 0)):
        variables = cluster.variables({}, torch=torch)
        assert subprocess.run([sys.executable, "-c", "import torch"], env=variables, check=False).returncode == code


def test_the_compose_cluster_as_plain_processes(tmp_path: Path) -> None:
    write_job_of_a_net(tmp_path)
    services, port = compose(), free_port()
    with sqs_server("clock") as queue, luigid(port):
        cluster = Cluster(tmp_path, services["worker"]["environment"] | queue)

        def start(service: str) -> subprocess.Popen[bytes]:
            words = [word.replace("scheduler:8082", f"127.0.0.1:{port}") for word in services[service]["command"]]
            words = [word.replace("${LCHUNK_STAGE:-MeshManifest}", "MeshManifest") for word in words]
            return cluster.start(service, words, torch=services[service]["image"] == "lchunk:pytorch")

        assert [start(name).wait(timeout=60) for name in ("make-queue", "make-net-queue")] == [0, 0]
        workers = [start("worker") for _ in range(services["worker"]["deploy"]["replicas"])]
        workers.append(start("worker-net"))
        words = services["supervisor"]["command"]
        words[words.index("--every") + 1] = "1"
        supervisor = start("supervisor")
        time.sleep(6)
        supervisor.kill()  # it has no state: another one continues
        supervisor.wait()
        cluster.ends_with_the_job(start("supervisor"), workers, "supervisor")


def kubernetes(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The container of a Deployment, and its variables, those from the ConfigMap included."""
    documents = list(yaml.safe_load_all((DOCKER / "kubernetes/config.yaml").read_text()))
    data = next(document["data"] for document in documents if document["kind"] == "ConfigMap")
    (document,) = yaml.safe_load_all((DOCKER / f"kubernetes/{name}.yaml").read_text())
    assert document["kind"] == "Deployment"
    (container,) = containers(document)
    variables = {}
    for entry in container["env"]:
        variables[entry["name"]] = entry.get("value") or data[entry["valueFrom"]["configMapKeyRef"]["key"]]
    return container, variables


def test_the_kubernetes_cluster_as_plain_processes(tmp_path: Path) -> None:
    write_job_of_a_net(tmp_path)
    port = free_port()
    with sqs_server("clock") as queue, luigid(port):
        cluster = Cluster(tmp_path, queue | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"})

        def start(name: str) -> subprocess.Popen[bytes]:
            container, variables = kubernetes(name)
            words = [word.replace("scheduler:8082", f"127.0.0.1:{port}") for word in container["args"]]
            words = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in words]
            words += ["--every", "1"] if name == "enqueue" else []
            return cluster.start(name, words, variables, torch=container["image"] == "lchunk:pytorch")

        for name in ("worker", "worker-gpu", "worker-big"):
            address = kubernetes(name)[1]["LCHUNK_QUEUE"]
            assert cluster.start("create", ["queue", "create", address]).wait(timeout=60) == 0
        workers = [start(name) for name in ("worker", "worker-gpu", "worker-big")]
        cluster.ends_with_the_job(start("enqueue"), workers, "enqueue")
    assert "took Inference" in (tmp_path / "worker-gpu.log").read_text()
    assert "took Agglomeration" in (tmp_path / "worker-big.log").read_text()
    assert "took Inference" not in (tmp_path / "worker.log").read_text()


def test_the_slurm_cluster_as_plain_processes(tmp_path: Path) -> None:
    write_job_of_a_net(tmp_path)
    cluster = Cluster(tmp_path, {})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/srun").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "bin/lchunk").write_text(f'#!/bin/sh\nexec {sys.executable} -m lchunk.cli "$@"\n')
    for script in (tmp_path / "bin").iterdir():
        script.chmod(0o755)
    regions, net = f"{tmp_path}/regions/", f"{tmp_path}/net/"
    for address in (regions, net):
        assert cluster.start("create", ["queue", "create", address]).wait(timeout=60) == 0

    def submit(script: str, address: str, *words: str, torch: bool = False) -> subprocess.Popen[bytes]:
        path = f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "LCHUNK_QUEUE": address, "LCHUNK_START_SPREAD": "1"}
        with (tmp_path / f"{script}.log").open("ab") as log:
            return subprocess.Popen(
                [str(DOCKER / f"slurm/{script}.sbatch"), *words], cwd=tmp_path, stdout=log, stderr=log,
                env=cluster.variables(own, torch=torch),
            )  # fmt: skip

    workers = [submit("workers", regions), submit("workers", regions), submit("workers", net, torch=True)]
    keeper = submit("keeper", regions, "MeshManifest", "--route", f"Inference={net}", "--every", "1")
    cluster.ends_with_the_job(keeper, workers, "keeper")


def test_messages_for_a_net_that_reach_a_worker_without_pytorch_go_back(tmp_path: Path) -> None:
    write_job_of_a_net(tmp_path, (16, 64, 32))
    cluster = Cluster(tmp_path, {})
    queue = f"{tmp_path}/regions/"
    assert cluster.start("create", ["queue", "create", queue]).wait(timeout=60) == 0
    assert cluster.start("run", ["run", "Ingest", "--local-scheduler"]).wait(timeout=60) == 0
    assert cluster.start("enqueue", ["enqueue", "Inference", "--queue", queue]).wait(timeout=60) == 0
    work = ["work", "--queue", queue, "--back-off", "0.1", "--exit-when-empty"]
    assert cluster.start("without", work).wait(timeout=60) == 35
    log = (tmp_path / "without.log").read_text()
    assert "framework pytorch needs torch; pip install 'lchunk[pytorch]'" in log
    assert "5 returned, because this worker cannot do it" in log
    assert cluster.start("with", work, torch=True).wait(timeout=120) == 0
    assert open_queue(queue).counts().dead == 0
