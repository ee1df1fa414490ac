"""The guarantees of every store; a backend's test inherits them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lchunk.volumes.store import PARTIAL, Store


class StoreContract:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        raise NotImplementedError

    def leave_partial(self, store: Store, folder: str, age: float) -> str:
        """Leave what a killed writer leaves; return its key."""
        raise NotImplementedError

    def test_what_was_put_is_got(self, store: Store) -> None:
        store.put("a/b/c", b"0123456789")
        assert store.get("a/b/c") == b"0123456789"
        assert store.size("a/b/c") == 10

    def test_ranges(self, store: Store) -> None:
        store.put("a", b"0123456789")
        assert store.get("a", 3) == b"3456789"
        assert store.get("a", 3, 5) == b"34"
        assert store.get("a", -2) == b"89"
        assert store.get("a", -1) == b"9"
        assert store.get("a", -20) == b"0123456789"

    def test_a_put_replaces(self, store: Store) -> None:
        store.put("a", b"old and long")
        store.put("a", b"new")
        assert store.get("a") == b"new"

    def test_what_is_not_there_raises(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError):
            store.get("a/b")
        with pytest.raises(FileNotFoundError):
            store.size("a/b")
        assert not store.exists("a/b")
        store.remove("a/b")

    def test_of_many_creators_one_wins_and_the_others_read_what_it_wrote(self, store: Store) -> None:
        for round_ in range(20):
            key, barrier = f"layer{round_}/deep/zarr.json", threading.Barrier(8)

            def create(name: bytes, key: str = key, barrier: threading.Barrier = barrier) -> tuple[bool, bytes]:
                barrier.wait()
                won = store.create(key, name * 100)
                return won, store.get(key)

            with ThreadPoolExecutor(8) as pool:
                results = list(pool.map(create, [bytes([65 + n]) for n in range(8)]))
            assert [won for won, _ in results].count(True) == 1
            winner = next(read for won, read in results if won)
            assert {read for _, read in results} == {winner}
            assert list(store.list(f"layer{round_}")) == [key]

    def test_what_exists_is_not_created_again(self, store: Store) -> None:
        store.put("a", b"first")
        assert not store.create("a", b"second")
        assert store.get("a") == b"first"

    def test_an_empty_object_can_be_created_again(self, store: Store) -> None:
        store.put("a", b"")
        assert store.create("a", b"whole")
        assert store.get("a") == b"whole"

    def test_lines_are_appended(self, store: Store) -> None:
        store.append("logs/a/1.jsonl", b"one\n")
        store.append("logs/a/1.jsonl", b"two\n")
        assert store.get("logs/a/1.jsonl") == b"one\ntwo\n"

    def test_an_empty_object_does_not_count(self, store: Store) -> None:
        store.put("a/empty", b"")
        store.put("a/full", b"x")
        assert not store.exists("a/empty")
        assert list(store.list("a")) == ["a/full"]

    def test_a_listing_is_of_one_folder_and_below(self, store: Store) -> None:
        for key in ("a/1", "a/b/2", "ab/3", "4"):
            store.put(key, b"x")
        assert sorted(store.list("a")) == ["a/1", "a/b/2"]
        assert sorted(store.list("")) == ["4", "a/1", "a/b/2", "ab/3"]
        assert list(store.list("nothing")) == []
        assert store.folders() == ("a", "ab")

    def test_removed_is_gone(self, store: Store) -> None:
        store.put("a", b"x")
        store.remove("a")
        assert not store.exists("a")

    def test_unfinished_writes_are_never_objects_and_are_swept_by_age(self, store: Store) -> None:
        store.put("a/whole", b"x")
        old = self.leave_partial(store, "a", age=1000)
        young = self.leave_partial(store, "a", age=0)
        assert list(store.list("a")) == ["a/whole"]
        store.sweep("a", older_than=500)
        assert not store.exists(old)
        assert store.exists(young)
        assert store.exists("a/whole")
        assert young.endswith(PARTIAL)
