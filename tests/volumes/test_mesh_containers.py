"""Containers of mesh fragments: what is written is read, by few ranges, and damage is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lchunk.volumes import mesh_containers
from lchunk.volumes.label_ranges import Labels, labels_of, labels_with_prefix
from lchunk.volumes.label_shards import LabelSharding, LabelsOfShard
from lchunk.volumes.mesh_containers import PER_PAGE, Container, Surface, encode_container, encode_fragment
from lchunk.volumes.ranges import Range
from lchunk.volumes.store import FileStore

EVERY = labels_with_prefix("")
SHARDING = LabelSharding(3, 6)


class NotingStore(FileStore):
    """A store that notes which bytes are asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[Range] = []

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        body = super().get(key, start, stop)
        self.asked.append((start, start + len(body)))
        return body

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[memoryview]:
        before = len(self.asked)
        bodies = super().get_ranges(key, ranges)
        self.asked[before:] = ranges  # the wanted bytes, without those between them
        return bodies


def surface(label: int) -> Surface:
    """Some vertices and triangles, of a number and with values that depend on the label."""
    random = np.random.default_rng(label)
    vertices = random.random((random.integers(1, 9), 3)).astype(np.float32)
    return vertices, random.integers(0, len(vertices), (random.integers(0, 9), 3)).astype(np.uint32)


def written(folder: Path, labels: Sequence[int]) -> Container:
    store = NotingStore(folder)
    content = {label: encode_fragment(*surface(label)) for label in labels}
    store.put("a.fragments", encode_container(content, SHARDING.keys))
    return Container(store, "a.fragments", SHARDING.keys)


def read(container: Container, wanted: Labels) -> dict[int, list[bytes]]:
    found = container.surfaces(container.entries(wanted))
    return {label: [part.tobytes() for part in parts] for label, parts in found}


@settings(max_examples=50)
@given(labels=st.sets(st.integers(1, 2**64 - 1), max_size=60), data=st.data())
def test_the_wanted_labels_are_read_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, labels: set[int], data: st.DataObject
) -> None:
    container = written(tmp_path_factory.mktemp("c"), data.draw(st.permutations(sorted(labels))))
    absent = data.draw(st.sets(st.integers(1, 2**64 - 1), max_size=3))
    wanted = data.draw(st.sets(st.sampled_from(sorted(labels)))) if labels else set()
    found = read(container, labels_of(wanted | absent))
    expected = sorted(wanted | (absent & labels))
    assert found == {label: [part.tobytes() for part in surface(label)] for label in expected}
    assert sorted(read(container, EVERY)) == sorted(labels)


@pytest.mark.parametrize("count", [0, 1, PER_PAGE - 1, PER_PAGE, PER_PAGE + 1, 4 * PER_PAGE])
@pytest.mark.parametrize("first", [40, 1 << 14, 1 << 30])
def test_pages_of_any_number_are_read_whatever_the_first_bytes_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, first: int
) -> None:
    monkeypatch.setattr(mesh_containers, "FIRST_BYTES", first)
    labels = [3 * n + 1 for n in range(count)]
    container = written(tmp_path, labels)
    assert sorted(container.entries(EVERY)["label"].tolist()) == labels
    for label in labels[:: max(1, count // 7)]:
        assert container.entries(labels_of([label, label + 1]))["label"].tolist() == [label]
    for shard in range(SHARDING.shards):
        own = [n for n in labels if SHARDING.shard_of(np.array([n], np.uint64))[0] == shard]
        assert sorted(container.entries(LabelsOfShard(SHARDING, shard))["label"].tolist()) == own


def test_a_few_labels_of_many_take_a_few_ranges(tmp_path: Path) -> None:
    container = written(tmp_path, range(1, 20_001))
    store = container._store
    assert isinstance(store, NotingStore)
    whole = store.size("a.fragments")
    found = container.entries(labels_of([7, 15_000]))
    assert store.asked[0] == (0, mesh_containers.FIRST_BYTES)
    assert len(store.asked) <= 1 + 2
    list(container.surfaces(found))
    assert sum(stop - start for start, stop in store.asked) < whole / 20


@pytest.mark.parametrize("shard_bits", [0, 2, 5])
def test_the_fragments_of_a_shard_are_one_range_of_the_file(tmp_path: Path, shard_bits: int) -> None:
    container = written(tmp_path, range(1, 5001))
    sharding = LabelSharding(SHARDING.minishard_bits, shard_bits)
    ends = set()
    for shard in range(sharding.shards):
        found = container.entries(LabelsOfShard(sharding, shard))
        assert (found["start"][1:] == (found["start"] + found["bytes"])[:-1]).all()
        ends |= {int(found["start"][0]), int(found["start"][-1] + found["bytes"][-1])}
    assert len(ends) == sharding.shards + 1


def test_a_flipped_bit_anywhere_is_found(tmp_path: Path) -> None:
    container = written(tmp_path, range(1, 6))
    path = tmp_path / "a.fragments"
    body = path.read_bytes()
    for place in range(len(body)):
        path.write_bytes(body[:place] + bytes([body[place] ^ 1 << place % 8]) + body[place + 1 :])
        with pytest.raises(ValueError, match=r"a\.fragments must be a whole \.fragments file, got"):
            read(container, EVERY)


def test_a_torn_file_is_found_and_an_empty_one_is_none(tmp_path: Path) -> None:
    container = written(tmp_path, range(1, 6))
    path = tmp_path / "a.fragments"
    body = path.read_bytes()
    for length in range(1, len(body)):
        path.write_bytes(body[:length])
        with pytest.raises(ValueError, match=r"a\.fragments must be a whole \.fragments file, got"):
            read(container, labels_of([1]))
    path.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="is an empty file"):
        read(container, EVERY)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(container, EVERY)


def test_a_damaged_fragment_leaves_the_others_readable(tmp_path: Path) -> None:
    container = written(tmp_path, range(1, 6))
    path = tmp_path / "a.fragments"
    entries = container.entries(EVERY)
    body = bytearray(path.read_bytes())
    body[int(entries["start"][2])] ^= 1
    path.write_bytes(body)
    damaged = int(entries["label"][2])
    others = {1, 2, 3, 4, 5} - {damaged}
    assert set(read(container, labels_of(others))) == others
    with pytest.raises(ValueError, match="checksum"):
        read(container, labels_of([damaged]))
