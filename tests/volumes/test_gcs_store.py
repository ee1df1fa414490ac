"""GCS: the contract on a server with its API, and the behaviour that is specific to GCS."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from lchunk.volumes import bucket_store, gcs_store
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.gcs_store import GcsBucket
from lchunk.volumes.store import Store, StoreSettings
from tests.contracts.store_contract import StoreContract


def store_at(url: str, bucket: str = "lchunk", **more: Any) -> BucketStore:
    """A new folder in a bucket."""
    settings = StoreSettings(gcs_endpoint=url, patience_seconds=5, anonymous=(f"gs://{bucket}",), **more)
    return BucketStore(GcsBucket(bucket, settings), f"tests/{uuid.uuid4().hex}")


class TestGcs(StoreContract):
    @pytest.fixture
    def store(self, gcs_url: str) -> Store:
        return store_at(gcs_url)

    def test_a_missing_bucket_is_no_absent_object(self, gcs_url: str) -> None:
        absent = store_at(gcs_url, "lchunk-absent")
        calls: list[Callable[[], Any]] = [
            lambda: absent.put("a", b"x"), lambda: list(absent.list("")), absent.folders,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises((ValueError, FileNotFoundError), match=r"gs://lchunk-absent.* must exist, and does not"):
                call()

    def test_a_listing_of_many_pages_is_whole(self, gcs_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gcs_store, "PAGE", 5)
        monkeypatch.setattr(bucket_store, "SERIAL", 2)  # the rest is listed in runs of folders, in parallel
        store = store_at(gcs_url)
        keys = [f"c/{z}/{y}/{x}" for z in range(4) for y in range(3) for x in range(4)]
        keys += ["c/last", "zarr.json"]
        for key in keys:
            store.put(key, b"x")
        assert sorted(store.list("")) == sorted(keys)
        assert sorted(store.list("c")) == sorted(keys[:-1])
        assert store.folders("c") == ("0", "1", "2", "3")

    def test_a_body_of_the_same_length_shows_in_the_stamp(self, store: Store) -> None:
        store.put("a", b"one")
        before = store.stamp("a")
        store.put("a", b"two")
        assert store.stamp("a").version != before.version
