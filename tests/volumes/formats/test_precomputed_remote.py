"""Precomputed volumes in buckets and on a web server, read over lchunk's stores; see `test_any_store` for others."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from lchunk.volumes.formats import open_volume
from lchunk.volumes.store import StoreSettings, configure
from tests.servers import served
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

Upload = Callable[[Path, str, dict[str, str]], str]
"""Copies the files of a folder to a folder of a bucket, those with a suffix of the dictionary without it, and with the
Content-Encoding that it names. Returns the URL."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    with web_server(tmp_path) as url:
        yield url


@pytest.fixture(params=["s3", "gs"])
def upload(request: pytest.FixtureRequest, aws: None) -> Iterator[Upload]:
    if request.param == "s3":
        endpoint = request.getfixturevalue("s3_servers")["moto"]
        client = boto3.client("s3", endpoint_url=endpoint)
        settings = StoreSettings(s3_endpoint=endpoint)

        def put(key: str, body: bytes, encoding: str) -> None:
            client.put_object(
                Bucket="lchunk", Key=key, Body=body, **({"ContentEncoding": encoding} if encoding else {})
            )
    else:
        endpoint = request.getfixturevalue("gcs_url")
        bucket = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": endpoint}).bucket(
            "lchunk"
        )
        settings = StoreSettings(gcs_endpoint=endpoint, anonymous=("gs://lchunk",))

        def put(key: str, body: bytes, encoding: str) -> None:
            blob = bucket.blob(key)
            blob.content_encoding = encoding or None
            blob.upload_from_string(body)

    def copy(folder: Path, name: str, encodings: dict[str, str]) -> str:
        for path in folder.rglob("*"):
            if path.is_file():
                encoding = encodings.get(path.suffix, "")
                key = str(path.relative_to(folder)).removesuffix(path.suffix if encoding else "")
                put(f"{name}/{key}", path.read_bytes(), encoding)
        return f"{request.param}://lchunk/{name}"

    configure(settings)
    try:
        yield copy
    finally:
        configure(StoreSettings())


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", ".gz"), ("br", ".br")])
@pytest.mark.parametrize("renamed", [False, True])
def test_packed_files_in_a_bucket(tmp_path: Path, upload: Upload, compress: str, suffix: str, renamed: bool) -> None:
    folder = Path(write_cloud_volume(tmp_path / "a", VOXELS, compress=compress))
    # as cloud-volume writes to a bucket, or as a copy of what it writes to a disk
    url = upload(folder, f"packed-{compress}-{renamed}", {suffix: compress} if renamed else {})
    for spelt in (url, f"precomputed://{url}"):
        same(spelt, VOXELS, voxel_size=SIZE, bounds=BOUNDS, placed=True)


@pytest.mark.parametrize("hashing", ["identity", "murmurhash3_x86_128"])
@pytest.mark.parametrize("encoding", ["raw", "compressed_segmentation"])
def test_shards_in_a_bucket(tmp_path: Path, upload: Upload, hashing: str, encoding: str) -> None:
    packed = SHARDING | {"hash": hashing, "data_encoding": "gzip", "minishard_index_encoding": "gzip"}
    folder = Path(write_tensorstore(tmp_path / "a", LABELS, encoding, packed))
    same(upload(folder, f"shards-{hashing}-{encoding}", {}), LABELS, voxel_size=SIZE, bounds=BOUNDS, placed=True)


@pytest.mark.parametrize("encoding", ["png", "compresso", "crackle"])
def test_other_encodings_in_a_bucket(tmp_path: Path, upload: Upload, encoding: str) -> None:
    voxels = VOXELS if encoding == "png" else LABELS
    same(upload(Path(write_cloud_volume(tmp_path / "a", voxels, encoding)), encoding, {}), voxels, bounds=BOUNDS)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_absent_chunk_in_a_bucket_is_named(tmp_path: Path, upload: Upload, suffix: str) -> None:
    folder = Path(write_cloud_volume(tmp_path / "a", VOXELS, compress="gzip" if suffix else False))
    next(path for path in folder.rglob("*-*_*-*") if path.is_file()).unlink()
    url = upload(folder, f"absent{suffix}", {})
    with pytest.raises(FileNotFoundError, match=rf"^{url} must have every chunk, got none at "):
        open_volume(url).read(BOUNDS)
    voxels = open_volume(f"{url}#fill_missing=yes").read(BOUNDS)
    assert (voxels == 0).any()
    assert np.array_equal(voxels[voxels > 0], VOXELS[voxels > 0])
    assert (voxels > 0).any()


def test_a_volume_that_is_not_in_a_bucket_is_refused_in_one_line(upload: Upload) -> None:
    way_out = "must name a bucket, got .*; write .*://bucket/folder, and the server in"
    for scheme in ("s3", "gs"):
        with pytest.raises(ValueError, match=way_out):
            open_volume(f"precomputed://{scheme}://https://host.org/bucket/a")
    with pytest.raises(FileNotFoundError, match="image must be a precomputed volume with an info file, got none in"):
        open_volume(f"precomputed://{upload(Path('/nowhere'), 'nothing', {})}")
    missing = upload(Path("/nowhere"), "a", {}).replace("//lchunk", "//nobody")
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        open_volume(f"precomputed://{missing}")
    assert "\n" not in str(error.value)
    assert "//nobody" in str(error.value)


def test_a_volume_behind_a_web_server(tmp_path: Path, web: str) -> None:
    write_cloud_volume(tmp_path / "a", VOXELS, "png")
    volume = same(f"precomputed://{web}/a", VOXELS, voxel_size=SIZE, bounds=BOUNDS, placed=True)
    assert volume.fingerprint().startswith("info: ")
    assert open_volume(f"precomputed://{web}/a").fingerprint() == volume.fingerprint()
    write_cloud_volume(tmp_path / "b", VOXELS, compress="gzip")
    same(f"precomputed://{web}/b", VOXELS, bounds=BOUNDS)


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", ".gz"), ("br", ".br"), ("zstd", ".zstd")])
def test_a_web_server_that_names_the_encoding(tmp_path: Path, compress: str, suffix: str) -> None:
    """As buckets do for files that cloud-volume uploads. Requests decompresses some of them, and zstd not."""

    class Encoded(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            found = super().translate_path(path)
            return found if os.path.exists(found) else f"{found}{suffix}"

        def end_headers(self) -> None:
            if self.translate_path(self.path).endswith(suffix):
                self.send_header("Content-Encoding", compress)
            super().end_headers()

        def log_message(self, *arguments: Any) -> None:
            """A test needs no log."""

    write_cloud_volume(tmp_path / "a", VOXELS, compress=compress)
    with served(functools.partial(Encoded, directory=str(tmp_path))) as url:
        same(f"precomputed://{url}/a", VOXELS, bounds=BOUNDS)


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
