"""Tables and documents."""

from pathlib import Path

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes import records
from lchunk.volumes.records import AT_ONCE, RecordLayer
from lchunk.volumes.store import FileStore
from lchunk.volumes.tables import DOCUMENT, TABLE

GRID = Grid(Bbox((0, 0, 0), (4, 4, 8)), (4, 4, 4))


def make(tmp_path: Path, n: int) -> tuple[RecordLayer, dict]:
    folder = RecordLayer(FileStore(tmp_path), "edges", GRID, TABLE)
    content = {"u": np.arange(n, dtype=np.uint64), "big": np.random.default_rng(n).random(50_000)}
    folder.write(GRID.chunk((0, 0, 0)), content)
    folder.write(GRID.chunk((0, 0, 1)), content)
    return folder, content


def test_tables_come_back_chunk_by_chunk(tmp_path: Path) -> None:
    folder, content = make(tmp_path, 5)
    tables = list(folder.records(GRID.bounds))
    assert len(tables) == 2
    assert all(np.array_equal(table[name], content[name]) for table in tables for name in content)
    assert len(list(folder.records(GRID.chunk((0, 0, 1))))) == 1


def test_the_same_table_is_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path, 5)
    assert (tmp_path / "edges/c/0/0/0.table").read_bytes() == (tmp_path / "edges/c/0/0/1.table").read_bytes()


def test_a_column_is_read_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, content = make(tmp_path, 5)
    read = []
    get = FileStore.get

    def counted(self: FileStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
        body = get(self, key, start, stop)
        read.append(len(body))
        return body

    monkeypatch.setattr(FileStore, "get", counted)
    (table,) = folder.records(GRID.chunk((0, 0, 0)))
    assert np.array_equal(table["u"], content["u"])
    assert sum(read) < folder.store.size("edges/c/0/0/0.table") / 2


def test_a_missing_or_torn_table_is_named(tmp_path: Path) -> None:
    folder, _ = make(tmp_path, 5)
    path = tmp_path / "edges/c/0/0/1.table"
    body = path.read_bytes()
    path.write_bytes(body[:100])
    with pytest.raises(ValueError, match=r"c/0/0/1\.table must be a whole"):
        list(folder.records(GRID.bounds))
    path.write_bytes(body[:3000] + bytes(100) + body[3100:])
    with pytest.raises(ValueError, match=r"c/0/0/1\.table must be a whole .* the checksum of its"):
        [table["big"] for table in folder.records(GRID.bounds)]
    path.unlink()
    with pytest.raises(FileNotFoundError, match="layer edges"):
        list(folder.records(GRID.bounds))


def test_a_single_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    folder = RecordLayer(FileStore(tmp_path), "evaluation", Grid(GRID.bounds, GRID.bounds.shape), DOCUMENT, "scores")
    assert folder.recipe() is None
    folder.create({"stage": "A"})
    folder.create({"stage": "B"})
    folder.write(GRID.bounds, {"voi": 1.5})
    assert (tmp_path / "evaluation/scores.json").exists()
    assert list(folder.records(GRID.bounds)) == [{"voi": 1.5}]
    assert folder.recipe() == {"stage": "A"}


class InABucket(FileStore):
    """A store whose objects are no files of this machine; it records the requests for bytes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[tuple[int, int | None]] = []

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        self.requests.append((start, stop))
        return super().get(key, start, stop)

    def size(self, key: str) -> int:
        self.requests.append((0, 0))
        return super().size(key)

    def path(self, key: str) -> None:
        return None


def test_a_small_table_in_a_bucket_is_one_request(tmp_path: Path) -> None:
    _, content = make(tmp_path, 5)
    store = InABucket(tmp_path)
    (table,) = RecordLayer(store, "edges", GRID, TABLE).records(GRID.chunk((0, 0, 0)))
    assert all(np.array_equal(table[name], content[name]) for name in content)
    assert store.requests == [(0, AT_ONCE)]


def test_of_a_large_table_in_a_bucket_parts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, content = make(tmp_path, 5)
    monkeypatch.setattr(records, "AT_ONCE", 1000)
    store = InABucket(tmp_path)
    (table,) = RecordLayer(store, "edges", GRID, TABLE).records(GRID.chunk((0, 0, 0)))
    assert np.array_equal(table["u"], content["u"])
    assert np.array_equal(table["big"], content["big"])
    assert store.requests[:2] == [(0, 1000), (0, 0)]
    assert len(store.requests) > 2


def test_an_empty_table_in_a_bucket_is_a_missing_one(tmp_path: Path) -> None:
    make(tmp_path, 5)
    (tmp_path / "edges/c/0/0/1.table").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="must have every chunk"):
        list(RecordLayer(InABucket(tmp_path), "edges", GRID, TABLE).records(GRID.bounds))


class Busy(InABucket):
    """A bucket that is asked for several objects at a time."""

    connections = 2


def test_the_next_records_in_a_bucket_are_requested_while_one_is_used(tmp_path: Path) -> None:
    grid = Grid(Bbox((0, 0, 0), (4, 4, 40)), (4, 4, 4))
    layer = RecordLayer(Busy(tmp_path), "numbers", grid, DOCUMENT)
    for number, index in enumerate(grid):
        layer.write(grid.chunk(index), {"n": number})
    (tmp_path / "numbers/c/0/0/7.json").unlink()
    records = layer.records(grid.bounds)
    assert next(records) == {"n": 0}
    assert 1 <= len(layer.store.requests) <= 3  # type: ignore[attr-defined]
    assert [next(records)["n"] for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(FileNotFoundError, match=r"of 0-4_0-4_0-40, but 1 are missing, the first at 0-4_0-4_28-32"):
        next(records)
