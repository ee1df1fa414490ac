"""Servers and networks that fail: each operation ends right, or in one clear line."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lchunk.volumes import s3_store
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.store import StoreSettings
from tests.servers import free_port
from tests.volumes import test_gcs_store, test_s3_store
from tests.volumes.faulty_proxy import every, proxy
from tests.volumes.file_server import file_server

pytestmark = pytest.mark.usefixtures("aws")

Opened = Callable[..., BucketStore]
SHORT: dict[str, Any] = {"read_seconds": 1.0, "connect_seconds": 1.0, "connections": 4}


@pytest.fixture(params=["s3", "gs"])
def service(request: pytest.FixtureRequest) -> tuple[str, Opened]:
    """The URL of a server, and what opens a store behind another URL of it."""
    if request.param == "s3":
        return request.getfixturevalue("s3_servers")["moto"], test_s3_store.store_at
    return request.getfixturevalue("gcs_url"), test_gcs_store.store_at


@pytest.mark.parametrize("kind", ["500", "503", "truncated", "slow", "reset", "lost"])
def test_every_seventh_request_fails_and_all_ends_right(
    service: tuple[str, Opened], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, opened = service
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 << 20)  # the least that S3 takes
    large = bytes(range(256)) * 44_000
    with proxy(upstream, every(7, kind), silence=1.5) as url:
        store = opened(url, **SHORT)
        for number in range(4):
            body = f"chunk {number}".encode() * 1000
            store.put(f"c/{number}", body)
            assert store.get(f"c/{number}") == body
            assert store.get(f"c/{number}", -7) == body[-7:]
            assert store.size(f"c/{number}") == len(body)
            assert store.create(f"meta/{number}", b"first")
            assert not store.create(f"meta/{number}", b"second")
            assert store.get(f"meta/{number}") == b"first"
            assert not store.exists(f"c/absent{number}")
        store.put("large", large)
        assert store.get("large") == large
        assert sorted(store.list("c")) == sorted(f"c/{number}" for number in range(4))
        assert store.folders() == ("c", "meta")
        store.remove("c/0")
        assert not store.exists("c/0")


@pytest.mark.parametrize("kind", ["503", "truncated", "slow", "reset"])
def test_a_server_that_fails_always_is_one_line_and_an_end(service: tuple[str, Opened], kind: str) -> None:
    upstream, opened = service
    with proxy(upstream, every(1, kind), silence=1.5) as url:
        store = opened(url, **{**SHORT, "read_seconds": 0.3})
        bucket: Any = store.bucket
        bucket.settings = StoreSettings(**{**vars(bucket.settings), "patience_seconds": 0.5})
        BucketStore(opened(upstream).bucket, store.prefix).put("a", b"0123456789")
        calls: list[Callable[[], Any]] = [lambda: store.get("a"), lambda: list(store.list(""))]
        for call in calls if kind == "truncated" else [*calls, lambda: store.put("a", b"x"), lambda: store.size("a")]:
            began = time.monotonic()
            with pytest.raises(ConnectionError, match=r"the server of (s3|gs)://lchunk must answer, got ") as found:
                call()
            assert "\n" not in str(found.value)
            assert time.monotonic() - began < 20


def test_a_server_that_is_away_for_a_while_is_waited_for(service: tuple[str, Opened]) -> None:
    upstream, opened = service
    port = free_port()
    opened(upstream).put("a", b"x")
    store = opened(f"http://127.0.0.1:{port}", **SHORT)
    back = threading.Event()

    def come_back() -> None:
        time.sleep(1.5)
        with proxy(upstream, every(1_000_000, ""), port=port):
            back.wait(20)

    thread = threading.Thread(target=come_back)
    thread.start()
    try:
        store.put("a", b"whole")
        assert store.get("a") == b"whole"
    finally:
        back.set()
        thread.join()


@pytest.mark.parametrize("kind", ["500", "truncated", "reset"])
def test_a_web_server_that_fails_now_and_then(tmp_path: Path, kind: str) -> None:
    from lchunk.volumes.http_store import HttpServer  # noqa: PLC0415

    body = bytes(range(256)) * 400
    (tmp_path / "a").write_bytes(body)
    with file_server(tmp_path) as upstream, proxy(upstream, every(3, kind)) as url:
        store = BucketStore(HttpServer(url, StoreSettings(patience_seconds=5, **SHORT)), "")
        for _ in range(10):
            assert store.get("a") == body
            assert store.get("a", 10, 20) == body[10:20]
            assert store.size("a") == len(body)


PUTTER = """
import sys
from lchunk.volumes.store import StoreSettings, configure, open_store
scheme, url, key = sys.argv[1:]
configure(StoreSettings(s3_endpoint=url, gcs_endpoint=url, anonymous=("gs://lchunk",)))
store = open_store(f"{scheme}://lchunk/killed")
print("ready", flush=True)
while True:
    for byte in (b"a", b"b"):
        store.put(key, byte * 36_000_000)
"""


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_killed_writer_leaves_the_old_object_or_the_new_one(
    scheme: str, s3_servers: dict[str, str], gcs_url: str
) -> None:
    url = s3_servers["moto"] if scheme == "s3" else gcs_url
    opened = test_s3_store.store_at if scheme == "s3" else test_gcs_store.store_at
    store = BucketStore(opened(url).bucket, "killed")
    store.put("large", b"a" * 36_000_000)
    for number in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", PUTTER, scheme, url, "large"], stdout=subprocess.PIPE, env=dict(os.environ)
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.2 + 0.17 * number)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = store.get("large")
        assert found in (b"a" * 36_000_000, b"b" * 36_000_000)
    store.sweep("", older_than=-5)
    assert list(store.list("")) == ["large"]
