"""Precomputed volumes behind a web server and in a bucket: no threads, no files and no shared connections are left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import numpy as np
import pytest

from lchunk.volumes.formats import open_volume
from tests.servers import set_variables, sqs_server
from tests.volumes.formats.arrays import VOXELS, same
from tests.volumes.formats.precomputed_volumes import (
    BOUNDS,
    LABELS,
    SHARDING,
    SIZE,
    web_server,
    write_cloud_volume,
    write_tensorstore,
)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    with web_server(tmp_path) as url:
        yield url


def test_a_volume_behind_a_web_server(tmp_path: Path, web: str) -> None:
    write_cloud_volume(tmp_path / "a", VOXELS, "png")
    before = set(threading.enumerate())
    volume = same(f"precomputed://{web}/a", VOXELS, voxel_size=SIZE, bounds=BOUNDS, placed=True)
    ours = {thread for thread in set(threading.enumerate()) - before if "process_request" not in thread.name}
    assert not ours
    assert volume.fingerprint().startswith("info: ")
    assert open_volume(f"precomputed://{web}/a").fingerprint() == volume.fingerprint()


def test_an_absent_chunk_behind_a_web_server_is_named(tmp_path: Path, web: str) -> None:
    url = Path(write_cloud_volume(tmp_path / "a", VOXELS))
    next(path for path in url.rglob("*-*_*-*") if path.is_file()).unlink()
    with pytest.raises(FileNotFoundError, match=rf"^{web}/a must have every chunk, got none at "):
        open_volume(f"precomputed://{web}/a").read(BOUNDS)
    assert (open_volume(f"precomputed://{web}/a#fill_missing=yes").read(BOUNDS) == 0).any()
    with pytest.raises(FileNotFoundError, match="with an info file, got none"):
        open_volume(f"precomputed://{web}/b")


def test_a_forked_process_reads_over_connections_of_its_own(tmp_path: Path, web: str) -> None:
    write_cloud_volume(tmp_path / "a", VOXELS, "png")
    volume = open_volume(f"precomputed://{web}/a")
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            signal.alarm(60)  # over a shared connection it may wait for ever
            right = all(np.array_equal(volume.read(BOUNDS), VOXELS) for _ in range(5))
            os._exit(0 if right else 1)
        children.append(child)
    assert np.array_equal(volume.read(BOUNDS), VOXELS)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


def test_volumes_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cloud_volume(tmp_path / "a", VOXELS, compress="gzip")
    write_tensorstore(tmp_path / "b", LABELS, "compressed_segmentation", SHARDING | {"data_encoding": "gzip"})
    set_variables(monkeypatch)
    with sqs_server("clock") as variables:  # moto, which has buckets too
        endpoint = variables["AWS_ENDPOINT_URL"]
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="em-data")
        for path in tmp_path.rglob("*"):
            if path.is_file():
                key = str(path.relative_to(tmp_path))
                packed = {"ContentEncoding": "gzip"} if key.endswith(".gz") else {}
                client.put_object(Bucket="em-data", Key=key.removesuffix(".gz"), Body=path.read_bytes(), **packed)
        client.close()
        same(f"precomputed://s3://{endpoint}/em-data/a", VOXELS, bounds=BOUNDS)
        same(f"precomputed://s3://{endpoint}/em-data/b", LABELS, bounds=BOUNDS)
        with pytest.raises(OSError, match=r"s3://.*/nobody/a/info must be readable, got an error: .*NoSuchBucket"):
            open_volume(f"precomputed://s3://{endpoint}/nobody/a")
