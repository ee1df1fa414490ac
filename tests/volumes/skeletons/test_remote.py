"""Skeletons in buckets and on a web server are those on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lchunk.volumes.skeletons import find_skeletons
from lchunk.volumes.store import StoreSettings, configure, open_store
from tests.volumes.file_server import file_server
from tests.volumes.skeletons.test_reading import CATMAID, SWC_5, SWC_17, VOXEL_SIZE, parts_of, precomputed


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest, aws: None) -> Iterator[str]:
    if request.param == "s3":
        settings = StoreSettings(s3_endpoint=request.getfixturevalue("s3_servers")["moto"])
    else:
        settings = StoreSettings(gcs_endpoint=request.getfixturevalue("gcs_url"), anonymous=("gs://lchunk",))
    configure(settings)
    try:
        yield f"{request.param}://lchunk/skeletons"
    finally:
        configure(StoreSettings())


def test_folders_in_buckets_give_the_same(tmp_path: Path, bucket: str) -> None:
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees/17.swc").write_text(SWC_17)
    (tmp_path / "trees/5.swc").write_text(SWC_5)
    precomputed(tmp_path / "pre")
    for path in tmp_path.glob("*/*"):
        open_store(bucket).put(str(path.relative_to(tmp_path)), path.read_bytes())
    for name, start in (("trees#unit=voxels", ""), ("pre", ""), ("pre", "precomputed://")):
        found, known = find_skeletons(f"{start}{bucket}/{name}"), find_skeletons(f"{tmp_path}/{name}")
        assert parts_of(found.read(VOXEL_SIZE)) == parts_of(known.read(VOXEL_SIZE))
        assert found.fingerprint() == known.fingerprint()
    with pytest.raises(FileNotFoundError, match="which has none; correct the path"):
        find_skeletons(f"{bucket}/absent#unit=nm")


def test_a_web_server_has_single_files_only(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CATMAID)
    with file_server(tmp_path) as url:
        found = find_skeletons(f"{url}/a.csv#unit=nm").read(VOXEL_SIZE)
        assert parts_of(found) == parts_of(find_skeletons(f"{tmp_path}/a.csv#unit=nm").read(VOXEL_SIZE))
        with pytest.raises(ValueError, match=r"a folder of skeletons must be on a disk or in a bucket, got .*/trees"):
            find_skeletons(f"{url}/trees#unit=nm")
