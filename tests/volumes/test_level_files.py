"""Levels of sections in buckets: written by one program, read by another."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import numpy as np
import pytest

from lchunk.exports.levels import write_levels
from lchunk.geometry.bbox import Bbox
from lchunk.volumes import level_files as level_files_module
from lchunk.volumes import place
from lchunk.volumes import store as store_module
from lchunk.volumes.level_files import LevelFiles, level_files
from lchunk.volumes.store import StoreSettings, configure, open_store

pytestmark = pytest.mark.usefixtures("aws")

LEVELS = np.random.default_rng(0).integers(1, 1000, (7, 256))
SECTIONS = range(-3, 4)
BLACK_IS_NOT_COUNTED = LEVELS * (np.arange(256) > 0)


@pytest.fixture(params=["s3", "gs"])
def folder(
    request: pytest.FixtureRequest, s3_servers: dict[str, str], gcs_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A folder of a bucket, which has not been asked before."""
    before = store_module._settings
    configure(StoreSettings(s3_endpoint=s3_servers["moto"], gcs_endpoint=gcs_url, anonymous=("gs://lchunk",)))
    monkeypatch.setattr(level_files_module, "REMEMBERED_SECONDS", 1e-9)
    monkeypatch.setattr(place, "REMEMBERED_SECONDS", 1e-9)
    yield f"{request.param}://lchunk/levels-of-{request.param}/1"
    configure(before)


def table(files: LevelFiles) -> Any:
    (record,) = files.records(Bbox((-3, 0, 0), (4, 1, 1)))
    return record["levels"]


def test_levels_in_a_bucket_are_those_that_were_written(folder: str) -> None:
    write_levels(-3, LEVELS, folder, overwrite=False)
    files = level_files(folder, "the-levels", SECTIONS)
    files.sample()
    assert np.array_equal(table(files), BLACK_IS_NOT_COUNTED)
    state = files.fingerprint()
    assert "7 files -3 … 3: " in state
    other = LEVELS[:1] + 1
    with pytest.raises(FileExistsError, match=f"got others in {folder}/2"):
        write_levels(2, other, folder, overwrite=False)
    assert files.fingerprint() == state
    write_levels(2, other, folder, overwrite=True)
    assert files.fingerprint() != state
    assert table(files)[5, 1] == LEVELS[0, 1] + 1
    open_store(folder).remove("-3")
    with pytest.raises(FileNotFoundError, match="section -3 in "):
        files.sample()
    assert not table(replace(files, fill_missing=True))[0].any()
    with pytest.raises(ValueError, match=r"got one with the folders 1, .*; name the folder of one mip, as .*/1"):
        level_files(folder.removesuffix("/1"), "the-levels", SECTIONS)


def test_a_compressed_object_is_unpacked(s3_servers: dict[str, str]) -> None:
    configure(StoreSettings(s3_endpoint=s3_servers["moto"]))
    client = boto3.client("s3", endpoint_url=s3_servers["moto"])
    for z, row in enumerate(LEVELS, -3):
        body = gzip.compress(json.dumps({"levels": row.tolist()}).encode())
        client.put_object(Bucket="lchunk", Key=f"packed-levels/{z}", Body=body, ContentEncoding="gzip")
    assert np.array_equal(table(level_files("s3://lchunk/packed-levels", "it", SECTIONS)), BLACK_IS_NOT_COUNTED)
