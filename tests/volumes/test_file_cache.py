"""Copies of objects on this machine: fetched once, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lchunk.volumes import file_cache
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.file_cache import copied
from lchunk.volumes.place import Place
from lchunk.volumes.stamp import Stamp
from tests.cli.commands import REPOSITORY
from tests.volumes.faulty_proxy import proxy
from tests.volumes.file_server import file_server
from tests.volumes.test_bucket_store import MemoryBucket

OBJECTS = {"nets/net.py": b"import deep.helper", "nets/deep/helper.py": b"X = 1", "nets/deep/__init__.py": b""}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lchunk/fetched"


@pytest.fixture
def bucket() -> MemoryBucket:
    bucket = MemoryBucket()
    bucket.objects.update(OBJECTS)
    return bucket


def copy(bucket: MemoryBucket, version: str = "1") -> Path:
    names = [name.removeprefix("nets/") for name in bucket.objects]
    return copied(
        Place(BucketStore(bucket, ""), "nets"),
        {name: Stamp(len(bucket.objects[f"nets/{name}"]), 1, version) for name in names},
    )


def test_the_progress_of_each_object_is_reported(
    cache: Path, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "PART", 7)
    told: list[tuple[str, int, int]] = []
    place, stamps = (
        Place(BucketStore(bucket, ""), "nets"),
        {"net.py": Stamp(18, 1, "1"), "deep/helper.py": Stamp(5, 1, "1")},
    )
    for _ in range(2):  # what is there is not fetched again
        copied(place, stamps, lambda each, done, size: told.append((each.name, done, size)))
    assert told == [*(("net.py", done, 18) for done in (0, 7, 14, 18)), ("helper.py", 0, 5), ("helper.py", 5, 5)]


def bodies(bucket: MemoryBucket) -> list[str]:
    return [request[1] for request in bucket.requests if request[0] == "get"]


def test_each_object_is_fetched_once_and_lies_where_it_lay(
    cache: Path, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "PART", 4)  # each object in several parts
    folder = copy(bucket)
    assert folder.parent == cache
    assert {f"nets/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()} == (
        OBJECTS
    )
    assert cache.stat().st_mode & 0o777 == 0o700
    bucket.requests.clear()
    assert copy(bucket) == folder
    assert bucket.requests == []


def test_a_small_object_is_one_request(cache: Path, bucket: MemoryBucket) -> None:
    copy(bucket)
    assert sorted(bodies(bucket)) == ["nets/deep/helper.py", "nets/net.py"]


def test_objects_of_another_state_are_other_copies(cache: Path, bucket: MemoryBucket) -> None:
    class Versioned(MemoryBucket):
        version = "1"

        def stamp(self, name: str) -> Stamp:
            return Stamp(len(self.objects[name]), 1, self.version)

    bucket = Versioned()
    bucket.objects.update(OBJECTS)
    first = copy(bucket)
    bucket.objects["nets/net.py"], bucket.version = b"import deep.another", "2"
    second = copy(bucket, "2")
    assert (first / "net.py").read_bytes() == OBJECTS["nets/net.py"]
    assert (second / "net.py").read_bytes() == b"import deep.another"


@pytest.mark.parametrize("stamped", [Stamp(18, 1, "0"), Stamp(17, 1, "1")], ids=["version", "size"])
def test_what_changes_while_it_is_fetched_is_no_copy(cache: Path, bucket: MemoryBucket, stamped: Stamp) -> None:
    place = Place(BucketStore(bucket, ""), "nets")
    with pytest.raises(ConnectionError, match=r"memory://bucket/nets/net\.py must not change while it is fetched"):
        copied(place, {"net.py": stamped})
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    assert (copied(place, {"net.py": Stamp(18, 1, "1")}) / "net.py").read_bytes() == OBJECTS["nets/net.py"]


def test_a_body_that_is_too_short_is_no_copy(cache: Path) -> None:
    class Torn(MemoryBucket):
        def get(self, name: str, start: int, stop: int | None) -> bytes:
            return super().get(name, start, stop)[:-1]

    bucket = Torn()
    bucket.objects.update(OBJECTS)
    with pytest.raises(ConnectionError, match="must not change while it is fetched"):
        copy(bucket)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_of_several_at_the_same_time_one_fetches(cache: Path) -> None:
    class Slow(MemoryBucket):
        def get(self, name: str, start: int, stop: int | None) -> bytes:
            time.sleep(0.1)
            return super().get(name, start, stop)

    bucket, found = Slow(), []
    bucket.objects.update(OBJECTS)
    threads = [threading.Thread(target=lambda: found.append(copy(bucket))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(bodies(bucket)) == 2


CALL = """
import sys
from lchunk.volumes.file_cache import copied
from lchunk.volumes.place import place_of
folder = place_of(sys.argv[1])
print(copied(folder, {"net.pt": (folder / "net.pt").stamp()}) / "net.pt")
"""


def test_two_processes_that_fetch_at_once_fetch_once(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/net.pt").write_bytes(bytes(range(256)))
    asked: list[str] = []
    slow_bodies = lambda number, method: "slow" if method == "GET" else ""  # noqa: E731
    with file_server(tmp_path / "served") as upstream, proxy(upstream, slow_bodies, silence=2.0, asked=asked) as url:
        command = [sys.executable, "-c", CALL, url]
        processes = [
            subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    paths = {out.strip() for out, _ in said}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == bytes(range(256))
    assert asked.count("GET /net.pt") == 1


KILLED = """
import os, sys
from pathlib import Path
from lchunk.volumes import file_cache
from lchunk.volumes.place import on_disk
folder = on_disk(Path(sys.argv[1]))
left = [1]
flush = os.fsync
def fsync(number):
    if not left:
        os._exit(9)
    left.pop()
    flush(number)
if sys.argv[2] == "kill":
    file_cache.os.fsync = fsync
print(file_cache.copied(folder, {name: (folder / name).stamp() for name in ("one", "two")}))
"""


def test_a_kill_leaves_no_half_copy_and_what_it_left_is_removed_later(cache: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)

    def run(how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), how], capture_output=True, text=True, check=False
        )

    assert run("kill").returncode == 9
    (partial,) = (path for path in cache.iterdir() if path.is_dir())
    assert partial.name.endswith(".partial")
    done = run("not")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    assert partial.is_dir()  # it might be of a process that still runs
    os.utime(partial, (1, 1))
    (tmp_path / "two").write_text("another")
    assert run("not").returncode == 0
    assert not partial.exists()
    assert folder.is_dir()


def test_copies_that_were_not_used_for_long_are_removed(cache: Path, bucket: MemoryBucket) -> None:
    old = cache / "0123"
    old.mkdir(parents=True)
    (old / "net.py").touch()
    lock = cache / "0123.lock"
    lock.touch()
    recent = time.time() - file_cache.UNUSED_SECONDS + 3600
    os.utime(old, (recent, recent))
    copy(bucket)
    assert old.is_dir()
    for path in (old, lock):
        os.utime(path, (1, 1))
    bucket.objects["nets/more.py"] = b"Y = 2"
    folder = copy(bucket)
    assert not old.exists()
    assert not lock.exists()
    os.utime(folder, (1, 1))
    assert copy(bucket) == folder
    assert folder.stat().st_mtime > time.time() - 100  # used just now


def test_a_cache_folder_that_is_not_one_is_refused(
    tmp_path: Path, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PermissionError, match=r"got .*/file/lchunk/fetched: Not a directory; set XDG_CACHE_HOME to"):
        copy(bucket)


def test_a_cache_folder_of_another_user_is_refused(
    cache: Path, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    own = os.getuid()
    if own:
        monkeypatch.setattr(file_cache.os, "getuid", lambda: own + 1)
    else:
        os.chown(cache, 54321, -1)
    with pytest.raises(PermissionError, match="it is another user's; set XDG_CACHE_HOME to"):
        copy(bucket)


def test_without_a_variable_the_cache_is_in_the_home_folder(
    tmp_path: Path, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the standard says to ignore
    assert copy(bucket).parent == tmp_path / ".cache/lchunk/fetched"
