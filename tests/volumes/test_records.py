"""Tables and documents."""

from pathlib import Path

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes.records import RecordLayer
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
    with pytest.raises(ValueError, match=r"c/0/0/1\.table must be a whole .* Bad CRC"):
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
