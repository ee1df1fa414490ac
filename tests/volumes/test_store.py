"""Stores: the contract, and what only a disk does."""

import os
import time
from pathlib import Path

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


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_is_named_by_path_or_url(tmp_path: Path, form: str) -> None:
    open_store(form.format(tmp_path)).put("a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="ftp://host/data"):
        open_store("ftp://host/data")
