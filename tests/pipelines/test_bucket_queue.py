"""A job whose root and queue are both on AWS: workers on SQS write to S3, and one of them is killed."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path

import pytest

from tests.cli.commands import REPOSITORY, lchunk
from tests.conftest import files_of, write_identity_job
from tests.faults.bucket_killing import objects_of, set_options
from tests.servers import sqs_server, start_lchunk
from tests.volumes.conftest import make_bucket

WORK = ("work", "--queue", "regions", "--visibility", "3", "--back-off", "0.1")


def wait_for_a_task(log: Path) -> None:
    until = time.monotonic() + 60
    while " took " not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.01)


def test_a_job_with_root_and_queue_on_aws_makes_the_bytes_of_one_on_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_identity_job(tmp_path, (32, 40, 20), (-2, 10, 5))
    said = lchunk(tmp_path, "run", "MeshManifest")
    assert said.code == 0, said.err
    root = f"s3://lchunk/{uuid.uuid4().hex}/out"
    cfg = tmp_path / "luigi.cfg"
    cfg.write_text(cfg.read_text().replace(f"root = {tmp_path}/out", f"root = {root}"))
    with sqs_server("clock") as moto:
        make_bucket(moto["AWS_ENDPOINT_URL"])
        for name, text in moto.items():
            monkeypatch.setenv(name, text)
        assert lchunk(tmp_path, "queue", "create", "regions").code == 0
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        workers = [start_lchunk(tmp_path, f"{name}.log", WORK, environment) for name in ("killed", "steady")]
        sending = ("enqueue", "MeshManifest", "--queue", "regions", "--until-done", "--every", "0.5")
        sender = start_lchunk(tmp_path, "sender.log", sending, environment)
        try:
            wait_for_a_task(tmp_path / "killed.log")
            workers[0].kill()
            assert sender.wait(180) == 0, (tmp_path / "sender.log").read_text()
            workers[1].terminate()
            assert workers[1].wait(60) == 0, (tmp_path / "steady.log").read_text()
        finally:
            for process in (*workers, sender):
                process.kill()
                process.wait()
        set_options("Store", anonymous="")
        made, wanted = objects_of(root), files_of(tmp_path / "out")
        assert {key for key in {*made, *wanted} if made.get(key) != wanted.get(key)} == set()
        assert lchunk(tmp_path, "verify").code == 0
        assert "0 dead letters" in lchunk(tmp_path, "queue", "dead", "regions").out


def test_shards_of_meshes_from_a_queue_are_those_of_one_process(tmp_path: Path) -> None:
    write_identity_job(tmp_path, (20, 24, 24), (-2, 10, 5))
    cfg, queue = tmp_path / "luigi.cfg", f"{tmp_path}/queue/"
    cfg.write_text(cfg.read_text() + "\n[MultiResMesh]\nshard_bits = 2\n")
    assert lchunk(tmp_path, "run", "MultiResMesh").code == 0
    folder = tmp_path / "out/segmentation/mesh_multires"
    wanted = files_of(folder)
    shutil.rmtree(folder)
    assert lchunk(tmp_path, "queue", "create", queue).code == 0
    said = lchunk(tmp_path, "enqueue", "MultiResMesh", "--queue", queue)
    assert (said.code, "4" in said.out) == (0, True)
    said = lchunk(tmp_path, "work", "--queue", queue, "--exit-when-empty")
    assert said.code == 0, said.err
    assert files_of(folder) == wanted
