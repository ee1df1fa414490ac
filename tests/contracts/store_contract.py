"""The guarantees of every store; a backend's test inherits them."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lchunk.volumes.store import Store

Filled = Callable[[Mapping[str, bytes]], Store]
"""Gives a store that holds these objects."""


class ReadingContract:
    """Of stores that are only read, too."""

    @pytest.fixture
    def filled(self) -> Filled:
        raise NotImplementedError

    def test_ranges(self, filled: Filled) -> None:
        store = filled({"a/b c+é": b"0123456789"})
        for start, stop in [(0, None), (3, None), (3, 5), (0, 1), (9, 10), (8, 20), (20, 30), (20, None), (4, 4)]:
            assert store.get("a/b c+é", start, stop) == b"0123456789"[start:stop], (start, stop)
        for start in (-2, -1, -10, -20):
            assert store.get("a/b c+é", start) == b"0123456789"[start:]
        assert store.size("a/b c+é") == 10

    def test_several_ranges_of_an_object(self, filled: Filled) -> None:
        body = bytes(range(256)) * 40_000
        store = filled({"a": body})
        wanted = [(9_000_000, 9_000_010), (0, 7), (5, 30), (10_239_990, 10_240_010), (3_000_000, 6_000_000), (8, 8)]
        assert [bytes(part) for part in store.get_ranges("a", wanted)] == [body[a:b] for a, b in wanted]
        assert store.get_ranges("a", []) == []

    def test_what_is_not_there_raises(self, filled: Filled) -> None:
        store = filled({"a/c": b"x"})
        for key in ("a/b", "b"):
            with pytest.raises(FileNotFoundError):
                store.get(key)
            with pytest.raises(FileNotFoundError):
                store.get(key, 1, 2)
            with pytest.raises(FileNotFoundError):
                store.get_ranges(key, [(0, 1)])
            with pytest.raises(FileNotFoundError):
                store.size(key)
            with pytest.raises(FileNotFoundError):
                store.stamp(key)
            assert not store.exists(key)

    def test_an_empty_object_holds_nothing(self, filled: Filled) -> None:
        store = filled({"empty": b"", "full": b"x"})
        assert store.get("empty") == b""
        assert store.get("empty", -4) == b""
        assert store.get("empty", 0, 4) == b""
        assert (store.size("empty"), store.exists("empty"), store.exists("full")) == (0, False, True)

    def test_a_stamp_says_the_size_and_stays(self, filled: Filled) -> None:
        store = filled({"a": b"0123"})
        assert store.stamp("a").size == 4
        assert store.stamp("a") == store.stamp("a")
        assert store.stamp("a").modified or store.stamp("a").version


class StoreContract(ReadingContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store: Store) -> Filled:
        def fill(objects: Mapping[str, bytes]) -> Store:
            for key, body in objects.items():
                store.put(key, body)
            return store

        return fill

    def test_what_was_put_is_got(self, store: Store) -> None:
        store.put("a/b/c", b"0123456789")
        assert store.get("a/b/c") == b"0123456789"
        assert store.size("a/b/c") == 10

    def test_a_put_replaces_and_shows_in_the_stamp(self, store: Store) -> None:
        store.put("a", b"old")
        before = store.stamp("a")
        store.put("a", b"newer")
        assert store.get("a") == b"newer"
        assert store.stamp("a") != before

    def test_a_body_of_many_bytes_is_written_whole(self, store: Store) -> None:
        body = bytes(range(251)) * 170_000  # in a bucket an upload in parts, the last of which is not full
        store.put("large", memoryview(body))
        assert store.get("large") == body

    def test_what_is_removed_need_not_exist(self, store: Store) -> None:
        store.put("a", b"x")
        store.remove("a")
        assert not store.exists("a")
        store.remove("a")

    def test_of_many_creators_one_wins_and_the_others_read_what_it_wrote(self, store: Store) -> None:
        for round_ in range(10):
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
        for line in (b"one\n", b"two\n", b"three\n"):
            store.append("logs/a/1.jsonl", line)
        store.flush()
        keys = sorted(store.list("logs/a"))
        assert b"".join(store.get(key) for key in keys) == b"one\ntwo\nthree\n"
        assert all(key.startswith("logs/a/1") and key.endswith(".jsonl") for key in keys)

    def test_an_empty_object_does_not_count(self, store: Store) -> None:
        store.put("a/empty", b"")
        store.put("a/full", b"x")
        assert list(store.list("a")) == ["a/full"]
        assert sorted(store.list("a", empty=True)) == ["a/empty", "a/full"]

    def test_a_listing_is_of_one_folder_and_below(self, store: Store) -> None:
        for key in ("a/1", "a/b/2", "ab/3", "4", "a/b/c/5"):
            store.put(key, b"x")
        assert sorted(store.list("a")) == ["a/1", "a/b/2", "a/b/c/5"]
        assert sorted(store.list("")) == ["4", "a/1", "a/b/2", "a/b/c/5", "ab/3"]
        assert list(store.list("nothing")) == []
        assert store.folders() == ("a", "ab")
        assert store.folders("a") == ("b",)
        assert store.folders("nothing") == ()

    def test_pruning_leaves_objects(self, store: Store) -> None:
        for key in ("a/b/c/1", "a/b/2", "ab/3"):
            store.put(key, b"x")
        store.prune("a/b")
        assert sorted(store.list("")) == ["a/b/2", "a/b/c/1", "ab/3"]
        for key in ("a/b/c/1", "a/b/2"):
            store.remove(key)
        store.prune("a/b")
        assert store.folders() == ("ab",)
        assert sorted(store.list("")) == ["ab/3"]

    def test_sweeping_leaves_whole_objects(self, store: Store) -> None:
        store.put("a/whole", b"x")
        store.sweep("a", older_than=-1)
        store.sweep("", older_than=-1)
        assert store.get("a/whole") == b"x"
