"""The `[Store]` section: handed to the stores before any is opened, and refused where it cannot be."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lchunk.tasks.dataset import Dataset
from lchunk.tasks.storage import Store
from lchunk.volumes import store
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.store import StoreSettings, configure, open_store


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    configure(StoreSettings())
    yield
    configure(StoreSettings())


def settings_of(url: str) -> StoreSettings:
    opened = open_store(url)
    assert isinstance(opened, BucketStore)
    return opened.bucket.settings


def test_every_setting_has_a_knob_with_its_default() -> None:
    assert Store().settings() == StoreSettings()


def test_a_run_hands_the_cfg_to_the_stores(configure: Callable[..., None]) -> None:
    assert settings_of("s3://b/a") == StoreSettings()
    configure(
        "Store", s3_endpoint="http://minio:9000/", anonymous="gs://open, s3://b/", connections=3, read_seconds=2.5
    )
    Dataset()
    wanted = StoreSettings(
        s3_endpoint="http://minio:9000", anonymous=("gs://open", "s3://b"), connections=3, read_seconds=2.5
    )
    assert settings_of("s3://b/a") == wanted
    assert settings_of("gs://b/a") == wanted


def test_stores_stay_open_while_the_cfg_stays() -> None:
    Dataset()
    opened = open_store("s3://b/a")
    Dataset()
    assert open_store("s3://b/a") is opened


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("s3_endpoint", "http://user:secret@minio:9000", "s3-endpoint must be http://host:port or https://host, got"),
        ("gcs_endpoint", "minio:9000", "gcs-endpoint must be http://host:port or https://host, got 'minio:9000'"),
        ("anonymous", "open-bucket", "anonymous must be buckets as s3://name or gs://name, got 'open-bucket'"),
        ("requester_pays", "s3://b/folder", "requester-pays must be buckets"),
        ("connections", "0", "connections must be at least 1, got 0"),
        ("patience_seconds", "-1", r"patience-seconds must be in \[0, 86400\], got -1"),
    ],
)
def test_a_value_that_cannot_be_is_refused(configure: Callable[..., None], knob: str, value: Any, message: str) -> None:
    configure("Store", **{knob: value})
    with pytest.raises(ValueError, match=message) as found:
        Store()
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("url", ["s3://b/a", "gs://b/a", "https://h/a", "http://h:80/a"])
def test_every_scheme_that_is_no_disk_opens_a_store(url: str) -> None:
    assert open_store(url).url == url
    assert store.scheme_of(url) in store.SCHEMES
