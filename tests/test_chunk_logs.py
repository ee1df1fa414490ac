"""Logs: their names, the lines that are read of them, and the requests that commands leave in them."""

import json
import multiprocessing
import time
from pathlib import Path

import pytest

from lchunk import chunk_logs
from lchunk.chunk_logs import (
    LogName,
    all_entries,
    keep_requests,
    log_key,
    log_lines,
    recent_entries,
    requests_entry,
)
from lchunk.geometry.bbox import Bbox
from lchunk.tasks.progress import ChunkLog, process_name
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.requests_made import RequestCounter, Requests
from lchunk.volumes.store import FileStore, Store
from tests.volumes.test_bucket_store import MemoryBucket


def line(compute: float, **more: object) -> bytes:
    """The line of a chunk."""
    entry = {"stage": "Inference", "bbox": "0-1_0-1_0-1", "voxels": 2_000_000, "seconds": {"compute": compute}}
    return json.dumps(entry | more).encode() + b"\n"


def test_torn_and_foreign_lines_are_left_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for body in (line(1.0), b"[]\n", b'{"voxels": 0, "seconds": {}}\n', b"\xff\n", line(1.0)[:-20]):
        store.append("logs/a/a-1.jsonl", body)
    store.put("logs/failures/a/whole.json", b"{}")
    assert len(list(log_lines(store, "a"))) == 1


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    for number in range(1000):
        store.append("logs/a/a-1.jsonl", line(float(number)))
    seconds = [entry["seconds"]["compute"] for entry in log_lines(store, "a")]
    assert 100 < len(seconds) < 1000
    assert seconds == list(map(float, range(1000 - len(seconds), 1000)))


def test_the_lines_of_a_folder_are_not_those_of_folders_in_it(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.append("logs/segmentation/a-1.jsonl", line(1.0))
    store.append("logs/segmentation/names/3/a-1.jsonl", line(2.0))
    assert [entry["seconds"]["compute"] for entry in log_lines(store, "segmentation")] == [1.0]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("logs/a/2026-01-31-host.of.x-12.jsonl", LogName("a", "2026-01-31", "host.of.x-12")),
        ("logs/a/b/3/2026-01-31-host-12.1f0c55aa-0002.jsonl", LogName("a/b/3", "2026-01-31", "host-12")),
        ("logs/a/host-12.jsonl", LogName("a", "", "host-12")),
        ("logs/failures/a/whole.json", None),
    ],
)
def test_a_log_s_name_says_folder_day_and_process(key: str, name: LogName | None) -> None:
    assert LogName.of(key) == name


@pytest.mark.parametrize("kind", ["disk", "bucket"])
def test_every_line_is_read_whatever_the_size_of_a_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    store: Store = FileStore(tmp_path) if kind == "disk" else BucketStore(MemoryBucket(), "")
    monkeypatch.setattr(chunk_logs, "BLOCK_BYTES", 2 * len(line(1.0)))  # the last block ends with the log
    for process in ("a-1", "b-2"):
        for number in range(4):
            store.append(log_key("a", process), line(float(number)))
    store.append(log_key("a", "c-3"), b"x" * 1000 + b"\n" + line(5.0) + line(6.0)[:-9])
    store.flush()
    read = [(name.process, entry and entry["seconds"]["compute"]) for name, entry in all_entries(store)]
    assert [seconds for process, seconds in read if process == "b-2"] == [0.0, 1.0, 2.0, 3.0]
    assert [seconds for process, seconds in read if process == "c-3"] == [None, 5.0, None]
    assert len(read) == 11


def at_day(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    """Let it be so many days after 1970-01-01."""
    monkeypatch.setattr(time, "gmtime", lambda now=None, gmtime=time.gmtime: gmtime(day * 86_400.0 - 1))


def test_each_day_has_a_log_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    with monkeypatch.context() as patched:
        for day in (1, 1, 2):
            with patched.context() as today:
                at_day(today, day)
                ChunkLog("Blur", Bbox((0, 0, 0), (1, 2, day))).write(store, "blur")
    files = {path.name: path.read_text().count("\n") for path in (tmp_path / "logs/blur").iterdir()}
    assert files == {f"1970-01-01-{process_name()}.jsonl": 2, f"1970-01-02-{process_name()}.jsonl": 1}
    assert [entry and entry["voxels"] for _, entry in all_entries(store, "1970-01-02")] == [4]


def _write(root: str, letter: str) -> None:
    for _ in range(200):
        ChunkLog(letter * 500, Bbox((0, 0, 0), (1, 1, 1))).write(FileStore(Path(root)), "blur")


def test_forked_processes_share_a_log_and_tear_no_line(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_write, args=(str(tmp_path), letter)) for letter in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    (log,) = (tmp_path / "logs/blur").iterdir()
    stages = [json.loads(text)["stage"] for text in log.read_text().splitlines()]
    assert sorted(stages) == sorted(letter * 500 for letter in "abc" for _ in range(200))


def test_a_command_that_used_no_bucket_leaves_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, own = FileStore(tmp_path), RequestCounter()
    monkeypatch.setattr("lchunk.chunk_logs.counter", own)
    keep_requests(str(tmp_path), "a-1")
    assert list(all_entries(store)) == []
    own.add(Requests(reads=20))
    keep_requests(str(tmp_path), "a-1")
    ((name, entry),) = all_entries(store)
    assert (name.folder, name.process) == ("requests", "a-1")
    assert entry is not None
    assert entry["requests"]["all"]["reads"] == 20


def test_a_line_holds_what_its_process_made(monkeypatch: pytest.MonkeyPatch) -> None:
    own = RequestCounter()
    monkeypatch.setattr("lchunk.chunk_logs.counter", own)
    own.add(Requests(reads=1))
    with own.stage("Mesh"):
        own.add(Requests(writes=2))
    entry = requests_entry("Mesh")
    assert entry["process"] == own.process
    assert Requests(**entry["stage"]) == Requests(writes=2)
    assert Requests(**entry["all"]) == Requests(2, 1)


def test_of_the_last_hour_the_end_of_a_log_is_read_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    monkeypatch.setattr(chunk_logs, "LAST_BYTES", 3 * len(line(1.0, ended=1000)))
    now = 1_900_000_000
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    for number in range(100):
        store.append(f"logs/a/{day}-a-1.jsonl", line(1.0, ended=now - 100 + number))
    store.append(f"logs/a/{day}-a-2.jsonl", line(1.0) + line(2.0, ended="late") + b"torn\n" + line(3.0, ended=now))
    store.append("logs/a/2001-01-31-a-3.jsonl", line(1.0, ended=now))  # of a day before, which is not read
    reads: list[str] = []
    monkeypatch.setattr(store, "get", lambda key, *a: reads.append(key) or FileStore.get(store, key, *a))
    found = [(name.process, entry["ended"] - now) for name, entry in recent_entries(store, now - 10)]
    assert found == [*(("a-1", number) for number in range(-10, 0)), ("a-2", 0)]
    assert reads.count(f"logs/a/{day}-a-1.jsonl") == 2  # about 3 lines, then 12
    assert not [key for key in reads if "2001" in key]
    assert len(list(recent_entries(store, now - 1000))) == 101
