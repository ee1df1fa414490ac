"""A folder in a bucket: listing, logs, ranges and repeated requests, with a bucket in memory."""

import itertools
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.volumes import asking, bucket_store, object_log, place
from lchunk.volumes.asking import UnreachedError, ask
from lchunk.volumes.bucket_store import BucketStore, Page
from lchunk.volumes.layer import Layer
from lchunk.volumes.place import Place
from lchunk.volumes.ranges import spans
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store_settings import StoreSettings


class MemoryBucket:
    """A bucket that lists pages of a few names, as services do, and records each request."""

    url = "memory://bucket"

    def __init__(self, names: Any = (), page: int = 3, settings: StoreSettings | None = None) -> None:
        self.objects: dict[str, bytes] = dict.fromkeys(names, b"x")
        self.length = page
        self.settings = settings or StoreSettings(connections=4)
        self.requests: list[tuple[Any, ...]] = []

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        self.requests.append(("get", name, start, stop))
        if name not in self.objects:
            raise FileNotFoundError(name)
        return self.objects[name][start:stop]

    def put(self, name: str, body: bytes | memoryview, version: str | None = None) -> bool:
        self.requests.append(("put", name))
        if version == "" and name in self.objects:
            return False
        self.objects[name] = bytes(body)
        return True

    def stamp(self, name: str) -> Stamp:
        self.requests.append(("stamp", name))
        if name not in self.objects:
            raise FileNotFoundError(name)
        return Stamp(len(self.objects[name]), 1, "1")

    def remove(self, name: str) -> None:
        self.objects.pop(name, None)

    def page(self, prefix: str, *, after: str = "", following: str = "", folders: bool = False) -> Page:
        self.requests.append(("page", prefix))
        assert not (after and folders)
        entries: dict[str, bool] = {}
        for name in sorted(self.objects):
            listed = following.endswith("/") and name.startswith(following)  # in a folder of the page before
            if name.startswith(prefix) and name > (following or after) and not listed:
                below = name[len(prefix) :]
                folder = folders and "/" in below
                entries.setdefault(prefix + below.partition("/")[0] + "/" if folder else name, folder)
        given_now = sorted(entries)[: self.length]
        return Page(
            [(name, len(self.objects[name])) for name in given_now if not entries[name]],
            [name for name in given_now if entries[name]],
            given_now[-1] if len(entries) > self.length else "",
        )

    def sweep(self, prefix: str, older_than: float) -> None:
        self.requests.append(("sweep", prefix))


parts = st.sampled_from(["c", "0", "1", "10", "a b", "z.json", "é"])
names = st.sets(st.lists(parts, min_size=1, max_size=4).map("/".join), max_size=40)


@given(names, names.map(lambda found: next(iter(found), "")), st.integers(1, 5), st.integers(1, 4), st.integers(1, 9))
def test_a_listing_is_every_object_of_the_folder_once(
    found: set[str], prefix: str, page: int, serial: int, run: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_store, "SERIAL", serial)
        patch.setattr(bucket_store, "RUN", run)
        check_listing(found, prefix, page)


def check_listing(found: set[str], prefix: str, page: int) -> None:
    store = BucketStore(MemoryBucket({f"root/{name}" for name in found} | {"rooted", "other/1"}, page), "root")
    cut = f"{prefix}/" if prefix else ""
    listed = list(store.list(prefix))
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(name for name in found if name.startswith(cut))
    below = {name.removeprefix(cut) for name in found if name.startswith(cut)}
    assert store.folders(prefix) == tuple(sorted({name.partition("/")[0] for name in below if "/" in name}))


@pytest.mark.parametrize(("folders", "each"), [(2000, 1), (200, 10), (20, 100), (2, 1000), (1, 2000)])
def test_a_listing_costs_few_requests_and_begins_at_once(folders: int, each: int) -> None:
    names = {f"c/{folder:04d}/{number:04d}" for folder in range(folders) for number in range(each)}
    bucket = MemoryBucket(names, page=10)
    listing = BucketStore(bucket, "").list("")
    next(listing)
    assert len(bucket.requests) == 1
    assert {*listing, "c/0000/0000"} == names
    folder_pages = folders // 10 + 3  # which 1,000 folders a page make few
    assert len(bucket.requests) - folder_pages <= 2000 / 10 * 1.1 + 2
    bucket.requests.clear()
    assert len(list(BucketStore(bucket, "").list("c/0000"))) == each
    assert len(bucket.requests) <= each / 10 + bucket_store.SERIAL + 1  # a flat folder is begun twice


def test_a_listing_of_many_folders_is_parallel() -> None:
    bucket = MemoryBucket({f"c/{folder:03d}/{number:03d}" for folder in range(100) for number in range(10)}, page=10)
    together, most = 0, 0
    lock, page = threading.Lock(), bucket.page

    def slow_page(prefix: str, **more: Any) -> Page:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.01)
        with lock:
            together -= 1
        return page(prefix, **more)

    bucket.page = slow_page  # type: ignore[method-assign]
    assert len(list(BucketStore(bucket, "").list(""))) == 1000
    assert most == bucket.settings.connections


def test_a_listing_that_nobody_goes_on_with_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket({f"c/{z}/{n:03d}" for z in range(100) for n in range(100)}, page=50)
    listing = BucketStore(bucket, "").list("")
    for _ in range(120):
        next(listing)
    listing.close()
    asked = len(bucket.requests)
    time.sleep(0.2)
    assert len(bucket.requests) <= asked + bucket.settings.connections < 40


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 30)).map(lambda r: (r[0], r[0] + r[1])), max_size=12))
def test_ranges_are_what_slices_are(ranges: list[tuple[int, int]]) -> None:
    bucket = MemoryBucket({"a"})
    bucket.objects["a"] = bytes(range(100))
    found = BucketStore(bucket, "").get_ranges("a", ranges)
    assert [bytes(part) for part in found] == [bytes(range(100))[start:stop] for start, stop in ranges]
    together = spans(ranges, close=5, most=20)
    assert sorted(place for span in together for place in span.places) == list(range(len(ranges)))
    for one, other in itertools.pairwise(together):
        assert other.start - one.stop > 5 or one.stop - one.start >= 20


def test_ranges_that_lie_close_are_one_request() -> None:
    bucket = MemoryBucket({"a"})
    bucket.objects["a"] = bytes(10_000_000)
    BucketStore(bucket, "").get_ranges("a", [(0, 10), (1000, 2000), (9_000_000, 9_000_010)])
    assert sorted(bucket.requests) == [("get", "a", 0, 2000), ("get", "a", 9_000_000, 9_000_010)]


def test_lines_of_logs_are_kept_for_a_while_and_never_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_log, "SEGMENT_BYTES", 20)
    bucket = MemoryBucket()
    store = BucketStore(bucket, "")
    store.append("logs/a/1.jsonl", b"0123456789\n")
    assert len(bucket.objects) == 1  # the first line is written immediately
    for number in range(6):
        store.append("logs/a/1.jsonl", b"line %d\n" % number)
    assert len(bucket.requests) == 1
    store.flush()
    store.flush()
    assert len(bucket.requests) == 2
    store.append("logs/a/1.jsonl", b"next\n")
    store.flush()
    assert len(bucket.objects) == 2  # the first object is large enough
    lines = b"".join(bucket.objects[name] for name in sorted(bucket.objects))
    assert lines == b"0123456789\n" + b"".join(b"line %d\n" % number for number in range(6)) + b"next\n"


def test_the_log_of_yesterday_is_dropped_from_memory_and_never_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket()
    store = BucketStore(bucket, "")
    monkeypatch.setattr(object_log.time, "monotonic", lambda: 0.0)
    store.append("logs/a/1.jsonl", b"a" * 1000)
    store.append("logs/a/2.jsonl", b"not written yet")
    monkeypatch.setattr(object_log.time, "monotonic", lambda: object_log.IDLE_SECONDS)
    store.flush()
    store.flush()
    assert sum(len(segment.body) for segment in store._logs._segments.values()) == 0
    store.append("logs/a/1.jsonl", b"b")
    store.flush()
    assert sorted(bucket.objects.values()) == [b"a" * 1000, b"b", b"not written yet"]


def test_lines_are_written_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket()
    store = BucketStore(bucket, "")
    store.append("logs/a", b"1")
    monkeypatch.setattr(object_log, "FLUSH_SECONDS", 0.0)
    store.append("logs/a", b"2")
    assert list(bucket.objects.values()) == [b"12"]


def test_a_log_that_could_not_be_written_is_written_with_the_next_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket()
    store = BucketStore(bucket, "")
    put = bucket.put

    def away(name: str, body: bytes, version: str | None = None) -> bool:
        raise ConnectionError("away")

    monkeypatch.setattr(bucket, "put", away)
    with pytest.raises(ConnectionError):
        store.append("logs/a", b"1")
    monkeypatch.setattr(bucket, "put", put)
    store.append("logs/a", b"2")
    store.flush()
    assert list(bucket.objects.values()) == [b"12"]


def test_only_what_may_pass_is_asked_again() -> None:
    settings = StoreSettings(patience_seconds=5)
    for kind, wanted in ((FileNotFoundError, 1), (PermissionError, 1), (ValueError, 1)):
        calls = []

        def refused(kind: type = kind, calls: list[int] = calls) -> None:
            calls.append(1)
            raise kind("no")

        with pytest.raises(kind):
            ask(refused, settings, "s3://a")
        assert len(calls) == wanted
    answers = iter([ConnectionError("a"), TimeoutError("b"), ConnectionError("c")])

    def at_last() -> str:
        for error in answers:
            raise error
        return "answer"

    assert ask(at_last, settings, "s3://a") == "answer"


def test_patience_ends_with_the_last_error() -> None:
    calls = []

    def away() -> None:
        calls.append(1)
        raise ConnectionError(f"attempt {len(calls)}")

    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"attempt \d+"):
        ask(away, StoreSettings(patience_seconds=0.5), "s3://a")
    assert time.monotonic() - began < 3
    assert len(calls) >= asking.LEAST_ATTEMPTS


def test_the_end_of_a_process_does_not_wait_for_a_server_that_is_lost() -> None:
    bucket = MemoryBucket(settings=StoreSettings(patience_seconds=0.3))
    logs = BucketStore(bucket, "")._logs
    logs.append("logs/a", b"1")
    logs.append("logs/a", b"2")

    def away() -> None:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        ask(away, bucket.settings, bucket.url)
    logs._end()
    assert list(bucket.objects.values()) == [b"1"]
    ask(lambda: None, bucket.settings, bucket.url)  # it is back
    logs._end()
    assert list(bucket.objects.values()) == [b"12"]


def attempts_of(error: Exception, settings: StoreSettings, server: str) -> int:
    """How often a request is made that fails always."""
    calls = []

    def request() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        ask(request, settings, server)
    return len(calls)


def test_only_a_server_that_was_reached_once_is_waited_for_with_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_reached", set())
    monkeypatch.setattr(asking, "FIRST_PATIENCE", 0.0)
    settings, lost = StoreSettings(patience_seconds=0.5), UnreachedError("refused")
    assert attempts_of(lost, settings, "s3://a") == 1
    assert attempts_of(lost, settings, "s3://a") == 1  # it was not reached by that
    assert attempts_of(ConnectionError("busy"), settings, "s3://a") >= asking.LEAST_ATTEMPTS
    assert attempts_of(lost, settings, "s3://a") >= asking.LEAST_ATTEMPTS
    assert attempts_of(lost, settings, "s3://b") == 1
    assert attempts_of(FileNotFoundError("absent"), settings, "s3://b") == 1
    assert attempts_of(lost, settings, "s3://b") >= asking.LEAST_ATTEMPTS


def test_a_short_patience_is_short_at_the_first_contact_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_reached", set())
    assert attempts_of(UnreachedError("refused"), StoreSettings(patience_seconds=0), "s3://a") == 1


def test_few_requests_are_made_at_one_time() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def request() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    settings = StoreSettings(connections=3)
    threads = [threading.Thread(target=ask, args=(request, settings, "s3://a")) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_stamps_and_documents_of_a_bucket_are_remembered_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryBucket({"a/zarr.json"})
    folder = Place(BucketStore(bucket, ""), "a")
    now = [1000.0]
    monkeypatch.setattr(place.time, "monotonic", lambda: now[0])
    for _ in range(3):
        assert (folder / "zarr.json").stamp() == Stamp(1, 1, "1")
        assert (folder / "zarr.json").document() == b"x"
        assert (folder / ".zarray").document() is None
    assert len(bucket.requests) == 3
    bucket.objects["a/zarr.json"] = b"new"
    now[0] += place.REMEMBERED_SECONDS
    assert (folder / "zarr.json").document() == b"new"
    assert str(folder / "zarr.json") == "memory://bucket/a/zarr.json"
    assert folder.path is None


def test_a_disk_is_never_remembered(tmp_path: Path) -> None:
    file = place.on_disk(tmp_path / "a")
    assert file.document() is None
    (tmp_path / "a").write_bytes(b"1")
    assert file.document() == b"1"
    assert file.stamp() is not None


def layer_in(bucket: MemoryBucket) -> Layer:
    """A layer of 27 chunks, more than are read in parallel."""
    return Layer(
        BucketStore(bucket, "root"), "a", Bbox.of((0, 0, 0), (12, 12, 12)), (1.0, 1.0, 1.0), np.dtype("u1"), (4, 4, 4),
        (2, 2, 2),
    )  # fmt: skip


def test_a_layer_in_a_bucket_is_read_several_chunks_at_a_time() -> None:
    layer = layer_in(MemoryBucket(page=1000))
    voxels = np.random.default_rng(0).integers(1, 255, (12, 12, 12)).astype("u1")
    layer.create({})
    for index in layer.grid:
        layer.write(layer.grid.chunk(index), voxels[layer.grid.chunk(index).slices()])
    assert np.array_equal(layer.read(layer.bounds), voxels)
    assert np.array_equal(layer.read(Bbox((1, 2, 3), (11, 10, 9))), voxels[1:11, 2:10, 3:9])


@pytest.mark.parametrize("box", [Bbox((0, 0, 0), (12, 12, 12)), Bbox((0, 0, 0), (8, 8, 8))])
def test_chunks_that_are_all_absent_are_an_error_and_never_a_wait_without_end(box: Bbox) -> None:
    layer = layer_in(MemoryBucket(page=1000))
    layer.create({})
    found: list[BaseException] = []

    def read() -> None:
        try:
            layer.read(box)
        except FileNotFoundError as error:
            found.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(30)
    assert "layer a/0 in memory://bucket/root must have every chunk" in str(found[0])
    assert not layer.read(box, fill_missing=True).any()
