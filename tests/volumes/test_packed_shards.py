"""Shards: tensorstore reads what is written, and every changed byte is found."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tensorstore
from hypothesis import given, settings
from hypothesis import strategies as st

from lchunk.volumes.formats.murmur import murmur_hash
from lchunk.volumes.label_shards import LabelsOfShard
from lchunk.volumes.packed_shards import decode_shard, encode_shard, labels_in, packed_sharding
from lchunk.volumes.store import FileStore


def content(labels: np.ndarray) -> dict[int, bytes]:
    return {label: str(label).encode() * (label % 7) for label in labels.tolist()}


@pytest.mark.parametrize("bits", [0, 1, 5])
def test_tensorstore_reads_all_labels_of_all_shards(tmp_path: Path, bits: int) -> None:
    labels = np.random.default_rng(bits).integers(1, 2**64 - 1, 500, np.uint64, endpoint=True)
    sharding = packed_sharding(bits)
    for shard in range(2**bits):
        own = labels[LabelsOfShard(sharding, shard).holds(labels)]
        (tmp_path / sharding.name(shard)).write_bytes(encode_shard(content(own), sharding))
        assert sorted(labels_in(FileStore(tmp_path), sharding.name(shard))) == sorted(own.tolist())
    spec = {"driver": "neuroglancer_uint64_sharded", "metadata": sharding.info(), "base": f"file://{tmp_path}/"}
    store = tensorstore.KvStore.open(spec).result()
    assert {struct.unpack(">Q", key)[0] for key in store.list().result()} == set(labels.tolist())
    for label, value in content(labels).items():
        assert store.read(struct.pack(">Q", label)).result().value == value


@settings(max_examples=30)
@given(labels=st.sets(st.integers(1, 2**64 - 1), max_size=40), data=st.data())
def test_a_shard_comes_back_and_no_changed_bit_of_it_is_read(labels: set[int], data: st.DataObject) -> None:
    whole = content(np.array([*labels], np.uint64))
    sharding = packed_sharding(0)
    body = bytes(encode_shard(whole, sharding))
    assert dict(decode_shard(body)) == whole
    assert encode_shard(dict(reversed(whole.items())), sharding) == body
    place = data.draw(st.integers(0, len(body) - 1))
    damaged = bytearray(body)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    for wrong in (bytes(damaged), body[:place], body + b"\0"):
        try:
            found = dict(decode_shard(wrong))
        except ValueError:
            continue
        # gzip's header holds numbers that no reader uses: the time, the system
        assert (found, len(wrong)) == (whole, len(body))


def test_shards_are_ranges_of_keys_however_many_there_are() -> None:
    labels = np.arange(1, 2000, dtype=np.uint64)
    for bits in (0, 3, 9):
        sharding = packed_sharding(bits)
        keys, numbers = sharding.keys(labels), (murmur_hash(labels) >> np.uint64(6)) & np.uint64(2**bits - 1)
        for shard in range(2**bits):
            own = LabelsOfShard(sharding, shard)
            assert np.array_equal(own.meets(keys, keys, sharding.keys), numbers == shard)
            assert np.array_equal(own.holds(labels), numbers == shard)
