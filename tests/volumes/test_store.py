"""Stores: the contract, and what only a disk does."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


class Recorded:
    """The system calls of a write, in order, with the path that each is about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        for name in ("fsync", "replace", "link", "unlink"):
            monkeypatch.setattr(os, name, self.recording(name, getattr(os, name)))

    def recording(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def recorded(*arguments: Any, **more: Any) -> object:
            what = os.readlink(f"/proc/self/fd/{arguments[0]}") if name == "fsync" else str(arguments[-1])
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
    # the folders that are new, from the top, each through the folder above it
    assert calls[:3] == [("fsync", str(tmp_path / name)) for name in (".", "root", "root/layer")]
    (name, partial), (renamed, target), (flushed, last) = calls[3:]
    assert name == "fsync"
    assert partial.startswith(f"{folder}/.0.")
    assert partial.endswith(PARTIAL)
    assert (renamed, target) == ({"put": "replace", "create": "link"}[how], f"{folder}/0")
    assert (flushed, last) == ("fsync", folder)


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


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_is_named_by_path_or_url(tmp_path: Path, form: str) -> None:
    open_store(form.format(tmp_path)).put("a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="ftp://host/data"):
        open_store("ftp://host/data")
