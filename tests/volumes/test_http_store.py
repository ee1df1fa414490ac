"""Web servers: the reading half of the contract, on servers that know ranges and on those that do not."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import zarr

from lchunk.volumes.formats import open_volume
from lchunk.volumes.store import Store, StoreSettings, configure, open_store
from tests.contracts.store_contract import Filled, ReadingContract
from tests.volumes.file_server import file_server
from tests.volumes.formats.arrays import VOXELS


class OnHttp(ReadingContract):
    ranges = head = True

    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        with file_server(tmp_path, ranges=self.ranges, head=self.head) as url:
            yield url

    @pytest.fixture
    def filled(self, tmp_path: Path, url: str) -> Filled:
        def fill(objects: Mapping[str, bytes]) -> Store:
            for key, body in objects.items():
                (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / key).write_bytes(body)
            return open_store(url)

        return fill


class TestHttp(OnHttp):
    def test_nothing_is_written_or_listed(self, filled: Filled) -> None:
        store = filled({"a": b"x"})
        for call in (
            lambda: store.put("b", b"x"), lambda: store.create("b", b"x"), lambda: store.remove("a"),
            lambda: list(store.list("")), store.folders,
        ):  # fmt: skip
            with pytest.raises(OSError, match=r"must be on a disk or in a bucket, to be .*, got a web server"):
                call()

    def test_a_file_that_was_written_anew_has_another_stamp(self, filled: Filled, tmp_path: Path) -> None:
        store = filled({"a": b"one"})
        before = store.stamp("a")
        (tmp_path / "a").write_bytes(b"two")
        os.utime(tmp_path / "a", ns=(0, 1_700_000_000_000_000_000))
        assert store.stamp("a") != before
        assert store.stamp("a").modified == 1_700_000_000_000_000_000

    @pytest.mark.parametrize("zarr_format", [2, 3])
    def test_a_volume_is_read_by_its_url(self, url: str, tmp_path: Path, zarr_format: int) -> None:
        attributes = {"resolution": [40, 8, 4]}
        zarr.create_array(
            tmp_path / "deep/a.zarr", data=VOXELS, chunks=(4, 16, 16), zarr_format=zarr_format, attributes=attributes
        )
        volume = open_volume(f"{url}/deep/a.zarr#offset=1,2,3")
        assert (volume.bounds.start, volume.voxel_size) == ((1, 2, 3), (40, 8, 4))
        assert np.array_equal(volume.read(volume.bounds), VOXELS)
        assert (
            volume.fingerprint().split(": ", 1)[1]
            == open_volume(f"{tmp_path}/deep/a.zarr").fingerprint().split(": ", 1)[1]
        )

    def test_formats_that_need_a_file_are_refused_by_name(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "a.tif").write_bytes(b"x")
        for name in ("a.tif", "a.h5:/raw", "a.npy"):
            with pytest.raises(
                ValueError, match=rf"must be zarr, OME-Zarr, N5 or precomputed .*, got {url}/{name}; copy it to a disk"
            ):
                open_volume(f"{url}/{name}")
        with pytest.raises(
            FileNotFoundError, match=r"got no zarr\.json, \.zarray, \.zgroup, info or attributes\.json in"
        ):
            open_volume(f"{url}/nothing")


class TestWithoutRanges(OnHttp):
    ranges = False


class TestWithoutHead(OnHttp):
    head = False


@pytest.mark.parametrize(
    "url",
    ["https://user:secret@host/a", "s3://key:secret@bucket/a", "s3:///a", "https://host/a?X-Amz-Signature=secret"],
)
def test_a_url_that_holds_more_than_a_place_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ValueError, match="a URL must") as found:
        open_store(url)
    assert "secret" not in str(found.value)
    with pytest.raises(ValueError, match="a URL must"):
        open_volume(url)


def test_a_server_that_is_not_there_is_one_line() -> None:
    configure(StoreSettings(patience_seconds=0.1))
    try:
        with pytest.raises(ConnectionError, match=r"the server http://127\.0\.0\.1:9 must answer, got none: .*; check"):
            open_volume("http://127.0.0.1:9/a.zarr")
    finally:
        configure(StoreSettings())
