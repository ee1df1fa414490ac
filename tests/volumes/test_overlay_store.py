"""A scratch folder over a store: reads fall through, and nothing below it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lchunk.volumes.file_store import FileStore
from lchunk.volumes.overlay_store import OverlayStore


@pytest.fixture
def below(tmp_path: Path) -> FileStore:
    store = FileStore(tmp_path / "below")
    store.put("a/one", b"below")
    store.put("a/two", b"two")
    return store


def test_what_is_written_is_seen_and_what_lies_below_stays(tmp_path: Path, below: FileStore) -> None:
    store = OverlayStore(FileStore(tmp_path / "scratch"), below)
    assert store.get("a/one", 1, 3) == b"el"
    store.put("a/one", b"scratch")
    store.put("b/three", b"3")
    store.append("logs/a.jsonl", b"line\n")
    assert store.get("a/one") == b"scratch"
    assert store.size("a/one") == store.stamp("a/one").size == 7
    assert [bytes(part) for part in store.get_ranges("a/two", [(0, 2)])] == [b"tw"]
    assert sorted(store.list("a")) == ["a/one", "a/two"]
    assert store.folders() == ("a", "b", "logs")
    assert below.get("a/one") == b"below"
    assert sorted(below.list("")) == ["a/one", "a/two"]
    store.remove("a/one")
    store.remove("a/two")
    assert store.get("a/one") == b"below"
    assert store.exists("a/two")


def test_an_object_that_exists_below_is_not_created_again(tmp_path: Path, below: FileStore) -> None:
    store = OverlayStore(FileStore(tmp_path / "scratch"), below)
    assert not store.create("a/one", b"x")
    assert store.create("a/three", b"x")
    assert not store.create("a/three", b"y")
    assert store.get("a/three") == b"x"
    with pytest.raises(FileNotFoundError):
        store.get("a/four")
