"""What a job in a bucket costs in requests: what a command foresees and prints, and what the server sees."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lchunk.volumes.store import StoreSettings, configure, open_store
from tests.cli.commands import Said, lchunk
from tests.conftest import write_identity_job
from tests.servers import set_variables, sqs_server
from tests.volumes.conftest import make_bucket
from tests.volumes.faulty_proxy import every, proxy
from tests.volumes.test_requests_made import billed

FACTOR = 1.25
"""Foreseen requests are within this factor of those that are made."""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """URL of a server, with the bucket `lchunk`."""
    with sqs_server("clock") as variables:
        make_bucket(variables["AWS_ENDPOINT_URL"])
        yield variables["AWS_ENDPOINT_URL"]


@pytest.fixture
def asked(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The requests that the server gets; a job in a bucket is in the folder of the test."""
    set_variables(monkeypatch)
    write_identity_job(tmp_path, (20, 24, 24), (-2, 10, 5))
    requests: list[str] = []
    with proxy(moto, every(10**9, ""), asked=requests) as url:
        cfg = tmp_path / "luigi.cfg"
        root = f"s3://lchunk/{uuid.uuid4().hex}"
        text = cfg.read_text().replace(f"root = {tmp_path}/out", f"root = {root}")
        cfg.write_text(f"{text}\n[Store]\ns3_endpoint = {url}\n")
        configure(StoreSettings(s3_endpoint=moto))
        yield requests
    configure(StoreSettings())


def root_of(folder: Path) -> str:
    found = re.search(r"^root = (.*)$", (folder / "luigi.cfg").read_text(), re.MULTILINE)
    assert found
    return found[1]


def told(said: Said) -> tuple[int, int]:
    """PUT and LIST, GET and HEAD of the last line that tells requests."""
    line = [line for line in said.out.splitlines() if line.startswith("requests: ")][-1]
    numbers = re.findall(r"([\d,]+) (?:PUT|GET) and", line)
    writes, reads = (int(number.replace(",", "")) for number in numbers)
    return writes, reads


def test_a_job_makes_the_requests_that_it_foresees_and_tells_them(tmp_path: Path, asked: list[str]) -> None:
    foreseen = lchunk(tmp_path, "run", "MeshManifest", "--dry-run")
    assert foreseen.code == 0, foreseen.err
    assert re.search(r"^SegmentNames +15 chunks  about \d+ PUT and LIST, \d+ GET and HEAD$", foreseen.out, re.MULTILINE)
    assert foreseen.out.splitlines()[-2] == "dry run: nothing made"
    assert list(open_store(root_of(tmp_path)).list("")) == []
    asked.clear()

    said = lchunk(tmp_path, "run", "MeshManifest")
    assert said.code == 0, said.err
    made = told(said)
    assert made == billed(asked)
    about = [line for line in foreseen.out.splitlines() if line.startswith("requests: about")]
    writes, reads = (int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?:PUT|GET) and", about[0]))
    keys = list(open_store(root_of(tmp_path)).list("segmentation/mesh"))
    writes += sum(":0" in key for key in keys)  # fragments and manifests depend on the voxels
    assert 1 / FACTOR < made[0] / writes < FACTOR
    assert 1 / FACTOR < made[1] / reads < FACTOR

    status = lchunk(tmp_path, "status")
    logged = told(status)
    assert made[0] - 1 <= logged[0] <= made[0]  # without the PUT of the last line
    assert logged[1] == made[1]
    assert re.search(r"^Inference: 8 chunks .*, \d+ PUT and LIST, \d+ GET and HEAD, ", status.out, re.MULTILINE)

    asked.clear()
    again = lchunk(tmp_path, "run", "MeshManifest")
    assert "nothing to do" in again.out
    assert told(again) == billed(asked)
    assert told(again)[0] == 0


def test_the_requests_of_several_processes_are_added_up(tmp_path: Path, asked: list[str]) -> None:
    said = lchunk(tmp_path, "run", "Inference", "--workers", "3")
    assert said.code == 0, said.err
    assert told(said) == billed(asked)
    logged = told(lchunk(tmp_path, "status"))
    assert told(said)[0] - 1 <= logged[0] <= told(said)[0]
    assert logged[1] == told(said)[1]


def test_a_worker_tells_its_requests(tmp_path: Path, asked: list[str]) -> None:
    queue = f"{tmp_path}/queue/"
    assert lchunk(tmp_path, "queue", "create", queue).code == 0
    assert lchunk(tmp_path, "enqueue", "Ingest", "--queue", queue).code == 0
    asked.clear()
    said = lchunk(tmp_path, "work", "--queue", queue, "--exit-when-empty")
    assert said.code == 0, said.err
    assert "worked on 8 messages: 8 made" in said.out
    assert told(said) == billed(asked)
    assert told(said)[0] >= 8


def test_on_a_disk_nothing_is_told(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 24, 24), (-2, 10, 5))
    foreseen = lchunk(tmp_path, "run", "Ingest", "--dry-run")
    assert foreseen.out.splitlines() == [
        "Ingest                       8 chunks",
        "hours: not known for Ingest, of which no chunk was made yet; `lchunk try STAGE` makes one to see",
        "dry run: nothing made",
    ]
    said = lchunk(tmp_path, "run", "Ingest")
    assert said.code == 0, said.err
    assert "requests" not in said.out + said.err + lchunk(tmp_path, "status").out
    logs = [path for path in (tmp_path / "out/logs").rglob("*") if path.is_file()]
    assert logs
    assert not any("requests" in path.read_text() or path.parent.name == "requests" for path in logs)
