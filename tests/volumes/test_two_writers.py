"""Two processes that write the same chunk of a bucket at once: nobody fails, and readers see one of the two, whole."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.bucket_store import BucketStore
from lchunk.volumes.layer import Layer
from tests.volumes import test_gcs_store, test_s3_store

pytestmark = pytest.mark.usefixtures("aws")

ROUNDS = 50
SHAPE = (16, 32, 32)


@pytest.fixture(params=["s3", "gs"])
def layer(request: pytest.FixtureRequest) -> Layer:
    """A layer of one chunk."""
    opened: Callable[[str], BucketStore] = test_s3_store.store_at
    if request.param == "s3":
        url = request.getfixturevalue("s3_servers")["moto"]
    else:
        url, opened = request.getfixturevalue("gcs_url"), test_gcs_store.store_at
    voxel_size = (40.0, 4.0, 4.0)
    return Layer(opened(url), "image", Bbox.of((0, 0, 0), SHAPE), voxel_size, np.dtype("uint8"), SHAPE, (8, 16, 16), 0)


def write_often(layer: Layer, content: Any, together: Any) -> None:
    layer.create({"stage": "Test"})
    for _ in range(ROUNDS):
        together.wait(60)
        layer.write(layer.bounds, content)


def test_two_workers_write_one_chunk_at_once(layer: Layer) -> None:
    noise = np.random.default_rng(0).integers(1, 200, SHAPE).astype(np.uint8)  # of another length than the other
    contents = [noise, np.full(SHAPE, 7, np.uint8)]
    processes = multiprocessing.get_context("fork")
    together = processes.Barrier(3)
    writers = [processes.Process(target=write_often, args=(layer, content, together)) for content in contents]
    for writer in writers:
        writer.start()
    seen = []
    for number in range(ROUNDS):
        together.wait(60)
        if number:
            seen.append(layer.read(layer.bounds))
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    seen.append(layer.read(layer.bounds))
    found = [[np.array_equal(voxels, content) for content in contents].index(True) for voxels in seen]
    assert len(found) == ROUNDS
    assert layer.recipe() == {"stage": "Test"}
