"""Requests are counted as the server sees them: each retry, part and page, by the kinds that providers bill."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lchunk.volumes import gcs_store, s3_store
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.http_store import HttpServer
from lchunk.volumes.requests_made import RequestCounter, Requests, counter
from lchunk.volumes.store import StoreSettings
from tests.volumes.faulty_proxy import every, proxy
from tests.volumes.file_server import file_server
from tests.volumes.test_gcs_store import store_at as gcs_store_at
from tests.volumes.test_s3_store import store_at as s3_store_at

pytestmark = pytest.mark.usefixtures("aws")

LISTING = ("?list-type=2", "&list-type=2", "?uploads", "/o?")


@pytest.fixture(params=["s3", "gs"])
def service(request: pytest.FixtureRequest) -> tuple[str, Callable[..., BucketStore]]:
    """URL of a server, and what opens a folder there."""
    if request.param == "s3":
        return request.getfixturevalue("s3_servers")["moto"], s3_store_at
    return request.getfixturevalue("gcs_url"), gcs_store_at


def billed(asked: list[str]) -> tuple[int, int]:
    """What a provider bills for the requests that a server saw: class A, class B."""
    reads = [line for line in asked if line.startswith(("GET", "HEAD")) and not any(each in line for each in LISTING)]
    free = [line for line in asked if line.startswith("DELETE")]
    return len(asked) - len(reads) - len(free), len(reads)


def counted(since: Requests) -> Requests:
    now = counter.made
    return Requests(
        now.writes - since.writes, now.reads - since.reads, now.received - since.received, now.sent - since.sent
    )


@pytest.mark.parametrize("fault", ["", "503"])
def test_the_counts_are_those_of_the_server(
    service: tuple[str, Callable[..., BucketStore]], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "PAGE", 2)
    monkeypatch.setattr(gcs_store, "PAGE", 2)
    asked: list[str] = []
    url, store_at = service
    url_is_s3 = store_at is s3_store_at
    with proxy(url, every(7, fault), asked=asked) as between:
        store, before = store_at(between), counter.made
        for number in range(5):
            store.put(f"a/o/{number}", b"0123456789")
        assert store.create("a/o/o", b"x")
        assert not store.create("a/o/o", b"x")
        assert store.exists("a/o/0")
        assert not store.exists("a/absent")
        assert store.get("a/o/0", 2, 5) == b"234"
        assert [bytes(part) for part in store.get_ranges("a/o/1", [(0, 1), (4, 9)])] == [b"0", b"45678"]
        assert len(list(store.list("a"))) == 6
        assert store.folders("a") == ("o",)
        store.sweep("a", 0)
        store.remove("a/o/0")
        made = counted(before)
    assert (made.writes, made.reads) == billed(asked)
    # uploads, creations, pages, folders; and on S3 a list of unfinished uploads
    expected = 5 + 2 + 3 + 1 + url_is_s3
    assert made.writes >= expected
    if not fault:
        assert made.writes == expected
        assert 51 <= made.sent <= 51 + 8 * 600  # GCS sends the name of an object in the body
        assert made.received >= 3 + 9


def test_each_part_of_an_upload_is_counted(s3_servers: dict[str, str]) -> None:
    store, before = s3_store_at(s3_servers["moto"]), counter.made
    store.put("large", bytes(2 * s3_store.PART_BYTES + 1))
    made = counted(before)
    assert (made.writes, made.reads) == (5, 0)  # begun, three parts, completed
    assert made.sent >= 2 * s3_store.PART_BYTES + 1
    store.get("large")
    assert counted(before).received >= 2 * s3_store.PART_BYTES + 1


def test_requests_to_a_web_server_are_reads(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/o").write_bytes(b"0123456789")
    with file_server(tmp_path) as url:
        store, before = BucketStore(HttpServer(url, StoreSettings()), "b"), counter.made
        assert store.get("o") == b"0123456789"
        assert store.size("o") == 10
    assert counted(before) == Requests(reads=2, received=10)


def test_requests_are_those_of_the_stage_that_runs() -> None:
    own = RequestCounter()
    own.add(Requests(reads=1))
    with own.stage("Inference"):
        own.add(Requests(writes=2, sent=7))
    own.add(Requests(reads=1))
    assert own.of("Inference") == Requests(writes=2, sent=7)
    assert own.made == Requests(2, 2, 0, 7)


@pytest.fixture
def family() -> Iterator[RequestCounter]:
    own = RequestCounter()
    own.add(Requests(reads=5))
    with own.family():
        yield own


def test_forked_processes_are_counted_also_if_they_are_killed(family: RequestCounter) -> None:
    context = multiprocessing.get_context("fork")

    def child(end: Callable[[], Any]) -> None:
        assert family.made == Requests()
        for _ in range(200):
            family.add(Requests(1, 2, 3, 4))
        end()

    ends: list[Callable[[], Any]] = [lambda: None, lambda: None, lambda: os.kill(os.getpid(), signal.SIGKILL)]
    children = [context.Process(target=child, args=(end,)) for end in ends]
    for process in children:
        process.start()
    family.add(Requests(reads=1))
    for process in children:
        process.join()
    assert [process.exitcode for process in children] == [0, 0, -signal.SIGKILL]
    assert family.made == Requests(reads=6)
    assert family.made_by_family == Requests(600, 1206, 1800, 2400)


def test_no_two_processes_have_one_name(family: RequestCounter) -> None:
    context = multiprocessing.get_context("fork")
    names: Any = context.SimpleQueue()
    children = [context.Process(target=lambda: names.put(family.process)) for _ in range(2)]
    for process in children:
        process.start()
        process.join()
    found = {names.get() for _ in children}
    assert len(found) == 2
    assert {name.partition(".")[0] for name in found} == {family.process}
