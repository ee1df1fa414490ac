"""What binds a stage: of real runs that were made slow at one place, and of made totals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lchunk.chunk_logs import LogName
from lchunk.summary.binding import Binding, binding_of, shares_of
from lchunk.summary.course import Course
from lchunk.summary.courses import summed
from lchunk.tasks import Inference
from lchunk.volumes import file_store
from lchunk.volumes.store import open_store
from tests.cli.commands import lchunk
from tests.conftest import build, smooth_affinities, write_hdf5, write_identity_job
from tests.servers import set_variables, sqs_server
from tests.volumes.conftest import make_bucket
from tests.volumes.faulty_proxy import every, proxy

SLOW = 0.15
"""Seconds by which the slow thing is slow; all others take much less for a chunk of these volumes."""
NET = f"""
import time
import numpy as np

class PatchInferencer:
    def __init__(self, weight_file, output_patch_mask):
        pass

    def __call__(self, patches):
        time.sleep({SLOW})
        return np.repeat(patches, 3, axis=1)
"""


def bound(root: str, stage: str = "Inference") -> tuple[Course, Binding]:
    course = summed(open_store(root)).stages[stage]
    found = binding_of(stage, course)
    assert found is not None
    return course, found


@pytest.fixture
def small(tmp_path: Path, configure: Callable[..., None]) -> Path:
    """A dataset of 8 chunks, made in blocks of several; gives its root."""
    image = (smooth_affinities((20, 20, 20), 0)[0] * 255).astype("uint8")
    url = write_hdf5(tmp_path / "a.h5", "raw", image, (40, 4, 4), (0, 0, 0))
    configure("Dataset", root=tmp_path / "out", image=url, chunk_shape="16,16,16", inner_chunk="8,8,8", max_blocks=1)
    configure("Inference", framework="identity", input_patch="10,12,14", output_patch="8,8,10", overlap="2,2,2")
    return tmp_path / "out"


def test_a_slow_net_binds(small: Path, tmp_path: Path, configure: Callable[..., None]) -> None:
    (tmp_path / "net.py").write_text(NET)
    configure("Inference", framework="general", model=tmp_path / "net.py", input_patch="10,12,14",
              output_patch="10,12,14", overlap="2,2,2", batch=4)  # fmt: skip
    assert build(Inference())
    course, binding = bound(str(small))
    assert binding.resource == "compute"
    assert binding.text.startswith("the net binds, on cpu: ")
    assert binding.share > 0.5
    assert course.chunks == 8
    assert course.wait is not None
    assert course.wait < course.seconds["compute"]
    assert "computing could be" in binding.ideal


@pytest.mark.parametrize("slow", ["read", "written"])
def test_a_slow_disk_binds(small: Path, monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    write, opened = file_store._write_partial, open

    def slow_write(*arguments: Any, **more: Any) -> str:
        time.sleep(SLOW)
        return write(*arguments, **more)

    def slow_open(path: str, mode: str, **more: Any) -> Any:
        if mode == "rb":
            time.sleep(SLOW)
        return opened(path, mode, **more)

    if slow == "read":
        monkeypatch.setattr(file_store, "open", slow_open, raising=False)
    else:
        monkeypatch.setattr(file_store, "_write_partial", slow_write)
    assert build(Inference())
    course, binding = bound(str(small))
    assert binding.resource == "disk"
    assert binding.text.startswith("the disk binds: ")
    assert f"MB/s {slow}" in binding.text
    assert binding.share > 0.5
    shares = shares_of(course)
    assert (shares.read if slow == "read" else shares.write) > 0.5 * course.worked
    assert course.wait is not None
    assert course.wait > 8 * SLOW


def test_a_slow_bucket_binds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)
    write_identity_job(tmp_path, (20, 20, 20), (0, 0, 0))
    with sqs_server("clock") as moto:
        make_bucket(moto["AWS_ENDPOINT_URL"])
        with proxy(moto["AWS_ENDPOINT_URL"], every(1, "slow"), silence=SLOW / 3) as url:
            cfg = tmp_path / "luigi.cfg"
            text = cfg.read_text().replace(f"root = {tmp_path}/out", "root = s3://lchunk/slow")
            cfg.write_text(f"{text}\n[Store]\ns3_endpoint = {url}\n[Prices]\nbucket = s3-us-east-1\nhour = 36\n")
            said = lchunk(tmp_path, "run", "Inference")
            assert said.code == 0, said.err
            content = json.loads(lchunk(tmp_path, "summary", "--json").out)
    stage = content["stages"]["Inference"]
    assert stage["binding"]["resource"] == "bucket"
    assert stage["binding"]["share"] > 0.5
    assert "MB/s read and" in stage["binding"]["text"]
    assert stage["bytes_read"] <= stage["requests"]["received"]
    assert stage["bytes_written"] <= stage["requests"]["sent"]
    machines, puts, gets, stored = content["prices"]
    hours = sum(each["process_hours"] for each in content["stages"].values())
    assert machines["amount"] == pytest.approx(36 * hours)
    assert puts["amount"] == pytest.approx(content["requests"]["writes"] * 5e-6)
    assert gets["amount"] == pytest.approx(content["requests"]["reads"] * 0.4e-6)
    written = sum(each["bytes_written"] for each in content["stages"].values())
    assert stored["amount"] == pytest.approx(written * 0.0214e-9)
    assert content["price_notes"][0].startswith("the prices of s3-us-east-1 are list prices in US dollars")


def made(seconds: dict[str, float], **more: Any) -> Course:
    """The totals of one chunk."""
    course = Course()
    course.add({"voxels": 1000, "seconds": seconds, "device": "cpu", **more}, LogName("a", "", "host-1"))
    return course


@pytest.mark.parametrize(
    ("seconds", "more", "resource", "share"),
    [
        # reading takes 3 s beside computing, and the process waits 1 s of them: computing binds
        ({"read": 3, "compute": 2, "write": 1}, {"wait": 1.0, "parts": {"read": {"disk": 3}}}, "compute", 2 / 3),
        ({"read": 3, "compute": 2, "write": 1}, {"wait": 4.0, "parts": {"read": {"disk": 3}}}, "disk", 3 / 6),
        ({"read": 3, "compute": 2, "write": 1}, {}, "files", 3 / 6),  # as older versions wrote it
        ({"read": 1, "compute": 2, "write": 4}, {}, "other", 4 / 7),
        (
            {"read": 4, "compute": 2, "write": 4},
            {"wait": 8.0, "parts": {"read": {"bucket": 2, "decode": 2}, "write": {"bucket": 1, "encode": 3}}},
            "coding", 5 / 10,
        ),
        ({"read": 1, "compute": 5, "write": 1}, {"wait": 2.0, "parts": {"compute": {"bucket": 4}}}, "bucket", 4 / 7),
        ({"read": 2, "compute": 1, "write": 1}, {"wait": 3.0, "parts": {"read": {"web": 2}}}, "web", 2 / 4),
    ],
)  # fmt: skip
def test_the_resource_that_takes_most_of_the_time_of_processes_binds(
    seconds: dict[str, float], more: dict[str, Any], resource: str, share: float
) -> None:
    found = binding_of("Inference", made(seconds, **more))
    assert found is not None
    assert (found.resource, found.share) == (resource, pytest.approx(share))


def test_a_stage_without_time_is_bound_by_nothing() -> None:
    assert binding_of("Inference", made({"read": 0.0, "compute": 0.0, "write": 0.0}, wait=0.0)) is None


def test_an_ideal_machine_moves_the_bytes_while_it_computes() -> None:
    parts = {"read": {"bucket": 6.0, "decode": 2.0}, "write": {"encode": 1.0}}
    moved, memory = {"read": 40_000_000, "written": 8_000_000}, {"peak": 3 * 10**9}
    course = made({"read": 8.0, "compute": 4.0, "write": 1.0}, wait=9.0, parts=parts, bytes=moved, memory=memory)
    found = binding_of("Inference", course)
    assert found is not None
    assert found.text == "the bucket binds: 46% of the time of its processes, at 6.67 MB/s read"
    assert found.ideal == (
        "the ideal machine has, for each process, 10 MB/s to read, 2 MB/s to write, 0.75 cores for compression, "
        "3 GB of memory"
    )
