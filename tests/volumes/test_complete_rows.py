"""A row of chunk files that was complete is not listed again, unless something in its folders changed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes import complete_rows
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.complete_rows import FOLDER, Look, look, rows_of
from lchunk.volumes.file_store import FileStore
from lchunk.volumes.records import RecordLayer
from lchunk.volumes.store import Store
from lchunk.volumes.tables import DOCUMENT
from tests.volumes.test_bucket_store import MemoryBucket

GRID = Grid(Bbox((-3, 0, 5), (7, 11, 15)), (1, 1, 1))  # 10 x 11 x 10 chunks, more than are listed at once
LEFT_HALF = Bbox((-3, 0, 5), (7, 11, 10))


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Each test begins as a new process."""
    rows_of.cache_clear()
    yield
    rows_of.cache_clear()


def layer_in(store: Store) -> RecordLayer:
    return RecordLayer(store, "marks", GRID, DOCUMENT)


class Clock:
    """The time of this process, some seconds late: files that were just written are as old as that."""

    def __init__(self) -> None:
        self.late = 60.0

    def time_ns(self) -> int:
        return time.time_ns() + int(self.late * 1e9)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(complete_rows, "time", made)
    return made


@pytest.fixture
def layer(tmp_path: Path) -> RecordLayer:
    """A complete layer."""
    made = layer_in(FileStore(tmp_path))
    for index in GRID:
        made.store.put(made.keys(index)[0], b"{}", durable=False)
    return made


class Listed:
    """Counts the folders that are listed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: list[str] = []
        present = FileStore.present

        def counted(store: FileStore, folder: str, names: set[str]) -> object:
            self.folders.append(folder)
            return present(store, folder, names)

        monkeypatch.setattr(FileStore, "present", counted)

    def in_this_look(self, layer: RecordLayer, region: Bbox = GRID.bounds) -> list[str]:
        self.folders.clear()
        assert not list(missing(layer, region))
        return self.folders


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Listed:
    return Listed(monkeypatch)


def test_complete_rows_are_listed_once_by_all_processes_together(layer: RecordLayer, listed: Listed) -> None:
    assert len(listed.in_this_look(layer)) == 110
    assert listed.in_this_look(layer) == []
    rows_of.cache_clear()
    assert listed.in_this_look(layer) == []
    assert listed.in_this_look(layer, LEFT_HALF) == []


def test_only_the_row_of_a_removed_file_is_listed_again(layer: RecordLayer, listed: Listed, tmp_path: Path) -> None:
    assert listed.in_this_look(layer)
    (tmp_path / "marks/c/3/4/5.json").unlink()
    for _ in range(2):
        listed.folders.clear()
        assert list(missing(layer, GRID.bounds)) == [(3, 4, 5)]
        assert set(listed.folders) == {"marks/c/3/4"}
        rows_of.cache_clear()
    layer.store.put(layer.keys((3, 4, 5))[0], b"{}")
    assert listed.in_this_look(layer)


def test_a_removed_layer_is_missing(layer: RecordLayer, listed: Listed, tmp_path: Path) -> None:
    assert listed.in_this_look(layer)
    (tmp_path / "marks").rename(tmp_path / "other")
    assert len(list(missing(layer, GRID.bounds))) == len(GRID)
    assert layer_in(layer.store).path == "marks"
    other = RecordLayer(layer.store, "other", GRID, DOCUMENT)
    assert len(listed.in_this_look(other)) == 110


@pytest.mark.parametrize("late", [1.0, -3600.0])
def test_rows_that_have_just_changed_are_listed_each_time(
    layer: RecordLayer, listed: Listed, clock: Clock, late: float
) -> None:
    """The time of a folder is rounded: a file that is removed in the same instant would not be noticed."""
    clock.late = late
    for _ in range(2):
        assert len(listed.in_this_look(layer)) == 110


def test_a_copy_is_listed(layer: RecordLayer, listed: Listed, tmp_path: Path) -> None:
    """Programs that copy folders also copy the time of modification."""
    assert listed.in_this_look(layer)
    shutil.copytree(tmp_path, tmp_path / "copy", copy_function=shutil.copy2)
    assert (tmp_path / "copy" / FOLDER).is_dir()
    assert len(listed.in_this_look(layer_in(FileStore(tmp_path / "copy")))) == 110


def test_a_file_that_was_emptied_is_noticed_by_a_full_look(layer: RecordLayer, listed: Listed, tmp_path: Path) -> None:
    assert listed.in_this_look(layer)
    (tmp_path / "marks/c/3/4/5.json").write_bytes(b"")
    with look(Look.ALL):
        assert list(missing(layer, GRID.bounds)) == [(3, 4, 5)]


def test_a_part_of_a_row_does_not_stand_for_the_row(layer: RecordLayer, listed: Listed, tmp_path: Path) -> None:
    (tmp_path / "marks/c/3/4/9.json").unlink()
    assert listed.in_this_look(layer, LEFT_HALF)
    assert list(missing(layer, GRID.bounds)) == [(3, 4, 9)]
    assert set(listed.in_this_look(layer, LEFT_HALF)) == {"marks/c/3/4"}


@pytest.mark.parametrize("body", [b"", b"torn", None])
def test_a_damaged_or_foreign_table_is_ignored(
    layer: RecordLayer, listed: Listed, tmp_path: Path, body: bytes | None
) -> None:
    assert listed.in_this_look(layer)
    (table,) = (path for path in (tmp_path / FOLDER).rglob("*") if path.is_file())
    if body is None:  # of a grid that is one voxel longer
        longer = RecordLayer(layer.store, "marks", Grid(Bbox((-3, 0, 5), (7, 11, 16)), (1, 1, 1)), DOCUMENT)
        assert len(list(missing(longer, longer.grid.bounds))) == 110
        longer.store.put("marks/c/0/0/10.json", b"{}")
        assert list(missing(longer, longer.grid.bounds))
        rows_of.cache_clear()
    else:
        table.write_bytes(body)
        rows_of.cache_clear()
    assert len(listed.in_this_look(layer)) >= 109


def test_two_processes_keep_what_both_have_learned(layer: RecordLayer, listed: Listed) -> None:
    first, second = (complete_rows.CompleteRows(layer.store, "marks/c/0/0/0.json", GRID) for _ in range(2))
    first.learn((0, 0), first.time_of(["marks/c/0/0"]))
    second.learn((0, 1), second.time_of(["marks/c/0/1"]))
    first.save()
    second.save()
    assert len(listed.in_this_look(layer)) == 108


def test_a_look_needs_no_right_to_write(layer: RecordLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(FileStore, "put", refuse)
    assert not list(missing(layer, GRID.bounds))


def test_in_a_bucket_a_process_relies_on_its_own_lists_only_if_told() -> None:
    bucket = MemoryBucket(page=1000)
    layer = layer_in(BucketStore(bucket, "data"))
    for index in GRID:
        layer.store.put(layer.keys(index)[0], b"{}")
    before = dict(bucket.objects)

    def requests(at: Look) -> tuple[int, list[object]]:
        asked = len(bucket.requests)
        with look(at):
            absent = list(missing(layer, GRID.bounds))
        return len(bucket.requests) - asked, absent

    assert requests(Look.UNKNOWN) == (10, [])
    assert requests(Look.UNKNOWN) == (0, [])
    assert requests(Look.CHANGED) == (10, [])
    layer.store.remove(layer.keys((3, 4, 5))[0])
    assert requests(Look.UNKNOWN) == (0, [])
    assert requests(Look.CHANGED) == (10, [(3, 4, 5)])
    rows_of.cache_clear()
    assert requests(Look.UNKNOWN) == (10, [(3, 4, 5)])
    assert requests(Look.UNKNOWN) == (1, [(3, 4, 5)])
    assert set(bucket.objects) < set(before), "nothing is kept in the bucket"
