"""A dataset that is moved between a disk and a bucket: it is complete where it arrives, and every command reads it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.s3_store import S3Bucket
from lchunk.volumes.store import StoreSettings
from tests.cli.commands import REPOSITORY, Said, lchunk
from tests.conftest import files_of, write_hdf5, write_identity_job
from tests.faults.bucket_killing import service
from tests.servers import set_variables
from tests.volumes.faulty_proxy import proxy

TASKS = ("MeshManifest", "Evaluation")
STORE = "[Store]\ns3_endpoint = {url}\n"


@dataclass(frozen=True)
class Moved:
    """A dataset on a disk, and its copy in a bucket.

    Args:
        disk: folder of the cfg of the one on the disk.
        bucket: folder of the cfg of the one in the bucket.
        root: URL of the copy.
        asked: requests to the server, as `PUT /path`.
        url: of the server.
    """

    disk: Path
    bucket: Path
    root: str
    asked: list[str]
    url: str

    def written(self) -> list[str]:
        """What was written or removed in the bucket, except logs."""
        made = [request for request in self.asked if request.split()[0] in ("PUT", "POST", "DELETE")]
        return [request for request in made if f"{self.root.removeprefix('s3:/')}/logs/" not in request]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """A job that was made on a disk, whose files were then copied to a bucket; both have a cfg."""
    disk, bucket = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("bucket")
    write_identity_job(disk, (16, 20, 24), (-2, 10, 5))
    write_hdf5(disk / "a.h5", "truth", np.ones((16, 20, 24), np.uint64), (40, 4, 4), (-2, 10, 5))
    cfg = disk / "luigi.cfg"
    cfg.write_text(cfg.read_text().replace("[Inference]", f"ground_truth = {disk}/a.h5:/truth\n[Inference]"))
    for task in TASKS:
        said = lchunk(disk, "run", task)
        assert said.code == 0, said.err
    asked: list[str] = []
    with (
        pytest.MonkeyPatch.context() as variables,
        service("s3") as store,
        proxy(store["s3_endpoint"], lambda number, method: "", asked=asked) as url,
    ):
        set_variables(variables)
        root = "s3://lchunk/moved/out"
        (bucket / "luigi.cfg").write_text(cfg.read_text().replace(f"root = {disk}/out", f"root = {root}"))
        with (bucket / "luigi.cfg").open("a") as file:
            file.write(STORE.format(url=url))
        copy_to(disk / "out", store["s3_endpoint"], root)
        yield Moved(disk, bucket, root, asked, url)


@pytest.fixture
def store(moved: Moved) -> BucketStore:
    """The copy, opened by this process."""
    return BucketStore(S3Bucket("lchunk", StoreSettings(s3_endpoint=moved.url)), "moved/out")


def copy_to(folder: Path, endpoint: str, root: str) -> None:
    """Copy all files of a folder to a bucket, logs too, as a program that knows nothing of lchunk does."""
    import boto3  # noqa: PLC0415

    name, _, prefix = root.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=endpoint)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.put_object(Bucket=name, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())


def same(one: Said, other: Said, moved: Moved) -> None:
    """Two commands said the same, except for the place of the dataset."""
    assert (one.code, other.code) == (0, 0), (one.err, other.err)
    assert one.out
    assert one.out.replace(moved.root, "ROOT") == other.out.replace(f"{moved.disk}/out", "ROOT")


def test_a_run_in_the_bucket_finds_everything_made(moved: Moved) -> None:
    moved.asked.clear()
    for task in TASKS:
        said = lchunk(moved.bucket, "run", task)
        assert said.code == 0, said.err
    assert moved.asked
    assert moved.written() == []


def test_a_run_on_the_disk_finds_everything_of_the_bucket_made(
    moved: Moved, store: BucketStore, tmp_path: Path
) -> None:
    for key in store.list("", empty=True):
        path = tmp_path / "out" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(key))
    text = (moved.disk / "luigi.cfg").read_text().replace(f"root = {moved.disk}/out", f"root = {tmp_path}/out")
    (tmp_path / "luigi.cfg").write_text(text)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for task in TASKS:
        said = lchunk(tmp_path, "run", task)
        assert said.code == 0, said.err
    assert files_of(tmp_path / "out") == files_of(moved.disk / "out")
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    logs = tmp_path / "out/logs"
    assert {path for path in now if path not in times or now[path] != times[path]} <= set(logs.rglob("*"))


def test_an_image_that_moved_is_read_no_more_but_its_url_stays_in_the_cfg(moved: Moved, tmp_path: Path) -> None:
    cfg = (moved.bucket / "luigi.cfg").read_text()
    (tmp_path / "b.h5").write_bytes((moved.disk / "a.h5").read_bytes())
    (tmp_path / "luigi.cfg").write_text(cfg.replace(f"{moved.disk}/a.h5:/raw", f"{tmp_path}/b.h5:/raw"))
    said = lchunk(tmp_path, "run", "MeshManifest")
    assert said.code == 35
    assert f"image was {moved.disk}/a.h5:/raw, and is now {tmp_path}/b.h5:/raw" in said.err
    (moved.disk / "a.h5").rename(moved.disk / "away.h5")
    try:
        said = lchunk(moved.bucket, "run", "MeshManifest")
    finally:
        (moved.disk / "away.h5").rename(moved.disk / "a.h5")
    assert said.code == 0, said.err


@pytest.mark.parametrize("command", ["status", "scores", "verify"])
def test_commands_say_of_the_bucket_what_they_say_of_the_disk(moved: Moved, command: str) -> None:
    same(lchunk(moved.bucket, command), lchunk(moved.disk, command), moved)


def test_a_root_without_a_cfg_is_reached_by_the_variable_of_aws(moved: Moved, tmp_path: Path) -> None:
    one = lchunk(tmp_path, "status", moved.root, AWS_ENDPOINT_URL_S3=moved.url)
    same(one, lchunk(moved.disk, "status"), moved)


def test_a_layer_is_exported_from_the_bucket(moved: Moved) -> None:
    for by in ([], ["--root", moved.root]):
        said = lchunk(moved.bucket, "export", "segmentation", f"seg{len(by)}.h5", *by)
        assert said.code == 0, said.err
        assert lchunk(moved.disk, "export", "segmentation", f"seg{len(by)}.h5").code == 0
        there, here = (h5py.File(place / f"seg{len(by)}.h5") for place in (moved.bucket, moved.disk))
        with there, here:
            assert np.array_equal(there["volumes/labels/neuron_ids"][:], here["volumes/labels/neuron_ids"][:])
    said = lchunk(moved.bucket, "export", "segments", "segments.csv")
    assert said.code == 0, said.err
    assert (moved.bucket / "segments.csv").read_text().count("\n") > 1


def test_the_viewer_shows_the_layers_of_the_bucket(moved: Moved) -> None:
    shown = [state_of(folder) for folder in (moved.bucket, moved.disk)]
    assert shown[0] == shown[1]
    assert {"image", "affinities", "segmentation", "ground_truth"} <= {layer["name"] for layer in shown[0]}


def test_a_chunk_that_was_lost_on_the_way_is_made_again_alone(moved: Moved, store: BucketStore) -> None:
    chunk = next(key for key in sorted(store.list("segmentation")) if "/c/" in key)
    store.remove(chunk)
    moved.asked.clear()
    said = lchunk(moved.bucket, "run", "Segmentation")
    assert said.code == 0, said.err
    assert moved.written() == [f"PUT {moved.root.removeprefix('s3:/')}/{chunk}"]
    assert store.get(chunk) == (moved.disk / "out" / chunk).read_bytes()


def state_of(folder: Path) -> list[dict[str, str]]:
    """Names and types of the layers that `lchunk view` shows by the cfg of a folder; each of them can be read."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lchunk.cli", "view", "--port", "0"], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = re.findall(r"http://\S+:\d+/", process.stdout.readline())[0]
        with urllib.request.urlopen(f"{url}state.json") as answer:
            layers = json.load(answer)["layers"]
        with urllib.request.urlopen(f"{url}data/segmentation/0/zarr.json") as answer:
            assert json.load(answer)["data_type"] == "uint64"
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in complaints
    return [{"name": layer["name"], "type": layer["type"]} for layer in layers]
