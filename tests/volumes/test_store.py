"""Stores: the contract, and the properties that only a disk has."""

import ctypes
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lchunk.volumes import file_store
from lchunk.volumes.store import PARTIAL, FileStore, Store, open_store
from tests.contracts.store_contract import StoreContract


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FileStore(tmp_path)

    def leave_partial(self, store: Store, folder: str, age: float) -> str:
        key = f"{folder}/.chunk.{age}{PARTIAL}"
        path = Path(store.url) / key
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
        return key

    def test_unfinished_writes_are_never_objects_and_are_swept_by_age(self, store: Store) -> None:
        store.put("a/whole", b"x")
        old = self.leave_partial(store, "a", age=1000)
        young = self.leave_partial(store, "a", age=0)
        assert list(store.list("a")) == ["a/whole"]
        store.sweep("a", older_than=500)
        assert not store.exists(old)
        assert store.exists(young)
        assert store.exists("a/whole")

    def test_a_failed_write_leaves_the_old_object_and_nothing_else(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("a", b"old")

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.put("a", b"new")
        assert store.get("a") == b"old"
        assert os.listdir(store.url) == ["a"]

    @pytest.mark.parametrize("folder", ["", "new/"])
    def test_a_file_that_cannot_be_opened_is_named_and_leaves_nothing(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, folder: str
    ) -> None:
        def none_left(*_: object, **__: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(file_store, "open", none_left, raising=False)
        with pytest.raises(OSError, match=r"Too many open files: '.*/a'"):
            store.put(f"{folder}a", b"new")
        assert not [path for path in Path(store.url).rglob("*") if path.is_file()]

    def test_a_rename_that_fails_leaves_the_old_object_and_nothing_else(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("a", b"old")

        def broken(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "replace", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.put("a", b"new")
        assert store.get("a") == b"old"
        assert os.listdir(store.url) == ["a"]

    def test_an_interrupted_write_leaves_nothing(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.put("a", b"new")
        assert os.listdir(store.url) == []

    def test_a_rename_of_a_file_that_was_swept_fails_for_its_own_reason(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def swept(partial: str, path: str) -> None:
            os.unlink(partial)
            raise OSError(errno.ESTALE, "Stale file handle")

        monkeypatch.setattr(os, "replace", swept)
        with pytest.raises(OSError, match="Stale"):
            store.put("a", b"new")

    def test_two_that_sweep_do_not_stop_each_other(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        store.put("a/whole", b"x")
        keys = [self.leave_partial(store, "a", age=1000 + number) for number in range(2)]
        walk = FileStore._walk

        def raced(self: FileStore, folder: Path | str) -> Iterator[os.DirEntry[str]]:
            entries = list(walk(self, folder))
            os.unlink(self.root / keys[0])
            yield from entries

        monkeypatch.setattr(FileStore, "_walk", raced)
        store.sweep("a", older_than=500)
        assert os.listdir(f"{store.url}/a") == ["whole"]

    def test_what_is_removed_while_a_folder_is_listed_is_left_out(self, store: Store) -> None:
        for key in ("a/1", "a/2"):
            store.put(key, b"x")
        listing = store.list("a")
        first = next(listing)
        store.remove({"a/1": "a/2", "a/2": "a/1"}[first])
        assert list(listing) == []

    def test_a_link_that_leads_back_up_does_not_make_a_listing_endless(self, store: Store) -> None:
        store.put("a/1", b"x")
        os.symlink(store.url, f"{store.url}/a/up")
        assert [key for key in store.list("a") if key.endswith("1")] == ["a/1"]

    def test_a_log_belongs_to_everyone_that_the_umask_allows(self, store: Store) -> None:
        old = os.umask(0o022)
        try:
            store.append("logs/a", b"line\n")
            store.append("logs/b", b"line\n")
        finally:
            os.umask(old)
        assert {os.stat(f"{store.url}/logs/{name}").st_mode & 0o777 for name in "ab"} == {0o644}

    def test_two_processes_may_begin_their_logs_at_one_time(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = os.makedirs

        def after_another(path: str, exist_ok: bool = False) -> None:
            make(path, exist_ok=True)
            make(path, exist_ok=exist_ok)

        monkeypatch.setattr(os, "makedirs", after_another)
        store.append("logs/a", b"line\n")
        assert store.get("logs/a") == b"line\n"

    def test_a_write_leaves_no_file_open(self, store: Store) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for number in range(3):
            store.put(f"a/{number}", b"x")
            store.create(f"b/{number}", b"x")
            store.append("logs/a", b"x")
        assert len(os.listdir("/proc/self/fd")) == before


class Recorded:
    """Records the system calls of a write, in order, each with its path.

    Attributes:
        flushed: the bytes that each file held when it was flushed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        self.flushed: list[int] = []
        for name in ("fsync", "replace", "link", "unlink"):
            monkeypatch.setattr(os, name, self.recording(name, getattr(os, name)))

    def recording(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def recorded(*arguments: Any, **more: Any) -> object:
            what = os.readlink(f"/proc/self/fd/{arguments[0]}") if name == "fsync" else str(arguments[-1])
            if name == "fsync" and os.path.isfile(what):
                self.flushed.append(os.fstat(arguments[0]).st_size)
            result = call(*arguments, **more)
            self.calls.append((name, what))
            return result

        return recorded


@pytest.mark.parametrize("how", ["put", "create"])
def test_what_was_written_survives_a_power_cut_with_all_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    store = FileStore(tmp_path / "root")
    recorded = Recorded(monkeypatch)
    getattr(store, how)("layer/c/0", b"voxels")
    calls = [call for call in recorded.calls if call[0] != "unlink"]
    folder = str(tmp_path / "root/layer/c")
    # new folders are flushed from the top, each by flushing the folder above it
    assert calls[:3] == [("fsync", str(tmp_path / name)) for name in (".", "root", "root/layer")]
    (name, partial), (renamed, target), (flushed, last) = calls[3:]
    assert name == "fsync"
    assert partial.startswith(f"{folder}/.0.")
    assert partial.endswith(PARTIAL)
    assert (renamed, target) == ({"put": "replace", "create": "link"}[how], f"{folder}/0")
    assert (flushed, last) == ("fsync", folder)
    getattr(store, how)("layer/c/1", b"voxels")  # the folder already exists
    assert recorded.flushed == [6, 6]


def test_a_body_of_many_bytes_each_is_written_whole(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    numbers = np.arange(6, dtype=np.uint32).reshape(2, 3)
    store.put("a", memoryview(numbers))
    assert store.get("a") == numbers.tobytes()


def test_what_need_not_be_durable_is_not_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(monkeypatch)
    FileStore(tmp_path).put("new/folder/a", b"x", durable=False)
    assert [name for name, _ in recorded.calls] == ["replace"]


def test_what_the_disk_cannot_write_later_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    store.put("meshes/a", b"x", durable=False)
    store.settle("meshes")
    flushed = []

    def failing(number: int) -> int:
        flushed.append(os.readlink(f"/proc/self/fd/{number}"))
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syncfs=failing))
    with pytest.raises(OSError, match=rf"Input/output error: '{tmp_path}/meshes'"):
        store.settle("meshes")
    assert flushed == [f"{tmp_path}/meshes"]


def test_a_system_without_syncfs_flushes_all_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(os, "sync", lambda: flushed.append("all"))
    FileStore(tmp_path).settle("meshes")
    assert flushed == ["all"]


def test_a_log_line_is_not_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(monkeypatch)
    FileStore(tmp_path).append("logs/a", b"line\n")
    assert recorded.calls == []


def test_without_hard_links_one_creator_wins_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    store = FileStore(tmp_path)
    assert store.create("a", b"first")
    assert not store.create("a", b"second")
    assert store.get("a") == b"first"
    assert os.listdir(tmp_path) == ["a"]


def test_without_hard_links_what_was_created_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    recorded = Recorded(monkeypatch)
    assert FileStore(tmp_path).create("a", b"voxels")
    flushed = [what for name, what in recorded.calls if name == "fsync"]
    assert flushed[-2:] == [f"{tmp_path}/a", str(tmp_path)]
    assert recorded.flushed == [6, 6]


def test_without_hard_links_who_comes_second_does_not_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another_is_first(_: str, path: str) -> None:
        Path(path).write_bytes(b"first")
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", another_is_first)
    store = FileStore(tmp_path)
    assert not store.create("a", b"second")
    assert store.get("a") == b"first"


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_is_named_by_path_or_url(tmp_path: Path, form: str) -> None:
    open_store(form.format(tmp_path)).put("a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
    assert open_store(form.format(tmp_path)) is open_store(form.format(tmp_path))


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "absent")
    assert store.folders() == ()
    assert list(store.list("")) == []


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="ftp://host/data"):
        open_store("ftp://host/data")
