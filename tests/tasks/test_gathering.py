"""Fragments of many chunks become whole meshes, whatever fits into memory, and only what is wanted is read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.welding import Surface, weld
from lchunk.tasks import gathering
from lchunk.tasks.gathering import find, gather
from lchunk.volumes.label_ranges import labels_of, labels_with_prefix
from lchunk.volumes.meshes import MeshFolder
from tests.volumes.test_mesh_containers import NotingStore

GRID = Grid(Bbox.of((0, 0, 0), (8, 12, 8)), (4, 4, 4))
HELD = {3: range(0, 12), 71: (2, 3, 11), 7: (5,), 2**63: (0, 11), 90: ()}
"""Chunks of each label, by number."""


def piece(label: int, number: int) -> Surface:
    """A strip between the chunk's place and the next one, so that pieces of neighbours share two vertices."""
    x = np.array([number, number, number + 1, number + 1], np.float32)
    vertices = np.stack([x, np.array([0, 1, 0, 1], np.float32), np.full(4, label % 1000, np.float32)], axis=1)
    return vertices, np.array([[0, 2, 1], [1, 2, 3]], np.uint32)


@pytest.fixture
def folder(tmp_path: Path) -> MeshFolder:
    folder = MeshFolder(NotingStore(tmp_path), "mesh", GRID, (1.0, 1.0, 1.0), 0)
    for number, index in enumerate(GRID):
        own = {label: piece(label, number) for label, numbers in HELD.items() if number in numbers}
        folder.write(GRID.chunk(index), own)
    return folder


@pytest.mark.parametrize("batch", [1, 150, 600, 1 << 27])
def test_each_label_is_its_pieces_from_chunk_to_chunk(
    folder: MeshFolder, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(gathering, "BATCH_BYTES", batch)
    found = find(folder, folder.records(GRID.bounds), labels_with_prefix(""))
    meshes = list(gather(folder, found))
    assert [label for label, _ in meshes] == found.labels == [3, 7, 71, 2**63]
    for label, (vertices, triangles) in meshes:
        expected = weld([piece(label, number) for number in HELD[label]])
        assert np.array_equal(vertices, expected[0])
        assert np.array_equal(triangles, expected[1])
    assert len(meshes[0][1][0]) == 2 * 13


@pytest.mark.parametrize(("batch", "most"), [(1, 12), (4 * 76, 12 * 76), (1 << 27, 18 * 76)])
def test_no_more_than_a_batch_or_a_label_is_in_memory(
    folder: MeshFolder, monkeypatch: pytest.MonkeyPatch, batch: int, most: int
) -> None:
    monkeypatch.setattr(gathering, "BATCH_BYTES", batch)
    entries = find(folder, folder.records(GRID.bounds), labels_with_prefix("")).entries
    firsts = np.flatnonzero(np.diff(entries["label"], prepend=np.uint64(0)))
    parts = [entries[begin:end] for begin, end in gathering._batches(entries["bytes"], firsts)]
    assert np.array_equal(np.concatenate(parts), entries)
    for part in parts:
        assert part["bytes"].sum() <= batch or len(np.unique(part["label"])) == 1
    together = [part["bytes"].sum() + after["bytes"][after["label"] == after["label"][0]].sum()
                for part, after in pairwise(parts)]  # fmt: skip
    assert all(size > batch for size in together)
    assert len(parts) == {1: 4, 4 * 76: 3, 1 << 27: 1}[batch]


def test_fragments_of_other_labels_are_not_read(folder: MeshFolder) -> None:
    store = folder.store
    assert isinstance(store, NotingStore)
    found = find(folder, folder.records(GRID.bounds), labels_of([71, 90, 5]))
    assert found.labels == [71]
    assert found.chunks.tolist() == [2, 3, 11]
    assert len(store.asked) == len(GRID)  # one request for the table of each
    store.asked.clear()
    ((label, _),) = gather(folder, found)
    assert label == 71
    assert [stop - start for start, stop in store.asked] == [76] * 3


def test_nothing_is_made_of_nothing(folder: MeshFolder) -> None:
    found = find(folder, folder.records(GRID.bounds), labels_with_prefix("4"))
    assert found.labels == []
    assert list(gather(folder, found)) == []


def test_a_missing_chunk_is_named(folder: MeshFolder) -> None:
    folder.store.remove(folder.keys((1, 0, 1))[0])
    with pytest.raises(
        FileNotFoundError, match=r"must have every chunk .* but 1 are missing, the first at 4-8_0-4_4-8"
    ):
        find(folder, folder.records(GRID.bounds), labels_with_prefix(""))
