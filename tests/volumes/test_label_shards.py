"""Shards of labels: tensorstore reads what is written, and the number of shards follows the containers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given
from hypothesis import strategies as st

from lchunk.volumes.label_shards import LabelSharding, LabelsOfShard, ShardFile, sharding_for


@pytest.mark.parametrize(("minishard_bits", "shard_bits"), [(0, 0), (3, 2), (9, 5)])
def test_tensorstore_reads_all_labels(tmp_path: Path, minishard_bits: int, shard_bits: int) -> None:
    sharding = LabelSharding(minishard_bits, shard_bits)
    random = np.random.default_rng(0)
    labels = np.unique(random.integers(0, 2**64, 500, dtype=np.uint64))
    bodies = {label: random.bytes(int(random.integers(0, 50))) for label in labels.tolist()}
    for number in range(sharding.shards):
        shard = ShardFile(sharding)
        own = labels[LabelsOfShard(sharding, number).holds(labels)].tolist()
        for label in own:
            shard.add(label, bodies[label], [io.BytesIO(b"hidden"), io.BytesIO(b"-too")])
        assert shard.labels == len(own)
        if own:
            (tmp_path / sharding.name(number)).write_bytes(shard.finished())
    store = ts.KvStore.open({
        "driver": "neuroglancer_uint64_sharded", "metadata": sharding.info(), "base": f"file://{tmp_path}/",
    }).result()  # fmt: skip
    for label, body in bodies.items():
        assert store.read(label.to_bytes(8, "big")).result().value == body
    whole = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert whole.count(b"hidden-too") == len(labels)


@given(st.integers(1, 10**9))
def test_shards_and_requests_grow_slowly(containers: int) -> None:
    sharding = sharding_for(containers)
    assert sharding.shards**2 <= max(1, containers)
    assert 64 * sharding.shards**2 > containers
    assert sharding_for(containers, 3).shards == 8
